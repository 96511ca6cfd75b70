"""Lanes: the duels laid out for complete enumeration, one correction beside the other.

Duels say who wins a sample from whom, one bit per sample. Here the words of all corrections of
one class lie side by side, so that one pass over the samples counts every correction of the
last class at once. Only what decides a correct prediction is kept: a class on its own samples.
Corrections that act alike on all samples are one lane.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.search.counting.pairwise_wins import WORD, Duels
from debias.search.problem import IndexArray, Problem

_VECTOR = 8
LARGEST = 1 << 31
"""Bytes that the lanes of a problem may take."""

Words = npt.NDArray[np.uint64]


class Lanes(NamedTuple):
    """Tables for :mod:`debias.search.proof.enumeration`, which reads them compiled.

    Attributes
    ----------
    order : ndarray of shape (n_classes,)
        Classes in the order in which they are settled; the last two are swept together.
    members : ndarray of shape (n_classes, n_lanes)
        Correction behind each lane, -1 in the padding.
    n_lanes : ndarray of shape (n_classes,)
        Lanes in use.
    beats : ndarray of uint64, shape (n_classes, n_lanes, n_words, n_padded)
        ``beats[k, a, w, r]`` has a bit for each sample of word w, which belongs to label u,
        that class u with lane r wins from class k with lane a.
    holds : ndarray of uint64, shape (n_lanes, n_words, n_padded)
        ``holds[a, w, r]``: the samples that their class with lane a wins from the last
        class of the order with lane r.
    valid : ndarray of uint64, shape (n_words,)
        The bits that stand for samples.
    words : ndarray of shape (n_classes + 1,)
        Where the words of each label begin.
    bits, pair : ndarray
        The duels themselves, see :class:`~debias.search.counting.pairwise_wins.Duels`.
    changed, change : ndarray of shape (n_classes, n_lanes)
        Whether a lane changes anything, and how much.
    """

    order: IndexArray
    members: IndexArray
    n_lanes: IndexArray
    beats: Words
    holds: Words
    valid: Words
    words: IndexArray
    bits: Words
    pair: IndexArray
    changed: IndexArray
    change: npt.NDArray[np.float64]

    @property
    def n_choices(self) -> int:
        """Number of different choices, those that act alike counted once."""
        return int(np.prod(self.n_lanes.astype(object)))


def n_bytes(problem: Problem) -> int:
    """Return the memory that the lanes of a problem may take, at most."""
    n_words = int((-(-problem.support // WORD)).sum())
    n_padded = _padded(problem.n_corrections)
    return 8 * (problem.n_classes + 1) * problem.n_corrections * n_words * n_padded


def build_lanes(problem: Problem, duels: Duels) -> Lanes:
    """Merge corrections that act alike and lay out the duels of the others.

    Parameters
    ----------
    problem : Problem
        What is searched.
    duels : Duels
        Its duels.

    Returns
    -------
    Lanes
        Read by all threads.
    """
    n_classes, n_words = problem.n_classes, len(duels.valid)
    groups = [_representatives(problem, duels, k) for k in range(n_classes)]
    n_lanes = np.array([len(group) for group in groups], dtype=np.int64)
    most = int(n_lanes.max())
    members = np.full((n_classes, most), -1, dtype=np.int64)
    for k, group in enumerate(groups):
        members[k, : len(group)] = group
    words = duels.words.astype(np.int64)
    beats = np.zeros((n_classes, most, n_words, _padded(most)), dtype=np.uint64)
    for k in range(n_classes):
        for u in set(range(n_classes)) - {k}:
            segment = slice(words[u], words[u + 1])
            won = _wins(duels, k, groups[k], u, groups[u], segment)
            beats[k, : len(groups[k]), segment, : len(groups[u])] = won.transpose(0, 2, 1)
    picked = np.maximum(members, 0)
    # The class with the most lanes comes last, where lanes are counted side by side.
    order = np.argsort(n_lanes, kind="stable").astype(np.int64)
    unordered = Lanes(
        order=order,
        members=members,
        n_lanes=n_lanes,
        beats=beats,
        holds=beats[0],
        valid=duels.valid,
        words=words,
        bits=duels.bits,
        pair=duels.pair,
        changed=(picked != problem.identity).astype(np.int64),
        change=np.take_along_axis(problem.change, picked, axis=1),
    )
    return in_order(unordered, order)


def in_order(lanes: Lanes, order: IndexArray) -> Lanes:
    """Return the same lanes for a walk that settles the classes in another order.

    Parameters
    ----------
    lanes : Lanes
        In any order.
    order : ndarray of shape (n_classes,)
        The classes.

    Returns
    -------
    Lanes
        Shares all tables but ``holds``.
    """
    last = int(order[-1])
    holds = np.zeros_like(lanes.beats[0])
    for u in set(range(len(order))) - {last}:
        segment = slice(lanes.words[u], lanes.words[u + 1])
        lost = lanes.beats[last, : lanes.n_lanes[last], segment, : lanes.n_lanes[u]]
        holds[: lanes.n_lanes[u], segment, : lanes.n_lanes[last]] = lost.transpose(2, 1, 0)
    return lanes._replace(order=np.asarray(order, dtype=np.int64), holds=holds)


def _padded(n_lanes: int) -> int:
    return -(-n_lanes // _VECTOR) * _VECTOR


def _wins(duels: Duels, k: int, a: IndexArray, u: int, r: IndexArray, segment: slice = slice(None)) -> Words:
    """Return, by correction of k, then of u, then word, the samples that u wins from k."""
    pair = duels.pair[k, u]
    if k < u:
        return duels.bits[pair][np.ix_(a, r)][:, :, segment]
    return ~duels.bits[pair][np.ix_(r, a)][:, :, segment].transpose(1, 0, 2) & duels.valid[segment]


def _representatives(problem: Problem, duels: Duels, k: int) -> IndexArray:
    """Return one correction of each group that acts alike: the identity, or the smallest change."""
    n_corrections = problem.n_corrections
    every = np.arange(n_corrections)
    rest = [u for u in range(problem.n_classes) if u != k]
    rows = [_wins(duels, k, every, u, every).reshape(n_corrections, -1) for u in rest]
    alike: dict[bytes, list[int]] = {}
    for r in range(n_corrections):
        alike.setdefault(b"".join(row[r].tobytes() for row in rows), []).append(r)
    picked = [
        min(group, key=lambda r: (r != problem.identity, problem.change[k, r], r)) for group in alike.values()
    ]
    return np.array(sorted(picked), dtype=np.int64)
