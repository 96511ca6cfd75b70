"""Divides prompts by what they begin with: what a group shares goes through the model once.

Prompts of one run may begin alike on several levels: a system text, one of some sets of
demonstrations, a document that several questions are asked about. The tree of their beginnings is
walked depth first, so that the keys and values of one beginning are held at a time: never more
than a context has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from debias.inference.labels import shared_length

LEAST_SHARED = 4
LEAST_SAVED = 256
"""Tokens that a group of its own must save, as it takes batches of its own. With four times as many, the few
long records that are scored at once would share nothing."""


@dataclass(frozen=True)
class PrefixGroup:
    """Rows that are scored together.

    Parameters
    ----------
    rows : tuple of int
    n_shared : int
        Tokens that their contexts begin with alike, and that are computed once.
    """

    rows: tuple[int, ...]
    n_shared: int


def group_by_prefix(contexts: Sequence[Sequence[int]], least_saved: int = LEAST_SAVED) -> list[PrefixGroup]:
    """Divide contexts into groups, so that fewer tokens go through the model.

    Parameters
    ----------
    contexts : sequence of sequences of int
        At least one token each; the last one stays with its row.
    least_saved : int
        Tokens that a group must save before it is split off.

    Returns
    -------
    list of PrefixGroup
        Every row is in one of them.

    Examples
    --------
    >>> a, b = [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7, 8]
    >>> contexts = [[*a, 10], [*a, 11], [*a, 12], [*b, 10], [*b, 11], [*b, 12], [*b, 13]]
    >>> group_by_prefix(contexts, least_saved=100)
    [PrefixGroup(rows=(0, 1, 2, 3, 4, 5, 6), n_shared=4)]
    >>> group_by_prefix(contexts, least_saved=0)
    [PrefixGroup(rows=(0, 1, 2), n_shared=4), PrefixGroup(rows=(3, 4, 5, 6), n_shared=6)]
    """
    order = sorted(range(len(contexts)), key=lambda row: tuple(contexts[row]))
    common = [shared_length([contexts[a], contexts[b]]) for a, b in zip(order, order[1:], strict=False)]
    shortest = [len(contexts[row]) - 1 for row in order]
    groups: list[PrefixGroup] = []

    def n_shared_by(start: int, stop: int) -> int:
        """Tokens that the rows from start to stop share."""
        length = min([*common[start : stop - 1], *shortest[start:stop]]) if stop - start > 1 else 0
        return length if length >= LEAST_SHARED else 0

    def visit(start: int, stop: int) -> None:
        n_shared, rest = n_shared_by(start, stop), []
        for first, last in _children(common, start, stop):
            own = n_shared_by(first, last)
            saved = (own - n_shared) * (last - first) - own
            if last - first < stop - start and own > n_shared and saved > least_saved:
                visit(first, last)
            else:
                rest.extend(order[first:last])
        if rest:
            length = n_shared if len(rest) > 1 else 0
            groups.append(PrefixGroup(tuple(sorted(rest)), length))

    if order:
        visit(0, len(order))
    return sorted(groups, key=lambda group: group.rows)


def _children(common: Sequence[int], start: int, stop: int) -> list[tuple[int, int]]:
    """Cut neighbours where they share least."""
    if stop - start < 2:
        return [(start, stop)]
    least = min(common[start : stop - 1])
    cuts = [place + 1 for place in range(start, stop - 1) if common[place] == least]
    return list(zip([start, *cuts], [*cuts, stop], strict=True))
