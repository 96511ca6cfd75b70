"""``debias split``: both sides hold every class, and no text stands on both."""

import numpy as np
import pytest

from debias.errors import ParameterError, TableError
from debias.tables.table import ProbabilityTable
from tests.support.commands import refusal, works
from tests.support.small_tables import skewed_table


@pytest.fixture
def repeated(tmp_path):
    """A CSV of 90 rows in which every text stands three times, in other case and spacing."""
    table = skewed_table(n=120)
    places = {name: np.flatnonzero(table.labels == name)[:45] for name in table.classes}
    table = table.take(np.concatenate(list(places.values())))
    texts = [f" text {i // 3}" if i % 2 else f"TEXT  {i // 3}" for i in range(90)]
    parts = table.probabilities, table.labels
    ProbabilityTable(*parts, texts=texts).write(tmp_path / "table.csv")
    return tmp_path / "table.csv"


def test_texts_stay_together_and_classes_are_on_both_sides(repeated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = works("split", repeated, "--test-size", "0.3").stdout
    opt, test = (ProbabilityTable.read(tmp_path / f"{side}.parquet") for side in ("opt", "test"))
    numbers = [{text.split()[1] for text in side.texts} for side in (opt, test)]
    assert not numbers[0] & numbers[1]
    assert len(numbers[1]) == 9 and len(opt) + len(test) == 90
    assert all(set(side.labels) == {"no", "yes"} for side in (opt, test))
    assert f"{len(opt)} rows" in said and f"{len(test)} rows" in said


def test_the_seed_decides_and_csv_is_written(repeated, tmp_path):
    def test_texts(seed):
        opt, test = tmp_path / f"o{seed}.csv", tmp_path / f"t{seed}.csv"
        works("split", repeated, "--opt-out", opt, "--test-out", test, "--test-size", 10, "--seed", seed)
        return ProbabilityTable.read(test).texts.tolist()

    assert test_texts(1) == test_texts(1) != test_texts(2)


@pytest.mark.parametrize("size", ["0", "1.5", "half", "nan", "-3", "31"])
def test_sizes_that_leave_nothing_are_refused(repeated, tmp_path, size, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error, line = refusal("split", repeated, f"--test-size={size}")
    assert isinstance(error, ParameterError) and error.parameter == "test_size"
    assert "test-size" in line or "test_size" in line
    assert not (tmp_path / "opt.parquet").exists()


def test_outputs_are_checked_before_the_work(repeated, tmp_path):
    error, _ = refusal("split", repeated, "--opt-out", tmp_path / "a.csv", "--test-out", tmp_path / "a.csv")
    assert error.parameter == "test_out"
    error, _ = refusal("split", repeated, "--opt-out", repeated)
    assert error.parameter == "opt_out"


def test_rows_without_labels_are_refused(tmp_path):
    ProbabilityTable(np.full((4, 2), 0.5), classes=["no", "yes"]).write(tmp_path / "bare.csv")
    error, _ = refusal("split", tmp_path / "bare.csv")
    assert isinstance(error, TableError)


def test_refusals_and_warnings_speak_of_options(repeated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, line = refusal("split", repeated, "--test-size", "29")
    assert "--test-size" in line and "test_size" not in line
    (tmp_path / "mail.csv").write_text(repeated.read_text().replace("text", "message", 1))
    said = works("split", "mail.csv", "--classes", "no,yes").stderr
    assert "'message'" in said and "--text-column" in said
    error, line = refusal("split", "mail.csv", "--classes", "no,yes", "--targets", "index")
    assert error.parameter == "targets" and "--targets" in line and "id_column" not in line
    for words in (["--labels", "names"], ["--lables", "name"], ["more"]):
        _, line = refusal("split", "mail.csv", *words)
        assert "Value error" not in line and "  " not in line
        assert any(stop in line for stop in (". Try: ", "? Try: "))
