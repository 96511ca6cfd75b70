"""A row that does not sum to 1 is refused before anything is computed, with its place in the file."""

import numpy as np
import pytest

from debias.errors import TableError
from debias.reports.comparison.comparison import compare_tables
from debias.tables.batches.table_batches import BATCH_ROWS
from debias.tables.table import ProbabilityTable
from tests.support.commands import process, refusal, works
from tests.support.refusals import refused
from tests.support.small_tables import skewed_table

ROW = 33
COMMANDS = {
    "fit": ("fit", "odd.csv", "--out", "new.json"),
    "apply": ("apply", "odd.csv", "--correction", "correction.json", "--out", "new.csv"),
    "certify": ("certify", "correction.json", "odd.csv"),
    "certify, opt rows": ("certify", "correction.json", "good.csv", "--opt", "odd.csv"),
    "report": ("report", "odd.csv", "--correction", "correction.json", "--out", "new.html"),
    "report, fitted rows": (
        "report", "good.csv", "--correction", "correction.json",
        "--fitted-on", "odd.csv", "--out", "new.html",
    ),
    "watch": ("watch", "odd.csv", "--correction", "correction.json"),
    "compare, opt rows": ("compare", "odd.csv", "--test", "good.csv"),
    "compare, test rows": ("compare", "good.csv", "--test", "odd.csv"),
    "frontier": ("frontier", "odd.csv"),
    "frontier, test rows": ("frontier", "good.csv", "--test", "odd.csv"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, the same with a row that sums to .5, others to test on, and a correction."""
    folder = tmp_path_factory.mktemp("sums")
    table = skewed_table(n=120)
    table.write(folder / "fitted.csv")
    skewed_table(n=120, seed=1).write(folder / "good.csv")
    values = skewed_table(n=120, seed=2).to_numpy()
    values[ROW] /= 2
    ProbabilityTable(values, table.labels, classes=table.classes).write(folder / "odd.csv")
    works("fit", folder / "fitted.csv", "--method", "weight", "--out", folder / "correction.json")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_the_line(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    error, said = refusal(*COMMANDS[command])
    assert (error.file, error.row, error.line) == ("odd.csv", ROW, ROW + 2)
    assert f"odd.csv: line {ROW + 2}: " in said and "--normalise" in said
    assert sorted(folder.iterdir()) == before


def test_split_keeps_such_rows_as_they_are(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    sides = tmp_path / "opt.csv", tmp_path / "test.csv"
    works("split", "odd.csv", "--opt-out", sides[0], "--test-out", sides[1])
    sums = np.concatenate([ProbabilityTable.read(side).to_numpy().sum(axis=1) for side in sides])
    assert sums.min() == pytest.approx(0.5)


def test_a_row_in_a_later_batch_has_its_number_in_the_file(folder, tmp_path):
    n = BATCH_ROWS + 90
    values = np.random.default_rng(0).dirichlet([1, 1], n)
    values[BATCH_ROWS + 7] /= 2
    ProbabilityTable(values, classes=["no", "yes"]).write(tmp_path / "many.parquet")
    words = ["--correction", str(folder / "correction.json"), "--out", str(tmp_path / "new.csv")]
    ended = process("apply", str(tmp_path / "many.parquet"), *words)
    assert ended.returncode == 2 and f"row {BATCH_ROWS + 7}: " in ended.stderr
    assert not (tmp_path / "new.csv").exists()


def test_a_comparison_in_python_refuses_the_table_at_once_and_not_each_method(folder):
    opt, test = (ProbabilityTable.read(folder / name) for name in ("good.csv", "odd.csv"))
    for pair in ((opt, test), (test, opt)):
        with refused(TableError, row=ROW):
            compare_tables([pair], ["uncorrected", "weight"])
    with refused(TableError, row=ROW, file=str(folder / "odd.csv"), line=ROW + 2):
        ProbabilityTable.read(folder / "odd.csv", sum_to_one=True)
