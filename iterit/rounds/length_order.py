"""Orders rows so that any number of the first ones are as long as all records, in strata of answer tokens.

The hardest records are often short: a window of them would leave a stratum of long answers without rows.
"""

import numpy as np
from numpy.typing import NDArray

from iterit.row_numbers import RowArray
from iterit.selection.limits.strata import length_strata


def in_length_order(order: RowArray, lengths: NDArray[np.float64], n_picks: int) -> RowArray:
    """Merge the orders of the strata, each in proportion to its rows.

    Parameters
    ----------
    order : int64 array
        Some of the rows, best first; none with an unknown length.
    lengths : ndarray of float64, shape (n_rows,)
        Answer tokens; NaN for a row of no stratum.
    n_picks : int
        Rows to pick, which decides the number of strata.

    Examples
    --------
    >>> lengths = np.array([5.0] * 5 + [90.0] * 5)
    >>> in_length_order(np.array([3, 1, 0, 2, 9, 4, 8]), lengths, n_picks=10)
    array([3, 9, 1, 8, 0, 2, 4])
    """
    strata = length_strata(lengths, n_picks).of_row
    order = order[strata[order] >= 0]
    sizes = np.bincount(strata[strata >= 0], minlength=1)
    own = strata[order]
    by_stratum = np.argsort(own, kind="stable")
    begins = np.searchsorted(own[by_stratum], np.arange(len(sizes)))
    rank = np.empty(len(order), dtype=np.int64)
    rank[by_stratum] = np.arange(len(order)) - begins[own[by_stratum]]
    return order[np.argsort((rank + 0.5) / sizes[own], kind="stable")]
