"""Finds rows that repeat an earlier row: exact duplicates, and near ones by MinHash and Jaccard.

Two texts are near where their sets of word n-grams share at least `threshold` of their union. MinHash
with locality-sensitive hashing (datasketch) proposes pairs and may miss a few; each proposed pair is
checked on the sets themselves, so that no row is called a duplicate that is not one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from iterit.ngrams.gram_numbers import Integers
from iterit.ngrams.ngram_counts import NgramCounts, count_ngrams

MISSED_WEIGHS = 0.9
"""Weight of missed pairs, against false proposals, which cost only a check, when the hashing is set up."""
HIGHEST_PROPOSED = 0.9
"""Highest threshold of the hashing."""


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Which rows to keep.

    Attributes
    ----------
    kept : ndarray of int64
        Rows that do not repeat an earlier kept row, ascending: candidates to pick from.
    table : DataFrame
        One line per duplicate: `row`, `copy_of` (a kept row), `kind` ("exact" or "near") and
        `similarity`, the share of n-grams that the two have in common.
    """

    kept: npt.NDArray[np.int64]
    table: pd.DataFrame


def near_duplicates(
    texts: Sequence[str],
    *,
    threshold: float = 0.8,
    tokens: str = "every",
    min_words: int = 5,
    n_permutations: int = 128,
    seed: int = 1,
) -> NearDuplicates:
    """Find exact and near duplicates; the first row of each group is kept.

    Parameters
    ----------
    texts : sequence of str
        What is compared: responses, or whole records.
    threshold : float
        Above 0 and at most 1: the least share of common n-grams of a near duplicate. At 1.0 only the
        order and repetition of words may differ.
    tokens : {"every", "unicode", "published"}
        How texts are cut into words, see :func:`iterit.ngrams.word_kinds.word_kind`. All but "every"
        omit words of one letter or digit: "x = 4 metres" and "x = 5 metres" are then alike.
    min_words : int
        Texts of fewer words are never near duplicates, only exact ones: "5" and "-5" have the same words.
    n_permutations : int
        Length of the MinHash: a longer one misses fewer pairs.
    seed : int
        Seed of the permutations.

    Returns
    -------
    NearDuplicates

    Raises
    ------
    ParameterError
        The threshold is not allowed.

    Examples
    --------
    >>> rows = ["Drink plenty of water every day and sleep well", "Be kind", "Be kind",
    ...         "Drink plenty of water every day and sleep well!"]
    >>> found = near_duplicates(rows)
    >>> found.kept
    array([0, 1])
    >>> found.table
       row  copy_of   kind  similarity
    0    2        1  exact         1.0
    1    3        0   near         1.0
    """
    if not 0.0 < threshold <= 1.0:
        raise ParameterError(
            parameter="threshold", received=threshold, allowed="a number above 0 and at most 1"
        )
    counts = count_ngrams(texts, tokens=tokens)
    first_with: dict[str, int] = {}
    exact = {}
    for row, text in enumerate(texts):
        if (first := first_with.setdefault(text, row)) != row:
            exact[row] = first
    distinct = list(first_with.values())
    compared = [row for row in distinct if counts.n_words[row] >= min_words]
    near = _near(compared, counts, threshold, n_permutations, seed)
    found = [(row, near.get(first, (first,))[0], "exact", 1.0) for row, first in exact.items()]
    found += [(row, original, "near", share) for row, (original, share) in near.items()]
    table = pd.DataFrame(sorted(found), columns=["row", "copy_of", "kind", "similarity"])
    kept = np.array([row for row in distinct if row not in near], dtype=np.int64)
    return NearDuplicates(kept, table)


def _near(
    rows: Iterable[int], counts: NgramCounts, threshold: float, n_permutations: int, seed: int
) -> dict[int, tuple[int, float]]:
    """Return the near duplicates, each with the kept row it resembles most."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(
        threshold=min(threshold, HIGHEST_PROPOSED),
        num_perm=n_permutations,
        weights=(1.0 - MISSED_WEIGHS, MISSED_WEIGHS),
    )
    blank = MinHash(num_perm=n_permutations, seed=seed, hashfunc=int)
    found: dict[int, tuple[int, float]] = {}
    for row in rows:
        grams = _grams(counts, row)
        sketch = blank.copy()
        sketch.update_batch(grams.tolist())
        proposed = [(_share(grams, _grams(counts, other)), other) for other in index.query(sketch)]
        share, original = max(proposed, key=lambda pair: (pair[0], -pair[1]), default=(0.0, -1))
        if share >= threshold:
            found[row] = (original, share)
        else:
            index.insert(row, sketch, check_duplication=False)
    return found


def _grams(counts: NgramCounts, row: int) -> Integers:
    return counts.indices[counts.indptr[row] : counts.indptr[row + 1]]


def _share(grams: Integers, others: Integers) -> float:
    """Return the share of n-grams that two rows have in common."""
    common = len(np.intersect1d(grams, others, assume_unique=True))
    return float(common / (len(grams) + len(others) - common))
