"""Rules by name: which of the settings that were tried on held-out rows is the one to take."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from debias.errors import ParameterError
from debias.search.objective import FloatArray, IndexArray

Rule: TypeAlias = str | Callable[[pd.DataFrame], Any]

_DECIMALS = 12
"""Means over folds that differ by less are equal: they differ by rounding only."""


def _published(results: pd.DataFrame) -> list[pd.Series]:
    """Highest accuracy, then lowest COBias (DNIP, arXiv 2405.07623)."""
    return [results["mean_accuracy"], -results["mean_cobias"]]


def _both(results: pd.DataFrame) -> list[pd.Series]:
    """Highest difference of accuracy and COBias."""
    return [results["mean_accuracy_minus_cobias"]]


def _worst_class(results: pd.DataFrame) -> list[pd.Series]:
    """Highest accuracy of the worst class, then of all."""
    return [results["mean_worst_class_accuracy"], results["mean_accuracy"]]


def _balanced(results: pd.DataFrame) -> list[pd.Series]:
    """Highest mean class accuracy, then lowest COBias."""
    return [results["mean_balanced_accuracy"], -results["mean_cobias"]]


def _one_standard_error(results: pd.DataFrame) -> list[pd.Series]:
    """Fewest changed classes within one standard error of the highest accuracy minus COBias."""
    n_folds = results.attrs["n_folds"]
    if n_folds < 2:
        raise ParameterError("rule 'one-standard-error' needs two folds or more; got 1: take another rule.")
    value = results["mean_accuracy_minus_cobias"]
    best = int(np.argmax(value))
    error = results["std_accuracy_minus_cobias"].iloc[best] / np.sqrt(n_folds - 1)
    within = value >= value.iloc[best] - error - 10.0**-_DECIMALS
    return [within.astype(float), -results["mean_n_changed"].where(within, 0.0), value]


RULES: dict[str, Callable[[pd.DataFrame], list[pd.Series]]] = {
    "accuracy-cobias": _published,
    "accuracy-minus-cobias": _both,
    "worst-class-accuracy": _worst_class,
    "balanced-accuracy": _balanced,
    "one-standard-error": _one_standard_error,
}
"""Each returns what is compared, the first first; higher is better."""


def check_rule(rule: Any) -> None:
    """Refuse what is no rule.

    Raises
    ------
    ParameterError
        Neither one of :data:`RULES` nor callable.

    Examples
    --------
    >>> check_rule("best")
    Traceback (most recent call last):
    debias.errors.ParameterError: rule must be one of ('accuracy-cobias', 'accuracy-minus-cobias',
    'worst-class-accuracy', 'balanced-accuracy', 'one-standard-error') or a function of cv_results_;
    got 'best'.
    """
    if not callable(rule) and (not isinstance(rule, str) or rule not in RULES):
        raise ParameterError(
            f"rule must be one of {tuple(RULES)} or a function of cv_results_; got {rule!r}."
        )


def order_by(rule: Rule, results: pd.DataFrame) -> IndexArray:
    """Return the rows of some results, the best first.

    Among equals, the fewest changed classes win, then the first row.

    Parameters
    ----------
    rule : str or callable
        One of :data:`RULES`, or a function that takes the results and returns a number per row,
        the higher the better.
    results : DataFrame
        A row per setting, ``mean_`` and ``std_`` of every metric; ``attrs["n_folds"]``.

    Returns
    -------
    ndarray of shape (n_settings,)
        Positions.

    Raises
    ------
    ParameterError
        A rule that does not exist, or a function that returns anything else.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {"mean_accuracy": [0.8, 0.8, 0.7], "mean_cobias": [0.3, 0.2, 0.0], "mean_n_changed": [1, 1, 3]}
    ... )
    >>> order_by("accuracy-cobias", results), order_by(lambda table: -table["mean_cobias"], results)
    (array([1, 0, 2]), array([2, 1, 0]))
    """
    check_rule(rule)
    keys = RULES[rule](results) if isinstance(rule, str) else [_numbers(rule(results), len(results))]
    compared = [-np.round(np.asarray(key, dtype=np.float64), _DECIMALS) for key in keys]
    simplicity = np.round(results["mean_n_changed"].to_numpy(dtype=np.float64), _DECIMALS)
    return np.lexsort([np.arange(len(results)), simplicity, *compared[::-1]])


def _numbers(values: Any, n_settings: int) -> FloatArray:
    """Return what a user's rule has returned, if it is a number per row."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"rule must return a number per setting; got {values!r}.") from error
    if numbers.shape != (n_settings,) or np.isnan(numbers).any():
        raise ParameterError(
            f"rule must return a number for each of the {n_settings} settings; got an array of shape "
            f"{numbers.shape} with {int(np.isnan(numbers).sum())} that are not numbers."
        )
    return numbers
