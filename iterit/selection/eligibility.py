"""Decides which rows may be picked, and how many of each source: bounds on IFD, status, quotas."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, param

SCORED = ("ok", "truncated", "ifd_ge_1")
"""Statuses of rows that have a score; bounds say what it must be."""


class Eligible(NamedTuple):
    """Candidates that may be picked.

    Attributes
    ----------
    places : ndarray of int64
        Their places among the candidates, ascending.
    excluded : dict of str to int
        Number of excluded candidates by reason.
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
    """Return the candidates that may be picked.

    Parameters
    ----------
    complexity : ndarray of float64, shape (n,), optional
        NaN where there is no score.
    status : ndarray of str, shape (n,), optional
    min_ifd, max_ifd : float, optional
        Bounds: ``min_ifd <= IFD < max_ifd``.
    n : int
        Number of candidates.

    Examples
    --------
    >>> found = eligible(np.array([0.5, np.nan, 1.2]), None, min_ifd=None, max_ifd=1.0, n=3)
    >>> found.places.tolist(), found.excluded
    ([0], {'no score': 1, 'IFD >= 1.0': 1})
    """
    left = np.ones(n, dtype=bool)
    excluded: dict[str, int] = {}

    def exclude(which: npt.NDArray[np.bool_], reason: str) -> None:
        which = which & left
        if which.any():
            excluded[reason] = int(which.sum())
            left[which] = False

    if status is not None:
        for name in pd.unique(status):
            if name not in SCORED:
                exclude(status == name, f"status {name}")
    if complexity is not None:
        exclude(np.isnan(complexity), "no score")
        if min_ifd is not None:
            exclude(complexity < min_ifd, f"IFD < {min_ifd}")
        if max_ifd is not None:
            exclude(complexity >= max_ifd, f"IFD >= {max_ifd}")
    return Eligible(np.flatnonzero(left), excluded)


class SourceRoom(NamedTuple):
    """How many rows of each source may be picked.

    Attributes
    ----------
    sources : ndarray of int64, shape (n,)
        The source of each candidate, as a number.
    room : ndarray of int64, shape (n_sources,)
        The most picks of each source.
    """

    sources: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]


def source_room(
    sources: npt.NDArray[np.object_] | None, quotas: Mapping[str, float] | None, k: int, n: int
) -> SourceRoom:
    """Return the source of each candidate as a number, and how many rows of each may be picked.

    Parameters
    ----------
    sources : ndarray of shape (n,), optional
    quotas : mapping of source to number, optional
        The most rows of a source: an integer is a number of rows, a float from 0 to 1 a share of k
        (rounded down). Other sources have no limit.
    k, n : int
        Rows to pick, and candidates.

    Raises
    ------
    ParameterError
        A quota is not such a number.

    Examples
    --------
    >>> source_room(np.array(["a", "b", "a"]), {"a": 0.5}, k=3, n=3)
    SourceRoom(sources=array([0, 1, 0]), room=array([1, 3]))
    """
    if not quotas or sources is None:
        return SourceRoom(np.zeros(n, dtype=np.int64), np.array([n], dtype=np.int64))
    numbers, names = pd.factorize(sources, use_na_sentinel=False)
    most = {source: _most_rows(quota, source, k) for source, quota in quotas.items()}
    room = np.array([most.get(name, n) for name in names], dtype=np.int64)
    return SourceRoom(numbers.astype(np.int64), room)


def _most_rows(quota: object, source: str, k: int) -> int:
    if not isinstance(quota, bool):
        if isinstance(quota, int | np.integer) and quota >= 0:
            return int(quota)
        if isinstance(quota, float | np.floating) and 0.0 <= quota <= 1.0:
            return int(quota * k + 1e-9)
    raise ParameterError(
        f"the quota of {source!r} in {param('quotas')} must be a number of rows, or a share from 0.0 to 1.0,"
        f" got {quota!r}",
        parameter="quotas",
        received=quota,
    )


def within_room(order: npt.NDArray[np.int64], by_source: SourceRoom, k: int) -> npt.NDArray[np.int64]:
    """Take rows in order, as many of each source as there is room for, k at most.

    Examples
    --------
    >>> by_source = SourceRoom(np.array([0, 1, 0, 1]), np.array([2, 1]))
    >>> within_room(np.array([3, 1, 0, 2]), by_source, k=3)
    array([3, 0, 2])
    """
    of_order = by_source.sources[order]
    rank = pd.Series(of_order).groupby(of_order).cumcount().to_numpy()
    return order[rank < by_source.room[of_order]][:k]
