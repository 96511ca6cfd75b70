"""The guard of single classes: what accuracy each of them may not fall below.

It is that of a model without corrections, or a number per class.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError, param
from debias.search.goals.bound_values import UNCORRECTED, in_points
from debias.search.objective import Counts, FloatArray, IndexArray, confusion_counts

BATCH = "batch"
_NAMES = {UNCORRECTED: "the uncorrected model", BATCH: "batch calibration"}

References = str | Sequence[float] | Mapping[object, float]
"""What no class may be worse than: a model by name, or accuracies by class."""


def references_of(
    given: References, support: npt.NDArray[np.int64], named: Mapping[str, Counts | None]
) -> tuple[float, ...]:
    """Return the accuracies by class that no class may be worse than."""
    if isinstance(given, str):
        counts = named[given]
        assert counts is not None, given
        accuracies = np.asarray(counts.correct) / np.maximum(support, 1)
    else:
        is_vector = not isinstance(given, Mapping) and len(given) == len(support)
        if not is_vector:
            raise ParameterError(
                parameter="no_class_worse_than",
                allowed=f"{len(support)} accuracies, one per class, where classes have no labels",
                received=given,
            )
        accuracies = np.asarray(given, dtype=np.float64)
    return tuple(float(accuracy) for accuracy in accuracies)


def known_references(given: References, references: Sequence[float] | None) -> FloatArray:
    """Return the accuracies that a guard stands for.

    Raises
    ------
    ParameterError
        It is still a name: what it stands for depends on rows.
    """
    if references is None:
        raise ParameterError(
            f"{param('no_class_worse_than')} has numeric values only for given rows",
            parameter="no_class_worse_than",
            received=given,
            fix="call resolve(counts of the uncorrected model) first",
        )
    return np.asarray(references, dtype=np.float64)


def check_references(given: object) -> None:
    """Refuse what is neither the name of a model nor fractions."""
    if given is None or (isinstance(given, str) and given in _NAMES):
        return
    values = list(given.values()) if isinstance(given, Mapping) else given
    numbers = (int, float, np.floating, np.integer)
    are_fractions = (
        isinstance(values, (Sequence, np.ndarray))
        and not isinstance(values, str)
        and len(values) > 0
        and all(isinstance(x, numbers) and not isinstance(x, bool) and 0 <= x <= 1 for x in values)
    )
    if not are_fractions:
        raise ParameterError(
            parameter="no_class_worse_than",
            allowed=f"{' or '.join(map(repr, _NAMES))}, or a fraction from 0 to 1 per class",
            received=given,
        )


def batch_counts(y: IndexArray, probabilities: FloatArray, batch: FloatArray | None = None) -> Counts:
    """Return the confusion counts of batch calibration: probabilities divided by their means over a batch.

    The batch is the rows themselves, or `batch`, where rows without labels joined them. The means are exact,
    so that the order of the rows decides no tie: coarse probabilities have many.

    Examples
    --------
    >>> batch_counts(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]])).correct
    array([1, 1])
    """
    batch = probabilities if batch is None else batch
    means = np.array([math.fsum(column) for column in batch.T.tolist()]) / len(batch)
    calibrated = np.argmax(probabilities / np.where(means > 0, means, 1.0), axis=1)
    return confusion_counts(y, calibrated, probabilities.shape[1])


def describe_guard(references: References, margin: float) -> str:
    """Return the guard in words.

    Examples
    --------
    >>> describe_guard("batch", 0.02)
    'no class more than 2 points less accurate than batch calibration'
    """
    than = _NAMES[references] if isinstance(references, str) else "the accuracies given"
    points = in_points(margin)
    by = f"more than {points} point{'' if points == '1' else 's'} " if margin else ""
    return f"no class {by}less accurate than {than}"
