"""Finds rows that say what an earlier row says: exact copies, and near ones by MinHash and Jaccard.

Near: the sets of word n-grams of two texts share at least `threshold` of their union. MinHash with
locality-sensitive hashing (datasketch) proposes pairs and may miss a few; each pair it proposes is
checked on the sets themselves, so that no row is called a copy that is none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.compilation import compiled
from debias.errors import ParameterError
from iterit.ngrams.ngram_counts import NgramCounts, count_ngrams

MISSED_WEIGHS = 0.9
"""Against false proposals, which cost only a check, when the hashing is set up."""
HIGHEST_PROPOSED = 0.9
"""Pairs are proposed from this share on at the latest: the hashing knows no stricter one."""


@dataclass(frozen=True, eq=False)
class NearCopies:
    """Which rows to keep.

    Attributes
    ----------
    kept : ndarray of int64
        Rows that are no copy of an earlier kept row, ascending: candidates to pick from.
    table : DataFrame
        One line per copy: `row`, `copy_of` (a kept row), `kind` ("exact" or "near") and
        `similarity`, the share of n-grams that the two have in common.
    """

    kept: npt.NDArray[np.int64]
    table: pd.DataFrame


def near_copies(
    texts: Sequence[str],
    *,
    threshold: float = 0.8,
    tokens: str = "unicode",
    min_words: int = 5,
    n_permutations: int = 128,
    seed: int = 1,
) -> NearCopies:
    """Find exact and near copies; the first row of each group is kept.

    Parameters
    ----------
    texts : sequence of str
        What is compared: responses, or whole records.
    threshold : float
        Above 0 and at most 1: the share of common n-grams from which a row is a near copy. At 1.0
        only order and repetition of words may differ.
    tokens : {"unicode", "scikit-learn"}
        How texts are cut into words, see :func:`iterit.ngrams.word_kinds.word_kind`. "scikit-learn"
        leaves out words of one character: "x = 4" and "x = 5" are then alike.
    min_words : int
        Texts of fewer words are never near copies, only exact ones: "5" and "-5" have the same words.
    n_permutations : int
        Length of the MinHash: more of them miss fewer pairs.
    seed : int
        Of the permutations.

    Returns
    -------
    NearCopies

    Raises
    ------
    ParameterError
        A threshold that is not allowed.

    Examples
    --------
    >>> rows = ["Drink plenty of water every day and sleep well", "Be kind", "Be kind",
    ...         "Drink plenty of water every day and sleep well!"]
    >>> found = near_copies(rows)
    >>> found.kept
    array([0, 1])
    >>> found.table
       row  copy_of   kind  similarity
    0    2        1  exact         1.0
    1    3        0   near         1.0
    """
    if not 0.0 < threshold <= 1.0:
        raise ParameterError(f"threshold is {threshold!r}; it must be above 0 and at most 1")
    counts = count_ngrams(texts, tokens=tokens)
    first_with: dict[str, int] = {}
    copies: list[tuple[int, int, str, float]] = []
    distinct = []
    for row, text in enumerate(texts):
        first = first_with.setdefault(text, row)
        if first == row:
            distinct.append(row)
        else:
            copies.append((row, first, "exact", 1.0))
    compared = [row for row in distinct if counts.n_words[row] >= min_words]
    near = _near(compared, counts, threshold, n_permutations, seed)
    copies = [(row, near.get(first, (first,))[0], kind, share) for row, first, kind, share in copies]
    copies += [(row, original, "near", share) for row, (original, share) in near.items()]
    table = pd.DataFrame(sorted(copies), columns=["row", "copy_of", "kind", "similarity"])
    kept = np.array([row for row in distinct if row not in near], dtype=np.int64)
    return NearCopies(kept, table)


def _near(
    rows: Iterable[int], counts: NgramCounts, threshold: float, n_permutations: int, seed: int
) -> dict[int, tuple[int, float]]:
    """Return the rows that are near copies, each with the kept row it resembles most."""
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
        proposed = [(_common(grams, _grams(counts, other)), other) for other in index.query(sketch)]
        share, original = max(proposed, key=lambda pair: (pair[0], -pair[1]), default=(0.0, -1))
        if share >= threshold:
            found[row] = (original, share)
        else:
            index.insert(row, sketch, check_duplication=False)
    return found


def _grams(counts: NgramCounts, row: int) -> npt.NDArray[np.signedinteger]:
    return counts.indices[counts.indptr[row] : counts.indptr[row + 1]]


def _common(grams: npt.NDArray[Any], others: npt.NDArray[Any]) -> float:
    shared = n_common(grams, others)
    return float(shared / (len(grams) + len(others) - shared))


@compiled
def n_common(grams, others):  # type: ignore[no-untyped-def]
    """Count the numbers that two ascending arrays have in common."""
    mine = theirs = n = 0
    while mine < len(grams) and theirs < len(others):
        if grams[mine] == others[theirs]:
            n += 1
            mine += 1
            theirs += 1
        elif grams[mine] < others[theirs]:
            mine += 1
        else:
            theirs += 1
    return n
