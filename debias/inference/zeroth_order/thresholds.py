"""Finds, tensor by tensor, the size above which weights are not touched: Sparse MeZO (arXiv 2402.15751).

The mask of a step holds the weights whose size, unperturbed, is at most the threshold, which is fixed before
training. Nothing is sorted or copied: the bits of a float are ordered as its size is, so the threshold is
found by counting their upper halves, then the lower halves of those in one bin.
"""

import numpy as np
import torch

from debias.compilation import compiled

EVERYTHING = float("inf")
"""The threshold with which all weights are touched."""
_BINS = 1 << 16


@compiled
def _count_upper(bits, counts):  # type: ignore[no-untyped-def]
    """Count the upper halves of sizes: bits are those of floats, of which the sign is omitted."""
    for i in range(bits.size):
        counts[(bits[i] & np.uint32(0x7FFFFFFF)) >> np.uint32(16)] += 1


@compiled
def _count_lower(bits, upper, counts):  # type: ignore[no-untyped-def]
    """Count the lower halves of the sizes that have an upper half."""
    for i in range(bits.size):
        size = bits[i] & np.uint32(0x7FFFFFFF)
        if size >> np.uint32(16) == upper:
            counts[size & np.uint32(0xFFFF)] += 1


def threshold_of(weights: torch.Tensor, sparsity: float) -> float:
    """Return the size up to which weights are touched, so that about ``sparsity`` of them are not.

    Parameters
    ----------
    weights : float32 tensor
        Of which there is at least one.
    sparsity : float
        Share of the weights that is NOT touched, from 0 to below 1: the largest ones. With 0, all are.

    Returns
    -------
    float
        Infinite where all weights are touched. That is so as well where the threshold would be 0, as in the
        half of a fresh LoRA adapter that is 0: its weights have no order yet, and a mask of zeros would
        leave it untouched for ever after its first step.

    Examples
    --------
    >>> weights = torch.tensor([0.1, -0.4, 0.2, 0.3])
    >>> round(threshold_of(weights, sparsity=0.75), 3), round(threshold_of(weights, sparsity=0.5), 3)
    (0.1, 0.2)
    >>> threshold_of(weights, sparsity=0.0), threshold_of(torch.zeros(4), sparsity=0.75)
    (inf, inf)
    """
    n_touched = max(1, round((1.0 - sparsity) * weights.numel()))
    if sparsity <= 0 or n_touched >= weights.numel():
        return EVERYTHING
    found = _kth_size(weights, n_touched)
    return found if found > 0 else EVERYTHING


def _kth_size(weights: torch.Tensor, k: int) -> float:
    """Return the k-th smallest size, counted from 1."""
    flat = weights.detach().reshape(-1)
    if flat.device.type != "cpu":
        return float(torch.kthvalue(flat.abs(), k).values)
    bits = flat.numpy().view(np.uint32)
    counts = np.zeros(_BINS, dtype=np.int64)
    _count_upper(bits, counts)
    upper = int(np.searchsorted(np.cumsum(counts), k))
    before = int(counts[:upper].sum())
    counts[:] = 0
    _count_lower(bits, np.uint32(upper), counts)
    lower = int(np.searchsorted(np.cumsum(counts), k - before))
    return float(np.array([(upper << 16) | lower], dtype=np.uint32).view(np.float32)[0])
