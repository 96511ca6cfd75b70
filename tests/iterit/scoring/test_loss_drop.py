"""Drops of losses: solved by hand, for both kinds of tables; what does not match is refused."""

import numpy as np
import pandas as pd
import pytest

from debias.errors import TableError
from iterit.scoring.loss_drop import loss_drop
from tests.support.refusals import refused

BEFORE = pd.DataFrame(
    {"loss": [2.0, 1.0, np.nan, 3.0], "n_tokens": [4, 2, 0, 5], "status": ["ok", "truncated", "empty", "ok"]},
    index=pd.Index([7, 3, 5, 0], name="row"),
)
AFTER = BEFORE.assign(loss=[1.5, 1.25, np.nan, 3.0])


@pytest.mark.parametrize("column", ["loss", "conditional"])
def test_by_hand_in_any_order(column):
    tables = [table.rename(columns={"loss": column}) for table in (BEFORE, AFTER.iloc[::-1])]
    found = loss_drop(*tables)
    assert found.index.tolist() == [7, 3, 5, 0] and found.index.name == "row"
    np.testing.assert_array_equal(found["value"], [0.5, -0.25, np.nan, 0.0])
    np.testing.assert_array_equal(found["summed"], [2.0, -0.5, np.nan, 0.0])
    assert found["n_tokens"].tolist() == [4, 2, 0, 5]
    assert found["status"].tolist() == ["ok", "truncated", "empty", "ok"]


def test_an_ifd_of_one_or_more_says_nothing_of_a_drop():
    assert set(loss_drop(BEFORE.assign(status="ifd_ge_1"), AFTER)["status"]) == {"ok"}


def test_a_loss_that_only_one_table_knows_gives_no_number():
    after = AFTER.assign(loss=[np.nan, 1.0, np.nan, 3.0])
    np.testing.assert_array_equal(loss_drop(BEFORE, after)["value"], [np.nan, 0.0, np.nan, 0.0])


def test_what_does_not_match_is_refused():
    with refused(TableError, parameter="after", row=3):
        loss_drop(BEFORE, AFTER.drop(3))
    with refused(TableError, parameter="before", row=3):
        loss_drop(BEFORE.drop(3), AFTER)
    with refused(TableError, parameter="after", row=7):
        loss_drop(BEFORE, pd.concat([AFTER, AFTER.loc[[7]]]))
    with refused(TableError, row=3, column="n_tokens", received=(2, 9)):
        loss_drop(BEFORE, AFTER.assign(n_tokens=[4, 9, 0, 5]))
    with refused(TableError, parameter="before", received=["n_tokens", "status"]):
        loss_drop(BEFORE.drop(columns="loss"), AFTER)
