"""Compiled bounds: the least z that any choice can have when classes have at most so many right.

With the class accuracies in a box, errors and COBias together are smallest where every level t
of accuracy is held by the right set of classes: z is an integral over t of a function of the
set of classes above t, and each level is minimised on its own. The PMI is largest when all
errors are predicted as the one class that has most right.
"""

import math

from debias.compilation import compiled_in_place
from debias.search.counting.score import (
    CONSTANT,
    GAPS,
    LEAST_ACCURACY,
    LEAST_RIGHT,
    PMI,
    RIGHT,
)

TOLERANCE = 1e-12


@compiled_in_place
def least_objective(most, terms, levels):
    """Return at most z of every choice with no more than ``most`` right samples in each class.

    It is 1000 and more where no such choice meets the constraints. ``levels`` is scratch of
    shape (n_classes,).
    """
    factors = terms.tables.factors
    n_present = right = 0
    lacking = 0.0
    # invariant: levels[:n_present] holds the highest accuracies of the classes before k, ascending
    for k in range(most.shape[0]):
        right += most[k]
        if terms.support[k] > 0:
            level = most[k] / terms.support[k]
            lacking += max(0.0, factors[0, LEAST_ACCURACY] - level)
            place = n_present
            while place > 0 and levels[place - 1] > level:
                levels[place] = levels[place - 1]
                place -= 1
            levels[place] = level
            n_present += 1
    lacking += max(0.0, factors[0, LEAST_RIGHT] - right) / terms.n_samples
    if lacking > TOLERANCE:
        return 1000.0 + lacking
    least = -math.inf
    # invariant: least is the largest of the bounds of the rows before, all of which hold
    for row in range(terms.multipliers.shape[0]):
        least = max(least, least_of_levels(most, terms, levels, n_present, row))
    if factors[0, PMI] > 0:
        least -= factors[0, PMI] * most_information(right, most, terms)
    return least


@compiled_in_place
def least_of_levels(most, terms, levels, n_present, row):
    """Return at most z without its PMI, breaking constraints at the price of a row of multipliers.

    Between two levels the classes that may lie above stay the same: the best of them, largest
    first, are taken.
    """
    factors = terms.tables.factors
    right_factor = factors[0, RIGHT] + terms.multipliers[row, 0]
    gap_factor = factors[0, GAPS] + terms.multipliers[row, 1]
    least = factors[0, CONSTANT] + terms.multipliers[row, 2]
    below = 0.0
    # invariant: least counts the levels up to below, each with the best set of classes above it
    for m in range(n_present):
        if levels[m] > below:
            best = gain = 0.0
            size = 0
            for position in range(n_present):
                k = terms.by_support[position]
                if most[k] > below * terms.support[k] + 1e-9:
                    size += 1
                    gain += right_factor * terms.support[k]
                    best = min(best, gap_factor * size * (n_present - size) - gain)
            least += (levels[m] - below) * best
            below = levels[m]
    return least


@compiled_in_place
def most_information(right, most, terms):
    """Return at least the sum of PMIs of every choice with so many right samples, by class and in all."""
    largest = 0
    for k in range(most.shape[0]):
        largest = max(largest, most[k])
    return terms.constant - math.log1p(max(0, terms.n_samples - right) / (largest + terms.smoothing))
