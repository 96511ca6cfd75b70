"""Weighs the n-grams of some rows by tf-idf: the weights that a pick lowers in every other row.

Counts are made once (:mod:`iterit.ngrams.ngram_counts`); a round weighs a slice of the rows with the
idf and the norms of that slice. IterIT (Jia et al., arXiv 2412.17365); tf-idf as in scikit-learn's
TfidfVectorizer: idf = ln((1 + n) / (1 + df)) + 1, rows of L2 norm 1.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from iterit.ngrams.disk_arrays import new_array
from iterit.ngrams.gram_numbers import Integers
from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.row_sums import count_pick, row_sum, row_sums
from iterit.row_numbers import row_numbers
from iterit.threads import n_threads, run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Weights:
    """Tf-idf weights of the n-grams of some rows, as the arrays of a CSR matrix.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Where each row begins in `indices` and `data`.
    indices : ndarray of int
        Columns, numbered as in the counts, ascending in each row.
    data : ndarray of float64
        Weights before anything is picked.
    n_columns : int
    rows : ndarray of int64, shape (n_rows,)
        The row of the counts that each row is.
    """

    indptr: npt.NDArray[np.int64]
    indices: Integers
    data: npt.NDArray[np.float64]
    n_columns: int
    rows: npt.NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """Number of rows that were weighed."""
        return len(self.rows)

    @property
    def matrix(self) -> "csr_array":
        """The same as a SciPy sparse matrix, without a copy."""
        from scipy.sparse import csr_array

        return csr_array((self.data, self.indices, self.indptr), shape=(self.n_rows, self.n_columns))

    @property
    def n_distinct(self) -> npt.NDArray[np.int64]:
        """Number of different n-grams in each row."""
        return np.diff(self.indptr)

    def sums(self) -> npt.NDArray[np.float64]:
        """Return the diversity of every row while nothing is picked: the sum of its weights.

        Examples
        --------
        >>> from iterit.ngrams.ngram_counts import count_ngrams
        >>> weigh(count_ngrams(["good day", "good", ""])).sums().round(3).tolist()
        [1.719, 1.0, 0.0]
        """
        return row_sums(self.indptr, self.data)


def weigh(counts: NgramCounts, rows: npt.ArrayLike | None = None, *, n_jobs: int | None = None) -> Weights:
    """Weigh the n-grams of some rows by the idf and the norms of these rows alone.

    Equal to scikit-learn's TfidfVectorizer fitted on the texts of these rows.

    Parameters
    ----------
    counts : NgramCounts
        Of all rows.
    rows : array-like of int, optional
        The rows, in any order; all by default. All rows in their order need no copy of their columns.
    n_jobs : int, optional
        Threads; one per core by default. The result is the same for any number.

    Returns
    -------
    Weights

    Raises
    ------
    ParameterError
        There is no such row.
    StorageError
        The counts are held in a folder, and its disk has no room for the weights.

    Examples
    --------
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> counts = count_ngrams(["a good day", "good night", "good good day"], ngram_range=(1, 1))
    >>> weigh(counts, [0, 1]).matrix.toarray().round(3)
    array([[0.58 , 0.815, 0.   ],
           [0.58 , 0.   , 0.815]])
    """
    n_jobs = n_threads(n_jobs)
    chosen = np.arange(counts.n_rows) if rows is None else row_numbers(rows, counts.n_rows)
    if rows is None or np.array_equal(chosen, np.arange(counts.n_rows)):
        indptr, indices, times = counts.indptr, counts.indices, counts.counts
    else:
        indptr = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(np.diff(counts.indptr)[chosen], out=indptr[1:])
        indices = new_array(counts.folder, indptr[-1], counts.indices.dtype)
        times = new_array(counts.folder, indptr[-1], counts.counts.dtype)
        gather_rows(counts.indptr, counts.indices, counts.counts, chosen, indptr, indices, times)
    frequencies = np.zeros(counts.n_columns, dtype=np.int32)
    count_columns(indices, frequencies)
    n = len(chosen)
    most = int(frequencies.max(initial=0))
    idf = np.log((n + 1.0) / (np.arange(most + 1) + 1.0)) + 1.0  # by frequency: few different ones
    data = new_array(counts.folder, len(indices), np.float64)
    cuts = np.linspace(0, n, 4 * n_jobs + 1).astype(np.int64)

    def weigh_part(part: int) -> None:
        weigh_rows(indptr, indices, times, idf, frequencies, cuts[part], cuts[part + 1], data)

    run_in_threads(weigh_part, len(cuts) - 1, n_jobs)
    return Weights(indptr, indices, data, counts.n_columns, chosen)


def diversity_of_picks(
    weights: Weights, picks: npt.NDArray[np.int64], decay: float
) -> npt.NDArray[np.float64]:
    """Return the diversity that each picked row had when it was picked.

    Parameters
    ----------
    weights : Weights
    picks : ndarray of int64
        Rows of `weights` (not of the counts) in the order of the picks, by whatever mode.
    decay : float
        Factor by which a pick multiplies the weights of its n-grams.

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> weights = weigh(count_ngrams(["good day", "good day", "night"]))
    >>> diversity_of_picks(weights, np.array([0, 1, 2]), decay=0.5).round(3).tolist()
    [1.732, 0.866, 1.0]
    """
    times = np.zeros(weights.n_columns, dtype=np.int32)
    found = np.empty(len(picks))
    for rank, row in enumerate(picks):
        low, high = weights.indptr[row], weights.indptr[row + 1]
        found[rank] = row_sum(low, high, weights.indices, weights.data, times, decay)
        count_pick(low, high, weights.indices, times)
    return found


@compiled
def gather_rows(indptr, indices, counts, rows, out_indptr, out_indices, out_counts):  # type: ignore[no-untyped-def]
    """Copy some rows of a CSR matrix."""
    # invariant: the rows before `place` are copied; out_indptr was made from their lengths
    for place in range(len(rows)):
        low, out = indptr[rows[place]], out_indptr[place]
        for offset in range(out_indptr[place + 1] - out):
            out_indices[out + offset] = indices[low + offset]
            out_counts[out + offset] = counts[low + offset]


@compiled
def count_columns(indices, frequencies):  # type: ignore[no-untyped-def]
    """Count the rows in which each column occurs."""
    # invariant: frequencies[column] is the number of entries of the column before `entry`
    for entry in range(len(indices)):
        frequencies[indices[entry]] += 1


@compiled
def weigh_rows(indptr, indices, counts, idf, frequencies, first, last, data):  # type: ignore[no-untyped-def]
    """Write the tf-idf weights of some rows, of norm 1 each."""
    for row in range(first, last):
        squares = 0.0
        # invariant: data[indptr[row]:entry] are weights before they are divided, squares their sum of squares
        for entry in range(indptr[row], indptr[row + 1]):
            weight = counts[entry] * idf[frequencies[indices[entry]]]
            data[entry] = weight
            squares += weight * weight
        norm = np.sqrt(squares)
        for entry in range(indptr[row], indptr[row + 1]):
            data[entry] /= norm
