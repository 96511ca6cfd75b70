"""Compiled branch and bound over boxes of choices: bound a box, divide it, go on with its halves.

A box holds a group of corrections per class. ``opened`` keeps, by correction of each class, the samples
of its own that it may win from the groups of the others; to narrow one of them is one AND. The most
that any correction of the group may win bounds z. Of small boxes the ranks tell also what
each class is sure to win, and how often it can be predicted: a second, sharper bound.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled_in_place
from debias.search.constraints import INFEASIBLE
from debias.search.counting.bit_tables import Words
from debias.search.counting.score import PMI
from debias.search.counting.win_kernels import popcount
from debias.search.problem import FloatArray, IndexArray, Ranks
from debias.search.proof.bounds import TOLERANCE, least_objective, most_information
from debias.search.proof.boxes.box_bounds import (
    most_information_between,
    pair_predictions,
    sharpen,
    value_of,
)

SMALL_BOX = 256
"""Choices of a box up to which ranks sharpen its bound."""
NODE_WORK, CLASS_WORK, PAIR_WORK = 200.0, 55.0, 1.35
"""Work of a box beside its words of bits: for itself, for each class, and for each pair of classes, whose
levels and predictions are bounded. That of a word is 1: about 1.25 nanoseconds."""

DONE, LIMIT, MET = range(3)
"""What a search returns: nothing is left; a limit or a request ended it; a choice is to be evaluated."""


class BoxState(NamedTuple):
    """Where one search is, and its scratch: one per thread.

    Attributes
    ----------
    stop : ndarray of bool, shape (1,)
        Set from outside to end the search early.
    work : ndarray of shape (2,)
        Work done and its limit.
    counters : ndarray of shape (2,)
        The boxes that are open, less one; single choices evaluated.
    boxes, bounds : ndarray of shape (n_open, n_classes), (n_open,)
        The open boxes, the last one next, and the least z in each.
    opened : ndarray of uint64, shape (n_open, n_words, n_padded)
        Samples that each correction may win in an open box.
    counts : ndarray of shape (n_open, n_classes, n_padded)
        Their number.
    best : ndarray of shape (3,)
        z, changed classes and size of the change of the best choice known.
    met : ndarray of shape (n_classes,)
        A choice to be evaluated, as groups of one correction.
    most, box, levels, tops, seen, chords : ndarray
        Scratch.
    """

    stop: npt.NDArray[np.bool_]
    work: FloatArray
    counters: IndexArray
    boxes: IndexArray
    bounds: FloatArray
    opened: Words
    counts: IndexArray
    best: FloatArray
    met: IndexArray
    most: IndexArray
    box: IndexArray
    levels: FloatArray
    tops: Ranks
    seen: IndexArray
    chords: FloatArray


@compiled_in_place
def narrow(before, into, slab, words, k, span, counts):
    """Keep what each correction of class k wins from a narrower group; return the most samples of one."""
    first, last = words[k], words[k + 1]
    a, b = span[0], span[1]
    for r in range(a, b):
        counts[r] = 0
    w = first
    # invariant, here and in the next loop: counts[r] counts the words from first to w
    while w + 4 <= last:
        x0, x1, x2, x3 = before[w], before[w + 1], before[w + 2], before[w + 3]
        s0, s1, s2, s3 = slab[w], slab[w + 1], slab[w + 2], slab[w + 3]
        i0, i1, i2, i3 = into[w], into[w + 1], into[w + 2], into[w + 3]
        for r in range(a, b):
            y0, y1, y2, y3 = x0[r] & s0[r], x1[r] & s1[r], x2[r] & s2[r], x3[r] & s3[r]
            i0[r], i1[r], i2[r], i3[r] = y0, y1, y2, y3
            counts[r] += popcount(y0) + popcount(y1) + (popcount(y2) + popcount(y3))
        w += 4
    while w < last:
        x, s, i = before[w], slab[w], into[w]
        for r in range(a, b):
            y = x[r] & s[r]
            i[r] = y
            counts[r] += popcount(y)
        w += 1
    most = 0
    for r in range(a, b):
        most = max(most, counts[r])
    return most


@compiled_in_place
def divide(tables, state, box, at, j, group, into):
    """Fill open box ``into`` from open box ``at`` with class j narrowed to a group: ``most`` by class."""
    words = tables.words
    before, after = state.opened[at], state.opened[into]
    for k in range(box.shape[0]):
        counts = state.counts[into, k]
        if k == j:
            a, b = tables.spans[k, group, 0], tables.spans[k, group, 1]
            state.most[k] = 0
            for r in range(a, b):
                counts[r] = state.counts[at, k, r]
                state.most[k] = max(state.most[k], counts[r])
            for w in range(words[k], words[k + 1]):
                x, y = before[w], after[w]
                for r in range(a, b):
                    y[r] = x[r]
        else:
            span = tables.spans[k, box[k]]
            state.most[k] = narrow(before, after, tables.beats[j, group], words, k, span, counts)
            state.work[0] += (words[k + 1] - words[k]) * (span[1] - span[0])
    n_classes = box.shape[0]
    state.work[0] += NODE_WORK + n_classes * (CLASS_WORK + n_classes * PAIR_WORK)


@compiled_in_place
def open_box(tables, terms, state, box):
    """Make a box the only open one, from nothing, and bound it."""
    n_classes = box.shape[0]
    state.counters[0] = 0
    for k in range(n_classes):
        state.boxes[0, k] = box[k]
        state.most[k] = 0
    opened = state.opened[0]
    for w in range(opened.shape[0]):
        for r in range(opened.shape[1]):
            opened[w, r] = tables.valid[w]
    # invariant: open box 0 is narrowed to the groups of the classes before j
    for j in range(n_classes):
        for k in range(n_classes):
            if k != j:
                span = tables.spans[k, box[k]]
                counts = state.counts[0, k]
                state.most[k] = narrow(opened, opened, tables.beats[j, box[j]], tables.words, k, span, counts)
    state.bounds[0] = least_objective(state.most, terms, state.levels)


@compiled_in_place
def bound_boxes(tables, terms, state, boxes, bounds):
    """Fill ``bounds`` with the least z in each box."""
    for at in range(boxes.shape[0]):
        open_box(tables, terms, state, boxes[at])
        bounds[at] = state.bounds[0]


@compiled_in_place
def class_to_divide(tables, box):
    """Return the class whose group differs most in itself; -1 for a single choice."""
    found = -1
    widest = -1.0
    for k in range(box.shape[0]):
        group = box[k]
        if tables.halves[k, group, 0] >= 0 and tables.spread[k, group] > widest:
            widest = tables.spread[k, group]
            found = k
    return found


@compiled_in_place
def n_choices_of(tables, box):
    """Return the number of choices in a box, or more than is small."""
    n_choices = 1
    for k in range(box.shape[0]):
        n_choices *= tables.spans[k, box[k], 1] - tables.spans[k, box[k], 0]
        if n_choices > SMALL_BOX:
            break
    return n_choices


@compiled_in_place
def is_hopeless(tables, state, box, bound):
    """Return whether no choice of a box, whose least z is bounded, can beat the best."""
    best = state.best
    if bound > best[0] + TOLERANCE:
        return True
    if bound < best[0] - TOLERANCE:
        return False
    n_changed, size = 0, 0.0
    for k in range(box.shape[0]):
        n_changed += tables.changed[k, box[k]]
        size += tables.change[k, box[k]]
    return n_changed > best[1] or (n_changed == best[1] and size >= best[2] - TOLERANCE)


@compiled_in_place
def bound_half(tables, terms, state, at, j, group, into, is_sharp):
    """Open a half of ``box`` as open box ``into``; return its bound. ``box`` then holds the half."""
    divide(tables, state, state.box, at, j, group, into)
    state.box[j] = group
    bound = least_objective(state.most, terms, state.levels)
    pmi = terms.tables.factors[0, PMI]
    if is_sharp and pmi > 0 and bound < INFEASIBLE and not is_hopeless(tables, state, state.box, bound):
        pair_predictions(tables, state, state.box)
        right = 0
        for k in range(state.most.shape[0]):
            right += state.most[k]
        loose = most_information(right, state.most, terms)
        bound += pmi * max(0.0, loose - most_information_between(state, terms))
    is_small = n_choices_of(tables, state.box) <= SMALL_BOX
    if is_sharp and is_small and not is_hopeless(tables, state, state.box, bound):
        bound = sharpen(tables, terms, state, state.box, bound)
    return bound


@compiled_in_place
def search_boxes(tables, terms, state, is_sharp):
    """Search the open boxes until none is left, work or time is over, or a choice is to be evaluated."""
    n_classes = state.box.shape[0]
    # invariant: what beats the best is in an open box
    while state.counters[0] >= 0:
        at = state.counters[0]
        if state.stop[0] or state.work[0] > state.work[1]:
            return LIMIT
        box = state.boxes[at]
        if is_hopeless(tables, state, box, state.bounds[at]):
            state.counters[0] -= 1
            continue
        j = class_to_divide(tables, box)
        if j < 0:
            state.counters[0] -= 1
            state.counters[1] += 1
            if is_hopeless(tables, state, box, value_of(tables, terms, state, box)):
                continue
            for k in range(n_classes):
                state.met[k] = box[k]
            return MET
        group = box[j]
        top = at
        # The first half is opened above its parent, the second in the parent's place, or above both.
        for half in range(2):
            for k in range(n_classes):
                state.box[k] = state.boxes[at, k]
            state.box[j] = group
            bound = bound_half(tables, terms, state, at, j, tables.halves[j, group, half], top + 1, is_sharp)
            if not is_hopeless(tables, state, state.box, bound):
                top += 1
                for k in range(n_classes):
                    state.boxes[top, k] = state.box[k]
                state.bounds[top] = bound
        state.bounds[at] = np.inf  # divided: passed over when its halves are done
        state.counters[0] = top
    return DONE
