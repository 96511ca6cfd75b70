"""A shard: one of n parts of a run, each for a machine of its own."""

import re
from dataclasses import dataclass
from typing import Self

from debias.errors import ParameterError

MOST_SHARDS = 100_000


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run.

    Parameters
    ----------
    index : int
        From 1 to `count`.
    count : int
        How many parts there are.

    Raises
    ------
    ParameterError
        There is no such part.

    Examples
    --------
    >>> Shard.of("2/4") == Shard.of((2, 4)) == Shard(2, 4)
    True
    >>> print(Shard(2, 4))
    2/4
    >>> Shard.of("0/4")
    Traceback (most recent call last):
    debias.errors.ParameterError: shard must be i/n, where n is at most 100,000 and i counts from 1 to n, ...
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        whole = all(isinstance(one, int) and not isinstance(one, bool) for one in (self.index, self.count))
        if not whole or not 1 <= self.index <= self.count <= MOST_SHARDS:
            raise _refusal(f"{self.index}/{self.count}")

    @classmethod
    def of(cls, given: object) -> Self:
        """Return the shard that a text such as "2/4" or a pair stands for.

        Parameters
        ----------
        given : str, (int, int) or Shard

        Returns
        -------
        Shard

        Raises
        ------
        ParameterError
            It stands for none.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, str) and (found := re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", given.strip())):
            return cls(int(found[1]), int(found[2]))
        if isinstance(given, tuple | list) and len(given) == 2:
            return cls(*given)
        raise _refusal(given)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def _refusal(given: object) -> ParameterError:
    return ParameterError(
        parameter="shard",
        allowed=f"i/n, where n is at most {MOST_SHARDS:,} and i counts from 1 to n",
        received=given,
        fix="the shards of four are 1/4, 2/4, 3/4 and 4/4",
    )
