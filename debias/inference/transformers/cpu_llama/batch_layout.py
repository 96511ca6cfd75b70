"""Where the tokens of a batch stand: lines of like width side by side, so that one call attends to all.

Kernels for attention are twice as fast when the number of keys is a multiple of sixteen. So lines
get room for that, in attention alone: no other part of a model sees the empty places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from debias.inference.transformers.passes.packing import Line

_STEP = 16


@dataclass(frozen=True)
class Block:
    """Lines of one width, which attend in one call.

    Parameters
    ----------
    first, last : int
        Its tokens, in the order of the batch.
    start : int
        Its first place, counted in tokens of all lines before it, empty places included.
    n_lines, width : int
    mask : tensor of shape (n_lines, width, width), optional
        Added to scores; None where every token sees all tokens of its line before it.
    """

    first: int
    last: int
    start: int
    n_lines: int
    width: int
    mask: torch.Tensor | None


@dataclass(frozen=True)
class LineLayout:
    """Where each token of a batch stands.

    Attributes
    ----------
    tokens, depths : list of int
        Token ids, and the number of tokens before each in its own row (shared ones left out).
    reads : list of int
        Tokens after which probabilities are read, line after line.
    blocks : list of Block
    starts, widths : int64 arrays
        Of each token's line: the places before it in the batch, and its width.
    lines, places : int64 arrays
        Which line of its block a token is in, and its place there.
    n_places : int
        Places of all lines.
    """

    tokens: list[int]
    depths: list[int]
    reads: list[int]
    blocks: list[Block]
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    lines: NDArray[np.int64]
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


def kind_of(line: Line) -> tuple[int, bool]:
    """Width of a line and whether it needs no mask: lines alike in both attend in one call."""
    return padded_width(len(line)), line.is_chain


def lay_lines(batch: Sequence[Line], dtype: torch.dtype) -> LineLayout:
    """Give every token of a batch its place.

    Parameters
    ----------
    batch : sequence of Line
        Neighbours in kind side by side: see :func:`kind_of`.
    dtype : torch.dtype
        Of the masks.

    Examples
    --------
    >>> from debias.inference.transformers.passes.packing import Line
    >>> from debias.inference.labels import chain_tree
    >>> line = Line()
    >>> line.add(0, [5, 6], chain_tree((7,)))
    >>> layout = lay_lines([line], torch.float32)
    >>> layout.tokens, layout.reads, layout.n_places, layout.blocks[0].mask
    ([5, 6], [1], 16, None)
    """
    lengths = np.array([len(line) for line in batch], dtype=np.int64)
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
    return LineLayout(
        tokens=[token for line in batch for token in line.tokens],
        depths=[depth for line in batch for depth in line.depths],
        reads=[
            int(first) + read
            for first, line in zip(firsts, batch, strict=True)
            for own_reads in line.reads
            for read in own_reads
        ],
        blocks=blocks,
        starts=np.repeat(starts, lengths),
        widths=np.repeat([kind_of(line)[0] for line in batch], lengths),
        lines=np.repeat(numbers, lengths),
        places=np.arange(lengths.sum()) - np.repeat(firsts, lengths),
        n_places=place,
    )


def _mask(lines: Sequence[Line], width: int, dtype: torch.dtype) -> torch.Tensor:
    """Mask with which every token sees its own ancestors only, and an empty place itself."""
    sees = np.repeat(np.eye(width, dtype=bool)[None], len(lines), axis=0)
    for own, line in zip(sees, lines, strict=True):
        own[: len(line), : len(line)] = line.ancestors()
    return torch.zeros(sees.shape, dtype=dtype).masked_fill_(~torch.from_numpy(sees), float("-inf"))
