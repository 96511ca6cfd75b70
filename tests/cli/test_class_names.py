"""Class names that hold a comma are named on the command line, and predictions are read as a table."""

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError, TableError
from debias.estimators.tuning.methods import load
from debias.tables.table import ProbabilityTable
from tests.support.commands import refusal, works
from tests.support.small_tables import skewed_rows

NAMES = ["Sci, Tech", "World", "Sports"]
CLASSES = '"Sci, Tech",World, Sports'


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A folder with two tables of these classes, each with a column more."""
    monkeypatch.chdir(tmp_path)
    values, y = skewed_rows(n_samples=120)
    frame = pd.DataFrame(values, columns=NAMES).assign(label=np.array(NAMES)[y], top=values.max(axis=1))
    frame = frame.assign(id=[f"r{n}" for n in range(120)])
    frame[:60].to_csv("opt.csv", index=False)
    frame[60:].to_csv("test.csv", index=False)


def test_names_with_commas_and_predictions_that_come_back(tables):
    works("fit", "opt.csv", "--classes", CLASSES, "--method", "weight", "--out", "c.json")
    assert sorted(load("c.json").classes_) == sorted(NAMES)
    works("apply", "test.csv", "--classes", CLASSES, "--correction", "c.json", "--out", "p.csv")
    with pytest.warns(match="not read"):
        table = ProbabilityTable.read("p.csv", classes=NAMES[::-1])
    written = pd.read_csv("p.csv", dtype=str)
    assert table.classes == tuple(NAMES[::-1]) and table.labels.tolist() == written["label"].tolist()
    assert table.probabilities["World"].tolist() == written["p_World"].map(float).tolist()
    mix = '"Sci, Tech=0.5",World=.25,Sports=.25'
    works("certify", "c.json", "test.csv", "--classes", CLASSES, "--class-mix", mix)


def test_names_without_quotes_are_cut_at_their_commas(tables):
    error, _ = refusal("fit", "opt.csv", "--classes", ",".join(NAMES))
    assert isinstance(error, TableError) and error.received == "Sci"
    works("fit", "opt.csv", "--classes", CLASSES, "--method", "weight", "--out", "c.json")
    error, _ = refusal("certify", "c.json", "test.csv", "--classes", CLASSES, "--class-mix", "World=.5,x")
    assert isinstance(error, ParameterError) and error.parameter == "class_mix"
