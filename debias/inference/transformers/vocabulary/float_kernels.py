"""Compiled arithmetic on float32 numbers, or on bfloat16 ones kept as uint16, their bits.

All is computed in float32 and rounded once, to the nearest even.
"""

import math
from functools import partial

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from debias.compilation import compiled

# Without the numpy error model every division is tested for zero, and nothing is vectorised.
compiled_in_any_order = partial(
    compiled, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy"
)

LOG2_E = np.float32(1.4426950408889634)
# Taylor coefficients of 2 ** x, highest first: 2e-7 off at most for |x| <= 1 / 2.
_TAYLOR = tuple(np.float32(math.log(2) ** n / math.factorial(n)) for n in (6, 5, 4, 3, 2, 1))
ONE, _HALF, _STEEPEST = np.float32(1.0), np.float32(0.5), np.float32(126.0)


@register_jitable(inline="always")
def two_to_the(power):  # type: ignore[no-untyped-def]
    """Raise two to a float32 power, within the range of float32."""
    power = _STEEPEST if power > _STEEPEST else power
    power = -_STEEPEST if power < -_STEEPEST else power
    whole = np.int32(power + (_HALF if power > np.float32(0) else -_HALF))
    part = power - np.float32(whole)
    grown = _TAYLOR[0]
    grown = grown * part + _TAYLOR[1]
    grown = grown * part + _TAYLOR[2]
    grown = grown * part + _TAYLOR[3]
    grown = grown * part + _TAYLOR[4]
    grown = grown * part + _TAYLOR[5]
    grown = grown * part + ONE
    return grown * np.int32(np.int32(whole + np.int32(127)) << np.int32(23)).view(np.float32)


def widened(number: object) -> np.float32:
    """Return a stored number as float32; only compiled code calls it."""
    raise NotImplementedError


def narrowed(number: object, like: object) -> np.float32:
    """Return a float32 as it is stored beside ``like``; only compiled code calls it."""
    raise NotImplementedError


@overload(widened, inline="always")
def _widened(number):  # type: ignore[no-untyped-def]
    if isinstance(number, types.Float):
        return lambda number: number
    return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)


def _rounded_to_bfloat16(number, like):  # type: ignore[no-untyped-def]
    bits = np.float32(number).view(np.uint32)
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@overload(narrowed, inline="always")
def _narrowed(number, like):  # type: ignore[no-untyped-def]
    return (lambda number, like: number) if isinstance(like, types.Float) else _rounded_to_bfloat16


@compiled_in_any_order
def log_sum_exp(logits, out):  # type: ignore[no-untyped-def]
    """Logarithm of the sum of the exponentials of each row: (n, m) -> float64 (n,)."""
    n_rows, width = logits.shape
    for row in range(n_rows):
        # invariant: out[:row] is done; subtracting the highest logit keeps every power at most one
        highest = widened(logits[row, 0])
        for j in range(width):
            logit = widened(logits[row, j])
            highest = logit if logit > highest else highest
        total = np.float32(0)
        for j in range(width):
            total += two_to_the((widened(logits[row, j]) - highest) * LOG2_E)
        out[row] = highest + np.log(np.float64(total))
