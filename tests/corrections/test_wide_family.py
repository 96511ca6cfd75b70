"""Weights with slopes, the wide family, families by name, and which corrections never fall."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.base import clone
from typer.testing import CliRunner

from debias import EnsembleDebiaser, load
from debias.cli.commands import app
from debias.corrections.correction import Function, Triangle, Weight
from debias.corrections.explanations import ClassFacts, explain_class
from debias.corrections.families import (
    FAMILY_NAMES,
    Family,
    ensemble,
    family_of,
    gaussians,
    memberships,
    sigmoids,
    trapezoids,
    weights,
    wide,
)
from debias.corrections.serialization import correction_from_dict
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.corrections.sloped_weights import SlopedWeight
from debias.errors import CorrectionFileError, ParameterError
from debias.search.objective import Objective
from tests.support.refusals import refused
from tests.support.small_problems import random_rows

GRID = np.unique(np.concatenate([np.linspace(0, 1, 4001), np.geomspace(1e-9, 1, 999)]))


@given(
    p=npst.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)),
    weight=st.floats(1e-9, 1),
    slope=st.floats(0.01, 20),
)
def test_a_sloped_weight_is_affine_in_the_logarithm_and_stays_in_the_unit_interval(p, weight, slope):
    values = SlopedWeight(weight, slope)(p)
    assert ((values >= 0) & (values <= 1)).all()
    assert (values[p == 0] == 0).all()  # what is zero stays zero, so the all-zero rule decides the same rows
    inner = (p > 1e-9) & (values > 1e-200)
    np.testing.assert_allclose(
        np.log(values[inner]), slope * np.log(p[inner]) + math.log(weight), atol=1e-9, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("weight", "slope", "parameter"),
    [(0, 1, "weight"), (1.5, 1, "weight"), (math.nan, 1, "weight"), (1, 0, "slope"), (1, math.inf, "slope")]
    + [(1, -1, "slope"), (1, math.nan, "slope")],
)
def test_impossible_sloped_weights_are_refused(weight, slope, parameter):
    with refused(ParameterError, parameter=parameter):
        SlopedWeight(weight, slope)
    with refused(ParameterError, parameter=parameter):
        correction_from_dict({"kind": "sloped weight", "id": 5000, "weight": weight, "slope": slope})


def test_the_wide_family_has_one_identity_and_corrections_that_never_fall():
    for n_weights, monotone, size in ((30, True, 93), (30, False, 108), (1, True, 6), (7, False, 39)):
        family = wide(n_weights, monotone)
        assert len(family) == size == len(set(family.ids))
        assert [c.name for c in family if c.is_identity] == ["identity"]
        assert family[family.identity].id == 17
        values = family.values(GRID)
        assert ((values >= 0) & (values <= 1)).all()
        assert (np.diff(values) >= 0).all(axis=1).all() == monotone
        for correction in family:
            assert correction_from_dict(json.loads(json.dumps(correction.to_dict()))) == correction
    ratios = [c.weight for c in wide() if isinstance(c, SlopedWeight) and c.slope == 0.5]
    np.testing.assert_allclose(np.diff(np.log(ratios)), math.log(1e-3) / 29, atol=2e-3)
    assert {*wide().ids} <= {*wide(monotone=False).ids}


@pytest.mark.parametrize(
    "correction",
    [
        *memberships(), *weights(4), *trapezoids(), *gaussians(), *sigmoids(), *wide(5, monotone=False),
        Triangle(-1, -0.5, 0), Triangle(-1, 0, 0), Triangle(0, 1.5, 2), Triangle(-1, -0.5, 0.5),
        Trapezoid(-1, -0.5, -0.25, 0), Trapezoid(-1, 0, 0, 0), Trapezoid(0, 0.5, 2, 3),
        Trapezoid(-1, 0, 0.5, 1),
        Gaussian(1, 0.3), Gaussian(0.999, 0.3), Sigmoid(1, 0.5), Sigmoid(0.1, -1e-3),
        Scaled(Triangle(0, 0.5, 1), 0.5), Scaled(Weight(1, 3), 0.5), Scaled(Sigmoid(0.5, 8), 0.5),
        Function("square", np.square), Function("falls at the end", lambda p: np.where(p < 0.99995, p, 0)),
        Function("falls near zero", lambda p: np.where(p < 3e-9, 0.5, p)),
    ],
    ids=lambda c: f"{c.id} {c.name}",
)  # fmt: skip
def test_what_never_falls_is_monotone(correction):
    fine = np.unique(np.concatenate([GRID, np.geomspace(1e-12, 1, 9999), 1 - np.geomspace(1e-7, 1, 999)]))
    assert correction.is_monotone == bool((np.diff(correction(fine)) >= 0).all())


def test_families_by_name():
    assert [len(family_of(name, 8)) for name in FAMILY_NAMES] == [26, 8, 19, 27]
    assert family_of("ensemble") == ensemble(30)
    assert family_of([Weight(1, 2)]) == Family([Weight(1, 2)])
    assert len(family_of("wide", 8, monotone=False)) == 42
    assert len(family_of("ensemble", 8, monotone=True)) == 11
    assert len(family_of(memberships() | sigmoids(), monotone=True)) == 4 + 12
    for name in ("wider", ""):
        with refused(ParameterError, parameter="family", received=name):
            family_of(name)
    for n_weights in (0, -1, 2.5, True, "30"):
        with refused(ParameterError, parameter="n_weights"):
            family_of("wide", n_weights)


def named_a_hundred_times_too_often():
    """Return rows whose first column a model multiplies by a hundred."""
    rng = np.random.default_rng(2)
    y = np.repeat(np.arange(3), 60)
    logits = rng.normal(size=(180, 3)) + 3.0 * np.eye(3)[y] + [math.log(100), 0, 0]
    X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(X, columns=["sun", "rain", "fog"]), np.array(["sun", "rain", "fog"])[y]


def test_it_reaches_a_class_that_is_named_a_hundred_times_too_often():
    X, y = named_a_hundred_times_too_often()
    objective = Objective(pmi=0.0)
    linear = EnsembleDebiaser(family=weights(30), objective=objective, n_starts=8, shrink=False).fit(X, y)
    sloped = EnsembleDebiaser(family="wide", objective=objective, n_starts=8, shrink=False).fit(X, y)
    assert sloped.objective_value_ < linear.objective_value_ - 0.02
    assert sloped.score(X, y) > 0.85


def test_an_estimator_takes_the_name_and_its_file_gives_it_back(tmp_path):
    X, y = named_a_hundred_times_too_often()
    debiaser = EnsembleDebiaser(family="wide", n_weights=12, n_starts=2)
    assert clone(debiaser).get_params()["family"] == "wide"
    debiaser.fit(X, y).save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert (again.family, again.n_weights) == ("wide", 12)
    assert again.corrections_ == debiaser.corrections_
    np.testing.assert_array_equal(again.predict(X), debiaser.predict(X))
    pd.testing.assert_frame_equal(again.explain(), debiaser.explain())
    refitted = clone(again).fit(X, y)
    assert refitted.corrections_ == debiaser.corrections_
    document = json.loads((tmp_path / "c.json").read_text())
    document |= {"family": "widest", "checksum": None}
    (tmp_path / "c.json").write_text(json.dumps(document))
    with refused(CorrectionFileError, parameter="family", received="widest"):
        load(tmp_path / "c.json")
    with refused(ParameterError, parameter="family"):
        EnsembleDebiaser(family="widest").fit(X, y)


def test_a_published_family_by_name_is_the_same_as_by_its_estimator():
    X, y = random_rows(3, n_samples=120, n_classes=3, steps=100)
    for name in ("ensemble", "weights", "memberships"):
        given = EnsembleDebiaser(family=family_of(name, 10), n_starts=2).fit(X, y)
        named = EnsembleDebiaser(family=name, n_weights=10, n_starts=2).fit(X, y)
        assert named.corrections_ == given.corrections_


def test_the_command_line_fits_it(tmp_path):
    X, y = named_a_hundred_times_too_often()
    X.assign(label=y).to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "c.json"
    result = CliRunner().invoke(
        app, ["fit", str(tmp_path / "rows.csv"), "--method", "wide", "--out", str(out), "--n-starts", "2"]
    )
    assert result.exit_code == 0, result.output
    assert load(out).family == "wide"
    kinds = {entry["correction"]["kind"] for entry in json.loads(out.read_text())["classes"]}
    assert "sloped weight" in kinds


@pytest.mark.parametrize(
    "correction",
    [SlopedWeight(0.0484, 0.5), SlopedWeight(1, 2), SlopedWeight(0.25, 1), Scaled(SlopedWeight(0.5, 2), 0.5)],
)
def test_explanations_name_weight_and_slope(correction):
    facts = ClassFacts(1000, 310, 600, 400, 950, (0.1, 0.2, 0.3))
    assert correction.name in explain_class("Entity", correction, facts)
    assert SlopedWeight(1, 1).is_identity
