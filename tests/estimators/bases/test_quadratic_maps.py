"""Quadratic maps: beside a slow minimiser and a literal loop, chosen only where held-out labels say so."""

import json
import re

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from debias.corrections.bases.base import SMALLEST
from debias.corrections.bases.base_entries import base_from_dict
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.bases.quadratic_maps import REACH, QuadraticMap
from debias.errors import CorrectionFileError
from debias.estimators.bases.base_words import describe_base
from debias.estimators.bases.cross_fitting import FEW_FOLDS, MOST_CURVED, N_DEALS, cross_fit
from debias.estimators.bases.map_fitting import LabelledRows, Strength, fit_map
from debias.estimators.calibrated import CalibratedDebiaser
from debias.estimators.few_labels.fold_dealing import deal
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows


def labelled(seed=0, n_samples=90, n_classes=3, weights=None):
    P, y = skewed_rows(seed, n_samples, n_classes)
    return LabelledRows(P, y, np.ones(n_samples) if weights is None else weights)


def literal_products(row, mean, spread):
    """Loop over pairs of classes."""
    steps = []
    for p, m, s in zip(row, mean, spread, strict=True):
        step = (np.log(max(p, SMALLEST)) - m) / s if s > 0 else 0.0
        steps.append(min(max(step, -REACH), REACH))
    return [steps[i] * steps[j] for i in range(len(row)) for j in range(i, len(row))]


def curved_rows(seed, n_samples=900):
    """Rows whose label depends on how far apart two classes are, which no linear map can tell."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_samples, 3)) * 2
    margin = logits[:, 0] - logits[:, 1]
    y = np.where(np.abs(margin) > 2, 2, (margin > 0).astype(int))
    return LabelledRows(softmax(logits, axis=1), y, np.ones(n_samples))


@pytest.mark.parametrize("strength", [Strength(0.3, 1.0), Strength(5.0, 20.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fitted_map_is_where_the_literal_loss_is_least(strength, weighted):
    weights = np.random.default_rng(1).integers(1, 5, 90).astype(float) if weighted else None
    rows, n = labelled(weights=weights), 3
    unlabelled = rows.probabilities
    x = np.log(np.maximum(unlabelled, SMALLEST))
    mean, spread = x.mean(axis=0), x.std(axis=0)
    products = np.array([literal_products(row, mean, spread) for row in unlabelled])
    batch = -np.log(unlabelled.mean(axis=0))
    target = batch - batch.mean() + mean

    def parts(t):
        return t[: n * n].reshape(n, n), t[n * n : n * n + n], t[n * n + n :].reshape(n, -1)

    def loss(t):
        W, c, Q = parts(t)
        logits = (x - mean) @ W.T + c + (products - products.mean(axis=0)) @ Q.T
        own = logits[np.arange(len(x)), rows.y] - logsumexp(logits, axis=1)
        pull = strength.linear * (((W - np.eye(n)) ** 2).sum() + ((c - target) ** 2).sum())
        return -(rows.weights * own).sum() + pull + strength.curved * (Q**2).sum()

    start = np.concatenate([np.eye(n).ravel(), target, np.zeros(n * products.shape[1])])
    W, c, Q = parts(minimize(loss, start, method="BFGS", options={"gtol": 1e-6}).x)
    found = fit_map(rows, unlabelled, "quadratic", strength).map
    np.testing.assert_allclose(found.matrix, W, atol=3e-3)
    np.testing.assert_allclose(found.curvature, Q, atol=3e-3)
    np.testing.assert_allclose(found.bias, c - W @ mean - Q @ products.mean(axis=0), atol=3e-3)
    literal = softmax(x @ found.matrix.T + found.bias + products @ found.curvature.T, axis=1)
    np.testing.assert_allclose(found.posteriors(unlabelled), literal, atol=1e-12)


def test_a_strong_pull_of_the_curvature_leaves_the_affine_map():
    rows = labelled()
    straight = fit_map(rows, rows.probabilities, "affine", Strength(1.0)).map
    found = fit_map(rows, rows.probabilities, "quadratic", Strength(1.0, 1e8)).map
    np.testing.assert_allclose(found.matrix, straight.matrix, atol=1e-3)
    np.testing.assert_allclose(found.curvature, 0, atol=1e-5)
    same = fit_map(rows, rows.probabilities, "quadratic", Strength(1.0)).map
    assert isinstance(same, LinearMap) and same.kind == "affine"
    np.testing.assert_array_equal(same.matrix, straight.matrix)


@pytest.mark.parametrize("n_classes", [2, 3, 4, 6, 14, 20])
def test_a_row_is_mapped_alike_in_every_batch(n_classes):
    """From four classes on, NumPy adds the products in another order where they lie otherwise in memory."""
    rng = np.random.default_rng(0)
    P = softmax(2 * rng.normal(size=(400, n_classes)), axis=1)
    rows = LabelledRows(P, rng.integers(0, n_classes, 400), np.ones(400))
    base = fit_map(rows, P, "quadratic", Strength(1.0, 1.0)).map
    whole = base.posteriors(P)
    np.testing.assert_array_equal(whole, np.concatenate([base.posteriors(row[None]) for row in P]))
    np.testing.assert_array_equal(base.posteriors(P[7:300]), whole[7:300])
    np.testing.assert_array_equal(base.posteriors(np.asfortranarray(P)), whole)


def test_it_is_curved_where_held_out_labels_are_more_likely():
    rows, new = curved_rows(0), curved_rows(1)
    right = {}
    for kind in ("affine", "quadratic"):
        base = cross_fit(kind, rows, rows.probabilities, 0).base
        assert base.kind == kind
        right[kind] = (base.posteriors(new.probabilities).argmax(axis=1) == new.y).mean()
    assert right["quadratic"] > right["affine"] + 0.2


@pytest.mark.parametrize("seed", range(4))
def test_it_is_affine_where_the_truth_is(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(900, 3))
    drawn = softmax(logits @ (np.eye(3) + 0.3 * rng.normal(size=(3, 3))), axis=1)
    y = (drawn.cumsum(axis=1) > rng.uniform(size=(900, 1))).argmax(axis=1)
    found = cross_fit("quadratic", LabelledRows(softmax(logits, axis=1), y, np.ones(900)), drawn, 0)
    same = cross_fit("affine", LabelledRows(softmax(logits, axis=1), y, np.ones(900)), drawn, 0)
    assert found.base.kind == "affine"
    np.testing.assert_array_equal(found.posteriors, same.posteriors)


def test_the_gain_is_more_than_a_standard_error_of_held_out_likelihoods():
    """Folds are fitted again, one by one, from nothing."""
    rows = curved_rows(2)
    found = cross_fit("quadratic", rows, rows.probabilities, 5)
    straight = cross_fit("affine", rows, rows.probabilities, 5)
    chosen = Strength(found.base.linear.strength, found.base.strength)
    assert chosen.linear == straight.base.strength
    mapped = np.zeros((N_DEALS, *rows.probabilities.shape))
    for posteriors, seed in zip(mapped, [[5], *([5, again] for again in range(1, N_DEALS))], strict=True):
        fold = deal(rows.y, 5 if len(rows.y) >= 1000 else FEW_FOLDS, seed)
        for k in range(fold.max() + 1):
            base = fit_map(rows.take(np.flatnonzero(fold != k)), rows.probabilities, "quadratic", chosen).map
            posteriors[fold == k] = base.posteriors(rows.probabilities[fold == k])
    np.testing.assert_allclose(found.posteriors, mapped.mean(axis=0), atol=2e-3)
    own = np.arange(len(rows.y)), rows.y
    gains = np.log(found.posteriors[own]) - np.log(straight.posteriors[own])
    assert gains.mean() > gains.std() / np.sqrt(len(gains))


def test_of_many_classes_it_is_affine():
    rng = np.random.default_rng(0)
    n = MOST_CURVED + 1
    y = rng.integers(0, n, 400)
    P = softmax(rng.normal(size=(400, n)) + 2 * np.eye(n)[y], axis=1)
    assert cross_fit("quadratic", LabelledRows(P, y, np.ones(400)), P, 0).base.kind == "affine"


def test_certainties_and_a_class_that_never_varies_are_mapped():
    rows = curved_rows(3)
    P = np.column_stack([rows.probabilities, np.full(len(rows.y), 1e-9)])
    found = cross_fit("quadratic", rows._replace(probabilities=P), P, 0)
    assert found.base.kind == "quadratic" and found.base.linear.spread[3] == 0
    assert (found.base.curvature[:, [3, 6, 8, 9]] == 0).all()
    certain = np.eye(4)
    for values in (found.posteriors, found.base.posteriors(certain)):
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values.sum(axis=1), 1)
    literal = np.array([literal_products(row, found.base.mean, found.base.linear.spread) for row in certain])
    assert np.abs(literal).max() <= REACH**2


def test_a_file_keeps_it_and_a_damaged_one_is_refused(tmp_path):
    rows = curved_rows(0)
    debiaser = CalibratedDebiaser(classes=[1, 2, 0]).fit(rows.probabilities, rows.y)
    assert debiaser.base_.kind == "quadratic"
    debiaser.save(tmp_path / "correction.json")
    import debias

    again = debias.load(tmp_path / "correction.json")
    np.testing.assert_array_equal(again.predict(rows.probabilities), debiaser.predict(rows.probabilities))
    np.testing.assert_array_equal(again.base_.matrix, debiaser.base_.matrix)
    entry = json.loads(json.dumps(debiaser.base_.to_dict()))
    assert base_from_dict(entry, 3).to_dict() == entry
    damages = [
        ("curvature", [[0.0] * 5] * 3, "curvature"),
        ("curvature", [[0.0] * 6] * 2, "curvature"),
        ("mean", [0.0, float("nan"), 0.0], "mean"),
        ("strength", None, "strength"),
        ("strength", -5.0, "strength"),
        ("curvature", [[1e308] * 6] * 3, "curvature"),
        ("linear", {**entry["linear"], "spread": [-1.0, 1.0, 1.0]}, "spread"),
        ("linear", {**entry["linear"], "spread": [1e-320, 1.0, 1.0]}, "spread"),
        ("linear", None, "linear"),
        ("linear", {**entry["linear"], "kind": "batch"}, "linear"),
        ("linear", {**entry["linear"], "matrix": [[1.0]]}, "matrix"),
    ]
    for name, value, parameter in damages:
        with refused(CorrectionFileError, parameter=parameter):
            base_from_dict({**entry, name: value}, 3)


def test_sentences_hold_for_a_step_from_the_mean_row():
    rng = np.random.default_rng(4)
    names, kinds = ["a", "b", "c"], set()
    for curved in (0.05, 1.0, 5.0):
        spread = np.array([0.2, 1.5, 0.7])
        linear = LinearMap(np.eye(3) + rng.normal(size=(3, 3)), rng.normal(size=3), spread, "affine", 1.0)
        mean = np.log([0.01, 0.02, 0.005])
        base = QuadraticMap(linear, mean, curved * rng.normal(size=(3, 6)), 1.0)

        def gained(source, sign, base=base, mean=mean, spread=spread):
            """Log-odds against the average class, beyond those of the model, by a step of one class."""
            moved = mean + sign * spread[source] * np.eye(3)[source]
            before, after = (np.log(base.posteriors(np.exp(logs)[None])[0]) for logs in (mean, moved))
            without = moved - mean
            return (after - after.mean()) - (before - before.mean()) - (without - without.mean())

        for source in range(3):
            for up in (True, False):
                found = base.moved_evidence(up)[:, source]
                np.testing.assert_allclose(found, gained(source, 1 if up else -1), atol=1e-9)
        first, *said = describe_base(base, names)
        assert "quadratic map" in first and len(said) == 3
        for sentence in said:
            numbers = r"further ([\d.]+), one that is as much lower by ([\d.]+)\."
            source, to, *factors = re.search(
                rf"of (\w) that is .* odds of (\w) against .*{numbers}", sentence
            ).groups()
            effects = [gained(names.index(source), sign)[names.index(to)] for sign in (1, -1)]
            assert [f"{np.exp(effect):.2f}" for effect in effects] == factors
            rises, falls = effects[0] > 0, effects[1] > 0
            if rises == falls:
                word = "for" if rises else "against"
                start = f"What is unusual for {source}, high or low, counts {word} {to}:"
            elif source == to:
                start = f"Evidence for {source} counts {'more' if rises else 'less'} than the model gives it:"
            else:
                start = f"Evidence for {source} counts {'for' if rises else 'against'} {to}:"
            assert sentence.startswith(start)
            kinds.add(start.split()[0])
    assert kinds == {"What", "Evidence"}


def test_rounding_of_a_column_that_does_not_vary_gets_no_products():
    """What three others leave of 1 is .3 and a digit far behind, which float32 rounds away."""
    rows = curved_rows(0)
    rest = 0.7 * rows.probabilities
    P = np.column_stack([rest, 1 - rest[:, 0] - rest[:, 1] - rest[:, 2]])
    assert 0 < np.log(P[:, 3]).std() < 1e-12
    found = cross_fit("quadratic", rows._replace(probabilities=P), P, 0).base
    assert found.kind == "quadratic" and found.linear.spread[3] == 0
    rounded = P.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(found.posteriors(rounded), found.posteriors(P), atol=1e-4)


@pytest.mark.parametrize("truth", ["linear", "curved"])
@pytest.mark.parametrize("seed", range(3))
def test_copies_of_a_row_count_as_its_weight(truth, seed):
    """Copies on both sides of a fold would show how well rows are remembered."""
    if truth == "curved":
        once = curved_rows(seed, 400)
    else:
        rng = np.random.default_rng(seed)
        P = softmax(rng.normal(size=(300, 6)), axis=1)
        once = LabelledRows(P, (np.log(P) + rng.gumbel(size=P.shape)).argmax(axis=1), np.ones(300))
    thrice = LabelledRows(np.tile(once.probabilities, (3, 1)), np.tile(once.y, 3), np.ones(3 * len(once.y)))
    weighed = once._replace(weights=np.full(len(once.y), 3.0))
    a = cross_fit("quadratic", thrice, thrice.probabilities, 0)
    b = cross_fit("quadratic", weighed, once.probabilities, 0)
    assert a.base.kind == b.base.kind and (a.base.kind == "quadratic") is (truth == "curved")
    np.testing.assert_allclose(a.base.matrix, b.base.matrix, atol=1e-3)
    np.testing.assert_allclose(a.posteriors[: len(once.y)], b.posteriors, atol=1e-3)


@pytest.mark.parametrize("n_classes", [6, 14, 20])
def test_it_is_never_curved_by_a_row_of_each_class_or_a_few(n_classes):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for times in (1, 2, 4):
            y = np.tile(np.arange(n_classes), times)
            P = softmax(rng.normal(size=(len(y), n_classes)), axis=1)
            base = cross_fit("quadratic", LabelledRows(P, y, np.ones(len(y))), P, seed).base
            assert base.kind != "quadratic"


def test_rows_of_weight_0_are_mapped_and_nothing_else():
    rows = curved_rows(5)
    weights = np.where(np.arange(len(rows.y)) % 3 == 0, 0.0, 1.0)
    some = np.flatnonzero(weights)
    whole = cross_fit("quadratic", rows._replace(weights=weights), rows.probabilities, 0)
    alone = cross_fit("quadratic", rows.take(some), rows.probabilities, 0)
    np.testing.assert_array_equal(whole.posteriors[some], alone.posteriors)
    np.testing.assert_array_equal(whole.base.matrix, alone.base.matrix)
    few = np.zeros(len(rows.y))
    few[[np.argmax(rows.y == k) for k in range(3)]] = 1.0
    assert np.isfinite(
        cross_fit("affine", rows._replace(weights=few), rows.probabilities, 8).posteriors
    ).all()
