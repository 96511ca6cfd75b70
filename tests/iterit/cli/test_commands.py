"""The command line of iterit as people type it: score, select, train, report, and what it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest

from iterit.records.instruction_records import Records, read_records
from tests.support.commands import run_iterit as run
from tests.support.small_runs import rows

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with records, one of them unusable."""
    monkeypatch.chdir(tmp_path)
    lines = [*rows(), {"instruction": "Say nothing.", "input": "", "output": " "}]
    Path("your.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_score_then_select_is_select_alone_and_a_rerun_scores_nothing(here, model):
    code, out, err = run(
        "score", "your.jsonl", "--model", model, "--out", "scores.csv", "--refused", "bad.jsonl"
    )
    assert code == 0, err
    assert "1 empty answer; see bad.jsonl" in err
    assert lines_of("bad.jsonl")[0]["line"] == 41
    assert "Wrote scores.csv: 40 records." in out
    scores = pd.read_csv("scores.csv")
    assert scores.columns[:3].tolist() == ["row", "ifd", "conditional"]
    shown = [line for line in out.splitlines() if "  row " in line]
    assert len(shown) == 3
    select = ("select", "your.jsonl", "--ratio", 0.1, "--max-ifd", 5)
    assert run(*select, "--scores", "scores.csv", "--out", "a.jsonl")[0] == 0
    code, out, err = run(*select, "--model", model, "--out", "b.jsonl", "--why", "why.csv")
    assert code == 0, err
    assert "scoring" not in err  # all is known
    assert lines_of("a.jsonl") == lines_of("b.jsonl")
    Path("turned.jsonl").write_text("\n".join(reversed(Path("your.jsonl").read_text().splitlines())))
    turned = ("select", "turned.jsonl", *select[2:], "--scores", "scores.csv", "--out", "c.jsonl")
    assert run(*turned)[0] == 0
    assert sorted(map(str, lines_of("c.jsonl"))) == sorted(map(str, lines_of("a.jsonl")))
    why = pd.read_csv("why.csv")
    assert why["rank"].tolist() == [1, 2, 3, 4]
    original = rows()
    assert lines_of("b.jsonl") == [original[row] for row in why["row"]]
    words = [len(original[row]["output"].split()) for row in why["row"]]
    picked = next(line.split() for line in out.splitlines() if line.strip().startswith("picked"))
    assert picked[1:3] == ["4", f"{sum(words) / 4:.1f}"]


def test_modes_that_need_no_model_ask_none(here):
    longest = max(rows(), key=lambda row: len(row["output"].split()))
    code, _, err = run(
        "select", "your.jsonl", "--model", "no/such/model", "--mode", "longest", "--ratio", 0.025
    )
    assert code == 0, err
    assert len(lines_of("selected.jsonl")[0]["output"].split()) == len(longest["output"].split())


def test_tokens_decide_which_answers_have_ngrams(here):
    lines = [{"question": "What?", "answer": answer} for answer in ("水在零度以下会结成冰", "B")]
    Path("short.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ("select", "short.jsonl", "--mode", "diversity", "--ratio", 1, "--why", "why.csv")
    for tokens, sums in ((), [True, True]), (("--tokens", "published"), [True, False]):
        code, _, err = run(*words, *tokens)
        assert code == 0, err
        assert (pd.read_csv("why.csv")["diversity"] > 0).tolist() == sums


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_files_in_place_of_memory_change_nothing_and_vanish(here, ending):
    words = ("select", "your.jsonl", "--mode", "diversity", "--ratio", 0.5)
    folder = here / "work"
    folder.mkdir()
    told = []
    for name, more in (("memory", ()), ("disk", ("--on-disk", folder))):
        code, out, err = run(*words, *more, "--out", name + ending, "--why", f"{name}.csv")
        assert code == 0, err
        told.append(out.replace(name, ""))
    assert told[0] == told[1]
    for found in (ending, ".csv"):
        assert Path(f"memory{found}").read_bytes() == Path(f"disk{found}").read_bytes()
    assert list(folder.iterdir()) == []


def test_a_folder_for_files_that_is_not_there_is_refused_at_once(here):
    code, _, err = run("select", "your.jsonl", "--mode", "diversity", "--on-disk", "none")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert not Path("selected.jsonl").exists()


def test_quotas_and_copies(here):
    Path("more.jsonl").write_text(Path("your.jsonl").read_text())
    words = ("select", "your.jsonl", "more.jsonl", "--mode", "random", "--ratio", 0.5)
    code, out, err = run(*words, "--quota", "more.jsonl=0.25")
    assert code == 0, err
    assert next(line.split() for line in out.splitlines() if "more.jsonl" in line)[1] == "10"
    code, out, _ = run(*words, "--drop-copies", 0.9)
    assert code == 0
    assert "Excluded as copies: 4" in out  # 40 exact ones, and short answers that were equal before
    assert {json.dumps(row) for row in lines_of("selected.jsonl")} <= {json.dumps(row) for row in rows()}


def test_sources_by_a_field(here):
    lines = [{**row, "origin": "odd" if number % 2 else "even"} for number, row in enumerate(rows())]
    Path("told.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ("select", "told.jsonl", "--mode", "random", "--ratio", 0.5, "--source-field", "origin")
    code, _, err = run(*words, "--quota", "odd=4")
    assert code == 0, err
    assert sum(row["origin"] == "odd" for row in lines_of("selected.jsonl")) == 4


def test_facility_location_by_ngrams_or_by_a_model(here, model):
    words = ("select", "your.jsonl", "--model", model, "--mode", "facility_location", "--max-ifd", 5)
    picked = []
    for embeddings in ("ngrams", model):
        code, _, err = run(*words, "--ratio", 0.1, "--embeddings", embeddings, "--why", "why.csv")
        assert code == 0, err
        why = pd.read_csv("why.csv")
        gains = why["diversity"].to_numpy()
        assert len(why) == 4
        assert (gains > 0).all()
        picked.append(why["row"].tolist())
    assert picked[0] != picked[1]


def test_what_is_too_long_is_refused_and_counted(here):
    limit = 40
    code, out, err = run(
        "select",
        "your.jsonl",
        "--mode",
        "random",
        "--ratio",
        1,
        "--max-characters",
        limit,
        "--refused",
        "bad.jsonl",
    )
    assert code == 0, err
    long = [row for row in rows() if len(row["instruction"]) + len(row["output"]) > limit]
    assert [line["reason"] for line in lines_of("bad.jsonl")].count("too long") == len(long) > 0
    assert len(lines_of("selected.jsonl")) == len(rows()) - len(long)


def test_picks_that_were_scored_without_the_end_of_their_answers_are_counted(here, model):
    words = ("select", "your.jsonl", "--model", model, "--ratio", 0.5, "--max-ifd", 99)
    code, _, err = run(*words, "--max-tokens", 130)
    assert code == 0, err
    run("score", "your.jsonl", "--model", model, "--max-tokens", 130, "--out", "scores.csv")
    status = dict(pd.read_csv("scores.csv")[["digest", "status"]].itertuples(index=False))
    picked = Records.from_rows(lines_of("selected.jsonl")).digests
    n_cut = sum(status[digest] == "truncated" for digest in picked)
    assert n_cut > 1 and f"warning: {n_cut} picks were scored without the end of their answers" in err
    code, _, err = run(*words)
    assert code == 0 and "without the end" not in err


TRAIN = (
    "train",
    "your.jsonl",
    "--ratio",
    0.2,
    "--max-ifd",
    5,
    "--batch-size",
    4,
    "--gradient-accumulation",
    1,
)


def test_train_goes_on_where_it_stopped_and_reports(here, model):
    first = (*TRAIN, "--model", model, "--device", "cpu", "--rounds", 2, "--out", "run", "--save-steps", 1)
    code, out, err = run(*first)
    assert code == 0, err
    assert "2 rounds of 8 picks from 40 records" in out
    assert (here / "run" / "model" / "adapter_model.safetensors").exists()
    assert Path("run/report.html").read_text().startswith("<!doctype html>")
    picks = Path("run/iterit/picks.parquet").read_bytes()
    for name in ("iterit/rounds.json", "checkpoint-4/trainer_state.json"):
        (Path("run") / name).unlink()  # as if it had been killed while it wrote the last step
    code, out, err = run(*first)
    assert code == 0, err
    assert "run/checkpoint-3" in out
    assert Path("run/iterit/picks.parquet").read_bytes() == picks
    code, out, err = run("report", "run", "--out", "again.md", "--price-per-hour", 2)
    assert code == 0, err
    assert "cost" in Path("again.md").read_text()
    code, _, err = run(*first, "--decay", 0.5)
    assert code == 2
    assert "decay" in err


def test_all_weights_can_be_trained_and_every_setting_reaches_the_run(here, model):
    words = (*TRAIN, "--model", model, "--full", "--device", "cpu", "--rounds", 1, "--out", "full")
    settings = {"above_share": 0.2, "stale_share": 0.3, "epochs_per_round": 2, "score_dtype": "bfloat16"}
    settings["tokens"] = "published"
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    code, _, err = run(*words, *options, "--mode", "facility_location")
    assert code == 0, err
    assert (here / "full" / "model" / "model.safetensors").exists()
    kept = json.loads(Path("full/iterit/rounds.json").read_text())["settings"]
    assert {name: kept[name] for name in settings} == settings
    assert kept["mode"] == "facility_location"
    assert "embeddings" in kept["selection"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["select", "none.jsonl"], "none.jsonl"),
        (["select", "your.jsonl", "--ratio", "2"], "ratio"),
        (["select", "your.jsonl", "--mode", "best"], "best"),
        (["select", "your.jsonl", "--mode", "facility_location", "--embeddings", "./no"], "'./no'"),
        (
            ["select", "your.jsonl", "--embeddings", "demo"],
            "--embeddings only applies to --mode facility_location",
        ),
        (["train", "your.jsonl", "--engine", "vllm", "--full"], "--engine vllm"),
        (["train", "your.jsonl", "--max-characters", "0"], "max"),
        (["select", "your.jsonl", "--out", "your.jsonl"], "--out"),
        (["select", "your.jsonl", "--out", "x.txt"], ".jsonl or .json or .parquet"),
        (["select", "your.jsonl", "--quota", "a"], "--quota must be SOURCE=SHARE"),
        (["select", "your.jsonl", "--scores", "your.jsonl"], "digest, ifd and status"),
        (["score", "your.jsonl", "--model", "no/such/model"], "no/such/model"),
        (["score", "your.jsonl", "--engine", "vllm", "--device", "cpu"], "--device"),
        (["train", "your.jsonl", "--rounds", "0"], "--rounds must be a positive integer, got 0."),
        (["train", "your.jsonl", "--window", "x"], "--window"),
        (["report", "nowhere"], "nowhere"),
        (["report", "nowhere", "--out", "x.pdf"], ".html or .md"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusals_are_one_line(here, words, message):
    code, _, err = run(*words)
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith("iterit: error: ") and message in last


def test_records_that_the_template_cannot_take_are_counted_and_written_with_the_others(here, model):
    lines = [{**row, "tools": [{"name": "add"}]} if place < 2 else row for place, row in enumerate(rows())]
    Path("your.jsonl").write_text("\n".join(map(json.dumps, [*lines, {"text": "no record", "id": 1}])))
    code, out, err = run(
        "select", "your.jsonl", "--model", model, "--ratio", 0.5, "--max-ifd", 50, "--refused", "bad.jsonl"
    )
    assert code == 0, err
    assert "1 row was excluded: 1 unknown fields; see bad.jsonl" in err
    assert "2 records were refused by the template" in err
    bad = lines_of("bad.jsonl")
    assert [line["line"] for line in bad] == [41, 1, 2]
    assert json.loads(bad[1]["text"]) == lines[0]
    assert not any("tools" in line for line in lines_of("selected.jsonl"))
    code, _, err = run("score", "your.jsonl", "--model", model, "--out", "scores.csv")
    assert code == 0, err
    again = ("select", "your.jsonl", "--scores", "scores.csv", "--ratio", 0.5, "--max-ifd", 50)
    code, _, err = run(*again, "--refused", "again.jsonl")
    assert code == 0, err
    assert [{**line, "detail": ""} for line in lines_of("again.jsonl")] == [
        {**line, "detail": ""} for line in bad
    ]


def test_picks_that_cannot_be_made_are_told_with_the_limits_that_were_given(here):
    pd.DataFrame(
        {"digest": read_records("your.jsonl").digests, "ifd": 0.5, "status": ["refused"] * 38 + ["ok"] * 2}
    ).to_csv("scores.csv", index=False)
    words = ("select", "your.jsonl", "--scores", "scores.csv", "--ratio", 0.1)
    code, out, err = run(*words)
    assert code == 0, err
    assert "38 records were excluded: refused by the template." in out
    assert "2 of 4 picks could not be made: only 2 records may be picked." in out
    code, out, err = run(*words, "--quota", "your.jsonl=1")
    assert "only 1 record may be picked within the quotas." in out
    Path("selected.jsonl").write_text("mine")
    code, _, err = run(*words, "--max-ifd", 0.1)
    assert code == 2 and "38 refused by the template, 2 IFD >= 0.1" in err and "--max-ifd" in err
    assert Path("selected.jsonl").read_text() == "mine"


def test_a_folder_and_a_pattern_are_read_and_never_their_own_output(here):
    Path("parts").mkdir()
    pd.DataFrame(rows()[:20]).to_csv("parts/a.csv", index=False)
    pd.DataFrame(rows()[20:]).to_json("parts/b.json")
    words = ("--mode", "random", "--ratio", 1, "--out")
    for given in ("parts", "parts/*"):
        code, _, err = run("select", given, *words, "all.jsonl")
        assert code == 0, err
        assert sorted(map(json.dumps, lines_of("all.jsonl"))) == sorted(map(json.dumps, rows()))
        code, _, err = run("select", given, *words, "parts/all.jsonl")
        assert code == 2 and "--out" in err and not Path("parts/all.jsonl").exists()
    code, _, err = run("select", "none/*", *words, "all.jsonl")
    assert code == 2 and "none/*" in err


def test_rows_are_written_with_their_reasons_even_where_none_is_usable(here):
    Path("pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n[1]\n')
    code, _, err = run("select", "pairs.jsonl", "--mode", "random", "--refused", "bad.jsonl")
    assert code == 2 and "pairs.jsonl" in err
    assert [line["reason"] for line in lines_of("bad.jsonl")] == ["preference pair", "not an object"]
