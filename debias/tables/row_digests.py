"""Digests of rows: a correction's file keeps them, to tell whether other rows were fitted on.

Eight bytes a row, of the probabilities bit by bit. Rows of the same probabilities need not be the same
where these are coarse: how many coincide by chance is then estimated from the fitted rows.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from debias.errors import TableError
from debias.tables.class_columns import FloatArray, IndexArray

MOST_KEPT = 1 << 16
"""Digests of more rows are not kept; the smallest are, which is a random sample."""

_COARSE = 6
"""Decimals of the published text format, in which different rows coincide."""
_ROUNDING = 1e-12
"""Computing 1 - .99 is off by less."""
_CHANCE = 1e-3
"""How probable it may be that coarse rows which share nothing are said to, and that the estimate of how
often they coincide is too low."""


@dataclass(frozen=True, eq=False)
class RowDigests:
    """The digests of some rows.

    Attributes
    ----------
    values : ndarray of uint64
        Ascending; a row that occurs twice is there twice.

    Examples
    --------
    >>> rows = np.array([[1 / 3, 2 / 3], [1 / 7, 6 / 7], [1 / 9, 8 / 9]])
    >>> digests = RowDigests.of(rows)
    >>> digests.shared(rows), len(digests.shared(np.array([[0.6, 0.4]])))
    (array([0, 1, 2]), 0)
    >>> RowDigests.read(digests.text).shared(rows).tolist()
    [0, 1, 2]
    """

    values: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, probabilities: FloatArray) -> Self:
        """Return the digests of rows, at most :data:`MOST_KEPT` of them.

        Parameters
        ----------
        probabilities : ndarray of shape (n_samples, n_classes)
            Columns in the order of the fit.
        """
        return cls(np.sort(digests_of(probabilities))[:MOST_KEPT])

    @property
    def text(self) -> str:
        """The digests as text, for a file."""
        return base64.b64encode(self.values.astype("<u8").tobytes()).decode("ascii")

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the digests that a text stands for.

        Raises
        ------
        TableError
            It is not a text that :attr:`text` gave.
        """
        allowed = f"digests of at most {MOST_KEPT} rows, in base64"
        try:
            content = base64.b64decode(text, validate=True)
            values = np.frombuffer(content, dtype="<u8").astype(np.uint64)
        except (ValueError, TypeError, binascii.Error) as error:
            raise TableError(parameter="row_digests", allowed=allowed, received=text) from error
        if len(values) > MOST_KEPT or (values[1:] < values[:-1]).any():
            raise TableError(parameter="row_digests", allowed=f"{allowed}, ascending", received=text)
        return cls(values)

    def shared(self, probabilities: FloatArray) -> IndexArray:
        """Return the rows that stand among these, unless so few do that it may be by chance.

        One row is enough where probabilities have more than six decimals and no kept row repeats
        another. Otherwise rows that share nothing coincide with the kept ones about as often as these
        do among themselves, and no more than that explains is told.

        Parameters
        ----------
        probabilities : ndarray of shape (n_samples, n_classes)
            Other rows, columns in the same order.

        Returns
        -------
        ndarray of int64
            Positions, ascending.
        """
        from scipy.stats import beta, binom

        found = digests_of(probabilities)
        rows = np.flatnonzero(np.isin(found, self.values))
        _, times = np.unique(self.values, return_counts=True)
        n_kept, n_repeated = len(self.values), int(times[times > 1].sum())
        if not len(rows) or not (n_repeated or are_rounded(probabilities[rows])):
            return rows
        tested = len(found)
        if len(self.values) == MOST_KEPT:  # a sample: a row is found if its digest is as small as these
            tested = int((found <= self.values[-1]).sum())
        by_chance = beta.isf(_CHANCE, n_repeated + 1, n_kept - n_repeated) if n_repeated < n_kept else 1.0
        most = binom.isf(_CHANCE, tested, by_chance)
        return rows if len(rows) > most else rows[:0]


def are_rounded(values: FloatArray) -> bool:
    """Tell whether numbers have six decimals at most, as in the published text format.

    Examples
    --------
    >>> are_rounded(np.array([0.25, 0.123456])), are_rounded(np.array([1 / 3]))
    (True, False)
    """
    return bool((np.abs(np.round(values, _COARSE) - values) <= _ROUNDING).all())


def digests_of(probabilities: FloatArray) -> npt.NDArray[np.uint64]:
    """Return a digest for each row, in order.

    Examples
    --------
    >>> first, second, third = digests_of(np.array([[0.5, 0.5], [0.2, 0.8], [0.5, 0.5]]))
    >>> first == second, first == third
    (np.False_, np.True_)
    """
    rows = np.ascontiguousarray(probabilities, dtype="<f8") + 0.0  # and no minus zero
    parts = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(parts), dtype="<u8").astype(np.uint64)
