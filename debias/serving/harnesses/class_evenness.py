"""COBias and the worst class accuracy as the harnesses want them: from right and wrong answers.

They are those of :mod:`debias.metrics`, written with numpy alone for a harness's environment.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt


def class_accuracies(answers: Iterable[tuple[Any, float]]) -> npt.NDArray[np.float64]:
    """Return the mean of every class that occurs.

    Parameters
    ----------
    answers : iterable of (class, float)
        The class of a sample, and 1 where it was answered rightly, 0 otherwise, or the mean of
        several answers.

    Returns
    -------
    ndarray of float64 of shape (n_classes,)
        In the order in which classes occur.

    Examples
    --------
    >>> class_accuracies([("yes", 1), ("no", 0), ("yes", 0)])
    array([0.5, 0. ])
    """
    by_class: dict[Any, list[float]] = {}
    for name, value in answers:
        by_class.setdefault(name, []).append(float(value))
    return np.array([float(np.mean(values)) for values in by_class.values()])


def cobias_of(accuracies: npt.ArrayLike) -> float:
    """Return the mean absolute difference between the accuracies of two classes.

    Parameters
    ----------
    accuracies : array-like of shape (n_classes,)
        In [0, 1].

    Returns
    -------
    float
        In [0, 1]; 0 for fewer than two classes.

    Warns
    -----
    UserWarning
        Fewer than two classes have samples.

    Examples
    --------
    >>> cobias_of([0.5, 1.0, 0.75])  # gaps .5, .25, .25
    0.3333333333333333
    """
    values = np.asarray(accuracies, dtype=np.float64)
    pairs = len(values) * (len(values) - 1)
    if not pairs:
        warnings.warn(
            "fewer than two classes have samples, so no two class accuracies can differ: COBias is 0.",
            UserWarning,
            stacklevel=2,
        )
        return 0.0
    return float(np.abs(values[:, None] - values).sum() / pairs)


def cobias_of_pairs(items: Iterable[tuple[Any, Any]]) -> float:
    """Return COBias from pairs of a label and a prediction.

    Examples
    --------
    >>> cobias_of_pairs([("yes", "yes"), ("yes", "no"), ("no", "no")])
    0.5
    """
    return cobias_of(class_accuracies((label, label == predicted) for label, predicted in items))


def worst_class_of_pairs(items: Iterable[tuple[Any, Any]]) -> float:
    """Return the lowest class accuracy from pairs of a label and a prediction; NaN without any.

    Examples
    --------
    >>> worst_class_of_pairs([("yes", "yes"), ("yes", "no"), ("no", "no")])
    0.5
    """
    accuracies = class_accuracies((label, label == predicted) for label, predicted in items)
    return float(accuracies.min()) if len(accuracies) else float("nan")
