"""Decides which rows may be picked, and how many of each source: bounds on IFD, status, quotas, floors."""

from collections import Counter
from collections.abc import Iterable, Mapping
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

    def without(self, which: npt.NDArray[np.bool_], reason: str) -> "Eligible":
        """Exclude further candidates; `which` has one value per candidate.

        Examples
        --------
        >>> Eligible(np.array([0, 2]), {}).without(np.array([True, True, False]), "no value")
        Eligible(places=array([2]), excluded={'no value': 1})
        """
        out = which[self.places]
        if not out.any():
            return self
        return Eligible(self.places[~out], self.excluded | {reason: int(out.sum())})


def in_band(found: Eligible, complexity: npt.NDArray[np.float64], low: float, high: float) -> Eligible:
    """Exclude candidates whose IFD is not between two quantiles of the IFDs of those that may be picked.

    Examples
    --------
    >>> ifd = np.array([0.9, 0.2, 0.5, 0.6, 0.4])
    >>> in_band(Eligible(np.arange(5), {}), ifd, 0.25, 0.75)
    Eligible(places=array([2, 3, 4]), excluded={'IFD outside the band from 0.4 to 0.6': 2})
    """
    least, most = band_of(complexity[found.places], low, high)
    return found.without(
        ~((complexity >= least) & (complexity <= most)),
        f"IFD outside the band from {least:.4g} to {most:.4g}",
    )


def band_of(complexity: npt.NDArray[np.floating], low: float, high: float) -> tuple[float, float]:
    """Return the IFDs at two quantiles, each the nearest outer one that a row has: nothing is rounded.

    Examples
    --------
    >>> band_of(np.array([0.9, 0.2, 0.5, 0.6]), 0.25, 0.75)
    (0.2, 0.9)
    """
    if not len(complexity):
        return -np.inf, np.inf
    return (
        float(np.quantile(complexity, low, method="lower")),
        float(np.quantile(complexity, high, method="higher")),
    )


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
    """How many rows of each source may be picked, and of each stratum of lengths.

    Attributes
    ----------
    sources : ndarray of int64, shape (n,)
        The source of each candidate, as a number.
    room : ndarray of int64, shape (n_sources,)
        The most picks of each source.
    least : ndarray of int64, shape (n_sources,), optional
        The least picks of each source, as far as its rows allow.
    strata : ndarray of int64, shape (n,), optional
        The stratum of each candidate.
    shares : ndarray of int64, shape (n_strata,), optional
        The most picks of each stratum; they sum to all picks.
    """

    sources: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]
    least: npt.NDArray[np.int64] | None = None
    strata: npt.NDArray[np.int64] | None = None
    shares: npt.NDArray[np.int64] | None = None


def source_room(
    sources: npt.NDArray[np.object_] | None,
    quotas: Mapping[str, float] | None,
    k: int,
    n: int,
    floors: Mapping[str, float] | None = None,
) -> SourceRoom:
    """Return the source of each candidate as a number, and how many rows of each may and must be picked.

    Sources without a quota and a floor share one number.

    Parameters
    ----------
    sources : ndarray of shape (n,), optional
    quotas, floors : mapping of source to number, optional
        The most and the least rows of a source: an integer is a number of rows, a float from 0 to 1 a
        share of k (rounded down). Other sources have no limit.
    k, n : int
        Rows to pick, and candidates.

    Raises
    ------
    ParameterError
        A quota or a floor is not such a number, a floor is above the quota of its source, or all floors
        together are above k.

    Examples
    --------
    >>> source_room(np.array(["a", "b", "a"]), {"a": 0.5}, k=3, n=3)[:2]
    (array([1, 0, 1]), array([3, 1]))
    >>> source_room(np.array(["a", "b"]), {"a": 1}, k=3, n=2, floors={"a": 2})
    Traceback (most recent call last):
    debias.errors.ParameterError: floors must be at most the quota of the source 'a', 1, got 2.
    """
    if sources is None or not (quotas or floors):
        return SourceRoom(np.zeros(n, dtype=np.int64), np.array([n], dtype=np.int64))
    most = quota_rows(quotas, k)
    least = floor_rows(floors, k)
    for source, floor in least.items():
        if floor > most.get(source, floor):
            allowed = f"at most the quota of the source {source!r}, {most[source]}"
            raise ParameterError(parameter="floors", received=floor, allowed=allowed)
    if sum(least.values()) > k:
        allowed = f"at most {k} rows together, as many as are picked"
        raise ParameterError(parameter="floors", received=sum(least.values()), allowed=allowed)
    number = {source: place for place, source in enumerate({**most, **least}, start=1)}
    numbers, names = pd.factorize(sources, use_na_sentinel=False)
    of_name = np.array([number.get(name, 0) for name in names], dtype=np.int64)
    room = np.array([n, *(most.get(source, n) for source in number)], dtype=np.int64)
    floor_of = np.array([0, *(least.get(source, 0) for source in number)], dtype=np.int64)
    return SourceRoom(of_name[numbers], room, floor_of if floors else None)


def quota_rows(quotas: Mapping[str, float] | None, k: int) -> dict[str, int]:
    """Return the most rows of each source that has a quota, of k picks.

    Examples
    --------
    >>> quota_rows({"a": 0.5, "b": 2}, k=5)
    {'a': 2, 'b': 2}
    """
    return {source: _n_rows(quota, source, k, "quotas") for source, quota in (quotas or {}).items()}


def within_quotas(
    sources: npt.NDArray[np.object_],
    quotas: Mapping[str, float] | None,
    k: int,
    picked: Iterable[object] = (),
) -> npt.NDArray[np.bool_]:
    """Tell which of some rows quotas leave room for, the first ones of each source.

    Parameters
    ----------
    sources : ndarray of shape (n,)
        Sources of the rows.
    quotas : mapping of source to number, optional
    k : int
        Rows to pick.
    picked : iterable
        Sources of the rows that are picked already.

    Examples
    --------
    >>> within_quotas(np.array(["a", "b", "a", "b", "a"]), {"a": 0.5}, k=4, picked=["a"])
    array([ True,  True, False,  True, False])
    """
    room, taken = np.ones(len(sources), dtype=bool), Counter(picked)
    for source, most in quota_rows(quotas, k).items():
        own = np.flatnonzero(np.asarray(sources == source))
        room[own[max(most - taken[source], 0) :]] = False
    return room


def floor_rows(floors: Mapping[str, float] | None, k: int) -> dict[str, int]:
    """Return the least rows of each source that has a floor, of k picks.

    Examples
    --------
    >>> floor_rows({"a": 0.5, "b": 2}, k=5)
    {'a': 2, 'b': 2}
    """
    return {source: _n_rows(floor, source, k, "floors") for source, floor in (floors or {}).items()}


def _n_rows(number: object, source: str, k: int, parameter: str) -> int:
    if not isinstance(number, bool):
        if isinstance(number, int | np.integer) and number >= 0:
            return int(number)
        if isinstance(number, float | np.floating) and 0.0 <= number <= 1.0:
            return int(number * k + 1e-9)
    raise ParameterError(
        f"the number of {source!r} in {param(parameter)} must be a number of rows, or a share from 0.0 to"
        f" 1.0, got {number!r}",
        parameter=parameter,
        received=number,
    )
