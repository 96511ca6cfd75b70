"""The conformance cases through the filter and the scorer, which see logarithms in place of probabilities.

A logarithm does not give back the last digit of a probability, so a row whose decision hangs on it has no one
label: the referee evaluates each row with last digits changed, and only where all agree is there one.
"""

import math

import numpy as np
import pytest

from debias.serving import load
from debias.serving.harnesses import CorrectionFilter
from debias.serving.harnesses.answer_tokens import AnswerToken
from debias.serving.harnesses.scored_answers import decide_answer
from tests.support.conformance import REFUSED, cases
from tests.support.definition import literal_of_logs, logarithms

LARGEST_SUM = 1.0099
"""More than that cannot be probabilities of tokens, and is not scored."""


def filtered(correction, classes, rows):
    """Return the columns that the filter decides for rows of logarithms, all in one list."""
    responses = [[(value, False)] for row in rows for value in row]
    documents = [document for row in rows for document in [{"row": 0}] for _ in row]
    values = np.array(
        [value for value, _ in CorrectionFilter(correction, classes).apply(responses, documents)]
    )
    return values.reshape(len(rows), len(classes)).argmax(axis=1)


def scored(correction, classes, row):
    """Return the column that the scorer decides, each class being answered by a token."""
    words = {name: f"token{k}" for k, name in enumerate(classes)}
    tokens = [AnswerToken(word, value) for word, value in zip(words.values(), row, strict=True)]
    return classes.index(decide_answer(correction, tokens, words, len(words), None).predicted)


@pytest.mark.parametrize("case", cases(), ids=repr)
def test_every_row_has_the_label_of_the_definition(case, tmp_path):
    correction, classes = load(case.file(tmp_path)), [str(name) for name in case.classes]
    rows = [logarithms(row) for row in case.rows.tolist()]
    found = filtered(correction, classes, rows)
    expected = [literal_of_logs(case.document, row) for row in rows]
    clear = np.array([one is not None for one in expected])
    assert found[clear].tolist() == [one for one in expected if one is not None]
    assert clear.mean() > 0.97
    assert (found == case.expected).mean() > 0.97  # 9,987 of the 10,000 rows
    back = rows[:40]
    turned = [row[::-1] for row in back]
    assert (len(classes) - 1 - filtered(correction, classes[::-1], turned)).tolist() == found[:40].tolist()


@pytest.mark.parametrize("case", cases(), ids=repr)
def test_filter_and_scorer_agree_on_every_row(case, tmp_path):
    correction, classes = load(case.file(tmp_path)), [str(name) for name in case.classes]
    held = (case.rows > 0).all(axis=1) & (case.rows.sum(axis=1) <= LARGEST_SUM)
    rows = [logarithms(row) for row in case.rows[held].tolist()]
    columns = filtered(correction, classes, rows).tolist() if rows else []
    assert [scored(correction, classes, row) for row in rows] == columns


@pytest.mark.parametrize("row", [one for name, one in REFUSED.items() if name in ("not a number", "zero")])
def test_rows_that_are_none_are_refused(row, tmp_path):
    from debias.errors import ParameterError

    case = next(one for one in cases() if len(one.classes) == 2)
    classes = [str(name) for name in case.classes]
    logs = [math.nan if math.isnan(p) else logarithms([p])[0] for p in row]
    with pytest.raises(ParameterError):
        filtered(load(case.file(tmp_path)), classes, [logs])
