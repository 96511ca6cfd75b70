"""Deals the rows of a run to its shards: whole chunks, by hashes of ids.

What a model answers depends in its last digits on what it is asked together. So chunks stay as one run
would ask them: of every n chunks each shard gets one, and the id of a row says which. Nothing is random,
and no machine needs to know of another.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from debias.inference.collection.answer_store import digest
from debias.inference.collection.collected_rows import SeenTexts
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.questions import Missing
from debias.inference.collection.shards.shard import Shard


class Dealer:
    """Says which shard gets a chunk: of every n chunks in a row each shard gets one.

    Parameters
    ----------
    count : int
        How many shards there are.

    Examples
    --------
    >>> dealer = Dealer(3)
    >>> sorted(dealer.next(name) for name in ("row 0", "row 40", "row 80"))
    [1, 2, 3]
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._order: list[int] = []

    def next(self, id: str) -> int:
        """Return the index of the shard that gets the next chunk.

        Parameters
        ----------
        id : str
            Of the chunk's first row. The first of every n chunks decides on their order.

        Returns
        -------
        int
            From 1 to n.
        """
        if not self._order:
            before = digest(id)
            self._order = sorted(range(1, self._count + 1), key=lambda one: digest(str(one), before))
        return self._order.pop()


class Dealt(NamedTuple):
    """Rows that come one after another, and what a shard does about them.

    Attributes
    ----------
    rows : list of Prompted
        All of them.
    own : list of (int, bytes, Prompted)
        Those that the shard gets, with their numbers and the keys of their prompts.
    asked : dict of bytes to str
        The prompts that the shard asks together, by key; empty where the chunk is not its own.
    """

    rows: list[Prompted]
    own: list[tuple[int, bytes, Prompted]]
    asked: dict[bytes, str]


def deal(
    rows: Iterable[Prompted], shard: Shard, missing: Missing, before: bytes, chunk_size: int
) -> Iterator[Dealt]:
    """Yield all rows in the groups in which one run handles them, and mark those of a shard.

    A row whose prompt came before belongs to the shard that asks that prompt.

    Parameters
    ----------
    rows : iterable of Prompted
        All rows of the run.
    shard : Shard
    missing : Missing
        Empty; says when a chunk is full.
    before : bytes
        What the keys of prompts begin with.
    chunk_size : int

    Yields
    ------
    Dealt
    """
    seen, dealer = SeenTexts(), Dealer(shard.count)
    starts: list[int] = []
    owners: list[int] = []
    waiting: list[tuple[Prompted, int]] = []
    source, n_rows = iter(rows), 0

    def released() -> Dealt:
        """Close a group. invariant: a prompt that is asked has its first row in that chunk."""
        nonlocal waiting
        first_row = n_rows - len(waiting)
        asked = dict(missing.prompts)
        if asked:
            opener = next(one.row.id for one, first in waiting if first < 0)
            starts.append(first_row)
            owners.append(dealer.next(opener))
        own = []
        for number, (one, first) in enumerate(waiting, first_row):
            if owners[bisect_right(starts, number if first < 0 else first) - 1] == shard.index:
                own.append((number, digest(one.prompt, before), one))
        dealt = Dealt([one for one, _ in waiting], own, asked if owners[-1] == shard.index else {})
        missing.clear()
        waiting = []
        return dealt

    while batch := list(islice(source, chunk_size)):
        for one, first in zip(batch, seen.first_rows([one.prompt for one in batch]), strict=True):
            if first < 0:
                if waiting and not missing.prompts:
                    yield released()
                missing.add(digest(one.prompt, before), one.prompt)
            waiting.append((one, first))
            n_rows += 1
            if missing.is_full(len(waiting)):
                yield released()
        if waiting and not missing.prompts:
            yield released()
    if waiting:
        yield released()
