"""One answer decided from its first token, without a harness."""

import math

import numpy as np

from debias.corrections.bases.base import Identity
from debias.corrections.correction import Triangle, Weight
from debias.errors import LabelError, ParameterError
from debias.serving import ServedCorrection
from debias.serving.harnesses.answer_tokens import AnswerToken
from debias.serving.harnesses.choice_filter import CorrectionFilter
from debias.serving.harnesses.scored_answers import decide_answer, words_of_classes
from tests.support.drawn_corrections import drawn_correction, drawn_log_likelihoods, literal_decision
from tests.support.refusals import refused

HALVED = ServedCorrection(("Bug", "Billing"), (Weight(1, 2), Triangle(0, 1, 1)), Identity())


def tokens_of(**shares):
    return [AnswerToken(text, math.log(share)) for text, share in shares.items()]


def test_an_answer_hand_solved():
    answer = decide_answer(
        HALVED, tokens_of(Bug=0.6, Billing=0.36), {"Bug": "Bug", "Billing": "Billing"}, 20, "Bug"
    )
    assert (answer.predicted, answer.uncorrected, answer.bounded) == ("Billing", "Bug", [])
    assert np.allclose([answer.probabilities["Bug"], answer.probabilities["Billing"]], [0.625, 0.375])


def test_a_missing_label_has_its_bound_and_none_is_no_answer():
    words = {"Billing": "B", "Bug": "A"}  # in another order than the columns
    answer = decide_answer(HALVED, tokens_of(A=0.9, the=0.05), words, 20, "A")
    assert (answer.predicted, answer.bounded) == ("Bug", ["Billing"])
    assert math.isclose(answer.probabilities["Billing"], 0.05 / 0.95, rel_tol=1e-3)
    nothing = decide_answer(HALVED, tokens_of(the=0.9), words, 20, "the")
    assert (nothing.predicted, nothing.uncorrected) == (None, None)


def test_filter_and_scorer_decide_every_row_alike():
    """The rows of one table through both, each against the definition, row by row."""
    rng = np.random.default_rng(5)
    compared = 0
    for n_classes in (2, 3, 6, 15):
        classes = [f"w{k}x" for k in range(n_classes)]
        words = {name: name for name in rng.permutation(classes).tolist()}
        correction = drawn_correction(rng, classes)
        rows = drawn_log_likelihoods(rng, 400, n_classes)
        rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True) + 1e-300).clip(min=0)  # at most one in all
        own = CorrectionFilter(correction, classes)
        for values in rows[(rows > -9000).any(axis=1)]:
            expected = literal_decision(correction, values)
            document = {}
            filtered = own.apply([(value, False) for value in values], [document] * n_classes)
            assert classes[int(np.argmax([value for value, _ in filtered]))] == expected
            tokens = [AnswerToken(name, value) for name, value in zip(classes, values, strict=True)]
            if np.isfinite(values).all():
                assert decide_answer(correction, tokens, words, n_classes, None).predicted == expected
                compared += 1
    assert compared > 800


def test_refusals():
    with refused(LabelError, parameter="words", received=("good day", "good night")):
        words_of_classes(["good day", "good night"])
    with refused(LabelError, parameter="words"):
        words_of_classes(["Bug", "Billing"], {"Bug": "A", "Billing": "A"})
    with refused(ParameterError, parameter="words", received="Other"):
        words_of_classes(["Bug", "Billing"], {"Other": "A"})
    with refused(ParameterError, parameter="words", received=" "):
        words_of_classes(["Bug", "Billing"], {"Bug": " "})
    with refused(ParameterError, parameter="choices"):
        decide_answer(HALVED, tokens_of(A=0.9), {"Bug": "A", "Other": "B"}, 20, "A")
