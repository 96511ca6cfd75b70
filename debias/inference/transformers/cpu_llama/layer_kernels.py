"""Compiled loops over hidden states: what lies between the matrix products of a layer, in one pass each.

Numbers are float32, or bfloat16 kept as uint16, its bits; all is computed in float32 and rounded
once, to the nearest even. Shapes are written with these letters: T tokens, H heads, K key heads, G
heads for each of them, d width of a head, B lines times key heads, w tokens of a line.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from debias.compilation import compiled

# Without the numpy error model every division is tested for zero, and nothing is vectorised.
compiled_in_any_order = partial(
    compiled, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy"
)

_LOG2_E = np.float32(1.4426950408889634)
# Taylor coefficients of 2 ** x, highest first: 2e-7 off at most for |x| <= 1 / 2.
_TAYLOR = tuple(np.float32(math.log(2) ** n / math.factorial(n)) for n in (6, 5, 4, 3, 2, 1))
_ONE, _HALF, _STEEPEST = np.float32(1.0), np.float32(0.5), np.float32(126.0)


@register_jitable(inline="always")
def _two_to_the(power):  # type: ignore[no-untyped-def]
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
    grown = grown * part + _ONE
    return grown * np.int32(np.int32(whole + np.int32(127)) << np.int32(23)).view(np.float32)


def widened(number: Any) -> Any:
    """Return a stored number as float32; only compiled code calls it."""
    raise NotImplementedError


def narrowed(number: Any, like: Any) -> Any:
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
def normalise(states, weight, epsilon, out):  # type: ignore[no-untyped-def]
    """Divide rows by the root of their mean square, and weigh: (n, D), (D,) -> (n, D)."""
    n_rows, width = states.shape
    for row in range(n_rows):
        total = np.float32(0)
        for j in range(width):
            number = widened(states[row, j])
            total += number * number
        scale = _ONE / np.sqrt(total / np.float32(width) + epsilon)
        for j in range(width):
            out[row, j] = narrowed(widened(states[row, j]) * scale * widened(weight[j]), out[row, j])


@compiled_in_any_order
def gate(gates, values):  # type: ignore[no-untyped-def]
    """Replace gates by ``silu(gates) * values``: both of one dimension."""
    for i in range(gates.size):
        number = widened(gates[i])
        grown = _two_to_the(number * -_LOG2_E)
        gates[i] = narrowed(number / (_ONE + grown) * widened(values[i]), gates[i])


@compiled_in_any_order
def rotate(heads, cosines, sines):  # type: ignore[no-untyped-def]
    """Turn heads by their positions, in place: (T, H, d), (T, d / 2), (T, d / 2)."""
    n_tokens, n_heads, width = heads.shape
    half = width // 2
    for token in range(n_tokens):
        for head in range(n_heads):
            for j in range(half):
                a, b = widened(heads[token, head, j]), widened(heads[token, head, j + half])
                cosine, sine = cosines[token, j], sines[token, j]
                heads[token, head, j] = narrowed(a * cosine - b * sine, heads[token, head, j])
                heads[token, head, j + half] = narrowed(b * cosine + a * sine, heads[token, head, j])


@compiled
def lay_out(heads, starts, widths, places, out):  # type: ignore[no-untyped-def]
    """Copy heads to their lines: (T, H, d) -> line after line, each (H, w, d), one dimension in all."""
    n_tokens, n_heads, width = heads.shape
    for token in range(n_tokens):
        for head in range(n_heads):
            slot = starts[token] * n_heads + head * widths[token] + places[token]
            for j in range(width):
                out[slot * width + j] = heads[token, head, j]


@compiled_in_any_order
def gather(first, lines, places, own, out):  # type: ignore[no-untyped-def]
    """Take answers out of lines: (B, w, G, d) -> tokens from ``first`` on of (T, K, G, d)."""
    _, n_key_heads, group, width = out.shape
    for i in range(lines.size):
        for head in range(n_key_heads):
            line = lines[i] * n_key_heads + head
            for g in range(group):
                for j in range(width):
                    out[first + i, head, g, j] = own[line, places[i], g, j]


@compiled_in_any_order
def join(first, lines, places, own, own_norms, shared, shared_norms, out):  # type: ignore[no-untyped-def]
    """Take answers out of lines and join them with those about the shared beginning.

    Both are softmaxes of their own, weighed by what they were divided by, of which the logarithms
    are given: (B, w, G, d), (B, w, G) and (K, T, G, d), (K, T, G) -> (T, K, G, d).
    """
    _, n_key_heads, group, width = out.shape
    for i in range(lines.size):
        token = first + i
        for head in range(n_key_heads):
            line = lines[i] * n_key_heads + head
            for g in range(group):
                away = shared_norms[head, token, g] - own_norms[line, places[i], g]
                share = np.float32(1.0 / (1.0 + np.exp(away)))
                for j in range(width):
                    a, b = widened(own[line, places[i], g, j]), widened(shared[head, token, g, j])
                    out[token, head, g, j] = narrowed(b + share * (a - b), out[token, head, g, j])


@compiled_in_any_order
def log_sum_exp(logits, out):  # type: ignore[no-untyped-def]
    """Logarithm of the sum of the exponentials of each row: (n, m) -> float64 (n,)."""
    n_rows, width = logits.shape
    for row in range(n_rows):
        highest = widened(logits[row, 0])
        for j in range(width):
            logit = widened(logits[row, j])
            highest = logit if logit > highest else highest
        total = np.float32(0)
        for j in range(width):
            total += _two_to_the((widened(logits[row, j]) - highest) * _LOG2_E)
        out[row] = highest + np.log(np.float64(total))
