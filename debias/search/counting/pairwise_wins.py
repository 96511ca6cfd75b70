"""Duels: for every two corrections of two classes, on which samples the second class wins.

One bit per sample, so that whole choices are counted by AND and popcount, 64 samples at a
time: who wins a sample against all settled classes is the AND of a few duels. Takes
n_corrections ** 2 / 8 bytes per sample and pair of classes; with many classes the ranks
themselves are used instead.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from debias.search.problem import IndexArray, Problem

WORD = 64
LARGEST = 1 << 29
"""Bytes that the duels of a problem may take."""


@dataclass(frozen=True)
class Duels:
    """The duels of all pairs of classes.

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

    bits: npt.NDArray[np.uint64]
    pair: IndexArray
    valid: npt.NDArray[np.uint64]
    words: npt.NDArray[np.uint64]


def n_bytes(problem: Problem) -> int:
    """Return the memory that the duels of a problem take.

    Examples
    --------
    >>> from debias.corrections.families import ensemble
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3]])
    >>> n_bytes(build_problem(P, np.array([1, 0]), ensemble(30), Objective()))
    36864
    """
    n_words = int(_label_words(problem)[-1])
    n_pairs = problem.n_classes * (problem.n_classes - 1) // 2
    return int(8 * n_pairs * problem.n_corrections**2 * n_words)


def duels_of(problem: Problem) -> Duels:
    """Return the duels of a problem, compared once and kept with it.

    Parameters
    ----------
    problem : Problem
        What is searched.

    Returns
    -------
    Duels
        The same object every time.
    """
    kept: dict[str, Duels] = problem.__dict__  # where its cached properties are
    if "duels" not in kept:
        kept["duels"] = build_duels(problem)
    return kept["duels"]


def build_duels(problem: Problem) -> Duels:
    """Compare all ranks of every pair of classes.

    Parameters
    ----------
    problem : Problem
        What is searched.

    Returns
    -------
    Duels
        Read by all threads.
    """
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
    return Duels(bits, pair, _pack(occupied)[0], words.astype(np.uint64))


def _label_words(problem: Problem) -> IndexArray:
    """Return where the words of each label begin."""
    return np.concatenate([[0], np.cumsum(-(-problem.support // WORD))])


def _pack(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Pack rows of flags into words, the first flag in the lowest bit."""
    return np.packbits(flags, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)
