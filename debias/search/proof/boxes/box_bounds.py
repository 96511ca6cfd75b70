"""Compiled bounds of boxes, sharper than from what classes may win: from what they are sure to win, too.

The ranks of a box tell the least that each class has right, and how often it is predicted at least and at
most; pairs of classes tell the latter at less cost, and less sharply. Of a single choice the bound is its z.
"""

import numpy as np

from debias.compilation import compiled_in_place
from debias.search.counting.score import CONSTANT, GAPS, PMI, RIGHT, score

BLOCK = 32_768
"""Samples counted at once: fewer than a narrow tally holds."""
RANK_WORK = 0.25
"""Work of a rank that is compared; that of a word of bits is 1."""


@compiled_in_place
def raise_top_two(row, first, second):
    """Raise the two highest ranks of every sample by one more row."""
    for m in range(row.shape[0]):
        rank, best, other = row[m], first[m], second[m]
        lower = best if best < rank else rank
        second[m] = lower if lower > other else other
        first[m] = rank if rank > best else best


@compiled_in_place
def count_above(row, own, first, second, start, stop):
    """Count the samples of a range where a row is above the highest rank of the other classes."""
    n_above = 0
    # invariant: n_above counts the samples before start. A narrow tally fills vectors as ranks do.
    while start < stop:
        end = min(stop, start + np.uint64(BLOCK))
        tally = np.uint16(0)
        for m in range(start, end):
            mine, best, other, rank = own[m], first[m], second[m], row[m]
            rival = other if mine == best else best
            tally = np.uint16(tally + np.uint16(rank > rival))
        n_above += np.int64(tally)
        start = end
    return n_above


@compiled_in_place
def count_ranks(tables, state, box, by_predicted):
    """Fill ``seen``: by class, right samples at least and, if asked, predicted ones at least and at most.

    A class is sure of a sample where its lowest rank is above the highest of the others, and may have
    it where its highest is above their lowest. For a single choice both are what it does.
    """
    tops, offsets, n_classes = state.tops, tables.offsets, box.shape[0]
    tops[:] = 0
    for k in range(n_classes):
        raise_top_two(tables.low[k, box[k]], tops[0], tops[1])
        raise_top_two(tables.high[k, box[k]], tops[2], tops[3])
    for k in range(n_classes):
        low, high = tables.low[k, box[k]], tables.high[k, box[k]]
        state.seen[0, k] = count_above(low, high, tops[2], tops[3], offsets[k], offsets[k + 1])
        if by_predicted:
            end = offsets[n_classes]
            state.seen[1, k] = count_above(low, high, tops[2], tops[3], offsets[0], end)
            state.seen[2, k] = count_above(high, low, tops[0], tops[1], offsets[0], end)
    n_compared = low.shape[0] * n_classes * (2 if by_predicted else 1)
    state.work[0] += RANK_WORK * n_compared


@compiled_in_place
def least_between(state, terms, row):
    """Return at most z without its PMI, every class between ``seen[0]`` and ``most`` right samples.

    As :func:`~debias.search.proof.bounds.least_of_levels`, but a class is surely above the levels
    that it is sure to reach.
    """
    factors, levels, fewest, most = terms.tables.factors, state.chords[0], state.seen[0], state.most
    right_factor = factors[0, RIGHT] + terms.multipliers[row, 0]
    gap_factor = factors[0, GAPS] + terms.multipliers[row, 1]
    n_levels = n_present = 0
    # invariant: levels[:n_levels] holds the least and most accuracies of the classes before k, ascending
    for k in range(most.shape[0]):
        if terms.support[k] > 0:
            n_present += 1
            for count in (fewest[k], most[k]):
                level = count / terms.support[k]
                place = n_levels
                while place > 0 and levels[place - 1] > level:
                    levels[place] = levels[place - 1]
                    place -= 1
                levels[place] = level
                n_levels += 1
    least = factors[0, CONSTANT] + terms.multipliers[row, 2]
    below = 0.0
    # invariant: least counts the levels up to below, each with the best set of classes above it
    for at in range(n_levels):
        if levels[at] > below:
            size, gain = 0, 0.0
            for position in range(n_present):
                k = terms.by_support[position]
                if fewest[k] > below * terms.support[k] + 1e-9:
                    size += 1
                    gain += right_factor * terms.support[k]
            best = gap_factor * size * (n_present - size) - gain
            for position in range(n_present):
                k = terms.by_support[position]
                reached = below * terms.support[k] + 1e-9
                if fewest[k] <= reached and most[k] > reached:
                    size += 1
                    gain += right_factor * terms.support[k]
                    best = min(best, gap_factor * size * (n_present - size) - gain)
            least += (levels[at] - below) * best
            below = levels[at]
    return least


@compiled_in_place
def most_information_between(state, terms):
    """Return at least the sum of PMIs, every class predicted ``seen[1]`` to ``seen[2]`` times.

    The logarithm of the times is above its chord, and chords are lowest where the flattest are
    climbed first.
    """
    tables, seen, slopes, left_by = terms.tables, state.seen, state.chords[1], state.chords[2]
    total = 0.0
    left = float(terms.n_samples)
    for k in range(state.most.shape[0]):
        low, high = seen[1, k], seen[2, k]
        total += tables.log_joint[0, state.most[k]] - tables.log_predicted[0, low]
        left -= low
        left_by[k] = high - low
        slopes[k] = 0.0
        if high > low:
            slopes[k] = (tables.log_predicted[0, high] - tables.log_predicted[0, low]) / (high - low)
    # invariant: total is at least the sum with the samples but `left` predicted
    while left > 0.5:
        flattest = -1
        for k in range(state.most.shape[0]):
            if left_by[k] > 0 and (flattest < 0 or slopes[k] < slopes[flattest]):
                flattest = k
        if flattest < 0:
            break
        step = min(left, left_by[flattest])
        total -= step * slopes[flattest]
        left -= step
        left_by[flattest] = 0.0
    return total


@compiled_in_place
def pair_predictions(tables, state, box):
    """Fill ``seen`` with bounds of how often each class is predicted, from pairs of classes alone."""
    for j in range(box.shape[0]):
        state.seen[1, j] = 0
        state.seen[2, j] = state.most[j]
        for v in range(box.shape[0]):
            state.seen[2, j] += tables.takes[j, box[j], v, box[v]]


@compiled_in_place
def sharpen(tables, terms, state, box, bound):
    """Return the bound of a small box, raised by what its ranks tell."""
    pmi = terms.tables.factors[0, PMI]
    count_ranks(tables, state, box, pmi > 0)
    least = least_between(state, terms, 0)
    for row in range(1, terms.multipliers.shape[0]):
        least = max(least, least_between(state, terms, row))
    if pmi > 0:
        least -= pmi * most_information_between(state, terms)
    return max(bound, least)


@compiled_in_place
def value_of(tables, terms, state, box):
    """Return z of a box of a single choice, or less, where z counts more than right and predicted samples."""
    count_ranks(tables, state, box, True)
    return score(state.seen, terms.tables, 0, state.levels)
