"""Memory that batches use one after another, and torch tensors seen as numpy arrays."""

from math import prod
from typing import Any

import torch


class Workspace:
    """Tensors by name, that grow and are never given back while the workspace lives.

    New memory is zero, and only finite numbers are ever written, so that what is masked out of a
    sum can be multiplied by zero.

    Parameters
    ----------
    dtype : torch.dtype
        Of all tensors.

    Examples
    --------
    >>> space = Workspace(torch.float32)
    >>> space.tensor("keys", 2, 3).shape, space.tensor("keys", 1, 2).shape
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


def as_array(tensor: torch.Tensor) -> Any:
    """See a float32 tensor as float32 numbers, and a bfloat16 one as the uint16 numbers of its bits.

    Examples
    --------
    >>> as_array(torch.ones(1, dtype=torch.bfloat16))
    array([16256], dtype=uint16)
    """
    plain = tensor.detach()
    return plain.numpy() if plain.dtype == torch.float32 else plain.view(torch.uint16).numpy()
