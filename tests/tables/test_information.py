"""Tables that say nothing of the classes: refused by every debiaser; single rows or columns are named."""

import numpy as np
import pandas as pd
import pytest

from debias.errors import TableError
from debias.estimators.baselines import MajorityClass
from debias.estimators.debiasers import EnsembleDebiaser, WeightDebiaser
from debias.estimators.log_bias import LogBiasDebiaser
from debias.estimators.tuning.debiaser import Debiaser
from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV
from debias.tables.information import common_rows
from tests.support.refusals import refused

Y = np.repeat(["a", "b", "c"], 20)
RNG = np.random.default_rng(0)


def frame(values):
    return pd.DataFrame(values, columns=["a", "b", "c"])


@pytest.mark.parametrize("row", [[1 / 3] * 3, [0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
@pytest.mark.parametrize("debiaser", [EnsembleDebiaser, WeightDebiaser, LogBiasDebiaser, EnsembleDebiaserCV])
def test_rows_that_are_all_the_same_are_refused(debiaser, row):
    noise = 1e-12 * RNG.random((60, 3))
    with refused(TableError, received=list, fix=str, mentions=("a", "60")):
        debiaser().fit(frame(np.array(row) + noise), Y)


@pytest.mark.parametrize("scale", [1, 1e-3])
@pytest.mark.parametrize("debiaser", [Debiaser, EnsembleDebiaser, WeightDebiaser, LogBiasDebiaser])
def test_rows_that_differ_by_what_float32_rounds_are_refused(debiaser, scale):
    rows = np.array([0.2 * scale, 0.5 * scale, 1 - 0.7 * scale])
    rows = (rows * (1 + 5e-8 * RNG.normal(size=(60, 3)))).astype(np.float32)
    with refused(TableError, received=list, fix=str, mentions=("a", "60")):
        debiaser().fit(frame(rows), Y)


def test_rows_of_which_half_are_the_same_are_named():
    values = RNG.dirichlet([1, 1, 1], size=60)
    values[20:55] = [0.7, 0.2, 0.1]
    with pytest.warns(UserWarning, match="35 of 60 rows are the same, and so get the same class: a 0.7"):
        WeightDebiaser(n_starts=1).fit(frame(values), Y)


def test_common_rows_are_those_that_a_tenth_of_all_are_like():
    values = RNG.dirichlet([1, 1, 1], size=200)
    values[:60], values[60:80], values[80:99] = [0.2, 0.3, 0.5], [0.7, 0.2, 0.1 - 1e-9], [0.1, 0.1, 0.8]
    order = RNG.permutation(200)
    found = {tuple(sorted(order[rows].tolist())) for rows in common_rows(values[order])}
    assert found == {tuple(range(60)), tuple(range(60, 80))}


def test_a_baseline_that_reads_labels_alone_needs_no_information():
    assert MajorityClass().fit(frame(np.full((60, 3), 1 / 3)), Y).predict(frame([[0.2, 0.3, 0.5]])) == ["a"]


def test_rows_and_columns_that_say_nothing_are_named():
    values = RNG.dirichlet([1, 1, 1], size=60)
    values[:30] = 1 / 3
    with pytest.warns(UserWarning, match="30 of 60 rows"):
        WeightDebiaser(n_starts=1).fit(frame(values), Y)
    values = RNG.dirichlet([1, 1], size=60)
    values = np.column_stack([values[:, 0] * 0.8, values[:, 1] * 0.8, np.full(60, 0.2)])
    with pytest.warns(UserWarning, match="probability of c is the same in all 60 rows"):
        WeightDebiaser(n_starts=1).fit(frame(values), Y)
