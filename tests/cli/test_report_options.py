"""``debias report``: plain methods and texts are shown where they are asked for, and nowhere else."""

from pathlib import Path

import pytest

from debias.errors import ParameterError, TableError
from debias.tables.table import ProbabilityTable
from tests.support.commands import refusal, works


@pytest.fixture
def fitted(folder):
    """The folder, with a correction in it."""
    works("fit", "opt.parquet", "--n-starts", 2, "--method", "weight")
    return folder


def test_options_add_what_they_name(fitted):
    plain = works("report", "test.parquet", "--n-resamples", 20)
    page = Path("report.html").read_text()
    assert "Compared with plain methods" not in plain.stdout + page and "Examples" not in page
    options = ["--fitted-on", "opt.parquet", "--compare", "--n-examples", 1, "--n-resamples", 20]
    more = works("report", "test.parquet", *options, "--out", "report.md")
    page = Path("report.md").read_text()
    assert "Compared with plain methods" in more.stdout and "this correction" in more.stdout
    assert "Compared with plain methods" in page and "| became right | text " in page
    for out in (plain.stdout, more.stdout):
        assert "Use it" in out or "Do not use it" in out


def test_options_that_cannot_be_kept_are_refused(fitted):
    error, line = refusal("report", "test.parquet", "--compare")
    assert isinstance(error, ParameterError) and error.parameter == "fitted_on" and "--fitted-on" in line
    rows = ProbabilityTable.read("test.parquet")
    ProbabilityTable(rows.probabilities, rows.labels).write("bare.parquet")
    error, line = refusal("report", "bare.parquet", "--n-examples", 1)
    assert isinstance(error, TableError) and error.parameter == "n_examples" and "--n-examples" in line
