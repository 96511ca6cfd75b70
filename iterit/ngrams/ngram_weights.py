"""How much a row adds: the tf-idf weights of its n-grams, which fall when a picked row has them too.

Counts are made once (:mod:`iterit.ngrams.ngram_counts`); a round weighs a slice of the rows with the idf and
the norms of that slice. IterIT (Jia et al., arXiv 2412.17365); tf-idf as scikit-learn's
TfidfVectorizer has it: idf = ln((1 + n) / (1 + df)) + 1, rows of L2 norm 1.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from debias.errors import ParameterError
from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.row_sums import bump_columns, row_sum, row_sums
from iterit.threads import n_threads, run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Integers = npt.NDArray[np.signedinteger]


@dataclass(frozen=True, eq=False)
class Weights:
    """Tf-idf weights of the n-grams of some rows, as the arrays of a CSR matrix.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Where each row begins in `indices` and `data`.
    indices : ndarray of int
        Columns (the same as in the counts), ascending in each row.
    data : ndarray of float64
        Weights before anything is picked.
    n_columns : int
    rows : ndarray of int64, shape (n_rows,)
        Which row of the counts each one is.
    """

    indptr: npt.NDArray[np.int64]
    indices: Integers
    data: npt.NDArray[np.float64]
    n_columns: int
    rows: npt.NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """How many rows were weighed."""
        return len(self.rows)

    @property
    def matrix(self) -> "csr_array":
        """The same as a SciPy sparse matrix, without a copy."""
        from scipy.sparse import csr_array

        return csr_array((self.data, self.indices, self.indptr), shape=(self.n_rows, self.n_columns))

    @property
    def n_distinct(self) -> npt.NDArray[np.int64]:
        """How many different n-grams each row has."""
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


def weigh(counts: NgramCounts, rows: Any = None, *, n_jobs: int | None = None) -> Weights:
    """Weigh the n-grams of some rows by the idf and the norms of these rows alone.

    Equal to scikit-learn's TfidfVectorizer fitted on the texts of these rows.

    Parameters
    ----------
    counts : NgramCounts
        Of all rows.
    rows : array-like of int, optional
        Which rows, in any order; all if not given (which copies no columns).
    n_jobs : int, optional
        Threads; one per core if not given. The result is the same with any number.

    Returns
    -------
    Weights

    Raises
    ------
    ParameterError
        A row that is not there.

    Examples
    --------
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> counts = count_ngrams(["a good day", "good night", "good good day"], ngram_range=(1, 1))
    >>> weigh(counts, [0, 1]).matrix.toarray().round(3)
    array([[0.58 , 0.815, 0.   ],
           [0.58 , 0.   , 0.815]])
    """
    n_jobs = n_threads(n_jobs)
    if rows is None:
        chosen = np.arange(counts.n_rows)
        indptr, indices, times = counts.indptr, counts.indices, counts.counts
    else:
        chosen = checked_rows(rows, counts.n_rows, "rows")
        indptr = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(np.diff(counts.indptr)[chosen], out=indptr[1:])
        indices = np.empty(indptr[-1], dtype=counts.indices.dtype)
        times = np.empty(indptr[-1], dtype=counts.counts.dtype)
        gather_rows(counts.indptr, counts.indices, counts.counts, chosen, indptr, indices, times)
    frequencies = np.zeros(counts.n_columns, dtype=np.int32)
    count_columns(indices, frequencies)
    n = len(chosen)
    most = int(frequencies.max(initial=0))
    idf = np.log((n + 1.0) / (np.arange(most + 1) + 1.0)) + 1.0  # by frequency: few different ones
    data = np.empty(len(indices), dtype=np.float64)
    cuts = np.linspace(0, n, 4 * n_jobs + 1).astype(np.int64)

    def weigh_part(part: int) -> None:
        weigh_rows(indptr, indices, times, idf, frequencies, cuts[part], cuts[part + 1], data)

    run_in_threads(weigh_part, len(cuts) - 1, n_jobs)
    return Weights(indptr, indices, data, counts.n_columns, chosen)


def checked_rows(rows: Any, n_rows: int, parameter: str) -> npt.NDArray[np.int64]:
    """Return row numbers as an array.

    Raises
    ------
    ParameterError
        One of them is no whole number or not there.

    Examples
    --------
    >>> checked_rows([2, 0], 3, "rows")
    array([2, 0])
    >>> checked_rows([2, 3], 3, "rows")
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: rows has 3; it must be a list of whole numbers from 0 to 2
    """
    array = np.asarray(rows)
    allowed = f"it must be a list of whole numbers from 0 to {n_rows - 1}"
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ParameterError(f"{parameter} is an array of {array.dtype} of shape {array.shape}; {allowed}")
    wrong = array[(array < 0) | (array >= n_rows)]
    if len(wrong):
        raise ParameterError(f"{parameter} has {wrong[0]}; {allowed}")
    return array.astype(np.int64)


def diversity_of_picks(
    weights: Weights, picks: npt.NDArray[np.int64], decay: float
) -> npt.NDArray[np.float64]:
    """Return the diversity that each picked row had when it was picked.

    Parameters
    ----------
    weights : Weights
    picks : ndarray of int64
        Rows of `weights` (not of the counts), in the order they were picked, however that was.
    decay : float
        What a pick multiplies the weights of its n-grams by.

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
        bump_columns(low, high, weights.indices, times)
    return found


@compiled
def gather_rows(indptr, indices, counts, rows, out_indptr, out_indices, out_counts):  # type: ignore[no-untyped-def]
    """Copy some rows of a CSR matrix."""
    for place in range(len(rows)):
        low, out = indptr[rows[place]], out_indptr[place]
        for offset in range(out_indptr[place + 1] - out):
            out_indices[out + offset] = indices[low + offset]
            out_counts[out + offset] = counts[low + offset]


@compiled
def count_columns(indices, frequencies):  # type: ignore[no-untyped-def]
    """Count in how many rows each column stands."""
    for entry in range(len(indices)):
        frequencies[indices[entry]] += 1


@compiled
def weigh_rows(indptr, indices, counts, idf, frequencies, first, last, data):  # type: ignore[no-untyped-def]
    """Write the tf-idf weights of some rows, of norm 1 each."""
    for row in range(first, last):
        squares = 0.0
        for entry in range(indptr[row], indptr[row + 1]):
            weight = counts[entry] * idf[frequencies[indices[entry]]]
            data[entry] = weight
            squares += weight * weight
        norm = np.sqrt(squares)
        for entry in range(indptr[row], indptr[row + 1]):
            data[entry] /= norm
