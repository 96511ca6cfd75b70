"""Selection rules by name: they choose one of the settings that were judged on held-out rows."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from debias.search.objective import FloatArray, IndexArray

Rule: TypeAlias = str | Callable[[pd.DataFrame], npt.ArrayLike]

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
        raise ParameterError(
            "the rule 'one-standard-error' needs two folds or more, got 1",
            parameter="rule",
            received="one-standard-error",
            fix="use another rule",
        )
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
"""Each returns the columns to compare, the most important first; higher is better."""


def check_rule(rule: object) -> None:
    """Refuse a rule that does not exist.

    Raises
    ------
    ParameterError
        Neither one of :data:`RULES` nor callable.

    Examples
    --------
    >>> check_rule("best")
    Traceback (most recent call last):
    debias.errors.ParameterError: rule must be one of ('accuracy-cobias', 'accuracy-minus-cobias',
    'worst-class-accuracy', 'balanced-accuracy', 'one-standard-error') or a function of cv_results_,
    got 'best'.
    """
    if not callable(rule) and (not isinstance(rule, str) or rule not in RULES):
        allowed = f"one of {tuple(RULES)} or a function of cv_results_"
        raise ParameterError(parameter="rule", allowed=allowed, received=rule)


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
        The rule does not exist, or a function returns anything else.

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


def _numbers(values: npt.ArrayLike, n_settings: int) -> FloatArray:
    """Return the result of a user's rule, if it is a number per setting."""
    refusal = ParameterError(
        parameter="rule",
        allowed=f"a function that returns a number for each of the {n_settings} settings",
        received=values,
    )
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise refusal from error
    if numbers.shape != (n_settings,) or np.isnan(numbers).any():
        raise refusal
    return numbers
