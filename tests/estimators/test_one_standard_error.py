"""The simplest method within one standard error: the rule, and errors beside a bootstrap."""

import numpy as np
import pytest

from debias import Constrained, Objective
from debias.estimators.few_labels.one_standard_error import select_method


def drawn(seed=0, n=900, shares=(0.6, 0.3, 0.1), right=(0.7, 0.5)):
    """Labels, and two methods of which each is right so often, half of the time together."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, size=n, p=shares)
    common, predicted = rng.uniform(size=n), []
    for share in right:
        own = np.where(rng.uniform(size=n) < 0.5, common, rng.uniform(size=n))
        predicted.append(np.where(own < share, y, (y + rng.integers(1, 3, n)) % 3)[None])
    return y, predicted


def pulled(goal, y, columns, n_classes=3):
    """The objective where every class gets four more rows, as often right as all rows are."""
    counts = goal.counts(y, columns, n_classes)
    overall = (columns == y).mean()
    accuracies = (counts.correct + 4 * overall) / (counts.support + 4)
    return goal(*counts._replace(correct=accuracies * counts.support))


def bootstrapped(y, one, other, goal, n_draws=600):
    rng, values = np.random.default_rng(1), []
    for _ in range(n_draws):
        rows = np.concatenate([rng.choice(own := np.flatnonzero(y == k), len(own)) for k in range(3)])
        inner = goal.inner if isinstance(goal, Constrained) else goal
        z = [pulled(inner, y[rows], columns[rows]) for columns in (one[0], other[0])]
        values.append(z[0] - z[1])
    return np.std(values)


GOALS = [
    Objective(),
    Objective(error=1, cobias=0, pmi=0),
    Objective(cobias=0, pmi=0, balanced_error=2.0),
    Objective(error=0, cobias=0, pmi=0, costs=[[0, 1, 5], [2, 0, 1], [9, 3, 0]]),
]


@pytest.mark.parametrize("goal", GOALS, ids=["z", "error", "balanced", "costs"])
def test_standard_errors_are_those_of_a_bootstrap(goal):
    y, (better, worse) = drawn()
    found = select_method({"worse": worse, "better": better}, y, goal, 3, 5)
    assert found.best == found.chosen == "better"
    expected = bootstrapped(y, worse, better, goal)
    assert found.of("worse").standard_error == pytest.approx(expected, rel=0.25)
    assert found.of("worse").objective == pytest.approx(pulled(goal, y, worse[0]))


def test_the_simplest_within_one_standard_error_is_chosen():
    y, (a, b) = drawn(right=(0.61, 0.6))
    for order in (("a", "b"), ("b", "a")):
        methods = {"a": a, "b": b}
        assert select_method({name: methods[name] for name in order}, y, Objective(), 3, 5).chosen == order[0]
    y, (a, b) = drawn(right=(0.8, 0.5))
    assert select_method({"b": b, "a": a}, y, Objective(), 3, 5).chosen == "a"


def test_the_model_is_left_alone_only_within_half_a_standard_error():
    rng = np.random.default_rng(0)
    chosen = set()
    for _ in range(200):
        y = np.repeat([0, 1], 50)
        a, b = (np.where(rng.uniform(size=100) < 0.6, y, 1 - y)[None] for _ in range(2))
        found = select_method({"uncorrected": a, "batch": b}, y, Objective(), 2, 5)
        gap = found.of("uncorrected").objective - found.of("batch").objective
        ratio = gap / max(found.of("uncorrected").standard_error, 1e-9)
        chosen.add(found.chosen)
        assert (found.chosen == "uncorrected") == (ratio <= 0.5)
    assert chosen == {"uncorrected", "batch"}


def test_a_class_of_one_row_is_not_taken_for_certain():
    y = np.array([0] * 40 + [1])
    all_first, all_right = np.zeros((1, 41), dtype=int), y[None]
    found = select_method({"simple": all_first, "complex": all_right}, y, Objective(), 2, 5)
    gap = found.of("simple").objective - found.of("complex").objective
    assert 0 < gap < 2 * found.of("simple").standard_error < 1


def test_what_is_never_right_is_not_taken_for_even():
    """With two rows of a class, half of all correct makes COBias .6 or so; nothing correct makes it 0."""
    rng = np.random.default_rng(0)
    chosen = []
    for _ in range(100):
        y = rng.permutation(np.repeat(range(5), 2))
        right = rng.uniform(size=10) < 0.5
        half = np.where(right, y, (y + 1) % 5)[None]
        never = ((y + 1 + rng.integers(0, 4, 10)) % 5)[None]
        chosen.append(select_method({"uncorrected": never, "batch": half}, y, Objective(), 5, 5).chosen)
    assert chosen.count("batch") > 85


def test_rows_count_as_often_as_they_are_told():
    y, (a, b) = drawn()
    times = np.random.default_rng(2).integers(0, 4, len(y))
    rows = np.repeat(np.arange(len(y)), times)
    counted = select_method({"b": b, "a": a}, y, Objective(), 3, 5, times)
    repeated = select_method({"b": b[:, rows], "a": a[:, rows]}, y[rows], Objective(), 3, 5)
    for name in "ab":
        assert counted.of(name).objective == pytest.approx(repeated.of(name).objective)
        assert counted.of(name).accuracy == pytest.approx(repeated.of(name).accuracy)


def test_what_is_missed_of_bounds_counts():
    y, (better, worse) = drawn(right=(0.6, 0.58))
    uneven = better.copy()
    uneven[0, y == 2] = 0
    goal = Constrained(min_class_accuracy=0.4)
    assert select_method({"uneven": uneven, "even": worse}, y, goal, 3, 5).best == "even"


def test_the_frame_has_a_row_per_method():
    y, (a, b) = drawn()
    frame = select_method({"b": b, "a": a}, y, Objective(), 3, 5).to_frame()
    assert list(frame.index) == ["b", "a"]
    assert frame["chosen"].sum() == frame["best"].sum() == 1
    accuracies = [(a[0][y == k] == k).mean() for k in range(3)]
    assert frame.loc["a", "worst_class_accuracy"] == pytest.approx(min(accuracies))
    assert frame.loc["a", "balanced_accuracy"] == pytest.approx(np.mean(accuracies))


@pytest.mark.parametrize(
    "goal",
    [*GOALS, Objective(pmi=1.0, smoothing=20.0), Constrained(min_accuracy=0.7, max_cobias=0.05)],
    ids=repr,
)
def test_parts_of_rows_are_not_taken_for_rows(goal):
    y, (a, b) = drawn()
    methods = {"b": b, "a": a}
    rows = select_method(methods, y, goal, 3, 5)
    parts = select_method(methods, y, goal, 3, 5, np.full(len(y), 100), 100)
    for name in "ab":
        assert parts.of(name).objective == pytest.approx(rows.of(name).objective)
        assert parts.of(name).standard_error == pytest.approx(rows.of(name).standard_error)
    assert parts.chosen == rows.chosen
