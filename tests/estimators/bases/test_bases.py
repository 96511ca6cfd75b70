"""Bases: fitted maps beside a slow minimiser, trees beside scikit-learn, folds, files and sentences."""

import json
import re

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from debias.corrections.bases.base import SMALLEST, Identity, log_probabilities
from debias.corrections.bases.base_entries import base_from_dict
from debias.corrections.bases.linear_maps import LinearMap, batch_calibration
from debias.errors import CorrectionFileError, ParameterError
from debias.estimators.bases.base_words import describe_base
from debias.estimators.bases.cross_fitting import BASES, FEW_FOLDS, N_DEALS, cross_fit
from debias.estimators.bases.map_fitting import STRENGTHS, LabelledRows, Strength, fit_map
from debias.estimators.bases.tree_growing import _SETTINGS, fit_trees
from debias.estimators.few_labels.fold_dealing import deal
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows


def labelled(seed=0, n_samples=90, n_classes=3, weights=None):
    P, y = skewed_rows(seed, n_samples, n_classes)
    return LabelledRows(P, y, np.ones(n_samples) if weights is None else weights)


def slow_map(rows, unlabelled, kind, strength):
    """Minimise the literal loss over all entries of matrix and bias, by numbers alone."""
    strength = strength.linear
    n_classes = rows.probabilities.shape[1]
    x = np.log(np.maximum(rows.probabilities, SMALLEST))
    mean = np.log(np.maximum(unlabelled, SMALLEST)).mean(axis=0)
    batch = -np.log(unlabelled.mean(axis=0))
    target = batch - batch.mean() + mean  # of logits W (x - mean) + c

    def parts(t):
        W = t[: n_classes**2].reshape(n_classes, n_classes) if kind == "affine" else np.diag(t[:n_classes])
        return W, t[-n_classes:]

    def loss(t):
        W, c = parts(t)
        logits = (x - mean) @ W.T + c
        own = logits[np.arange(len(x)), rows.y] - logsumexp(logits, axis=1)
        pull = ((W - np.eye(n_classes)) ** 2).sum() + ((c - target) ** 2).sum()
        return -(rows.weights * own).sum() + strength * pull

    start = np.concatenate([np.eye(n_classes).ravel() if kind == "affine" else np.ones(n_classes), target])
    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-7})
    W, c = parts(found.x)
    return W, c - W @ mean, loss


@pytest.mark.parametrize("kind", ["affine", "vector"])
@pytest.mark.parametrize("strength", [Strength(0.3), Strength(10.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fitted_map_is_where_the_loss_is_least(kind, strength, weighted):
    weights = np.random.default_rng(1).integers(1, 5, 90).astype(float) if weighted else None
    rows = labelled(weights=weights)
    matrix, bias, _ = slow_map(rows, rows.probabilities, kind, strength)
    found = fit_map(rows, rows.probabilities, kind, strength).map
    np.testing.assert_allclose(found.matrix, matrix, atol=2e-3)
    np.testing.assert_allclose(found.bias, bias, atol=2e-3)


def test_a_vector_map_learns_its_own_slopes_only():
    rows = labelled()
    matrix = fit_map(rows, rows.probabilities, "vector", Strength(1.0)).map.matrix
    assert (matrix[~np.eye(3, dtype=bool)] == 0).all()
    assert (np.diag(matrix) != 1).all()


def test_a_strong_pull_leaves_batch_calibration():
    rows = labelled()
    calibration = batch_calibration(rows.probabilities)
    np.testing.assert_allclose(
        calibration.posteriors(rows.probabilities),
        (ratio := rows.probabilities / rows.probabilities.mean(axis=0)) / ratio.sum(axis=1, keepdims=True),
    )
    for strength, tolerance in [(np.inf, 0.0), (1e7, 1e-4)]:
        found = fit_map(rows, rows.probabilities, "affine", Strength(strength)).map
        np.testing.assert_allclose(found.matrix, np.eye(3), atol=tolerance)
        np.testing.assert_allclose(found.bias, calibration.bias, atol=tolerance)


def test_a_start_changes_nothing():
    rows = labelled()
    first = fit_map(rows, rows.probabilities, "affine", Strength(10.0))
    again = fit_map(rows, rows.probabilities, "affine", Strength(1.0), first.change).map
    np.testing.assert_allclose(
        again.matrix, fit_map(rows, rows.probabilities, "affine", Strength(1.0)).map.matrix, atol=1e-3
    )


def test_probabilities_of_zero_and_classes_without_rows_are_mapped():
    rows = labelled()
    P = np.column_stack([rows.probabilities * [1, 1, 0], np.zeros(90)])
    P /= P.sum(axis=1, keepdims=True)
    for kind in BASES:
        found = cross_fit(kind, LabelledRows(P, np.where(rows.y == 2, 0, rows.y), rows.weights), P, 0)
        for posteriors in (found.posteriors, found.base.posteriors(P)):
            assert np.isfinite(posteriors).all()
            np.testing.assert_allclose(posteriors.sum(axis=1), 1)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_trees_are_those_of_scikit_learn(n_classes):
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = labelled(n_samples=300, n_classes=n_classes)
    x = log_probabilities(rows.probabilities)
    model = HistGradientBoostingClassifier(**_SETTINGS, early_stopping=False, random_state=3).fit(x, rows.y)
    np.testing.assert_allclose(
        fit_trees(rows, 3).posteriors(rows.probabilities), model.predict_proba(x), atol=1e-12
    )


@pytest.mark.parametrize("kind", ["vector", "affine", "trees"])
def test_posteriors_are_of_bases_that_did_not_see_the_row(kind):
    rows = labelled()
    found = cross_fit(kind, rows, rows.probabilities, 5)
    deals = [[5]] if kind == "trees" else [[5], *([5, again] for again in range(1, N_DEALS))]
    mapped = np.zeros((len(deals), *rows.probabilities.shape))
    for posteriors, seed in zip(mapped, deals, strict=True):
        fold = deal(rows.y, FEW_FOLDS, seed)
        for k in range(FEW_FOLDS):
            train = rows.take(np.flatnonzero(fold != k))
            if kind == "trees":
                base = fit_trees(train, 5)
            else:
                base = fit_map(train, rows.probabilities, kind, Strength(found.base.strength)).map
            posteriors[fold == k] = base.posteriors(rows.probabilities[fold == k])
    np.testing.assert_allclose(found.posteriors, mapped.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found.posteriors.sum(axis=1), 1, atol=1e-12)


def test_several_deals_leave_less_to_their_luck(monkeypatch):
    rows = labelled(1, n_samples=300)

    def spread():
        found = [cross_fit("affine", rows, rows.probabilities, seed).posteriors for seed in range(6)]
        return np.std(found, axis=0).mean()

    several = spread()
    monkeypatch.setattr("debias.estimators.bases.cross_fitting.N_DEALS", 1)
    assert several < 0.7 * spread()


def test_the_strength_has_the_best_held_out_likelihood():
    rows = labelled()
    found = cross_fit("affine", rows, rows.probabilities, 5)
    fold = deal(rows.y, FEW_FOLDS, [5])

    def loss(strength):
        own = np.empty(len(rows.y))
        for k in range(FEW_FOLDS):
            train = rows.take(np.flatnonzero(fold != k))
            base = fit_map(train, rows.probabilities, "affine", Strength(strength)).map
            posteriors = base.posteriors(rows.probabilities[fold == k])
            own[fold == k] = posteriors[np.arange(len(posteriors)), rows.y[fold == k]]
        return -np.log(own).mean()

    losses = {strength: loss(strength) for strength in (*STRENGTHS, np.inf)}
    assert losses[found.base.strength] <= min(losses.values()) + 1e-4


def test_with_few_labels_it_is_about_batch_calibration():
    P, y = skewed_rows(3, 2000)
    calibrated, far = batch_calibration(P).posteriors(P), []
    for n in (12, 2000):
        gaps = []
        for start in range(0, 60, 12):
            rows = LabelledRows(
                P[start : start + n], y[start : start + n], np.ones(len(y[start : start + n]))
            )
            gaps.append(np.abs(cross_fit("affine", rows, P, 0).base.posteriors(P) - calibrated).mean())
        far.append(np.mean(gaps))
    assert far[0] < 0.12


@pytest.mark.parametrize("kind", BASES)
def test_a_base_survives_its_file(kind):
    rows = labelled()
    base = cross_fit(kind, rows, rows.probabilities, 0).base
    again = base_from_dict(json.loads(json.dumps(base.to_dict())), 3)
    np.testing.assert_array_equal(again.posteriors(rows.probabilities), base.posteriors(rows.probabilities))
    assert again.to_dict() == base.to_dict()


def tampered(kind, path, value):
    rows = labelled()
    entry = json.loads(json.dumps(cross_fit(kind, rows, rows.probabilities, 0).base.to_dict()))
    *outer, last = path
    inner = entry
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return entry


@pytest.mark.parametrize(
    ("kind", "path", "value", "parameter"),
    [
        ("affine", ["kind"], "magic", "base"),
        ("affine", ["matrix"], [[1, 0], [0, 1]], "matrix"),
        ("affine", ["matrix", 0, 1], "1e3", "matrix"),
        ("affine", ["bias", 0], float("nan"), "bias"),
        ("affine", ["bias", 0], float("inf"), "bias"),
        ("affine", ["strength"], "strong", "strength"),
        ("trees", ["columns", 0], 1, "columns"),
        ("trees", ["columns"], [0.5, 1, 2], "columns"),
        ("trees", ["n_classes"], 4, "columns"),
        ("trees", ["trees", 0], [], "trees"),
        ("trees", ["trees", 0, 0, "left", 0], 0, "left"),
        ("trees", ["trees", 0, 0, "left", 0], 10**6, "left"),
        ("trees", ["trees", 0, 0, "feature", 0], 3, "feature"),
        ("trees", ["trees", 0, 0, "value"], [], "left"),
        ("trees", ["trees", 0, 0, "value", 0], None, "value"),
        ("affine", ["bias"], [[1], [2, 3]], "bias"),
        ("trees", ["trees", 0, 0], "tree", "trees"),
    ],
)
def test_a_damaged_base_is_refused(kind, path, value, parameter):
    with refused(CorrectionFileError, parameter=parameter):
        base_from_dict(tampered(kind, path, value), 3)


def test_an_unknown_base_is_refused():
    with refused(ParameterError, parameter="base", received="magic", mentions=BASES):
        cross_fit("magic", labelled(), labelled().probabilities, 0)


def test_sentences_say_what_a_usual_step_of_evidence_does():
    rng = np.random.default_rng(0)
    spread, names = np.array([0.2, 1.5, 0.7, 3.0]), ["a", "b", "c", "d"]
    base = LinearMap(rng.normal(size=(4, 4)), rng.normal(size=4), spread, "affine")
    said = describe_base(base, names)[1:]
    assert len(said) == 3
    for sentence in said:
        found = re.search(r"of (\w) is a standard .* odds of (\w) against .* further ([\d.]+)\.", sentence)
        source, to = names.index(found[1]), names.index(found[2])
        P = np.full((1, 4), 1e-3)
        higher = P.copy()
        higher[0, source] *= np.exp(spread[source])

        def odds(values, to=to):  # of a class against the geometric mean of all
            logs = np.log(values[0])
            return np.exp(logs[to] - logs.mean())

        factor = odds(base.posteriors(higher)) / odds(base.posteriors(P))
        without = odds(higher) / odds(P)
        assert factor / without == pytest.approx(float(found[3]), abs=0.006, rel=0.01)
    assert describe_base(Identity(), names) == []
