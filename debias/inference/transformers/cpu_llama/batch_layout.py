"""Lays out the tokens of a batch: sequences of like width side by side, so that one call attends to all.

Kernels for attention are twice as fast when the number of keys is a multiple of sixteen. So sequences
get room for that, in attention alone: no other part of a model sees the empty places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from debias.inference.transformers.passes.packing import PackedSequence

_STEP = 16
_WIDEST_CHAIN = 512  # beyond, attention that skips later tokens is faster than one call for a group
_WIDEST_TREE = 128  # masks take tokens * width * heads: up to here, about what gates and values take


@dataclass(frozen=True)
class Block:
    """Sequences of one width, which attend in one call.

    Parameters
    ----------
    first, last : int
        Its tokens, in the order of the batch.
    start : int
        Its first place, counted in tokens of all sequences before it, empty places included.
    n_sequences, width : int
    mask : tensor of shape (n_sequences, width, width), optional
        Added to scores; None where every token sees all tokens of its sequence before it.
    """

    first: int
    last: int
    start: int
    n_sequences: int
    width: int
    mask: torch.Tensor | None

    @property
    def folds(self) -> bool:
        """Whether heads of a group attend as one, one after the other, so that keys are read once for all.

        A mask of its own for each sequence is then repeated for each head, which long ones have no room for.
        """
        return self.width <= (_WIDEST_CHAIN if self.mask is None else _WIDEST_TREE)

    def mask_of_heads(self, n_key_heads: int, group: int, dtype: torch.dtype) -> torch.Tensor | None:
        """Return what is added to scores; None where tokens see all before them, and heads do not fold.

        Returns
        -------
        tensor of shape (n_sequences * n_key_heads or 1, 1, group * width or width, width), or None
        """
        repeats = group if self.folds else 1
        if self.mask is not None:
            return self.mask.repeat_interleave(n_key_heads, 0).repeat(1, repeats, 1).unsqueeze(1)
        if not self.folds:
            return None
        later = torch.ones(self.width, self.width, dtype=torch.bool).triu_(1)
        mask = torch.zeros(self.width, self.width, dtype=dtype).masked_fill_(later, float("-inf"))
        return mask.repeat(repeats, 1)[None, None]


@dataclass(frozen=True)
class BatchLayout:
    """Where each token of a batch stands.

    Attributes
    ----------
    tokens, depths : list of int
        Token ids, and the number of tokens before each in its own row (shared ones omitted).
    reads : list of int
        Tokens after which probabilities are read, sequence after sequence.
    blocks : list of Block
    starts, widths : int64 arrays
        Of each token's sequence: the places before it in the batch, and its width.
    sequences, places : int64 arrays
        Which sequence of its block a token is in, and its place there.
    n_places : int
        Places of all sequences.
    """

    tokens: list[int]
    depths: list[int]
    reads: list[int]
    blocks: list[Block]
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    sequences: NDArray[np.int64]
    places: NDArray[np.int64]
    n_places: int


def padded_width(n_tokens: int) -> int:
    """Return the least multiple of sixteen that is not less.

    Examples
    --------
    >>> [padded_width(n) for n in (1, 16, 17)]
    [16, 16, 32]
    """
    return -(-n_tokens // _STEP) * _STEP


def kind_of(sequence: PackedSequence) -> tuple[int, bool]:
    """Width of a sequence and whether it needs no mask: sequences alike in both attend in one call."""
    return padded_width(len(sequence)), sequence.is_chain


def lay_out_batch(batch: Sequence[PackedSequence], dtype: torch.dtype) -> BatchLayout:
    """Give every token of a batch its place.

    Parameters
    ----------
    batch : sequence of PackedSequence
        Neighbours in kind side by side: see :func:`kind_of`.
    dtype : torch.dtype
        Of the masks.

    Examples
    --------
    >>> from debias.inference.transformers.passes.packing import PackedSequence
    >>> from debias.inference.labels import chain_tree
    >>> sequence = PackedSequence()
    >>> sequence.add(0, [5, 6], chain_tree((7,)))
    >>> layout = lay_out_batch([sequence], torch.float32)
    >>> layout.tokens, layout.reads, layout.n_places, layout.blocks[0].mask
    ([5, 6], [1], 16, None)
    """
    lengths = np.array([len(sequence) for sequence in batch], dtype=np.int64)
    firsts = np.cumsum(lengths) - lengths
    blocks: list[Block] = []
    numbers: list[int] = []
    starts: list[int] = []
    place = 0
    for (width, is_chain), group in groupby(batch, key=kind_of):
        own = list(group)
        first = int(firsts[len(numbers)])
        mask = None if is_chain else _mask(own, width, dtype)
        blocks.append(Block(first, first + sum(map(len, own)), place, len(own), width, mask))
        numbers.extend(range(len(own)))
        starts.extend(range(place, place + width * len(own), width))
        place += width * len(own)
    return BatchLayout(
        tokens=[token for sequence in batch for token in sequence.tokens],
        depths=[depth for sequence in batch for depth in sequence.depths],
        reads=[
            int(first) + read
            for first, sequence in zip(firsts, batch, strict=True)
            for own_reads in sequence.reads
            for read in own_reads
        ],
        blocks=blocks,
        starts=np.repeat(starts, lengths),
        widths=np.repeat([kind_of(sequence)[0] for sequence in batch], lengths),
        sequences=np.repeat(numbers, lengths),
        places=np.arange(lengths.sum()) - np.repeat(firsts, lengths),
        n_places=place,
    )


def _mask(sequences: Sequence[PackedSequence], width: int, dtype: torch.dtype) -> torch.Tensor:
    """Mask with which every token sees its own ancestors only, and an empty place itself."""
    sees = np.repeat(np.eye(width, dtype=bool)[None], len(sequences), axis=0)
    for own, sequence in zip(sees, sequences, strict=True):
        own[: len(sequence), : len(sequence)] = sequence.ancestors()
    return torch.zeros(sees.shape, dtype=dtype).masked_fill_(~torch.from_numpy(sees), float("-inf"))
