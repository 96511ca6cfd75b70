"""Guarantees from the fitted rows: the bounds over all choices, the regret, and what is refused."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from debias import (
    CalibratedDebiaser,
    Constrained,
    Debiaser,
    EnsembleDebiaser,
    EnsembleDebiaserCV,
    LogBiasDebiaser,
    Objective,
    WeightDebiaser,
    load,
)
from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import family_of, weights
from debias.errors import ParameterError
from debias.guarantees.accuracy_bounds import divergence
from debias.guarantees.seen_rows import certify_seen, regret
from debias.metrics.confusion import cobias_of_accuracies
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows

PLAIN = Objective(pmi=0.0)


@pytest.fixture(scope="module")
def rows():
    return skewed_rows(n_samples=900)


def test_the_bounds_are_those_of_the_formula(rows):
    debiaser = EnsembleDebiaser(n_starts=2).fit(*rows)
    found = certify_seen(debiaser.fitted_, confidence=0.9)
    counts = debiaser.fitted_.counts()
    changed = int((debiaser.choice_ != 17).sum())
    nats = 3 * np.log(2) + changed * np.log(47) + np.log(2 * 3 / 0.1)
    for bound in found.bounds:
        inside = (bound > 0) & (bound < 1)
        measured = counts.correct / counts.support
        reached = counts.support * divergence(measured, bound)
        np.testing.assert_allclose(reached[inside], nats, atol=1e-6)
    assert changed > 0
    assert found.to_frame()["low"].min() == found.worst_class_at_least
    assert all(f"{100 * 0.9:g} %" in sentence for sentence in found.sentences()[:1])


def test_it_is_wider_than_held_out_rows_and_narrower_where_nothing_changed(rows):
    debiaser = EnsembleDebiaser(n_starts=2).fit(*rows)
    fitted = debiaser.fitted_
    changed = certify_seen(fitted)
    identity = weights(1)[0]
    same = certify_seen(replace(fitted, corrections=(identity,) * 3))
    assert same.nats == pytest.approx(3 * np.log(2))
    assert same.worst_class_at_least > changed.worst_class_at_least


@pytest.mark.parametrize(
    "debiaser",
    [
        LogBiasDebiaser(n_starts=2),
        WeightDebiaser(n_starts=2, polish=True, shrink=False),
        LogBiasDebiaser(n_starts=2, objective=Objective(cobias=0.0, pmi=0.0)),
    ],
)
def test_a_continuous_family_is_refused(debiaser, rows):
    fitted = debiaser.fit(*rows).fitted_
    for statement in (certify_seen, regret):
        with refused(ParameterError, parameter="fitted", fix=str):
            statement(fitted)


def test_a_learnt_base_and_an_old_file_are_refused(rows):
    fitted = WeightDebiaser(n_starts=2).fit(*rows).fitted_
    behind = CalibratedDebiaser(base="batch", family="weights", n_starts=2).fit(*rows).fitted_
    for one in (behind, replace(fitted, family_size=0)):
        with refused(ParameterError, parameter="fitted"):
            certify_seen(one)


def test_rows_with_weights_are_refused(rows):
    weighted = WeightDebiaser(n_starts=2).fit(*rows, sample_weight=np.repeat([1, 2], 450))
    with refused(ParameterError, parameter="sample_weight"):
        certify_seen(weighted.fitted_)
    some = WeightDebiaser(n_starts=2).fit(*rows, sample_weight=np.repeat([0, 1], 450))
    assert sum(certify_seen(some.fitted_).n) == 450


def test_settings_that_the_rows_chose_count(rows, tmp_path):
    chosen = EnsembleDebiaserCV(settings=[PLAIN, Objective()], n_weights=(5, 10), n_starts=2).fit(*rows)
    assert chosen.fitted_.family_size == 23 + 28
    with refused(ParameterError, parameter="settings", received=4):
        regret(chosen.fitted_)
    chosen.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json").fitted_
    assert (again.family_size, again.settings_tried) == (51, 4)
    assert certify_seen(again) == certify_seen(chosen.fitted_)


def test_methods_that_the_rows_chose_count(rows):
    every = len(family_of("weights", 5)) + len(family_of("wide", 5))
    sure = np.exp(8 * np.eye(3)[rows[1]]) * rows[0]  # nothing is left to correct
    sure /= sure.sum(axis=1, keepdims=True)
    for probabilities, chosen in ((rows[0], "wide"), (sure, "uncorrected")):
        debiaser = Debiaser(n_weights=5, n_starts=2).fit(probabilities, rows[1])
        assert (debiaser.method_, debiaser.fitted_.family_size) == (chosen, every)
    assert certify_seen(debiaser.fitted_).nats == pytest.approx(3 * np.log(2))


def test_regret_takes_a_proof(rows):
    proved = regret(WeightDebiaser(objective=PLAIN).fit(*rows).fitted_)
    assert (proved.gap, proved.information) == (0, 0)
    for unproved in (
        WeightDebiaser(objective=PLAIN, search="annealing-3/6").fit(*rows).fitted_,
        WeightDebiaser(objective=PLAIN).fit(*rows).pick(0).fitted_,
    ):
        with refused(ParameterError, parameter="search", fix=str):
            regret(unproved)
        assert certify_seen(unproved).worst_class_at_least >= 0  # this does not take one
    heuristic = WeightDebiaser(objective=PLAIN, search="descent").fit(*rows).fitted_
    assert regret(heuristic).gap > 0
    bounded = WeightDebiaser(objective=Constrained(max_cobias=0.9)).fit(*rows).fitted_
    with refused(ParameterError, parameter="objective"):
        regret(bounded)


def test_the_allowance_for_the_information_term_covers_every_choice(rows):
    """Brute force: no choice has less information than the least that is allowed for."""
    X, y = rows
    objective, family = Objective(pmi=0.7, smoothing=30.0), weights(6)
    fitted = WeightDebiaser(objective=objective, n_weights=6).fit(X, y).fitted_
    counts = fitted.counts()
    own = objective.pointwise_mutual_information(*counts[:3]).sum()
    for choice in product(range(6), repeat=3):
        decided = decide(correct(X, [family[index] for index in choice]), X)
        right = np.bincount(y[decided == y], minlength=3)
        other = objective.pointwise_mutual_information(
            right, np.bincount(decided, minlength=3), counts.support
        )
        assert 0.7 * (own - other.sum()) <= regret(fitted).information + 1e-12


def test_regret_is_less_than_twice_the_largest_deviation_over_all_choices(rows):
    """The textbook bound, gap + 2e with e the sum of (pi_j + 2 / N) |A_j - a_j|, each by Hoeffding."""
    fitted = EnsembleDebiaser(objective=PLAIN).fit(*rows).fitted_
    n = fitted.counts().support
    per_class = np.sqrt((3 * np.log(48) + np.log(2 * 3 / 0.05)) / (2 * n))
    twice = 2 * ((n / n.sum() + 2 / 3) * per_class).sum()
    assert regret(fitted).at_most < twice


def loss(X, y, family, choice, mix):
    decided = decide(correct(X, [family[index] for index in choice]), X)
    accuracies = np.array([(decided[y == k] == k).mean() for k in range(X.shape[1])])
    return 1 - mix @ accuracies + float(cobias_of_accuracies(accuracies))


def test_regret_and_bounds_hold_in_draws_from_a_population():
    """All choices are evaluated on the population, so its best is known."""
    X, y = skewed_rows(seed=1, n_samples=3000)
    family, mix = weights(4), np.full(3, 1 / 3)
    choices = list(product(range(4), repeat=3))
    losses = {choice: loss(X, y, family, choice, mix) for choice in choices}
    best = min(losses.values())
    by_class = [np.flatnonzero(y == k) for k in range(3)]
    rng, n_draws, failed = np.random.default_rng(0), 25, 0
    for _ in range(n_draws):
        drawn = np.concatenate([rng.choice(own, 60) for own in by_class])
        debiaser = WeightDebiaser(n_weights=4, objective=PLAIN, n_starts=2, shrink=False).fit(
            X[drawn], y[drawn]
        )
        choice = tuple(family.index_of(one) for one in debiaser.choice_)
        low, high = certify_seen(debiaser.fitted_, 0.8).bounds
        decided = debiaser.predict(X)
        accuracies = np.array([(decided[own] == k).mean() for k, own in enumerate(by_class)])
        fails = (accuracies < low).any() or (accuracies > high).any()
        failed += fails or losses[choice] > best + regret(debiaser.fitted_, 0.8).at_most
    assert failed <= 0.4 * n_draws + 2 * np.sqrt(0.24 * n_draws)
