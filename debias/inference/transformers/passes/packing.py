"""Packs prompts into sequences for one forward pass, so that little of it is padding or repetition.

A sequence holds several prompts. Every token has a parent, the token before it in its own prompt, and
sees its ancestors only; prompts in a sequence share the tokens that they begin with alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from debias.inference.labels import LabelTree, shared_length

SEQUENCE_TOKENS = 128
_LONGEST_PACKED = 512


@dataclass(frozen=True)
class Row:
    """A context of at least one token and the token tree whose edges are scored after it.

    With `whole`, every token of the context is read, not only the last.
    """

    context: list[int]
    tree: LabelTree
    whole: bool = False

    @property
    def n_tokens(self) -> int:
        """Tokens that go through the model."""
        return len(self.context) + len(self.tree.nodes)


@dataclass
class PackedSequence:
    """Tokens of several rows after a shared beginning.

    Attributes
    ----------
    tokens, parents, depths : list of int
        Each token, the place of its parent in the sequence (-1 for the shared beginning) and the
        number of its ancestors in the sequence.
    rows : list of int
        Which rows the sequence holds.
    reads : list of list of int
        For each of them the places that are read: the last token of its context, or all of them where
        the row is whole, then its inner nodes.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    reads: list[list[int]] = field(default_factory=list)
    _context: list[int] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def is_chain(self) -> bool:
        """Whether every token sees all tokens before it, so that no mask is needed."""
        return all(parent == place - 1 for place, parent in enumerate(self.parents))

    def common(self, context: Sequence[int]) -> int:
        """Tokens that a context shares with the beginning of the one added last."""
        return shared_length([context, self._context])

    def add(self, number: int, context: Sequence[int], tree: LabelTree, whole: bool = False) -> None:
        """Add a row: what its context shares with the one added last is not repeated."""
        common = self.common(context)
        places = self._places[:common]
        for token in context[common:]:
            places.append(self._append(token, places[-1] if places else -1))
        first = len(self)
        for token, parent in zip(tree.nodes, tree.parents, strict=True):
            self._append(token, places[-1] if parent < 0 else first + parent)
        self.rows.append(number)
        self.reads.append([*places[0 if whole else -1 :], *range(first, len(self))])
        self._context, self._places = list(context), places

    def _append(self, token: int, parent: int) -> int:
        """Append a token; return its place."""
        self.tokens.append(token)
        self.parents.append(parent)
        self.depths.append(0 if parent < 0 else self.depths[parent] + 1)
        return len(self) - 1

    def ancestors(self) -> NDArray[np.bool_]:
        """Which tokens each token sees: itself and its ancestors, shape (length, length)."""
        sees = np.eye(len(self), dtype=bool)
        for place, parent in enumerate(self.parents):
            # invariant: rows before place are final, and a parent stands before its children
            if parent >= 0:
                sees[place] |= sees[parent]
        return sees


def pack(rows: Sequence[Row], n_shared: int, several: bool, room: int | None = None) -> list[PackedSequence]:
    """Put rows into sequences.

    Parameters
    ----------
    rows : sequence of Row
    n_shared : int
        Tokens that all contexts begin with, which are omitted in the sequences.
    several : bool
        Whether a sequence may hold several rows. Rows are then taken in the order of their tokens, so
        that those that begin alike are neighbours.
    room : int, optional
        Most tokens of a sequence that holds several rows; by default at least 128, and as many as the
        longest row has, so that sequences are of one length.

    Returns
    -------
    list of PackedSequence, longest first

    Examples
    --------
    >>> from debias.inference.labels import chain_tree
    >>> rows = [Row([7, 1, 2], chain_tree((5,))), Row([7, 1, 3], chain_tree((5,)))]
    >>> [sequence.tokens for sequence in pack(rows, 1, several=False)]
    [[1, 2], [1, 3]]
    >>> (sequence,) = pack(rows, 1, several=True)
    >>> sequence.tokens, sequence.parents, sequence.depths, sequence.reads
    ([1, 2, 3], [-1, 0, 0], [0, 1, 1], [[1], [2]])
    """
    longest = max((row.n_tokens for row in rows), default=0) - n_shared
    if not several:
        room = 0
    elif room is None:
        room = max(SEQUENCE_TOKENS, longest) if longest <= _LONGEST_PACKED else 0
    order = sorted(range(len(rows)), key=lambda i: rows[i].context) if room else range(len(rows))
    sequences: list[PackedSequence] = []
    for number in order:
        context, tree = rows[number].context[n_shared:], rows[number].tree
        sequence = sequences[-1] if sequences and room else PackedSequence()
        needed = len(sequence) + len(context) - sequence.common(context) + len(tree.nodes)
        if not sequences or needed > room:
            sequence = PackedSequence()
            sequences.append(sequence)
        sequence.add(number, context, tree, rows[number].whole)
    return sorted(sequences, key=len, reverse=True)
