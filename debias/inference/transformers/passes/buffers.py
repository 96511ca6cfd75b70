"""Keeps memory that batches use one after another, and shows torch tensors as numpy arrays."""

from math import prod

import numpy as np
import torch
from numpy.typing import NDArray


class Buffers:
    """Tensors by name, which grow and are kept as long as the buffers.

    New memory is zero, and only finite numbers are ever written, so that what is masked out of a
    sum can be multiplied by zero.

    Parameters
    ----------
    dtype : torch.dtype
        Of all tensors.

    Examples
    --------
    >>> buffers = Buffers(torch.float32)
    >>> buffers.tensor("keys", 2, 3).shape, buffers.tensor("keys", 1, 2).shape
    (torch.Size([2, 3]), torch.Size([1, 2]))
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._memory: dict[str, torch.Tensor] = {}

    def tensor(self, name: str, *shape: int) -> torch.Tensor:
        """Return a tensor of a shape, with whatever was in it before."""
        size = prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.numel() < size:
            memory = self._memory[name] = torch.zeros(size, dtype=self.dtype)
        return memory[:size].view(shape)


def as_array(tensor: torch.Tensor) -> NDArray[np.float32] | NDArray[np.uint16]:
    """Return a view of a tensor: float32 as it is, bfloat16 as the uint16 numbers of its bits.

    Examples
    --------
    >>> as_array(torch.ones(1, dtype=torch.bfloat16))
    array([16256], dtype=uint16)
    """
    plain = tensor.detach()
    return plain.numpy() if plain.dtype == torch.float32 else plain.view(torch.uint16).numpy()
