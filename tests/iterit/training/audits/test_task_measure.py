"""Accuracy and COBias of a task after training: hand-solved cases, a naive referee, coverage of intervals."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError
from debias.inference.texts.tasks import Task
from debias.metrics.scores import cobias as cobias_of
from iterit.training.audits.task_measure import (
    LABEL,
    SCORES,
    TaskMeasure,
    TaskRows,
    task_gains,
    task_probabilities,
)

TASK = Task("mood", labels=["good", "bad", "so"], class_names=["Good", "Bad", "So"])


class Plain:
    """A template that writes the question as it is."""

    def turns(self, record):
        return [SimpleNamespace(prompt=f"<{record.messages[0].content}>")]


class Echo:
    """An engine whose answer follows from the prompt."""

    def label_logprobs(self, prompts, labels):
        self.asked = list(prompts), list(labels)
        return np.log([[0.2 + 0.4 * (place == len(one) % 3) for place in range(3)] for one in prompts])


def measure(texts=("a", "bb", "ccc"), classes=("Good", "Bad", "So")):
    return TaskMeasure(TaskRows(TASK, list(texts), list(classes)), Plain())


def test_rows_are_asked_as_instructions_and_probabilities_sum_to_one():
    made, engine = measure(), Echo()
    table = made(engine)
    prompts, labels = engine.asked
    assert labels == ["good", "bad", "so"] and all(
        one.startswith("<") and one.endswith(">") for one in prompts
    )
    assert list(table.columns) == ["Good", "Bad", "So", LABEL] and table[LABEL].tolist() == [
        "Good",
        "Bad",
        "So",
    ]
    np.testing.assert_allclose(table[["Good", "Bad", "So"]].sum(axis=1), 1)


def test_other_rows_or_labels_are_another_measurement():
    names = {measure().name, measure(("a", "bb", "cc")).name, measure(classes=("Bad", "Good", "So")).name}
    assert len(names) == 3 and all(one.startswith("mood ") for one in names) and measure().name in names


def test_a_class_without_a_row_is_refused():
    with pytest.raises(ParameterError) as caught:
        measure(("a", "b"), ("Good", "So"))
    assert caught.value.parameter == "n_task_rows" and "Bad" in str(caught.value)


@pytest.mark.parametrize("seed", range(20))
def test_figures_equal_those_of_debias_and_changes_those_of_a_nudged_row(seed):
    random = np.random.default_rng(seed)
    n_classes, n = int(random.integers(2, 6)), 40
    truth = np.concatenate([np.arange(n_classes), random.integers(n_classes, size=n - n_classes)])
    correct = (random.random(n) < random.uniform(0.2, 0.9, n_classes)[truth]).astype(float)
    found = np.where(correct == 1, truth, (truth + 1) % n_classes)
    by_class = [(found == truth)[truth == one].mean() for one in range(n_classes)]
    values = {name: score(truth, correct) for name, (score, _) in SCORES.items()}
    assert values["accuracy"].value == pytest.approx((found == truth).mean())
    assert values["COBias"].value == pytest.approx(cobias_of(truth, found))
    assert values["worst class accuracy"].value == pytest.approx(np.min(by_class))
    for name, (score, _) in SCORES.items():
        assert values[name].by_row.mean() == pytest.approx(0, abs=1e-12)
        for row in range(0, n, 7):  # a row's weight, raised a little
            weights = np.ones(n)
            weights[row] += 1e-6
            change = (_weighted(name, truth, correct, weights) - values[name].value) / 1e-6
            assert score(truth, correct).by_row[row] / n == pytest.approx(change, abs=1e-4)


def _weighted(name, truth, correct, weights):
    """A figure of weighted rows, from its definition; the order of the classes is that of equal weights."""
    if name == "accuracy":
        return np.average(correct, weights=weights)
    plain = np.bincount(truth, weights=correct) / np.bincount(truth)
    own = np.bincount(truth, weights=correct * weights) / np.bincount(truth, weights=weights)
    if name == "worst class accuracy":
        return own[int(plain.argmin())]
    order = np.argsort(plain, kind="stable")
    n = len(plain)
    pairs = [own[order[j]] - own[order[i]] for i in range(n) for j in range(i + 1, n)]
    return sum(pairs) / (n * (n - 1) / 2)


def runs_of(probabilities_of, n_seeds=5):
    """Runs whose tables come from a function of way and seed."""
    keys = [
        ("", "untrained", 0),
        *((("mine", way, seed)) for seed in range(n_seeds) for way in ("picks", "random")),
    ]
    return {key: SimpleNamespace(more={"mood 1": probabilities_of(*key[1:])}) for key in keys}


def table_of(truth, found):
    names = ["Good", "Bad", "So"]
    return pd.DataFrame(np.eye(3)[found], columns=names).assign(**{LABEL: np.array(names)[truth]})


def test_gains_have_the_sign_of_what_is_better():
    truth = np.repeat([0, 1, 2], 100)

    def made(way, seed):
        found = truth.copy()
        wrong = {"untrained": (0, 90), "random": (0, 80), "picks": (0, 20)}[way]
        found[wrong[0] : wrong[1] - seed] = 1
        return table_of(truth, found)

    table = task_gains(runs_of(made), "mood 1").set_index("figure")
    assert table["verdict"].tolist() == ["better"] * 3 and table["task"].tolist() == ["mood"] * 3
    assert table.loc["COBias", "trained"] < table.loc["COBias", "random"] < table.loc["COBias", "untrained"]
    assert table.loc["accuracy", "gain"] == pytest.approx(60 / 300)
    assert table.loc["worst class accuracy", "gain"] == pytest.approx(0.6)
    assert table.loc["COBias", "gain"] == pytest.approx(0.4)  # two of three pairs, each 0.6
    long = task_probabilities(runs_of(made), "mood 1")
    assert len(long) == 11 * 300 and set(long["way"]) == {"untrained", "picks", "random"}


def test_intervals_cover_no_difference_at_least_as_often_as_they_say():
    """Picks and random draws are equally good: nine in ten intervals of 90 % hold 0, or more."""
    random, covered = np.random.default_rng(5), dict.fromkeys(SCORES, 0)
    for _ in range(200):
        truth = random.integers(3, size=90)
        hard = random.random(90)  # rows differ: what is hard for one model is hard for the other

        def made(way, seed, truth=truth, hard=hard):
            levels = np.clip([0.8, 0.5, 0.6] + random.normal(0, 0.05, 3), 0, 1)
            right = 0.7 * hard + 0.3 * random.random(90) < levels[truth]
            return table_of(truth, np.where(right, truth, (truth + 1) % 3))

        table = task_gains(runs_of(made, n_seeds=3), "mood 1", confidence=0.9)
        for row in table.to_dict("records"):
            covered[row["figure"]] += row["low"] <= 0 <= row["high"]
    assert min(covered.values()) >= 0.9 * 200 - 13, covered
