"""Compiled loops over hidden states: what lies between the matrix products of a layer, in one loop each.

Shapes are written with these letters: T tokens, H heads, K key heads, G heads for each of them, d
width of a head, B sequences times key heads, w tokens of a sequence.
"""

import numpy as np

from debias.compilation import compiled
from debias.inference.transformers.vocabulary.float_kernels import (
    LOG2_E,
    ONE,
    compiled_in_any_order,
    narrowed,
    two_to_the,
    widened,
)


@compiled_in_any_order
def normalise(states, weight, epsilon, out):  # type: ignore[no-untyped-def]
    """Divide rows by the root of their mean square, and weigh: (n, D), (D,) -> (n, D)."""
    n_rows, width = states.shape
    for row in range(n_rows):
        # invariant: out[:row] is done; out may be states, as a row is read before it is written
        total = np.float32(0)
        for j in range(width):
            number = widened(states[row, j])
            total += number * number
        scale = ONE / np.sqrt(total / np.float32(width) + epsilon)
        for j in range(width):
            out[row, j] = narrowed(widened(states[row, j]) * scale * widened(weight[j]), out[row, j])


@compiled_in_any_order
def gate(gates, values):  # type: ignore[no-untyped-def]
    """Replace gates by ``silu(gates) * values``: both of one dimension."""
    for i in range(gates.size):
        # invariant: gates[:i] holds results, gates[i:] what was given
        number = widened(gates[i])
        grown = two_to_the(number * -LOG2_E)
        gates[i] = narrowed(number / (ONE + grown) * widened(values[i]), gates[i])


@compiled_in_any_order
def rotate(heads, cosines, sines):  # type: ignore[no-untyped-def]
    """Turn heads by their positions, in place: (T, H, d), (T, d / 2), (T, d / 2)."""
    n_tokens, n_heads, width = heads.shape
    half = width // 2
    for token in range(n_tokens):
        for head in range(n_heads):
            for j in range(half):
                # invariant: numbers j and j + half are read together, before either is replaced
                a, b = widened(heads[token, head, j]), widened(heads[token, head, j + half])
                cosine, sine = cosines[token, j], sines[token, j]
                heads[token, head, j] = narrowed(a * cosine - b * sine, heads[token, head, j])
                heads[token, head, j + half] = narrowed(b * cosine + a * sine, heads[token, head, j])


@compiled
def lay_out(heads, starts, widths, places, out):  # type: ignore[no-untyped-def]
    """Copy heads to their sequences: (T, H, d) -> each sequence (H, w, d), in one dimension."""
    n_tokens, n_heads, width = heads.shape
    for token in range(n_tokens):
        for head in range(n_heads):
            # a sequence begins at starts * n_heads; within it, heads follow each other, w tokens each
            slot = starts[token] * n_heads + head * widths[token] + places[token]
            for j in range(width):
                out[slot * width + j] = heads[token, head, j]


@compiled_in_any_order
def gather(first, sequences, places, own, out):  # type: ignore[no-untyped-def]
    """Take answers out of sequences: (B, G, w, d) -> tokens from ``first`` on of (T, K, G, d)."""
    _, n_key_heads, group, width = out.shape
    for i in range(sequences.size):
        for head in range(n_key_heads):
            sequence = sequences[i] * n_key_heads + head
            # invariant: every (token, head) is written once, from the place where its query stood
            for g in range(group):
                for j in range(width):
                    out[first + i, head, g, j] = own[sequence, g, places[i], j]


@compiled_in_any_order
def join(first, sequences, places, own, own_norms, shared, shared_norms, out):  # type: ignore[no-untyped-def]
    """Take answers out of sequences and join them with those about the shared beginning.

    Both are softmaxes of their own, weighed by what they were divided by, of which the logarithms
    are given: (B, G, w, d), (B, G, w) and (K, G, T, d), (K, G, T) -> (T, K, G, d).
    """
    _, n_key_heads, group, width = out.shape
    for i in range(sequences.size):
        token, place = first + i, places[i]
        for head in range(n_key_heads):
            sequence = sequences[i] * n_key_heads + head
            for g in range(group):
                # the share of one softmax is its divisor over the sum of both; divisors come as logarithms
                away = shared_norms[head, g, token] - own_norms[sequence, g, place]
                share = ONE / (ONE + two_to_the(away * LOG2_E))
                for j in range(width):
                    a, b = widened(own[sequence, g, place, j]), widened(shared[head, g, token, j])
                    out[token, head, g, j] = narrowed(b + share * (a - b), out[token, head, g, j])
