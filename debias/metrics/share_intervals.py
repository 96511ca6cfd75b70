"""Intervals of shares of rows in closed form: they hold where all rows are right, or none.

No resample shows another share then.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def wilson(accuracy: float, size: float, level: float) -> tuple[float, float, float]:
    """Return a class accuracy with Wilson's interval, all NaN without samples.

    Weighted rows are worth a size that is no integer, which SciPy's interval does not take.

    Examples
    --------
    >>> wilson(1.0, 6.0, 0.95)
    (1.0, 0.60..., 1.0)
    """
    if size == 0:
        return (float("nan"),) * 3
    z = float(stats.norm.ppf((1 + level) / 2))
    middle = (accuracy + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z / (1 + z**2 / size) * np.sqrt(accuracy * (1 - accuracy) / size + z**2 / (4 * size**2))
    low, high = max(0.0, float(middle - reach)), min(1.0, float(middle + reach))
    return accuracy, min(low, accuracy), max(high, accuracy)


def ends_at_limits(
    accuracy: float, size: float, classes: Sequence[tuple[float, float, float]], level: float
) -> dict[str, tuple[float, float]]:
    """Return how far intervals reach where all rows are right, or none: no resample shows another one.

    Parameters
    ----------
    accuracy, size : float
        Of all rows, and how many they are worth.
    classes : sequence of tuple
        Class accuracies with their intervals, as of :func:`wilson`.
    level : float

    Returns
    -------
    dict of str to tuple of low and high
        Of accuracy and worst_class_accuracy, each only where it is 0 or 1.

    Examples
    --------
    >>> ends_at_limits(0.5, 12.0, [wilson(0.0, 6.0, 0.95), wilson(1.0, 6.0, 0.95)], 0.95)
    {'worst_class_accuracy': (0.0, 0.39...)}
    """
    found, known = {}, [one for one in classes if one[0] == one[0]]
    worst = min(value for value, _, _ in known)
    if accuracy in (0, 1):
        found["accuracy"] = wilson(accuracy, size, level)[1:]
    if worst == 1:
        found["worst_class_accuracy"] = min(low for _, low, _ in known), 1.0
    if worst == 0:
        found["worst_class_accuracy"] = 0.0, min(high for value, _, high in known if value == 0)
    return found
