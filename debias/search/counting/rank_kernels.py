"""Compiled counting on ranks: what every correction of one class does, in one pass over the samples.

With the other classes fixed, class j wins a sample where its rank exceeds that of the best rival.
Samples are sorted by label and the corrections of a sample lie side by side, so that one comparison
settles many corrections and the counts stay in the nearest cache.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled_in_place
from debias.search.counting.score import score
from debias.search.problem import FloatArray, IndexArray, Ranks


class Rivals(NamedTuple):
    """A rank per sample and the class that has it, each of shape (n_samples,)."""

    rank: Ranks
    owner: npt.NDArray[np.int32]


class RankTables(NamedTuple):
    """The ranks of a problem, by sample and by correction, and where the samples of each label begin."""

    ranks: Ranks
    columns: Ranks
    offsets: IndexArray


class RankScratch(NamedTuple):
    """What one thread writes to.

    Attributes
    ----------
    base, rival, best, second : Rivals
        Best rivals of a pair, of a class; the two highest ranks of every sample.
    tally : ndarray of shape (n_classes, n_padded)
        As narrow as the ranks, so that both fill vectors alike; emptied before it can overflow.
    met, seen : ndarray of shape (n_classes,)
        The rivals that were met since the tally was emptied, as a list and as flags.
    won, taken, lost : ndarray of shape (n_padded,), (n_classes, n_padded), (n_classes, n_padded)
        By correction r of class j: samples of class j that it wins; samples that it takes from
        class v; those of them that v had right.
    counts, accuracy : ndarray of shape (2, n_classes), (n_classes,)
        Correct and predicted samples; scratch of the score.
    """

    base: Rivals
    rival: Rivals
    best: Rivals
    second: Rivals
    tally: Ranks
    met: IndexArray
    seen: IndexArray
    won: IndexArray
    taken: IndexArray
    lost: IndexArray
    counts: IndexArray
    accuracy: FloatArray


@compiled_in_place
def best_rivals(columns, choice, skip_a, skip_b, rivals):
    """Find the highest rank of every sample and its class, two classes omitted."""
    n_classes, _, n_samples = columns.shape
    rivals.rank[:] = 0
    rivals.owner[:] = 0
    # invariant: rivals are the best of the classes before k, the two omitted
    for k in range(n_classes):
        if k in (skip_a, skip_b):
            continue
        row = columns[k, choice[k]]
        for m in range(n_samples):
            if row[m] > rivals.rank[m]:
                rivals.rank[m] = row[m]
                rivals.owner[m] = k


@compiled_in_place
def best_two(columns, choice, best, second):
    """Find the two highest ranks of every sample and their classes, for counts that omit one class."""
    n_classes, _, n_samples = columns.shape
    best.rank[:] = 0
    best.owner[:] = 0
    second.rank[:] = 0
    second.owner[:] = 0
    # invariant: best and second are the two highest of the classes before k
    for k in range(n_classes):
        row = columns[k, choice[k]]
        for m in range(n_samples):
            if row[m] > second.rank[m]:
                higher = row[m] > best.rank[m]
                second.rank[m] = best.rank[m] if higher else row[m]
                second.owner[m] = best.owner[m] if higher else k
                best.rank[m] = row[m] if higher else best.rank[m]
                best.owner[m] = k if higher else best.owner[m]


@compiled_in_place
def omit_class(best, second, j, rivals):
    """Fill the best rivals of class j from the two highest ranks of every sample."""
    for m in range(best.rank.shape[0]):
        own = best.owner[m] == j
        rivals.rank[m] = second.rank[m] if own else best.rank[m]
        rivals.owner[m] = second.owner[m] if own else best.owner[m]


@compiled_in_place
def raise_rivals(base, row, owner, rivals):
    """Add one more class to the best rivals: row is its rank for every sample."""
    for m in range(base.rank.shape[0]):
        higher = row[m] > base.rank[m]
        rivals.rank[m] = row[m] if higher else base.rank[m]
        rivals.owner[m] = owner if higher else base.owner[m]


@compiled_in_place
def count_wins(ranks, rivals, offsets, j, limit, scratch):
    """Count, for every correction of class j, whom it takes samples from.

    Fills ``won``, ``taken`` and ``lost``. The first column of the padding wins every sample, so
    its counts are those of the rivals alone. ``limit`` is the largest count that a tally holds.
    """
    met, seen, tally = scratch.met, scratch.seen, scratch.tally
    n_classes, n_padded = scratch.taken.shape
    scratch.won[:] = 0
    scratch.taken[:] = 0
    scratch.lost[:] = 0
    for label in range(n_classes):
        start = offsets[label]
        # invariant: the samples before start are in won, taken and lost, and no flag of seen is set
        while start < offsets[label + 1]:
            stop = min(start + limit, offsets[label + 1])
            n_met = 0
            # invariant: tally[v] counts the samples from start to m of every rival v in met[:n_met]
            for m in range(start, stop):
                v = rivals.owner[m]
                if seen[v] == 0:
                    seen[v] = 1
                    met[n_met] = v
                    n_met += 1
                    tally[v, :] = 0
                bar = rivals.rank[m]
                row = ranks[m]
                mine = tally[v]
                for r in range(n_padded):
                    mine[r] += row[r] > bar
            for position in range(n_met):
                v = met[position]
                seen[v] = 0
                for r in range(n_padded):
                    wins = int(tally[v, r])
                    scratch.taken[v, r] += wins
                    if label == j:
                        scratch.won[r] += wins
                    elif label == v:
                        scratch.lost[v, r] += wins
            start = stop


@compiled_in_place
def value_class(ranks, rivals, offsets, tables, scratch, j, limit, at, values):
    """Fill ``values[t, at, r]`` with z under objective t of every correction r of class j."""
    count_wins(ranks, rivals, offsets, j, limit, scratch)
    n_classes, n_corrections = tables.support.shape[0], values.shape[2]
    taken, lost, counts = scratch.taken, scratch.lost, scratch.counts
    for r in range(n_corrections):
        total = 0
        # invariant: counts of the classes before k are those with correction r; total is what j has of them
        for k in range(n_classes):
            counts[0, k] = lost[k, n_corrections] - lost[k, r]
            counts[1, k] = taken[k, n_corrections] - taken[k, r]
            total += taken[k, r]
        counts[0, j] = scratch.won[r]
        counts[1, j] = total
        for t in range(values.shape[0]):
            values[t, at, r] = score(counts, tables, t, scratch.accuracy)


@compiled_in_place
def value_pair(data, tables, scratch, i, j, limit, values):
    """Fill ``values[t, s, r]`` with z of correction s of class i and r of class j together.

    ``scratch.base`` holds the best rivals of both.
    """
    for s in range(values.shape[1]):
        raise_rivals(scratch.base, data.columns[i, s], i, scratch.rival)
        value_class(data.ranks[j], scratch.rival, data.offsets, tables, scratch, j, limit, s, values)
