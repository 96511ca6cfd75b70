"""Which rows may be picked, and how many of each source: bounds on IFD, status, quotas; reasons counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError

PICKABLE_STATUS = ("ok", "truncated", "ifd_ge_1")
"""Rows of these have a score; what it must be is said by the bounds."""


@dataclass(frozen=True)
class Eligible:
    """Candidates that may be picked.

    Attributes
    ----------
    places : ndarray of int64
        Where they stand among the candidates, ascending.
    excluded : dict of str to int
        How many were left out for each reason.
    """

    places: npt.NDArray[np.int64]
    excluded: dict[str, int]


def eligible(
    complexity: npt.NDArray[np.float64] | None,
    status: npt.NDArray[np.object_] | None,
    *,
    min_ifd: float | None,
    max_ifd: float | None,
    n: int,
) -> Eligible:
    """Tell which candidates may be picked.

    Parameters
    ----------
    complexity : ndarray of float64, shape (n,), optional
        NaN where there is no score.
    status : ndarray of str, shape (n,), optional
    min_ifd, max_ifd : float, optional
        A row is picked only from `min_ifd` on, and below `max_ifd`.
    n : int
        How many candidates there are.

    Returns
    -------
    Eligible

    Examples
    --------
    >>> found = eligible(np.array([0.5, np.nan, 1.2]), None, min_ifd=None, max_ifd=1.0, n=3)
    >>> found.places.tolist(), found.excluded
    ([0], {'no score': 1, 'IFD >= 1.0': 1})
    """
    left = np.ones(n, dtype=bool)
    excluded: dict[str, int] = {}

    def leave_out(which: npt.NDArray[np.bool_], reason: str) -> None:
        which = which & left
        if which.any():
            excluded[reason] = int(which.sum())
            left[which] = False

    if status is not None:
        for name in pd.unique(status):
            if name not in PICKABLE_STATUS:
                leave_out(status == name, f"status {name}")
    if complexity is not None:
        leave_out(np.isnan(complexity), "no score")
        if min_ifd is not None:
            leave_out(complexity < min_ifd, f"IFD < {min_ifd}")
        if max_ifd is not None:
            leave_out(complexity >= max_ifd, f"IFD >= {max_ifd}")
    return Eligible(np.flatnonzero(left), excluded)


def source_room(
    sources: npt.NDArray[np.object_] | None, quotas: Mapping[Any, float] | None, k: int, n: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the source of each candidate as a number, and how many of each may be picked.

    Parameters
    ----------
    sources : ndarray of shape (n,), optional
    quotas : mapping of source to number, optional
        The most rows of a source: a whole number of rows, or a float from 0 to 1, a share of k
        (rounded down). Sources that are not named have no limit.
    k, n : int
        Rows to pick, and candidates.

    Raises
    ------
    ParameterError
        A quota that is no such number.

    Examples
    --------
    >>> source_room(np.array(["a", "b", "a"]), {"a": 0.5}, k=3, n=3)
    (array([0, 1, 0]), array([1, 3]))
    """
    if not quotas or sources is None:
        return np.zeros(n, dtype=np.int64), np.array([n], dtype=np.int64)
    numbers, names = pd.factorize(sources, use_na_sentinel=False)
    room = np.full(len(names), n, dtype=np.int64)
    known = {name: number for number, name in enumerate(names)}
    for source, quota in quotas.items():
        rows = _rows_of(quota, source, k)
        if source in known:
            room[known[source]] = rows
    return numbers.astype(np.int64), room


def _rows_of(quota: Any, source: Any, k: int) -> int:
    if not isinstance(quota, bool):
        if isinstance(quota, int | np.integer) and quota >= 0:
            return int(quota)
        if isinstance(quota, float | np.floating) and 0.0 <= quota <= 1.0:
            return int(quota * k + 1e-9)
    raise ParameterError(
        f"the quota of {source!r} is {quota!r}; it must be a whole number of rows, or a share from 0.0 to 1.0"
    )


def within_room(
    order: npt.NDArray[np.int64], sources: npt.NDArray[np.int64], room: npt.NDArray[np.int64], k: int
) -> npt.NDArray[np.int64]:
    """Take rows in order, as many of each source as there is room for, k at most.

    Examples
    --------
    >>> order, sources = np.array([3, 1, 0, 2]), np.array([0, 1, 0, 1])
    >>> within_room(order, sources, np.array([2, 1]), k=3)
    array([3, 0, 2])
    """
    of_order = sources[order]
    rank = pd.Series(of_order).groupby(of_order).cumcount().to_numpy()
    return order[rank < room[of_order]][:k]
