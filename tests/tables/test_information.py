"""Tables that say nothing of the classes: refused by every debiaser; single rows or columns are named."""

import numpy as np
import pandas as pd
import pytest

from debias.errors import TableError
from debias.estimators.baselines import MajorityClass
from debias.estimators.debiasers import EnsembleDebiaser, WeightDebiaser
from debias.estimators.log_bias import LogBiasDebiaser
from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV
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
