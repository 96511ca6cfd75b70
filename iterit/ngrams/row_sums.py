"""Sums the weights of a row after some picks, to the last bit of the plain definition: compiled.

Plain definition: a pick multiplies the stored weight of each of its n-grams, in every row, by the
decay; the diversity of a row is the sum of its stored weights from left to right. Here weights never
change: `times[column]` counts the picks that had a column, and the multiplications are done when a
row is summed, one after the other, so that every rounding is the same.
"""

import numpy as np

from debias.compilation import compiled


@compiled
def row_sums(indptr, data):  # type: ignore[no-untyped-def]
    """Sum every row, from left to right."""
    sums = np.zeros(len(indptr) - 1)
    for row in range(len(sums)):
        total = 0.0
        # invariant: total is the sum of the row's entries before `entry`, rounded after each addition
        for entry in range(indptr[row], indptr[row + 1]):
            total += data[entry]
        sums[row] = total
    return sums


@compiled
def row_sum(low, high, indices, data, times, decay):  # type: ignore[no-untyped-def]
    """Sum the weights of one row as they are after the picks so far."""
    total = 0.0
    for entry in range(low, high):
        weight = data[entry]
        # invariant: weight is the stored weight after as many picks as there were turns
        for _ in range(times[indices[entry]]):
            smaller = weight * decay
            if smaller == weight:  # 0, or so small that it rounds to itself: no turn changes it again
                break
            weight = smaller
        total += weight
    return total


@compiled
def row_bound(low, high, indices, data, times, powers):  # type: ignore[no-untyped-def]
    """Sum the weights of one row with powers of the decay: nearly the same, in one pass."""
    total = 0.0
    # invariant: total is within the error that lazy_greedy adds of the row's sum before `entry`
    for entry in range(low, high):
        total += data[entry] * powers[times[indices[entry]]]
    return total


@compiled
def count_pick(low, high, indices, times):  # type: ignore[no-untyped-def]
    """Count a pick in every column of its row."""
    # invariant: each column before `entry` counts this pick once, since a row names a column once
    for entry in range(low, high):
        times[indices[entry]] += 1
