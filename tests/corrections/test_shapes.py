"""Trapezoids, Gaussians, sigmoids and factors: their definitions, plain data, families and reports."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from debias import EnsembleDebiaser, load
from debias.corrections.correction import Function, Triangle, Weight
from debias.corrections.families import (
    Family,
    ensemble,
    gaussians,
    memberships,
    sigmoids,
    trapezoids,
    weights,
)
from debias.corrections.serialization import correction_from_dict
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid, scale
from debias.errors import CorrectionFileError, ParameterError
from debias.estimators.fitted.correction_file import read_correction
from debias.reports.correction_report import Report
from debias.reports.figures import CorrectionDetails
from debias.reports.plots import correction_plot
from tests.support.refusals import refused

SHAPES = [*trapezoids(), *gaussians(), *sigmoids()]
FACTORS = [
    Scaled(Triangle(0, 1, 1), 0.25, id=1000),
    Scaled(Weight(7, 30), 0.1 + 0.2, id=25),
    Scaled(Gaussian(0.5, 0.25), 1.0, id=3013),
]
probabilities = npst.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


def trapezoid_by_hand(p, a, b, c, d):
    if b <= p <= c:
        return 1.0
    if a < p < b:
        return (p - a) / (b - a)
    return (d - p) / (d - c) if c < p < d else 0.0


@given(p=probabilities)
def test_every_shape_is_its_definition(p):
    for shape in SHAPES:
        if isinstance(shape, Trapezoid):
            corners = (shape.left, shape.left_top, shape.right_top, shape.right)
            expected = [trapezoid_by_hand(x, *corners) for x in p]
        elif isinstance(shape, Gaussian):
            expected = [math.exp(-((x - shape.mean) ** 2) / (2 * shape.deviation**2)) for x in p]
        elif isinstance(shape, Sigmoid):
            expected = [1 / (1 + math.exp(-shape.slope * (x - shape.center))) for x in p]
        else:
            expected = p
        np.testing.assert_allclose(shape(p), expected, atol=1e-12)


@given(p=probabilities, factor=st.floats(1e-9, 1))
def test_a_factor_multiplies(p, factor):
    np.testing.assert_array_equal(Scaled(Sigmoid(0.5, 8), factor)(p), Sigmoid(0.5, 8)(p) * factor)
    scaled = scale([Weight(1, 2, id=3), Triangle(0, 0, 1)], [factor, 1.0])
    np.testing.assert_array_equal(scaled[0](p), Weight(1, 2)(p) * factor)
    assert scaled[0].id == 3
    assert scaled[1] == Triangle(0, 0, 1)


def test_extreme_shapes_stay_in_the_unit_interval():
    p = np.linspace(0, 1, 101)
    for shape in (Gaussian(0, 1e-6), Gaussian(1, 1e6), Sigmoid(0, 500), Sigmoid(1, 500), Sigmoid(1, -1e-9)):
        assert np.all((shape(p) >= 0) & (shape(p) <= 1))


def test_identities():
    p = np.linspace(0, 1, 101)
    assert Trapezoid(0, 1, 1, 1).is_identity
    assert Trapezoid(0, 1, 2, 3).name == "identity"
    np.testing.assert_array_equal(Trapezoid(0, 1, 1, 1)(p), p)
    assert Scaled(Weight(30, 30), 1.0).is_identity
    assert not Scaled(Weight(30, 30), 0.5).is_identity
    assert not Trapezoid(0, 0.5, 1, 1).is_identity


def test_a_factor_near_one_is_not_called_one():
    assert Scaled(Triangle(0, 1, 1), 0.99999).name == "factor 0.99999"
    assert Scaled(Weight(7, 30), 0.99999).name == "weight 7/30 times 0.99999"
    assert Scaled(Weight(7, 30), 1.0).name == "weight 7/30"


def test_factors_of_factors_are_multiplied():
    once = scale([Weight(7, 30, id=25)], [0.5])
    assert scale(once, [0.5]) == [Scaled(Weight(7, 30, id=25), 0.25, id=25)]


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: Trapezoid(0.5, 0.25, 0.75, 1), "the corners of a trapezoid"),
        (lambda: Trapezoid(0.5, 0.5, 0.5, 0.5), "the corners of a trapezoid"),
        (lambda: Trapezoid(0, 0, math.nan, 1), "the corners of a trapezoid"),
        (lambda: Trapezoid(0, 0, 1, math.inf), "the corners of a trapezoid"),
        (lambda: Gaussian(1.5, 0.1), "mean"),
        (lambda: Gaussian(0.5, 0.0), "deviation"),
        (lambda: Gaussian(0.5, math.inf), "deviation"),
        (lambda: Gaussian(math.nan, 0.1), "mean"),
        (lambda: Sigmoid(0.5, 0), "slope"),
        (lambda: Sigmoid(0.5, 501), "slope"),
        (lambda: Sigmoid(-0.5, 3), "center"),
        (lambda: Sigmoid(0.5, math.nan), "slope"),
        (lambda: Scaled(Weight(1, 2), 0), "factor"),
        (lambda: Scaled(Weight(1, 2), 1.5), "factor"),
        (lambda: Scaled(Weight(1, 2), math.nan), "factor"),
        (lambda: Scaled("weight", 0.5), "correction"),
        (lambda: Scaled(Scaled(Weight(1, 2), 0.5), 0.5), "correction"),
    ],
)
def test_impossible_shapes_are_refused(make, parameter):
    with refused(ParameterError, parameter=parameter):
        make()


@pytest.mark.parametrize("correction", [*SHAPES, *FACTORS], ids=lambda c: c.name)
def test_plain_data_and_back(correction):
    again = correction_from_dict(json.loads(json.dumps(correction.to_dict())))
    assert again == correction
    assert type(again) is type(correction)


@pytest.mark.parametrize(
    ("description", "parameter"),
    [
        ({"kind": "trapezoid", "id": 1, "left": 0}, "correction"),
        ({"kind": "gaussian", "id": 1, "mean": "x", "deviation": 1}, "correction"),
        ({"kind": "sigmoid", "id": 1, "center": 0.5, "slope": 0}, "slope"),
        ({"kind": "scaled", "id": 1, "factor": 0.5}, "correction"),
        ({"kind": "scaled", "id": 1, "factor": 2, "correction": Weight(1, 2, id=5).to_dict()}, "factor"),
        ({"kind": "scaled", "id": 1, "correction": Weight(1, 2, id=5).to_dict()}, "correction"),
        ({"kind": "scaled", "id": 1, "factor": 0.5, "correction": FACTORS[0].to_dict()}, "correction"),
        ({"kind": "scaled", "id": 1, "factor": 0.5, "correction": {"kind": "function"}}, "kind"),
        ("sigmoid", "correction"),
    ],
)
def test_damaged_plain_data_is_refused(description, parameter):
    with refused(ParameterError, parameter=parameter):
        correction_from_dict(description)


def test_ids_are_the_same_in_every_union():
    sizes = [len(family()) for family in (trapezoids, gaussians, sigmoids)]
    assert sizes == [15, 19, 25]
    own = [Function("root", np.sqrt)]
    one = ensemble(90) | trapezoids() | gaussians() | sigmoids() | own
    two = Family(own) | sigmoids() | gaussians() | trapezoids() | ensemble(90)
    assert len(set(one.ids)) == len(one) == 108 + 14 + 18 + 24 + 1
    for correction in one:
        assert two[two.index_of(correction.id)].name == correction.name
    assert memberships() | trapezoids() | trapezoids() == memberships() | trapezoids()
    assert [len(group) for group in (weights(3) | sigmoids()).groups] == [3, 25]


def rows():
    rng = np.random.default_rng(0)
    names = ["sun", "rain", "fog"]
    y = np.repeat(np.arange(3), 40)
    logits = rng.normal(size=(120, 3)) + np.eye(3)[y] + [0, 1, 2]
    X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(X, columns=names), np.array(names)[y]


@pytest.mark.parametrize("family", [trapezoids(), gaussians(), sigmoids(), gaussians() | sigmoids()])
def test_what_was_chosen_of_them_is_saved_and_read_without_the_family(family, tmp_path):
    X, y = rows()
    debiaser = EnsembleDebiaser(family=family, n_starts=3).fit(X, y)
    assert set(debiaser.explain()["kind"]) <= {"identity", "trapezoid", "gaussian", "sigmoid"}
    assert debiaser.improved_
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    np.testing.assert_array_equal(again.transform(X), debiaser.transform(X))
    assert again.corrections_ == debiaser.corrections_
    pd.testing.assert_frame_equal(again.explain(), debiaser.explain())


def test_a_function_of_ones_own_that_is_scaled_is_looked_up_in_its_family(tmp_path):
    X, y = rows()
    family = Family([Function("square", np.square), Function("root", np.sqrt)])
    debiaser = EnsembleDebiaser(family=family, n_starts=3).fit(X, y)
    chosen = tuple(scale([family[1], family[1], family[2]], [0.5, 1.0, 0.25]))
    debiaser.fitted_ = replace(debiaser.fitted_, corrections=chosen)
    debiaser.save(tmp_path / "c.json")
    with refused(CorrectionFileError, parameter="family"):
        load(tmp_path / "c.json")
    assert load(tmp_path / "c.json", family).corrections_ == debiaser.corrections_
    family = Family([Scaled(Function("square", np.square), 0.5)])
    debiaser.fitted_ = replace(debiaser.fitted_, corrections=(*family[:2], family[0]))
    debiaser.save(tmp_path / "c.json")
    assert load(tmp_path / "c.json", family).corrections_ == debiaser.corrections_


def test_a_file_that_nests_factors_without_end_is_refused(tmp_path):
    X, y = rows()
    path = tmp_path / "c.json"
    EnsembleDebiaser(n_starts=1).fit(X, y).save(path)
    document = json.loads(path.read_text())
    nested = document["classes"][0]["correction"]
    for _ in range(300):
        nested = {"kind": "scaled", "id": 1, "factor": 0.5, "correction": nested}
    document["classes"][0]["correction"], document["checksum"] = nested, None
    path.write_text(json.dumps(document))
    with refused(CorrectionFileError, parameter="correction", file=str(path)):
        read_correction(path, ("EnsembleDebiaser",))


@pytest.mark.parametrize("correction", [SHAPES[1], gaussians()[3], sigmoids()[5], *FACTORS])
def test_plots_and_pages_show_them(correction):
    lines = {line.get_label(): line for line in correction_plot(correction).axes[0].lines}
    np.testing.assert_array_equal(lines["corrected"].get_ydata(), correction(lines["corrected"].get_xdata()))
    details = CorrectionDetails(corrections=[correction, Weight(1, 2)])
    report = Report(["a", "b"], ["a", "a"], ["a", "b"], details=details, n_resamples=5)
    assert correction.name in report.to_html()
    assert correction.name in report.to_markdown()
