"""Demonstrations leave the opt rows, by seed, one per class or any number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.errors import ParameterError, TaskError
from debias.inference.texts.demonstrations import check_demonstrations, draw_demonstrations
from debias.inference.texts.tasks import Demonstration, Task
from tests.support.refusals import refused

MOOD = Task("mood", labels=["no", "so", "yes"], class_names=["bad", "fair", "good"])
TEXTS = [f"text {n}" for n in range(30)]
CLASSES = [MOOD.class_names[n % 3] for n in range(30)]


@given(st.one_of(st.integers(0, 29), st.just("per-class")), st.integers(0, 99))
def test_demonstrations_and_the_remaining_rows_are_all_rows(shots, seed):
    shown, rows = draw_demonstrations(MOOD, TEXTS, CLASSES, shots, seed=seed)
    assert len(shown) == (3 if shots == "per-class" else shots)
    assert sorted([d.text for d in shown] + [TEXTS[i] for i in rows]) == sorted(TEXTS)
    assert all(CLASSES[TEXTS.index(d.text)] == d.label and TEXTS[int(d.id)] == d.text for d in shown)
    again, _ = draw_demonstrations(MOOD, TEXTS, CLASSES, shots, seed=seed)
    assert again == shown


def test_one_per_class_stands_in_class_order_and_depends_on_the_seed():
    drawn = {draw_demonstrations(MOOD, TEXTS, CLASSES, "per-class", seed=seed)[0] for seed in range(5)}
    assert len(drawn) > 1
    assert all([d.label for d in shown] == ["bad", "fair", "good"] for shown in drawn)


def test_rows_with_the_same_text_leave_with_it():
    texts = ["same", "Same ", "other"]
    for seed in range(9):
        shown, rows = draw_demonstrations(MOOD, texts, ["bad"] * 3, 1, seed=seed, ids=["a", "b", "c"])
        assert list(rows) == ([0, 1] if shown[0].id == "c" else [2])


@pytest.mark.parametrize(
    ("shots", "labels", "error", "fields"),
    [
        (-1, ["bad", "good"], ParameterError, {"parameter": "shots", "received": -1}),
        (True, ["bad", "good"], ParameterError, {"parameter": "shots", "received": True}),
        ("many", ["bad", "good"], ParameterError, {"parameter": "shots", "received": "many"}),
        (3, ["bad", "good"], ParameterError, {"parameter": "shots", "received": 3}),
        (2, ["bad", "good"], ParameterError, {"parameter": "shots", "fix": str}),
        ("per-class", ["bad", "good"], TaskError, {"mentions": "'fair'"}),
        (1, ["bad", "yes"], TaskError, {"mentions": "'yes'"}),
        (1, ["bad"], ParameterError, {"mentions": (2, 1)}),
    ],
)
def test_what_cannot_be_drawn(shots, labels, error, fields):
    with refused(error, **fields):
        draw_demonstrations(MOOD, ["a", "b"], labels, shots)


def test_demonstrations_of_ones_own():
    assert check_demonstrations(MOOD, [("x", "good", "7"), ["y", "bad"]]) == (
        Demonstration("x", "good", "7"),
        Demonstration("y", "bad"),
    )
    for wrong in ("xy", ("x",), ("x", 1)):
        with refused(ParameterError, parameter="demonstrations", row=0, received=wrong):
            check_demonstrations(MOOD, [wrong])
    with refused(TaskError, mentions="'great'"):
        check_demonstrations(MOOD, [("x", "great")])


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None, True])
def test_a_seed_is_an_integer_of_at_least_0(seed):
    with refused(ParameterError, parameter="seed", received=seed):
        draw_demonstrations(MOOD, TEXTS, CLASSES, 1, seed=seed)
