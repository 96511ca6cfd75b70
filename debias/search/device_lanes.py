"""Lanes on a device of torch: the samples that classes win, and all counts of a batch by matrix products.

The counterpart of :mod:`debias.search.proof.bit_table_kernels` for many prefixes at once. A sample that a
class keeps is a product of zeros and ones, so the kept samples of all lanes of the last two
classes together are one matrix product. Products of zeros and ones, and sums of them below
2 ** 24, are exact in float32, in TF32 too.
"""

import numpy as np
import torch

from debias.errors import ParameterError
from debias.search.problem import IndexArray
from debias.search.proof.bit_tables import Lanes, Words

_BYTES_OF_A_BIT = 8
"""For every sample and lane: the bit unpacked, then as float32, with room for what is freed late."""


def fit_prefixes(lanes: Lanes, memory: int) -> int:
    """Return how many prefixes can be counted at once beside the tables.

    Parameters
    ----------
    lanes : Lanes
        In any order.
    memory : int
        Bytes of the device that tables and scratch may take.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ParameterError
        Not even one fits.
    """
    n_bits = 64 * int(np.diff(lanes.words).max())
    one, two = sorted(int(n) for n in lanes.n_lanes)[-2:]
    tables = lanes.beats.nbytes + 3 * _BYTES_OF_A_BIT * one * two * n_bits
    # Of each choice: a float32 and a float64 per class, and twelve float64 to add up and to compare.
    each = 2 * _BYTES_OF_A_BIT * two * n_bits + (12 * len(lanes.order) + 96) * one * two
    if tables + each > memory:
        raise ParameterError(
            f"memory must be at least {tables + each:,} bytes for a search of {lanes.n_choices:,} choices "
            f"on a device; got {memory:,}. Use the compiled search (device=None), or fewer rows."
        )
    return (memory - tables) // each


class DeviceLanes:
    """The tables of a walk on a device, eight samples to a byte.

    Parameters
    ----------
    lanes : Lanes
        As the compiled walk has them.
    device : torch.device
        Where they go.
    memory : int
        Bytes of the device that tables and scratch may take.

    Attributes
    ----------
    n_prefixes : int
        Prefixes that may be counted at once.

    Raises
    ------
    ParameterError
        The tables and the scratch of a single prefix take more than `memory`.
    """

    def __init__(self, lanes: Lanes, device: torch.device, memory: int):
        self.device = device
        self.order = [int(k) for k in lanes.order]
        self.n_lanes = [int(n) for n in lanes.n_lanes]
        self.n_prefixes = fit_prefixes(lanes, memory)
        n_classes = len(self.order)
        words = [slice(int(a), int(b)) for a, b in zip(lanes.words[:-1], lanes.words[1:], strict=True)]
        self.valid = [self._bytes(lanes.valid[words[u]]) for u in range(n_classes)]
        # wins[k][u][a, r]: samples of class u that it wins with lane r from class k with lane a.
        self.wins = [
            [
                self._bytes(lanes.beats[k, : self.n_lanes[k], words[u], : self.n_lanes[u]].transpose(0, 2, 1))
                for u in range(n_classes)
            ]
            for k in range(n_classes)
        ]

        i, j = self.order[-2:]
        # By lane of i then j, and of j then i: what of its own a lane keeps from each lane of the other.
        self.kept_i = self._floats(self.wins[j][i].transpose(0, 1).contiguous())
        self.kept_j = self._floats(self.wins[i][j].transpose(0, 1).contiguous())

    def _bytes(self, words: Words) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(words).view(np.uint8)).to(self.device)

    def _floats(self, packed: torch.Tensor) -> torch.Tensor:
        """Return the bits of the last axis as zeros and ones."""
        shifts = torch.arange(8, dtype=torch.uint8, device=self.device)
        return (packed.unsqueeze(-1) >> shifts).bitwise_and_(1).flatten(-2).float()

    def held(self, prefixes: torch.Tensor, position: int) -> torch.Tensor:
        """Return the samples that a settled class wins from the others that are settled.

        Parameters
        ----------
        prefixes : Tensor of int64, shape (n_prefixes, depth)
            Lanes of the first classes of the order.
        position : int
            Of the class in the order.

        Returns
        -------
        Tensor of uint8, shape (n_prefixes, n_bytes)
            Bits of the samples of its own.
        """
        u = self.order[position]
        held = self.valid[u].expand(len(prefixes), -1)
        for other in range(prefixes.shape[1]):
            if other != position:
                lanes = prefixes[:, other], prefixes[:, position]
                held = held & self.wins[self.order[other]][u][lanes]
        return held

    def opened(self, prefixes: torch.Tensor, u: int) -> torch.Tensor:
        """Return the samples that each lane of an open class would win from the settled classes.

        Parameters
        ----------
        prefixes : Tensor of int64, shape (n_prefixes, depth)
            Lanes of the first classes of the order.
        u : int
            A class that is not among them.

        Returns
        -------
        Tensor of uint8, shape (n_prefixes, n_lanes, n_bytes)
            Bits of the samples of its own.
        """
        opened = self.valid[u].expand(len(prefixes), self.n_lanes[u], -1)
        for position in range(prefixes.shape[1]):
            opened = opened & self.wins[self.order[position]][u][prefixes[:, position]]
        return opened

    def most(self, prefixes: torch.Tensor) -> torch.Tensor:
        """Return how many samples each class can get right at most below each prefix.

        Parameters
        ----------
        prefixes : Tensor of int64, shape (n_prefixes, depth)
            Lanes of the first classes of the order.

        Returns
        -------
        Tensor of float64, shape (n_prefixes, n_classes)
            Whole numbers.
        """
        most = torch.zeros(len(prefixes), len(self.order), dtype=torch.float64, device=self.device)
        for position, u in enumerate(self.order):
            if position < prefixes.shape[1]:
                most[:, u] = _count(self.held(prefixes, position))
            else:
                most[:, u] = _count(self.opened(prefixes, u)).amax(-1)
        return most

    def counts(self, prefixes: torch.Tensor) -> torch.Tensor:
        """Count the right samples of every choice below prefixes that leave two classes open.

        Parameters
        ----------
        prefixes : Tensor of int64, shape (n_prefixes, n_classes - 2)
            Lanes of all but the last two classes of the order.

        Returns
        -------
        Tensor of float32, shape (n_classes, n_prefixes * n_lanes_i * n_lanes_j)
            Whole numbers; the last class changes fastest.
        """
        i, j = self.order[-2:]
        shape = len(self.order), len(prefixes), self.n_lanes[i], self.n_lanes[j]
        counts = torch.empty(shape, dtype=torch.float32, device=self.device)
        # Whoever calls may have set half precision for all products: too coarse for counts.
        with torch.autocast(self.device.type, enabled=False):
            for position, k in enumerate(self.order[:-2]):
                lanes = prefixes[:, position]
                from_i = self.wins[i][k].transpose(0, 1)[lanes] & self.held(prefixes, position)[:, None]
                from_j = self.wins[j][k].transpose(0, 1)[lanes]
                counts[k] = self._floats(from_i) @ self._floats(from_j).mT
            # The samples of i by its lane, then those of j by its lane: a product for each lane.
            opened_i = self._floats(self.opened(prefixes, i)).transpose(0, 1)
            counts[i] = (opened_i @ self.kept_i.mT).transpose(0, 1)
            opened_j = self._floats(self.opened(prefixes, j)).transpose(0, 1)
            counts[j] = (opened_j @ self.kept_j.mT).permute(1, 2, 0)
        return counts.flatten(1)

    def lanes_of(self, prefixes: IndexArray, at: IndexArray) -> IndexArray:
        """Return the lanes of choices, by class, from where they stand in :meth:`counts`.

        Parameters
        ----------
        prefixes : ndarray of int64, shape (n_prefixes, n_classes - 2)
            What was counted.
        at : ndarray of shape (n_choices,)
            Positions along the last axis.

        Returns
        -------
        ndarray of shape (n_choices, n_classes)
            The lanes.
        """
        i, j = self.order[-2:]
        prefix, s, r = np.unravel_index(at, (len(prefixes), self.n_lanes[i], self.n_lanes[j]))
        lanes = np.empty((len(at), len(self.order)), dtype=np.int64)
        lanes[:, self.order[:-2]] = prefixes[prefix]
        lanes[:, i], lanes[:, j] = s, r
        return lanes


def _count(packed: torch.Tensor) -> torch.Tensor:
    """Return the number of ones along the last axis, counted by pairs, fours and bytes."""
    pairs = packed - ((packed >> 1) & 0x55)
    fours = (pairs & 0x33) + ((pairs >> 2) & 0x33)
    return ((fours + (fours >> 4)) & 0x0F).sum(-1)
