"""The sum of a row's weights after some picks, to the last bit of the plain definition: compiled.

Plain definition: a pick multiplies the stored weight of each of its n-grams, in every row, by the
decay; the diversity of a row is the sum of its stored weights from left to right. Here weights are
never changed: `times[column]` counts the picks that had a column, and the multiplications are done
when a row is summed, one after the other, so that every rounding is the same.
"""

import numpy as np

from debias.compilation import compiled


@compiled
def row_sums(indptr, data):  # type: ignore[no-untyped-def]
    """Sum every row, from left to right."""
    sums = np.zeros(len(indptr) - 1)
    for row in range(len(sums)):
        total = 0.0
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
        for _ in range(times[indices[entry]]):
            smaller = weight * decay
            if smaller == weight:  # nothing, or so little that it rounds to itself: it stays
                break
            weight = smaller
        total += weight
    return total


@compiled
def row_bound(low, high, indices, data, times, powers):  # type: ignore[no-untyped-def]
    """Sum the weights of one row with powers of the decay: nearly the same, in one pass."""
    total = 0.0
    for entry in range(low, high):
        total += data[entry] * powers[times[indices[entry]]]
    return total


@compiled
def bump_columns(low, high, indices, times):  # type: ignore[no-untyped-def]
    """Count a pick in every column of its row."""
    for entry in range(low, high):
        times[indices[entry]] += 1
