"""Explanations: the words for every kind of correction, and the numbers in them."""

import numpy as np
import pandas as pd
import pytest

from debias import EnsembleDebiaser, Function, Triangle, Weight
from debias.corrections.explanations import ClassFacts, explain_class
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.metrics.scores import cobias
from tests.support.published_tables import CLASSES, published

FACTS = ClassFacts(1250, 1, 410, 12, 900, (0.12, 0.18, 0.254))


@pytest.mark.parametrize(
    ("correction", "words"),
    [
        (Triangle(0, 1, 1), "Entity keeps its probability as it is"),
        (Weight(8, 30), "Entity counts for 27 % of its probability (weight 8/30)"),
        (Triangle(0.125, 0.25, 0.375), "fully at 25 % and not at all outside 12.5 to 37.5 %"),
        (Triangle(0, 0.25, 0.5), "gives it up to 40 %, counts fully at 25 % and not at all above 50 %"),
        (
            Triangle(0.75, 1, 1),
            "lowered at every probability, counts fully at 100 % and not at all below 75 %",
        ),
        (Triangle(0, 0, 1), "model gives it up to 50 %, counts fully at 0 % (triangle (0, 0, 1))"),
        (Triangle(0.25, 0.5, 0.75), "lifted when the model gives it 33 to 60 %"),
        (Function("root", np.sqrt), "lifted when the model gives it up to 100 % (root)"),
        (Function("late", lambda p: np.where(p > 0.8, 1.0, 0.0)), "model gives it 80 % or more (late)"),
        (Function("square", np.square), "lowered at every probability (square)"),
        (
            Trapezoid(0.0625, 0.125, 0.25, 0.5),
            "lifted when the model gives it 7 to 40 %, counts fully at 12.5 to 25 % and not at all outside "
            "6.25 to 50 % (trapezoid (0.0625, 0.125, 0.25, 0.5))",
        ),
        (Trapezoid(0, 0, 0.25, 0.5), "counts fully up to 25 % and not at all above 50 %"),
        (Trapezoid(0.25, 0.5, 1, 1), "33 % or more, counts fully from 50 % on and not at all below 25 %"),
        (Trapezoid(0.25, 0.5, 0.5, 1), "counts fully at 50 % and not at all below 25 % (trapezoid"),
        (Trapezoid(0, 1, 1, 1), "Entity keeps its probability as it is"),
        (
            Gaussian(0.25, 0.125),
            "Entity counts fully when the model gives it 25 %, half at 10 % and 40 %, less and less farther "
            "away (Gaussian (mean 0.25, deviation 0.125))",
        ),
        (Gaussian(1, 2), "fully when the model gives it 100 %, less and less farther away (Gaussian"),
        (
            Sigmoid(0.25, 16),
            "Entity counts more the more the model gives it: by half at 25 %, nearly fully above 39 %, "
            "hardly below 11 % (sigmoid (center 0.25, slope 16))",
        ),
        (Sigmoid(0.5, -32), "less the more the model gives it: by half at 50 %, nearly fully below 43 %"),
        (Scaled(Triangle(0, 1, 1), 0.2345), "Entity counts for 23 % of its probability (factor 0.234)"),
        (Scaled(Triangle(0, 1, 1), 1e-7), "for less than 0.001 % of its probability (factor 1e-07)"),
        (Scaled(Triangle(0, 1, 1), 0.0003), "counts for 0.03 % of its probability (factor 0.0003)"),
        (Scaled(Weight(8, 30), 0.5), "counts for 13 % of its probability (weight 8/30 times 0.5)"),
        (
            Scaled(Triangle(0, 0.25, 0.5), 0.874),
            "counts fully at 25 % and not at all above 50 %, all cut to 87 % (triangle (0, 0.25, 0.5) times "
            "0.874)",
        ),
        (Scaled(Gaussian(1, 2), 0.5), "farther away, all cut to 50 % (Gaussian"),
        (Scaled(Triangle(0, 1, 1), 1.0), "Entity keeps its probability as it is"),
    ],
)
def test_what_was_done(correction, words):
    assert words in explain_class("Entity", correction, FACTS)


def test_the_whole_sentence():
    assert explain_class("Entity", Weight(3, 30), FACTS) == (
        "Entity counts for 10 % of its probability (weight 3/30), because the model named it for 12 rows and "
        "1,250 belong to it, mostly giving its own rows 12 to 25 %; 33 % of its rows are now right, "
        "before it was 0.1 %."
    )


def test_unchanged_singular_and_unknown():
    facts = ClassFacts(1, 1, 1, 1, 1, (0.5, 0.5, 0.5))
    assert explain_class("A", Triangle(0, 1, 1), facts) == (
        "A keeps its probability as it is, since the model named it for 1 row and 1 belongs to it; "
        "100 % of its rows are right, as before."
    )
    assert "no labelled row" in explain_class("A", Weight(1, 2), ClassFacts(0, 0, 0, 3, 2, (0, 0, 0)))
    assert np.isnan(ClassFacts(0, 0, 0, 3, 2, (0, 0, 0)).accuracy_after)


def test_the_numbers_are_those_of_the_predictions():
    columns = CLASSES["agnews"]
    X, y = published("agnews", "opt")
    X, labels = pd.DataFrame(X, columns=columns), np.array(columns)[y]
    debiaser = EnsembleDebiaser(n_starts=4).fit(X, labels)
    table = debiaser.explain()
    assert list(table.index) == columns
    before, after = np.array(columns)[X.to_numpy().argmax(axis=1)], debiaser.predict(X)
    accuracy = [f"{100 * (predicted == labels).mean():.1f}" for predicted in (before, after)]
    gap = [f"{100 * cobias(labels, predicted):.1f}" for predicted in (before, after)]
    assert f"accuracy goes from {accuracy[0]} to {accuracy[1]} %" in debiaser.summary()
    assert f"COBias from {gap[0]} to {gap[1]} points" in debiaser.summary()
    for name, row in table.iterrows():
        assert row["support"] == (labels == name).sum()
        assert row["predicted_before"] == (before == name).sum()
        assert row["predicted_after"] == (after == name).sum()
        assert row["accuracy_before"] == pytest.approx((before[labels == name] == name).mean())
        assert row["accuracy_after"] == pytest.approx((after[labels == name] == name).mean())
        assert f"{row['support']:,}" in row["sentence"]
        assert row["sentence"].startswith(name)
