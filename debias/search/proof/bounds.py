"""Compiled bounds: the least z that any choice can have when classes have at most so many right.

With the class accuracies in a box, errors and COBias together are smallest where every level t
of accuracy is held by the right set of classes: z is an integral over t of a function of the
set of classes above t, and each level is minimised on its own. The PMI is largest when all
errors are predicted as the one class that has most right, the macro F1 when they are predicted as
the one class that loses least by it.
"""

import math

from debias.compilation import compiled_in_place
from debias.search.counting.score import (
    BALANCED,
    CONSTANT,
    FLOORS,
    GAPS,
    LEAST_RIGHT,
    MACRO_F1,
    PMI,
    RIGHT,
    WORST,
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
            lacking += max(0.0, factors[0, FLOORS + k] - level)
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
    return least - most_beyond(right, most, terms)


@compiled_in_place
def least_of_levels(most, terms, levels, n_present, row):
    """Return at most z without what :func:`most_beyond` bounds, breaking constraints at a row's prices.

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
                    gain += right_factor * terms.support[k] + factors[0, BALANCED]
                    if size == n_present:
                        gain += factors[0, WORST]
                    best = min(best, gap_factor * size * (n_present - size) - gain)
            least += (levels[m] - below) * best
            below = levels[m]
    return least


@compiled_in_place
def needs_predicted(terms):
    """Return whether z depends on what wrong samples are predicted as."""
    factors = terms.tables.factors
    return factors[0, PMI] > 0 or factors[0, MACRO_F1] > 0 or terms.costs.shape[0] > 0


@compiled_in_place
def most_beyond(right, most, terms):
    """Return at least what PMI, macro F1 and costs take off z, with so many right samples at most.

    ``right`` is the sum of ``most``. Costs take off less than nothing: they add.
    """
    factors = terms.tables.factors
    beyond = 0.0
    if factors[0, PMI] > 0:
        beyond += factors[0, PMI] * most_information(right, most, terms)
    if factors[0, MACRO_F1] > 0:
        beyond += factors[0, MACRO_F1] * most_f1(right, most, terms)
    if terms.costs.shape[0] > 0:
        beyond -= terms.least_cost
        for k in range(most.shape[0]):
            beyond += terms.cost_gains[k] * most[k]
    return beyond


@compiled_in_place
def most_f1(right, most, terms):
    """Return at least the sum of F1 of every choice with so many right samples, by class and in all.

    Wrong samples that are predicted as a class lower its F1 the less the more they are (it is convex
    in their number), so the sum is largest where all are predicted as one class; as one without
    samples, if there is any, they lower none.
    """
    n_wrong = max(0, terms.n_samples - right)
    total, least_loss = 0.0, math.inf
    # invariant: total sums the F1 of the classes before k without wrong samples
    for k in range(most.shape[0]):
        n_both = most[k] + terms.support[k]
        if terms.support[k] == 0:
            least_loss = 0.0
        else:
            f1 = 2.0 * most[k] / n_both
            total += f1
            least_loss = min(least_loss, f1 - 2.0 * most[k] / (n_both + n_wrong))
    return total - least_loss


@compiled_in_place
def most_information(right, most, terms):
    """Return at least the sum of PMIs of every choice with so many right samples, by class and in all."""
    largest = 0
    for k in range(most.shape[0]):
        largest = max(largest, most[k])
    return terms.constant - math.log1p(max(0, terms.n_samples - right) / (largest + terms.smoothing))
