"""``debias export`` and ``debias fit --weights-only``: what they write, and what they refuse in one line."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from debias import FuzzyDebiaser, LogBiasDebiaser, WeightDebiaser, load_task
from debias.errors import LabelError, ParameterError
from debias.inference.models import loading
from debias.serving import load
from debias.serving.exports import logit_bias, plain_table
from tests.support.commands import refusal, works
from tests.support.small_tables import skewed_rows, skewed_table


def read(name):
    return json.loads(Path(name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def tokenizers_loaded_once():
    """Reading the tokenizer of the demo model out of its file takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_tokenizer", functools.cache(loading.load_tokenizer))
        yield


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = skewed_table(120)
    WeightDebiaser(shrink=False).fit(table.probabilities, table.labels).save("weights.json")
    return tmp_path / "weights.json"


def test_a_logit_bias_is_written_by_token(weights):
    said = works("export", weights, "--to", "logit-bias", "--tokenizer", "demo").stdout
    biases = read("logit_bias.json")
    served = load(weights)
    assert len(biases) == len(served.classes) and min(biases.values()) == 0
    for label in served.classes:
        assert str(label) in said
    from debias.inference.tokenization import Tokenization

    words = [f" {label}" for label in served.classes]
    ((_, tokens),) = Tokenization.of("demo").split_labels(["Answer:"], words)
    assert list(biases.items()) == [
        (str(token), bias) for token, bias in logit_bias(served, tokens).biases.items()
    ]


def test_labels_alone_in_a_chat(weights):
    works("export", weights, "--to", "logit-bias", "--tokenizer", "demo", "--only-labels", "--in-chat")
    biases = read("logit_bias.json")
    assert max(biases.values()) == 100


def test_the_words_of_a_task_are_its_own(tmp_path, monkeypatch):
    """Its classes have other names than its labels, and another order than the sorted one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mood.toml").write_text(
        'name = "mood"\nlabels = ["great", "bad"]\nclass_names = ["up", "down"]\nanswer_prefix = "Mood: "\n'
    )
    table = skewed_table(120)
    names = np.where(np.asarray(table.labels) == table.classes[0], "up", "down")
    values = np.asarray(table.probabilities)[:, :2]
    values = values / values.sum(axis=1, keepdims=True)
    WeightDebiaser(shrink=False, classes=["up", "down"]).fit(values, names).save("c.json")
    works("export", "c.json", "--to", "logit-bias", "--tokenizer", "demo", "--task", "mood.toml")
    from debias.inference.tokenization import Tokenization

    task = load_task("mood.toml")
    ((_, tokens),) = Tokenization.of("demo").split_labels([task.prompt("text")], task.continuations)
    assert list(read("logit_bias.json")) == [str(one[0]) for one in tokens]
    error, _ = refusal("export", "c.json", "--to", "logit-bias", "--tokenizer", "demo", "--task", "trec")
    assert isinstance(error, ParameterError) and error.parameter == "task"


def test_a_table_is_that_of_python(weights):
    works("export", weights, "--to", "table", "--out", "table.json")
    assert read("table.json") == plain_table(load(weights))


def test_onnx_is_written(weights):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    works("export", weights, "--to", "onnx")
    model = onnx.load("correction.onnx")
    assert [one.name for one in model.graph.output] == ["index", "label", "values"]


@pytest.mark.parametrize(
    "options, parameter",
    [
        (["--to", "logit-bias"], "tokenizer"),
        (["--to", "onnx", "--only-labels"], "only_labels"),
        (["--to", "table", "--tokenizer", "demo"], "tokenizer"),
        (["--to", "onnx", "--out", "model.json"], "out"),
        (["--to", "table", "--out", "weights.json"], "out"),
        (["--to", "mlflow", "--out", "nowhere/model"], "folder"),
    ],
)
def test_options_that_do_not_fit_are_refused(weights, options, parameter):
    before = weights.read_bytes()
    error, line = refusal("export", weights, *options)
    assert isinstance(error, ParameterError) and error.parameter == parameter
    assert weights.read_bytes() == before


def test_a_correction_that_is_no_bias_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FuzzyDebiaser(shrink=False).fit(*skewed_rows()).save("ensemble.json")
    error, line = refusal("export", "ensemble.json", "--to", "logit-bias", "--tokenizer", "demo")
    assert isinstance(error, ParameterError) and error.parameter == "correction"
    assert "apply" in line and "--weights-only" in line


def test_labels_of_one_first_token_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = skewed_table(120)
    names = [f"not {name}" for name in table.classes]
    frame = table.probabilities.set_axis(names, axis=1)
    LogBiasDebiaser().fit(frame, [f"not {name}" for name in table.labels]).save("c.json")
    error, _ = refusal("export", "c.json", "--to", "logit-bias", "--tokenizer", "demo")
    assert isinstance(error, LabelError) and error.received == tuple(names[:2])


def test_a_fit_of_weights_only_says_in_one_line_what_it_loses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    skewed_table(120).write("opt.parquet")
    said = works("fit", "opt.parquet", "--weights-only").stdout
    assert "cross-validated on the 120 labelled rows" in " ".join(said.split())
    kinds = {entry["correction"]["kind"] for entry in read("correction.json")["classes"]}
    assert (
        kinds <= {"weight", "membership"} and load("correction.json").document["method"] == "WeightDebiaser"
    )
    works("export", "correction.json", "--to", "logit-bias", "--tokenizer", "demo")


@pytest.mark.parametrize(
    "options, parameter",
    [(["--method", "fuzzy"], "method"), (["--choose-settings"], "weights_only")],
)
def test_other_methods_than_weights_are_refused(tmp_path, monkeypatch, options, parameter):
    monkeypatch.chdir(tmp_path)
    skewed_table(40).write("opt.parquet")
    error, _ = refusal("fit", "opt.parquet", "--weights-only", *options)
    assert isinstance(error, ParameterError) and error.parameter == parameter
