"""The conformance cases through what both processors of vLLM share, which sees logits of label tokens.

A logarithm does not give back the last digit of a probability: rows whose label hangs on it do not count.
"""

import math

import numpy as np
import pytest

from debias.serving import load
from debias.serving.vllm.answer_logits import AnswerCorrection
from tests.support.conformance import cases
from tests.support.definition import literal_of_logs, logarithms


@pytest.mark.parametrize("case", cases(), ids=repr)
def test_every_row_has_the_label_of_the_definition(case, tmp_path):
    logs = [logarithms(row) for row in case.rows.tolist()]
    expected = np.array([-1 if (one := literal_of_logs(case.document, row)) is None else one for row in logs])
    of_expected = np.array([row[one] for row, one in zip(logs, expected, strict=True)])
    masked, clear = np.isneginf(of_expected), expected >= 0
    correction = AnswerCorrection(load(case.file(tmp_path)), list(range(len(case.classes))))
    found = correction.logits(np.array(logs)).argmax(axis=1)
    assert np.array_equal(found[clear & ~masked], expected[clear & ~masked])
    assert (found == case.expected)[~masked].mean() > 0.97 and clear.mean() > 0.97
    # what the server has masked stays masked, even where the definition decides on it
    assert not any(logs[row][found[row]] == -math.inf for row in range(len(logs)))
    shifted = correction.logits(np.array(logs) + 37).argmax(axis=1)  # logits are logarithms but for a number
    assert (shifted == found).mean() > 0.97
