"""Selection on the command line: lengths that match, bands, floors, values of any tool, and signals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.commands import run_iterit as run
from tests.support.small_runs import rows

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with 40 records, half of each source, and a query."""
    monkeypatch.chdir(tmp_path)
    records = [{**row, "origin": "ab"[number % 2]} for number, row in enumerate(rows())]
    Path("your.jsonl").write_text("\n".join(map(json.dumps, records)))
    Path("query.jsonl").write_text("\n".join(map(json.dumps, rows()[:4])))
    return tmp_path


SELECT = ("select", "your.jsonl", "--ratio", 0.5, "--why", "why.csv", "--source-field", "origin")


def test_values_of_any_tool_by_row_or_digest_decide(here):
    values = pd.DataFrame({"row": range(40), "value": np.linspace(-1, 1, 40)})
    values.iloc[::-1].to_csv("values.csv", index=False)
    code, out, err = run(*SELECT, "--mode", "influence", "--values", "values.csv")
    assert code == 0, err
    assert pd.read_csv("why.csv")["row"].tolist() == list(range(39, 19, -1))
    values.head(22).assign(value=[1.0, *[-1.0] * 20, np.nan]).to_csv("values.csv", index=False)
    code, out, err = run(*SELECT, "--mode", "influence", "--values", "values.csv")
    assert code == 0, err
    assert "19 picks made for lack of better ones: value of 0 or below." in out
    assert "19 records were excluded: no value." in out


def test_lengths_match_without_a_model_by_its_tokenizer_and_in_words_without_one(here, model):
    words = (*SELECT, "--mode", "longest", "--match-length")
    code, out, err = run(*words, "--model", model)
    assert code == 0, err
    assert "in words" not in out
    every = np.array([len(row["output"].encode()) for row in rows()])
    picked = every[pd.read_csv("why.csv")["row"]]
    assert abs(np.median(picked) - np.median(every)) < every.std()
    code, out, err = run(*words, "--model", "no/such/model")
    assert code == 0, err
    assert "Lengths are measured in words" in out


def test_a_floor_and_a_quota(here):
    code, out, err = run(*SELECT, "--mode", "random", "--floor", "a=0.8", "--quota", "b=3")
    assert code == 0, err
    assert pd.read_csv("why.csv")["source"].value_counts().to_dict() == {"a": 17, "b": 3}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--mode", "influence"], "--query"),
        (["--mode", "learnable"], "--held-out"),
        (["--mode", "random", "--values", "values.csv"], "--values"),
        (["--mode", "representation", "--held-out", "query.jsonl"], "--held-out"),
        (["--mode", "random", "--floor", "a"], "--floor"),
        (["--mode", "random", "--floor", "z=1"], "--floor"),
        (["--mode", "random", "--floor", "a=0.8", "--floor", "b=0.8"], "--floor"),
        (["--mode", "random", "--quota", "a=3", "--quota", "a=0.5"], "--quota"),
        (["--mode", "random", "--min-ifd", "nan"], "--min-ifd"),
        (["--mode", "random", "--max-ifd", "nan"], "--max-ifd"),
        (["--model", "no/such/model", "--floor", "z=1"], "--floor"),
        (["--model", "no/such/model", "--quota", "a=-1"], "--quota"),
        (["--mode", "random", "--diversity", "vectors"], "diversity"),
        (["--mode", "banded", "--low-quantile", "0.9"], "low-quantile"),
    ],
)
def test_refusals_are_one_line_that_names_the_option(here, words, named):
    code, _, err = run(*SELECT, *words)
    assert code == 2
    assert named.strip("-").replace("-", "") in err.replace("-", "").replace("_", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("influence", "--query", "query.jsonl"),
        ("learnable", "--held-out", "query.jsonl", "--diversity", "none"),
        ("representation", "--query", "query.jsonl"),
        ("banded", "--max-ifd", 5),
    ],
)
def test_signals_are_computed_by_the_model(here, model, words):
    code, _, err = run(*SELECT, "--model", model, "--match-length", "--mode", *words)
    assert code == 0, err
    why = pd.read_csv("why.csv")
    assert len(why) == 20
    if "--query" in words and words[0] == "representation":
        assert why["query"].value_counts().to_dict() == dict.fromkeys(range(4), 5)
        assert set(range(4)) <= set(why["row"])  # the query is among the records
