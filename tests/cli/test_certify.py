"""``debias certify``: bounds into the correction's file, and rows that were fitted on refused."""

import json
from pathlib import Path

import pytest

from debias.errors import CorrectionFileError, OverlapError, ParameterError, TableError
from debias.estimators.tuning.methods import load
from debias.guarantees.certification import certify
from debias.guarantees.seen_rows import certify_seen
from debias.tables.table import ProbabilityTable
from tests.support.commands import refusal, works


@pytest.fixture
def fitted(folder):
    """The folder, with a correction in it."""
    works("fit", "opt.parquet", "--n-starts", 2, "--method", "weight")
    return folder


def flat(text):
    return " ".join(text.split())


def test_it_prints_every_class_and_sentence_and_keeps_them_in_the_file(fitted):
    out = flat(works("certify", "correction.json", "test.parquet").stdout)
    guarantee = certify(load("correction.json"), ProbabilityTable.read("test.parquet"))
    for sentence in guarantee.sentences():
        assert flat(sentence) in out
    for name in guarantee.classes:
        assert name in out
    assert load("correction.json").guarantee_ == guarantee
    assert json.loads(Path("correction.json").read_text())["guarantee"]["n"] == list(guarantee.n)
    works("apply", "test.parquet")


def test_its_options_are_those_of_python(fitted):
    before = Path("correction.json").read_text()
    options = ["--confidence", 0.9, "--class-mix", "yes=0.9, no=0.1", "--precision", 0.02, "--out", "c.json"]
    works("certify", "correction.json", "test.parquet", "--opt", "opt.parquet", *options)
    guarantee = load("c.json").guarantee_
    assert (guarantee.confidence, guarantee.precision, guarantee.checked) == (0.9, 0.02, "table")
    assert guarantee.class_mix == (0.1, 0.9)
    assert Path("correction.json").read_text() == before


def test_without_rows_it_says_what_the_fitted_rows_guarantee(fitted):
    before = Path("correction.json").read_text()
    out = flat(works("certify", "correction.json").stdout)
    for sentence in certify_seen(load("correction.json").fitted_).sentences():
        assert flat(sentence) in out
    assert Path("correction.json").read_text() == before
    works("fit", "opt.parquet", "--method", "ensemble", "--search", "annealing-3/6")
    assert "not guaranteed" in works("certify", "correction.json").stdout


def test_rows_that_were_fitted_on_are_refused(fitted):
    error, _ = refusal("certify", "correction.json", "opt.parquet")
    assert isinstance(error, OverlapError)
    table = ProbabilityTable.read("opt.parquet")
    table.take(range(50)).write("some.parquet")
    error, line = refusal("certify", "correction.json", "some.parquet")
    assert isinstance(error, OverlapError) and "--opt" in line
    error, _ = refusal("certify", "correction.json", "test.parquet", "--opt", "test.parquet")
    assert isinstance(error, ParameterError) and error.parameter == "opt"


@pytest.mark.parametrize(
    ("arguments", "kind", "parameter"),
    [
        (["--confidence", "95"], ParameterError, "confidence"),
        (["--class-mix", "yes"], ParameterError, "class_mix"),
        (["--class-mix", "yes=0.5,yes=0.5"], ParameterError, "class_mix"),
        (["--class-mix", "yes=0.5,maybe=0.5"], ParameterError, "class_mix"),
        (["--precision", "0"], ParameterError, "precision"),
        (["--out", "c.txt"], ParameterError, "out"),
        (["--out", "test.parquet"], ParameterError, "out"),
    ],
)
def test_what_it_refuses(arguments, kind, parameter, fitted):
    before = Path("correction.json").read_text()
    error, _ = refusal("certify", "correction.json", "test.parquet", *arguments)
    assert isinstance(error, kind) and error.parameter == parameter
    assert Path("correction.json").read_text() == before


def test_files_that_it_cannot_use(fitted):
    error, _ = refusal("certify", "none.json", "test.parquet")
    assert isinstance(error, (CorrectionFileError, ParameterError))
    ProbabilityTable(ProbabilityTable.read("test.parquet").probabilities).write("bare.parquet")
    error, _ = refusal("certify", "correction.json", "bare.parquet")
    assert isinstance(error, TableError)
    assert not [path for path in Path().glob("*.json") if path.name != "correction.json"]
