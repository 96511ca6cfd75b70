"""What both processors share, against a literal evaluation of one row at a time."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from debias.corrections.bases.base import Identity
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.correction import Triangle, Weight
from debias.serving.served_correction import ServedCorrection
from debias.serving.vllm.answer_logits import AnswerCorrection, correct_rows

IDENTITY = Triangle(0, 1, 1)
MAP = LinearMap(
    np.array([[1.5, -0.2, 0], [0.1, 0.7, 0], [0, 0, 1]]), np.array([0.3, 0, -1]), np.ones(3), "affine"
)
CORRECTIONS = {
    "identity": ((IDENTITY, IDENTITY, IDENTITY), Identity()),
    "weights": ((Weight(1, 30), Weight(20, 30), IDENTITY), Identity()),
    "falling": ((Triangle(0, 0, 0.5), Triangle(0, 0.25, 0.5), Weight(1, 3)), Identity()),
    "often all zero": ((Triangle(0.9, 1, 1), Triangle(0.8, 0.9, 1), Triangle(0.95, 1, 1)), Identity()),
    "after a map": ((IDENTITY, Weight(1, 2), Triangle(0, 0.5, 1)), MAP),
}


def served(kind):
    corrections, base = CORRECTIONS[kind]
    return ServedCorrection(("a", "b", "c"), corrections, base)


def literal_row(correction, logits):
    """Return the label that is decided on and the logarithms of the values, by arithmetic on one row."""
    largest = max(logits)
    weights = [math.exp(one - largest) for one in logits]
    shares = [one / sum(weights) for one in weights]
    posteriors = correction.base.posteriors(np.array([shares]))[0].tolist()
    open_labels = [k for k, one in enumerate(logits) if one != -math.inf]
    values = {k: float(correction.corrections[k](posteriors[k])) for k in open_labels}
    if not any(values.values()):
        values = {k: posteriors[k] for k in open_labels}
    best = next(k for k in open_labels if values[k] == max(values.values()))
    return best, [math.log(values[k]) if values.get(k) else -math.inf for k in range(len(logits))]


ROWS = st.lists(
    st.lists(
        st.sampled_from([-math.inf, -800.0, -3.0, -0.5, 0.0, 0.25, 2.0, 2.0, 9.5]), min_size=3, max_size=3
    ).filter(lambda row: max(row) > -math.inf),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("kind", CORRECTIONS)
@given(rows=ROWS)
def test_rows_are_as_one_at_a_time(kind, rows):
    """Few different logits, so that ties, masked labels and zeros are in most examples."""
    correction = served(kind)
    received = AnswerCorrection(correction, [0, 1, 2]).logits(np.array(rows, dtype=np.float32))
    for row, new in zip(rows, received, strict=True):
        best, logs = literal_row(correction, row)
        assert new.argmax() == best and (new == new.max()).sum() == 1
        np.testing.assert_allclose(new, logs, rtol=1e-5, atol=2e-6)
        assert (np.isneginf(new) >= np.isneginf(row)).all()


@pytest.mark.parametrize("kind", CORRECTIONS)
def test_random_rows_decide_as_the_correction_does(kind):
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (3000, 3)).round(1)  # rounded: ties
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    new = AnswerCorrection(served(kind), [0, 1, 2]).logits(logits)
    np.testing.assert_array_equal(new.argmax(axis=1), served(kind).decide(shares))


def test_a_masked_label_is_not_revived_by_a_falling_correction():
    """Probability 0 has the largest corrected value there is."""
    correction = ServedCorrection(("a", "b"), (Triangle(0, 0, 1), IDENTITY), Identity())
    new = AnswerCorrection(correction, [0, 1]).logits(np.array([[-np.inf, 1.0], [-30.0, 1.0]]))
    assert new[0].tolist() == [-math.inf, 0.0]
    assert new[1].argmax() == 0


def test_all_other_tokens_are_ruled_out_and_other_rows_stay():
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    one, other = (
        AnswerCorrection(served("weights"), [9, 3, 30]),
        AnswerCorrection(served("identity"), [1, 2, 3]),
    )
    correct_rows(logits, {0: one, 3: other, 4: one})
    assert torch.equal(logits[1:3], before[1:3])
    for row, correction in {0: one, 3: other, 4: one}.items():
        tokens = list(correction.tokens)
        expected = correction.logits(before[row, tokens][None].numpy())[0]
        assert logits[row, tokens].tolist() == expected.tolist()
        others = [token for token in range(40) if token not in tokens]
        assert torch.isneginf(logits[row, others]).all()


@pytest.mark.parametrize("value", [-math.inf, math.nan, math.inf])
def test_rows_without_anything_to_decide_on_stay_as_they_are(value):
    logits = torch.zeros(2, 5)
    logits[0, 1:4] = value
    before = logits.clone()
    correct_rows(logits, {row: AnswerCorrection(served("falling"), [1, 2, 3]) for row in range(2)})
    assert torch.equal(logits[0], before[0]) or (logits[0].isnan() == before[0].isnan()).all()
    assert torch.isneginf(logits[1, [0, 4]]).all()
