"""Multiplies numbers that are bfloat16 anyway by the units for bfloat16, and sums in float32.

A product of two bfloat16 numbers is exact in float32, so nothing is lost but time: several times as
many are done in a second where the processor has such units.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def products_of_bfloat16(states: torch.Tensor, weight: torch.Tensor) -> Iterator[bool]:
    """Let float32 matrices on the CPU be multiplied as bfloat16 while the block lasts, if that is exact.

    The setting is torch's own and holds for all threads; it is put back afterwards.

    Parameters
    ----------
    states : float32 tensor
    weight : tensor
        What states are multiplied by, once it is float32.

    Yields
    ------
    bool
        Whether they are.

    Examples
    --------
    >>> rough = torch.ones(1, 1, dtype=torch.bfloat16)
    >>> with products_of_bfloat16(torch.tensor([[1 / 3]]), rough) as used:
    ...     used
    False
    """
    products = getattr(torch.backends.mkldnn, "matmul", None)
    if products is None or not hasattr(products, "fp32_precision") or not are_bfloat16(states, weight):
        yield False
        return
    before = products.fp32_precision
    products.fp32_precision = "bf16"
    try:
        yield True
    finally:
        products.fp32_precision = before


def are_bfloat16(states: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether all numbers are bfloat16 ones, on a CPU.

    Parameters
    ----------
    states, weight : tensor
    """
    if states.device.type != "cpu" or weight.dtype != torch.bfloat16:
        return False
    return bool((states == states.bfloat16().float()).all())
