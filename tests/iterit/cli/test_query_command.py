"""iterit train --mode influence | representation --query FILE, as people type it."""

import json
from pathlib import Path

import pytest

from iterit.training.saving.checkpoints import read_checkpoint
from tests.support.commands import run_iterit as run
from tests.support.small_runs import rows

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
TRAIN = (
    "train", "your.jsonl", "--ratio", 0.2, "--max-ifd", 5, "--batch-size", 4, "--gradient-accumulation", 1,
    "--device", "cpu", "--rounds", 2, "--learning-rate", 1e-2,
)  # fmt: skip


@pytest.fixture
def query(here):
    """Examples in a file, one of them not usable."""
    examples = [*rows(60)[-4:], {"instruction": "Nothing", "output": ""}]
    (here / "query.jsonl").write_text("".join(json.dumps(one) + "\n" for one in examples))
    return "query.jsonl"


@pytest.mark.parametrize("mode", ["influence", "representation"])
def test_rounds_are_aimed_at_a_query(here, model, query, mode):
    code, out, err = run(*TRAIN, "--model", model, "--mode", mode, "--query", query, "--out", "run")
    assert code == 0, err
    assert "2 rounds of 8 picks from 40 records" in out
    assert "1 row was excluded: 1 empty answer" in err  # of the query
    kept = read_checkpoint(max(Path("run").glob("checkpoint-*")))
    assert kept.settings["mode"] == mode and len(kept.settings["query"]) == 16
    assert kept.state.picks.groupby("round")["row"].nunique().tolist() == [8, 8]
    assert Path("run/report.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mode", "influence"), "--query"),
        (("--query", "your.jsonl"), "--query"),
        (("--mode", "influence", "--query", "none.jsonl"), "none.jsonl"),
    ],
)
def test_what_is_not_allowed_is_refused_before_the_run(here, model, words, said):
    code, _, err = run(*TRAIN, "--model", model, "--out", "run", *words)
    last = err.strip().splitlines()[-1]
    assert code == 2 and said in last and last.startswith("iterit: error: ")
    assert not list(Path(here).glob("run/checkpoint-*"))
