"""Tables of bits: for every two corrections of two classes, on which samples the second class wins.

One bit per sample, so that whole choices are counted by AND and popcount, 64 samples at a time.
:class:`PairwiseWins` takes n_corrections ** 2 / 8 bytes per sample and pair of classes; with many
classes the ranks themselves are used instead. :class:`BitTables` lays the same bits out for
complete enumeration: the words of all corrections of one class lie side by side, so that one pass
over the samples counts every correction of the last class. Only what decides a correct prediction
is in it, a class on its own samples, and corrections that act alike on all samples are one.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.search.problem import IndexArray, Problem

WORD = 64
_VECTOR = 8
LARGEST_WINS, LARGEST_TABLES = 1 << 29, 1 << 31
"""Bytes that the pairwise wins and the tables of an enumeration may take."""

Words = npt.NDArray[np.uint64]


class PairwiseWins(NamedTuple):
    """Who wins which samples from whom, for all pairs of classes.

    Attributes
    ----------
    bits : ndarray of uint64, shape (n_pairs, n_corrections, n_corrections, n_words)
        ``bits[pair, s, r]`` has a bit for each sample that class j, with correction r, wins
        from class i, with correction s; i < j.
    pair : ndarray of shape (n_classes, n_classes)
        Index of the pair (i, j), either way round.
    valid : ndarray of uint64, shape (n_words,)
        The bits that stand for samples: the samples of a label begin a new word.
    words : ndarray of uint64, shape (n_classes + 1,)
        Where the words of each label begin; unsigned, so that compiled loops become vector loops.
    """

    bits: Words
    pair: IndexArray
    valid: Words
    words: Words


class BitTables(NamedTuple):
    """What :mod:`debias.search.proof.enumeration` reads, compiled.

    Attributes
    ----------
    order : ndarray of shape (n_classes,)
        Classes in the order in which they are fixed; the last two are counted together.
    members : ndarray of shape (n_classes, most_distinct)
        Correction of the family behind each distinct one, -1 in the padding.
    n_distinct : ndarray of shape (n_classes,)
        Distinct corrections of each class.
    beats : ndarray of uint64, shape (n_classes, most_distinct, n_words, n_padded)
        ``beats[k, a, w, r]`` has a bit for each sample of word w, which belongs to label u,
        that class u with correction r wins from class k with correction a.
    holds : ndarray of uint64, shape (most_distinct, n_words, n_padded)
        ``holds[a, w, r]``: the samples that their class with correction a wins from the last
        class of the order with correction r.
    words : ndarray of shape (n_classes + 1,)
        Where the words of each label begin.
    wins : PairwiseWins
        What they were made from.
    changed, change : ndarray of shape (n_classes, most_distinct)
        Whether a correction changes anything, and how much.
    """

    order: IndexArray
    members: IndexArray
    n_distinct: IndexArray
    beats: Words
    holds: Words
    words: IndexArray
    wins: PairwiseWins
    changed: IndexArray
    change: npt.NDArray[np.float64]

    @property
    def n_choices(self) -> int:
        """Number of different choices, those that act alike counted once."""
        return int(np.prod(self.n_distinct.astype(object)))

    def in_order(self, order: IndexArray) -> "BitTables":
        """Return the tables for an enumeration that fixes the classes in another order."""
        last = int(order[-1])
        holds = np.zeros_like(self.beats[0])
        for u in set(range(len(order))) - {last}:
            segment = slice(self.words[u], self.words[u + 1])
            lost = self.beats[last, : self.n_distinct[last], segment, : self.n_distinct[u]]
            holds[: self.n_distinct[u], segment, : self.n_distinct[last]] = lost.transpose(2, 1, 0)
        return self._replace(order=np.asarray(order, dtype=np.int64), holds=holds)


def n_bytes_of_wins(problem: Problem) -> int:
    """Return the memory that the pairwise wins of a problem take.

    Examples
    --------
    >>> from debias.corrections.families import ensemble
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3]])
    >>> n_bytes_of_wins(build_problem(P, np.array([1, 0]), ensemble(30), Objective()))
    36864
    """
    n_pairs = problem.n_classes * (problem.n_classes - 1) // 2
    return 8 * n_pairs * problem.n_corrections**2 * n_words_of(problem)


def n_words_of(problem: Problem) -> int:
    """Return the words that hold one bit per sample; each label begins a word of its own."""
    return int(_label_words(problem)[-1])


def tables_fit(problem: Problem) -> bool:
    """Return whether the tables of an enumeration fit into the memory that they may take."""
    n_padded = _padded(problem.n_corrections)
    n_bytes = 8 * (problem.n_classes + 1) * problem.n_corrections * n_words_of(problem) * n_padded
    return n_bytes_of_wins(problem) <= LARGEST_WINS and n_bytes <= LARGEST_TABLES


def wins_of(problem: Problem) -> PairwiseWins:
    """Return the pairwise wins of a problem, compared once and kept with it."""
    kept: dict[str, PairwiseWins] = problem.__dict__  # where its cached properties are
    if "wins" not in kept:
        kept["wins"] = build_wins(problem)
    return kept["wins"]


def build_wins(problem: Problem) -> PairwiseWins:
    """Compare all ranks of every pair of classes."""
    words = _label_words(problem)
    slots = np.concatenate(
        [words[label] * WORD + np.arange(count) for label, count in enumerate(problem.support)]
    )
    n_slots = int(words[-1]) * WORD
    columns = np.zeros((problem.n_classes, problem.n_corrections, n_slots), dtype=problem.ranks.dtype)
    columns[:, :, slots] = problem.columns
    pairs = list(combinations(range(problem.n_classes), 2))
    pair = np.zeros((problem.n_classes, problem.n_classes), dtype=np.int64)
    n_corrections = problem.n_corrections
    bits = np.empty((len(pairs), n_corrections, n_corrections, int(words[-1])), dtype=np.uint64)
    for index, (i, j) in enumerate(pairs):
        pair[i, j] = pair[j, i] = index
        for s in range(n_corrections):
            bits[index, s] = _pack(columns[j] > columns[i, s])
    occupied = np.zeros((1, n_slots), dtype=bool)
    occupied[0, slots] = True
    return PairwiseWins(bits, pair, _pack(occupied)[0], words.astype(np.uint64))


def build_tables(problem: Problem) -> BitTables:
    """Merge corrections that act alike and lay out the wins of the others."""
    wins = wins_of(problem)
    n_classes, n_words = problem.n_classes, len(wins.valid)
    groups = [_representatives(problem, wins, k) for k in range(n_classes)]
    n_distinct = np.array([len(group) for group in groups], dtype=np.int64)
    most = int(n_distinct.max())
    members = np.full((n_classes, most), -1, dtype=np.int64)
    for k, group in enumerate(groups):
        members[k, : len(group)] = group
    words = wins.words.astype(np.int64)
    beats = np.zeros((n_classes, most, n_words, _padded(most)), dtype=np.uint64)
    for k in range(n_classes):
        for u in set(range(n_classes)) - {k}:
            segment = slice(words[u], words[u + 1])
            won = _won(wins, k, groups[k], u, groups[u], segment)
            beats[k, : len(groups[k]), segment, : len(groups[u])] = won.transpose(0, 2, 1)
    picked = np.maximum(members, 0)
    # The class with the most corrections comes last, where they are counted side by side.
    order = np.argsort(n_distinct, kind="stable").astype(np.int64)
    return BitTables(
        order=order,
        members=members,
        n_distinct=n_distinct,
        beats=beats,
        holds=beats[0],
        words=words,
        wins=wins,
        changed=(picked != problem.identity).astype(np.int64),
        change=np.take_along_axis(problem.change, picked, axis=1),
    ).in_order(order)


def _label_words(problem: Problem) -> IndexArray:
    """Return where the words of each label begin."""
    return np.concatenate([[0], np.cumsum(-(-problem.support // WORD))])


def _padded(n_corrections: int) -> int:
    return -(-n_corrections // _VECTOR) * _VECTOR


def _pack(flags: npt.NDArray[np.bool_]) -> Words:
    """Pack rows of flags into words, the first flag in the lowest bit."""
    return np.packbits(flags, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def _won(
    wins: PairwiseWins, k: int, a: IndexArray, u: int, r: IndexArray, segment: slice = slice(None)
) -> Words:
    """Return, by correction of k, then of u, then word, the samples that u wins from k."""
    pair = wins.pair[k, u]
    if k < u:
        return wins.bits[pair][np.ix_(a, r)][:, :, segment]
    return ~wins.bits[pair][np.ix_(r, a)][:, :, segment].transpose(1, 0, 2) & wins.valid[segment]


def _representatives(problem: Problem, wins: PairwiseWins, k: int) -> IndexArray:
    """Return one correction of each group that acts alike: the identity, or the smallest change."""
    n_corrections = problem.n_corrections
    every = np.arange(n_corrections)
    rest = [u for u in range(problem.n_classes) if u != k]
    rows = [_won(wins, k, every, u, every).reshape(n_corrections, -1) for u in rest]
    alike: dict[bytes, list[int]] = {}
    for r in range(n_corrections):
        alike.setdefault(b"".join(row[r].tobytes() for row in rows), []).append(r)
    picked = [
        min(group, key=lambda r: (r != problem.identity, problem.change[k, r], r)) for group in alike.values()
    ]
    return np.array(sorted(picked), dtype=np.int64)
