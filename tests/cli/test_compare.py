"""`debias compare`: which rows, against which, on which tables, and in which files."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from debias.cli.compare import table_names
from debias.console.command_group import make_program
from debias.console.several_values import several_values, spread_values
from tests.support.commands import refusal, run, works
from tests.support.small_tables import skewed_table
from tests.support.tiny_models import byte_tokenizer, tiny_model

QUICK = ("--n-resamples", 20, "--n-starts", 1)


@pytest.fixture
def two(folder):
    """A second pair of tables in the folder of the first."""
    opt, test = skewed_table(100, seed=7, ids=[f"x{row}" for row in range(100)]).split(0.5)
    opt.write("opt2.parquet")
    test.write("test2.parquet")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("opt.parquet", "opt2.parquet", "--test", "test.parquet", "test2.parquet"),
        ("--test", "test.parquet", "test2.parquet", "--seed", 1, "opt.parquet", "opt2.parquet"),
        ("opt.parquet", "opt2.parquet", "--test", "test.parquet", "--test", "test2.parquet"),
    ],
)
def test_several_pairs_in_one_call(two, words):
    works("compare", *map(str, words), "--methods", "uncorrected,weight", "--out", "c.csv", *QUICK)
    frame = pd.read_csv("c.csv")
    assert frame["table"].tolist() == ["test"] * 2 + ["test2"] * 2 + ["mean"] * 2
    assert frame["labels_used"].tolist() == [0, 200, 0, 50, 0, 250]


def test_several_files_are_written_before_the_tables_are_printed(folder):
    outputs = ("--out", "c.csv", "--out", "c.html", "--out", "c.md")
    said = works("compare", "opt.parquet", "--test", "test.parquet", "--methods", "uncorrected,weight",
                 *outputs, *QUICK).stdout  # fmt: skip
    assert all(Path(name).stat().st_size and f"Wrote {name}." in said for name in outputs[1::2])


def test_the_table_to_measure_on_may_come_first(folder):
    works("compare", "--test", "test.parquet", "opt.parquet", "--methods", "batch", "--n-resamples", 5)


def test_as_many_tables_to_measure_on_as_to_fit_on(two):
    error, line = refusal("compare", "opt.parquet", "opt2.parquet", "--test", "test.parquet")
    assert error.parameter == "test" and "--test" in line


def test_rows_are_chosen_by_key_and_compared_with_the_one_that_is_named(folder):
    choice = (
        "--methods",
        "batch, logistic-balanced,class-weights",
        "--against",
        "batch",
        "--metric",
        "accuracy",
    )
    out = works("compare", "opt.parquet", "--test", "test.parquet", *choice, "--out", "c.html", *QUICK).stdout
    assert "difference from batch calibration" in out
    assert "uncorrected" not in out
    page = Path("c.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "coordinate-wise weights" in page
    for option, value, allowed in (("methods", "batch,trees?", "trees"), ("against", "logistic", "batch")):
        wrong = dict(zip(choice[::2], choice[1::2], strict=True)) | {f"--{option}": value}
        if option == "against":
            wrong["--methods"] = "batch"
        words = [word for pair in wrong.items() for word in pair]
        error, line = refusal("compare", "opt.parquet", "--test", "test.parquet", *words)
        assert error.parameter == option and allowed in line


def test_texts_bring_a_row_of_their_own(folder):
    words = ("--methods", "uncorrected,texts", *QUICK)
    out = works("compare", "opt.parquet", "--test", "test.parquet", *words).stdout
    assert "With the same labels, TF-IDF logistic regression" in " ".join(out.split())


def test_pairs_are_named_by_what_tells_them_apart():
    same = [Path("a/opt.csv"), Path("b/opt.csv")], [Path("a/test.csv"), Path("b/test.csv")]
    assert table_names(*same) == ["a", "b"]
    assert table_names([Path("x.csv")], [Path("a/test.csv")]) == ["test"]
    assert table_names([Path("x.csv"), Path("y.csv")], [Path("t.csv")] * 2) == ["x", "y"]
    assert table_names([Path("x.csv")] * 2, [Path("t.csv")] * 2) == ["table 1", "table 2"]


def test_an_option_with_several_values_ends_at_the_next_option():
    words = ["--t", "a", "b", "--s", "c", "d"]
    assert spread_values(words, ("--t",)) == ["--t", "a", "--t", "b", "--s", "c", "d"]
    assert spread_values(["a", "--t=b", "c"], ("--t",)) == ["a", "--t=b", "c"]

    @several_values("--t")
    def show(words: list[str], *, t: Annotated[list[str], typer.Option()]) -> None:
        print(words, t)

    program = make_program("toy", (show, lambda: None), summary="", start="")
    assert "['a'] ['b', 'c']" in CliRunner().invoke(program, ["show", "a", "--t", "b", "c"]).stdout
    assert run("compare").exit_code == 2


def test_the_model_of_the_tables_is_asked_after_the_same_prompt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model("gpt2").save_pretrained("model")
    byte_tokenizer().save_pretrained("model")
    task = 'labels = ["good", "bad"]\nquestion_prefix = "Review: "\nanswer_prefix = "Verdict: "\n'
    Path("task.toml").write_text(task, encoding="utf-8")
    rows = pd.DataFrame({"text": [f"number {n} it is" for n in range(60)], "label": ["good", "bad"] * 30})
    rows.iloc[:40].to_csv("first.csv", index=False)
    rows.iloc[40:].to_csv("last.csv", index=False)
    model = ("--model", "model", "--dtype", "float32")
    shown = ("--shots", 2, "--shots-data", "first.csv")
    for name in ("first", "last"):
        works("collect", "task.toml", "--data", f"{name}.csv", *shown, *model, "--out", f"{name}.parquet")
    pair = ("compare", "first.parquet", "--test", "last.parquet", "--n-resamples", 20)
    keys = "batch,contextual,domain-context,states"
    asked = ("--task", "task.toml", "--shots-data", "first.csv", *model)
    works(*pair, "--methods", keys, *asked, "--out", "c.csv")
    frame = pd.read_csv("c.csv", index_col="method")
    assert frame["note"].isna().all()
    assert frame["needs"].tolist() == ["nothing", "model", "texts, model", "weights"]
    assert frame["labels_used"].tolist() == [0, 0, 0, 38]
    error, line = refusal(*pair, *model)
    assert error.parameter == "task" and "--task" in line
    error, _ = refusal(*pair, "--task", "task.toml", "--shots-data", "last.csv", *model)
    assert error.parameter == "shots_data"
    other = tiny_model("gpt2")
    other.save_pretrained("other")
    byte_tokenizer().save_pretrained("other")
    error, _ = refusal(*pair, *asked[:4], "--model", "other")
    assert error.parameter == "model"
