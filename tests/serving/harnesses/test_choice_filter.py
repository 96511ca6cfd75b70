"""The filter of lm-evaluation-harness, on the lists that the harness makes, without the harness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.corrections.bases.base import Identity
from debias.corrections.correction import Triangle, Weight
from debias.errors import CorrectionFileError, ParameterError
from debias.serving import ServedCorrection
from debias.serving.harnesses import CorrectionFilter
from tests.support.drawn_corrections import drawn_correction, drawn_log_likelihoods, literal_decision
from tests.support.refusals import refused

KINDS = ("Bug", "Billing", "Question")
HALVED = ServedCorrection(KINDS, (Weight(1, 2), Triangle(0, 1, 1), Triangle(0, 1, 1)), Identity())


def flat(rows, orders=None):
    """Return responses and documents as the harness lists them, each document's choices in its order."""
    responses, documents = [], []
    for row, values in enumerate(rows):
        order = range(len(values)) if orders is None else orders[row]
        document = {"id": row}
        responses += [[(float(values[column]), bool(column))] for column in order]
        documents += [document] * len(values)
    return responses, documents


def predictions(filtered, names):
    """Return the choice with the largest log-likelihood, document by document."""
    size, found = len(names[0]), []
    for row, own in enumerate(names):
        values = [value for value, _ in filtered[row * size : (row + 1) * size]]
        found.append(own[int(np.argmax(values))])
    return found


def test_a_hand_solved_document():
    responses, documents = flat(np.log([[0.5, 0.3, 0.2]]))
    filtered = CorrectionFilter(HALVED, KINDS).apply(responses, documents)
    assert [round(float(np.exp(value)), 12) for value, _ in filtered] == [0.25, 0.3, 0.2]
    assert [flag for _, flag in filtered] == [False, True, True]


@pytest.mark.parametrize("n_classes", [2, 3, 7, 40])
def test_every_row_is_decided_as_one_by_one(n_classes):
    rng = np.random.default_rng(n_classes)
    classes = [f"class {k}" for k in range(n_classes)]
    for _ in range(5):
        correction = drawn_correction(rng, classes)
        rows = drawn_log_likelihoods(rng, 200, n_classes)
        filtered = CorrectionFilter(correction, classes).apply(*flat(rows))
        assert predictions(filtered, [classes] * len(rows)) == [literal_decision(correction, r) for r in rows]


@given(seed=st.integers(0, 2**32 - 1), n_classes=st.integers(2, 6))
def test_the_order_of_choices_changes_nothing(seed, n_classes):
    """Ties included: the first class wins, not the first choice."""
    rng = np.random.default_rng(seed)
    classes = [f"class {k}" for k in range(n_classes)]
    correction, rows = drawn_correction(rng, classes), drawn_log_likelihoods(rng, 20, n_classes)
    orders = [rng.permutation(n_classes).tolist() for _ in rows]
    names = [[classes[column] for column in order] for order in orders]
    responses, documents = flat(rows, orders)
    for document, own in zip(documents[::n_classes], names, strict=True):
        document["kinds"] = own
    filtered = CorrectionFilter(correction, "kinds").apply(responses, documents)
    assert predictions(filtered, names) == [literal_decision(correction, row) for row in rows]
    by_function = CorrectionFilter(correction, lambda document: document["kinds"])
    assert by_function.apply(responses, documents) == filtered


def test_lists_of_any_stage_are_read():
    """As the harness holds them, after take_first, from a log, with repeats."""
    responses, documents = flat(np.log([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05]]))
    own = CorrectionFilter(HALVED, KINDS)
    expected = own.apply(responses, documents)
    assert own.apply((one[0] for one in responses), documents) == expected
    assert own.apply([[list(pair) for pair in one] for one in responses], documents) == expected
    assert own.apply([one * 3 for one in responses], documents) == expected
    assert own.apply([], []) == []


def test_requests_without_a_prompt_pass_as_they_came():
    rows = np.log([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2]])
    responses, documents = flat(rows)
    alone = [[(-float(place), False)] for place in range(6)]
    doubled = [*responses[:3], *alone[:3], *responses[3:], *alone[3:]]
    documents = [documents[0]] * 6 + [documents[3]] * 6
    own = CorrectionFilter(HALVED, KINDS)
    filtered = own.apply(doubled, documents)
    corrected = own.apply(*flat(rows))
    assert filtered == [
        *corrected[:3],
        *(a[0] for a in alone[:3]),
        *corrected[3:],
        *(a[0] for a in alone[3:]),
    ]


def test_equal_documents_are_two():
    responses, _ = flat(np.log([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
    twins = [{"text": "same"}, {"text": "same"}]
    own = CorrectionFilter(HALVED, KINDS)
    assert len(own.apply(responses, [twins[0]] * 3 + [twins[1]] * 3)) == 6
    with refused(ParameterError, parameter="choices", row=1):
        own.apply(responses * 2, [twins[0]] * 3 + [twins[1]] * 6 + [{}] * 3)


def test_close_values_keep_their_decision():
    """Logarithms of neighbouring numbers are often equal; the decision is not lost."""
    close = ServedCorrection(("a", "b"), (Weight(1, 1), Weight(1, 1)), Identity())
    rng = np.random.default_rng(0)
    logs = np.log(rng.random(300) * 1e-200)
    rows = np.stack([logs, np.nextafter(logs, 0)], axis=1)
    filtered = CorrectionFilter(close, ["b", "a"]).apply(*flat(rows[:, ::-1]))
    decided = close.predict(np.exp(rows - rows.max(axis=1, keepdims=True)) / 2)
    assert set(decided) <= {"a", "b"}
    expected = [literal_decision(close, row) for row in rows]
    assert predictions(filtered, [["b", "a"]] * len(rows)) == expected


def test_choices_may_have_other_names():
    rows = np.log([[0.5, 0.3, 0.2]])
    named = CorrectionFilter(HALVED, ["C", "A", "B"], {"A": "Bug", "B": "Billing", "C": "Question"})
    responses, documents = flat(rows, [[2, 0, 1]])
    values = [value for value, _ in named.apply(responses, documents)]
    assert int(np.argmax(values)) == 2


def test_refusals(tmp_path):
    responses, documents = flat(np.log([[0.5, 0.3, 0.2]]))
    with refused(ParameterError, parameter="choices", received=None):
        CorrectionFilter(HALVED)
    with refused(ParameterError, parameter="choices", mentions=("Other", "Question")):
        CorrectionFilter(HALVED, ["Bug", "Billing", "Other"])
    with refused(ParameterError, parameter="choices"):
        CorrectionFilter(HALVED, ["Bug", "Billing", "Bug"])
    with refused(ParameterError, parameter="choices", row=0):
        CorrectionFilter(HALVED, lambda document: ["Bug", "Billing"]).apply(responses[:2], documents[:2])
    with refused(ParameterError, parameter="choices", row=0):
        CorrectionFilter(HALVED, KINDS).apply(responses[:2], documents[:2])
    with refused(ParameterError, parameter="choices", received="kinds"):
        CorrectionFilter(HALVED, "kinds").apply(responses, documents)
    with refused(ParameterError, parameter="docs", received=2):
        CorrectionFilter(HALVED, KINDS).apply(responses, documents[:2])
    for wrong in ("Bug", [("Bug",)], [(True, False)], 3.0, []):
        with refused(ParameterError, parameter="resps", row=1):
            CorrectionFilter(HALVED, KINDS).apply([responses[0], wrong, responses[2]], documents)
    for value in (np.nan, np.inf):
        with refused(ParameterError, row=0, received=list):
            CorrectionFilter(HALVED, KINDS).apply([(value, True), *responses[1:]], documents)
    with refused(ParameterError, row=0):
        CorrectionFilter(HALVED, KINDS).apply([(-np.inf, True)] * 3, documents)
    with refused(CorrectionFileError):
        CorrectionFilter(tmp_path / "missing.json", KINDS)
