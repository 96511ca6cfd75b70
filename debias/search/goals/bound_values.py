"""The values of bounds: which are allowed, and how they are written."""

import numpy as np

from debias.errors import ParameterError

UNCORRECTED = "uncorrected"


def check_bound(name: str, bound: object) -> None:
    """Refuse a bound that is not a fraction."""
    if bound is None and name != "margin":
        return
    if name == "min_accuracy" and isinstance(bound, str) and bound == UNCORRECTED:
        return
    numbers = (int, float, np.floating, np.integer)
    if isinstance(bound, bool) or not isinstance(bound, numbers) or not 0 <= bound <= 1:
        also = f", or {UNCORRECTED!r}" if name == "min_accuracy" else ""
        raise ParameterError(
            parameter=name, allowed=f"a fraction from 0 to 1 (0.1 for 10 points){also}", received=bound
        )


def in_points(fraction: float) -> str:
    """Write a bound on a scale of 0 to 100."""
    return f"{100 * fraction:.6g}"


def apart(value: float, bound: float) -> str:
    """Write what is reached on that scale, with as many digits as tell it from the bound."""
    digits = next((d for d in range(1, 9) if round(100 * value, d) != round(100 * bound, d)), 9)
    return f"{round(100 * value, digits):.12g}"
