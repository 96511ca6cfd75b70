"""Weights alone against the ensemble: what a correction loses that any server can apply as a logit bias.

Both are cross-validated on the labelled rows, on the same folds, so neither is judged by rows it has seen.
"""

from dataclasses import dataclass

from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.bases.cross_fitting import MANY_LABELS
from debias.estimators.column_classifier import Labels, Rows, seed_of
from debias.estimators.few_labels.generalization import (
    N_FOLDS,
    N_REPEATS,
    Predictor,
    as_they_are,
    hold_out,
)
from debias.estimators.few_labels.one_standard_error import JudgedMethod, select_method
from debias.estimators.few_labels.whole_fit import WholeFit
from debias.estimators.tuning.methods import make_method
from debias.search.constraints import Constrained
from debias.search.goals.class_order import goal_by_column
from debias.tables.class_columns import IndexArray

ENSEMBLE = "ensemble"
LOGIT_BIASES = ("uncorrected", "batch", "weight", "log-bias")
"""Methods whose corrections only weigh classes, so that `debias export --to logit-bias` takes them."""


@dataclass(frozen=True)
class AgainstEnsemble:
    """What weights and the ensemble are worth on held-out rows.

    Attributes
    ----------
    weights, ensemble : JudgedMethod
        Both on the same rows and folds.
    n_labels, n_folds, n_repeats : int
        Of the cross-validation.
    standard_error : float
        Of the difference of their objectives.
    """

    weights: JudgedMethod
    ensemble: JudgedMethod
    n_labels: int
    n_folds: int
    n_repeats: int
    standard_error: float

    def describe(self) -> str:
        """Say in one line what weights alone lose, or that they lose nothing.

        Examples
        --------
        >>> weights = JudgedMethod("weight", 0.62, 0.01, 0.70, 0.68, 0.12, 0.5)
        >>> ensemble = JudgedMethod("ensemble", 0.60, 0.0, 0.71, 0.70, 0.10, 0.5)
        >>> print(AgainstEnsemble(weights, ensemble, 500, 5, 1, 0.01).describe())
        Weights alone compared with the ensemble, cross-validated on the 500 labelled rows: accuracy -1.0
        points, COBias +2.0, objective +0.020 (± 0.010).
        """
        accuracy = self.weights.accuracy - self.ensemble.accuracy
        cobias = self.weights.cobias - self.ensemble.cobias
        objective = self.weights.objective - self.ensemble.objective
        return (
            f"Weights alone compared with the ensemble, cross-validated on the {self.n_labels:,} labelled "
            f"rows: accuracy {100 * accuracy + 0:+.1f} points, COBias {100 * cobias + 0:+.1f}, objective "
            f"{objective + 0:+.3f} (± {self.standard_error:.3f})."
        )


def against_ensemble(debiaser: BaseDebiaser, X: Rows, y: Labels) -> AgainstEnsemble:
    """Cross-validate a fitted debiaser and the ensemble on the same rows.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted on these rows; its settings count for both.
    X, y
        The rows it was fitted on.

    Returns
    -------
    AgainstEnsemble

    Raises
    ------
    ParameterError
        These are other rows.

    Examples
    --------
    >>> import numpy as np
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 60)
    >>> first = 1 / (1 + np.exp(rng.normal(size=120) - 2 + 2 * y))
    >>> X = np.column_stack([first, 1 - first])
    >>> found = against_ensemble(WeightDebiaser().fit(X, y), X, y)
    >>> round(float(found.weights.accuracy), 2), found.n_labels
    (0.84, 120)
    """
    match, probabilities = debiaser._fitted_rows(X, y)
    goal = goal_by_column(debiaser.fitted_.objective, match.classes.tolist(), match.columns)
    if isinstance(goal, Constrained):
        goal = goal.resolve_on(match.y, as_they_are(probabilities), probabilities)
    settings = debiaser.get_params(deep=False) | {"classes": None, "objective": goal}
    settings.pop("method", None)
    methods = {
        "weight": debiaser._plain().set_params(objective=goal),
        ENSEMBLE: make_method(ENSEMBLE, settings),
    }
    n_repeats = max(1, min(N_REPEATS, MANY_LABELS // len(match.y)))
    whole = WholeFit(len(match.y))
    seed, n_jobs = seed_of(debiaser.random_state), getattr(debiaser, "n_jobs", None)
    predicted = {}
    for name, method in methods.items():

        def choose(train: IndexArray, fold_seed: int, method: BaseDebiaser = method) -> Predictor:
            rows = probabilities[train], match.y[train]
            return method.quick_predictor(*rows, fold_seed, probabilities, whole)

        held = hold_out(probabilities, match.y, choose, seed, n_jobs, fitted=as_they_are, n_repeats=n_repeats)
        predicted[name] = held.without
    n_folds = min(N_FOLDS, len(match.y))
    judged = select_method(predicted, match.y, goal, probabilities.shape[1], n_folds)
    weights, ensemble = (judged.of(name) for name in methods)
    return AgainstEnsemble(
        weights=weights,
        ensemble=ensemble,
        n_labels=len(match.y),
        n_folds=judged.n_folds,
        n_repeats=judged.n_repeats,
        standard_error=max(weights.standard_error, ensemble.standard_error),
    )
