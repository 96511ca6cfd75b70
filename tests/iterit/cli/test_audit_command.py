"""iterit audit and iterit plant as people type them: pages, resumption, refusals, hostile names."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError
from iterit.cli.audit import read_groups
from iterit.records.instruction_records import read_records
from iterit.training.audits import subset_runs
from tests.support.commands import run_iterit as run
from tests.support.refusals import refused
from tests.support.small_runs import rows

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
AUDIT = (
    "--n-held-out", 10, "--seeds", 2, "--answer-tokens", 120, "--max-tokens", 400,
    "--learning-rate", 0.01, "--batch-size", 2, "--gradient-accumulation", 1, "--device", "cpu",
)  # fmt: skip
POOL = ("--pool", "pool.jsonl")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [{**row, "instruction": f"{row['instruction']} {n}"} for n, row in enumerate(rows(60))]
    Path("pool.jsonl").write_text("\n".join(map(json.dumps, lines)))
    Path("picks.json").write_text(json.dumps(list(range(0, 30, 3))))
    return tmp_path


def test_an_audit_writes_its_pages_and_resumes_without_training(here, model, monkeypatch):
    words = ("audit", "picks.json", *POOL, *AUDIT, "--model", model, "--more-random", 0)
    code, out, errors = run(*words, "--out", "audit.html", "--tables", "tables")
    assert code == 0, errors
    assert "read as rows" in errors and "random records of the same lengths" in " ".join(out.split())
    page = Path("audit.html").read_text()
    assert page.count("<table") >= 4 and "http" not in page.split("</style>")[1]
    gains = pd.read_csv("tables/gains.csv")
    assert gains["n_seeds"].tolist() == [2, 2] and set(gains["by"]) == {"token", "record"}
    assert pd.read_csv("tables/description.csv")["group"].tolist() == [
        "pool",
        "picks.json",
        "random for picks.json",
    ]
    monkeypatch.setattr(subset_runs, "make_trainer", lambda *_: pytest.fail("it trained again"))
    code, _, errors = run(*words, "--out", "audit.md")
    assert code == 0, errors
    text = Path("audit.md").read_text()
    assert text.startswith("# Do the picks beat chance?") and "| picks.json: picks |" in text


def test_a_task_is_measured_after_each_run(here, model):
    Path("mood.toml").write_text('name = "mood"\nlabels = ["good", "bad"]\nclass_names = ["Good", "Bad"]\n')
    lines = [f"text {n} is {'fine' if n % 2 else 'dull'},{'Good' if n % 2 else 'Bad'}" for n in range(12)]
    Path("mood.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    task = ("--task", "mood.toml", "--task-data", "mood.csv", "--task-rows", 8)
    words = ("audit", "picks.json", *POOL, *AUDIT, "--model", model, "--more-random", 0, "--out", "a.md")
    code, out, errors = run(*words, *task, "--tables", "tables")
    assert code == 0, errors
    assert "Each run also classifies 8 rows of mood." in errors
    assert "On mood, after training picks.json" in " ".join(out.split())
    assert "## Accuracy on mood" in Path("a.md").read_text()
    table = pd.read_csv("tables/task.csv")
    assert table["figure"].tolist() == ["accuracy", "COBias", "worst class accuracy"]
    long = pd.read_csv("tables/task_probabilities.csv", keep_default_na=False)
    assert len(long) == 5 * 8
    own = long[(long["way"] == "picks") & (long["seed"] == 1)]
    assert set(own["label"]) == {"Good", "Bad"} and np.allclose(own[["Good", "Bad"]].sum(axis=1), 1)
    accuracy = (long[["Good", "Bad"]].idxmax(axis=1) == long["label"]).groupby(long["way"]).mean()
    assert table["trained"][0] == pytest.approx(accuracy["picks"])
    assert table["random"][0] == pytest.approx(accuracy["random"])


def test_planted_records_are_written_and_known_again(here, model):
    code, out, errors = run("plant", "pool.jsonl", "--out", "planted.jsonl", "--sums", 0.1)
    assert code == 0, errors
    kinds = [json.loads(line)["planted"] for line in Path("planted.jsonl").read_text().splitlines()]
    assert kinds.count("wrong sum") == 6 and kinds.count("swapped answer") == 6
    wrong = [row for row, kind in enumerate(kinds) if kind in ("swapped answer", "")]
    Path("picks.json").write_text(json.dumps(wrong[:12]))
    more = ("--pool", "planted.jsonl", "--out", "a.md", "--more-random", 0)
    code, _, errors = run("audit", "picks.json", *AUDIT, "--model", model, *more)
    assert code == 0, errors
    share = np.mean([kinds[row] == "swapped answer" for row in wrong[:12]])
    assert f"{100 * share:.1f} % of picks.json" in Path("a.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("picks.json", "--model", "demo"), "--pool"),
        (("none.json", "--pool", "pool.jsonl"), "none.json"),
        (("picks.json", "--pool", "pool.jsonl", "--out", "a.pdf"), "--out"),
        (("picks.json", "--pool", "pool.jsonl", "--seeds", 1), "--seeds"),
        (("picks.json", "--pool", "pool.jsonl", "--picks-as", "digests"), "digests"),
        (("picks.json", "--pool", "none.jsonl"), "none.jsonl"),
        (("all.json", "--pool", "pool.jsonl"), "--held-out"),
        (("picks.json", "--pool", "pool.jsonl", "--task-data", "pool.jsonl"), "--task-data"),
        (("picks.json", "--pool", "pool.jsonl", "--task", "no-such-task"), "no-such-task"),
        (
            ("picks.json", "--pool", "pool.jsonl", "--held-out", "pool.jsonl", "--n-held-out", 9),
            "--n-held-out",
        ),
        (("picks.json", "--pool", "pool.jsonl", "--ratio", 0.1), "--ratio"),
        (("picks.json", "--pool", "pool.jsonl", "--task-rows", 20), "--task-rows"),
    ],
)
def test_what_an_audit_refuses(here, words, said):
    Path("all.json").write_text(json.dumps(list(range(60))))
    code, _, errors = run("audit", *words)
    last = errors.strip().splitlines()[-1]
    assert code == 2 and last.startswith("iterit: error: ") and said in last


def test_files_and_folders_that_share_a_name_are_groups_of_their_own(here):
    records = read_records("pool.jsonl")
    Path("run").mkdir()
    Path("run/picks.json").write_text("[1, 2]")
    for order in (["picks.json", "run/picks.json"], ["run/picks.json", "picks.json"]):
        groups, _ = read_groups([Path(one) for one in order], records, "auto")
        assert list(groups) == order and groups["run/picks.json"].tolist() == [1, 2]


def test_a_run_of_other_records_is_refused(here, model):
    words = ("--max-ifd", 50, "--rounds", 1, "--device", "cpu", "--max-tokens", 400)
    for out in ("a/run", "b/run"):
        code, _, errors = run("train", "pool.jsonl", "--model", model, "--ratio", 0.2, *words, "--out", out)
        assert code == 0, errors
    records = read_records("pool.jsonl")
    groups, _ = read_groups([Path("a/run"), Path("b/run")], records, "auto")
    assert list(groups) == ["a/run, round 0", "b/run, round 0"]
    with refused(ParameterError, parameter="pool"):
        read_groups([Path("a/run")], records.take(np.arange(60)[::-1]), "auto")


def test_held_out_records_that_were_picked_are_refused(here, model):
    Path("held.jsonl").write_text("\n".join(Path("pool.jsonl").read_text().splitlines()[:4]))
    code, _, errors = run(
        "audit", "picks.json", *POOL, *AUDIT[2:], "--model", model, "--held-out", "held.jsonl"
    )
    assert code == 2 and "--held-out" in errors.strip().splitlines()[-1]


def test_a_name_with_markup_stays_text(here, model):
    name = "<b>[bold]|x.json"
    Path(name).write_text(Path("picks.json").read_text())
    code, _, errors = run(
        "audit", name, *POOL, *AUDIT, "--model", model, "--more-random", 0, "--out", "a.html"
    )
    assert code == 0, errors
    assert "<b>[bold]" not in Path("a.html").read_text() and "&lt;b&gt;[bold]" in Path("a.html").read_text()
