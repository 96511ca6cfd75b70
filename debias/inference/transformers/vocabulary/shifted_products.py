"""Reads the vocabulary in bfloat16: near enough for means over many tokens, twice as fast as in float32.

Some processors have units for bfloat16 whose sums torch only gives rounded to bfloat16: rounded to
nearest, a number is off by a part in 256 at most. So what is computed is not a logit but its distance
from a number near the logarithm of the sum of all exponentials: the distance is small where the
probability is not, and errors of single tokens, at random up or down, are of the order of 1e-3 nats.
"""

import numpy as np
import torch

from debias.inference.models.processor import has_matrix_units, multiplies_bfloat16
from debias.inference.transformers.passes.buffers import as_array
from debias.inference.transformers.vocabulary.exact_products import are_bfloat16
from debias.inference.transformers.vocabulary.float_kernels import log_sum_exp


def pays(states: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether these numbers are bfloat16 ones, on a processor that multiplies them fastest this way.

    Where there are units that multiply float32 as bfloat16 and sum in float32 (AMX), that is as fast,
    and exact: see :mod:`debias.inference.transformers.vocabulary.exact_products`.

    Parameters
    ----------
    states : float32 tensor, shape (n_reads, width)
    weight : tensor, shape (vocabulary, width)
    """
    return multiplies_bfloat16() and not has_matrix_units() and are_bfloat16(states, weight)


def shifts_of(total: torch.Tensor, own: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    """Return for each state a number near the logarithm of the sum of all exponentials.

    Parameters
    ----------
    total : float64 tensor, shape (n_reads,)
        That logarithm over the first tokens of the vocabulary, which are the most frequent ones.
    own : float32 tensor, shape (n_edges,)
        Logits of the tokens that are asked about, often the most probable ones.
    reads : int64 tensor, shape (n_edges,)
        Which state each of them is about.

    Returns
    -------
    bfloat16 tensor, shape (n_reads,)

    Examples
    --------
    >>> shifts_of(torch.tensor([1.0, 9.0]).double(), torch.tensor([5.0, 2.0]), torch.tensor([0, 1]))
    tensor([5., 9.], dtype=torch.bfloat16)
    """
    return total.float().scatter_reduce(0, reads, own, "amax").bfloat16()


def log_sums(states: torch.Tensor, weight: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Logarithm of the sum of the exponentials of logits, for each state.

    Parameters
    ----------
    states : bfloat16 tensor, shape (n_reads, width)
    weight : bfloat16 tensor, shape (n_tokens, width)
        A part of the vocabulary.
    shifts : bfloat16 tensor, shape (n_reads,)

    Returns
    -------
    float64 tensor, shape (n_reads,)

    Examples
    --------
    >>> h, w = torch.eye(2).bfloat16(), torch.tensor([[0.0, 1.0], [2.0, 1.0]]).bfloat16()
    >>> log_sums(h, w, torch.zeros(2).bfloat16()).exp().round(decimals=2)  # e**0 + e**2, 2 e
    tensor([8.3900, 5.4400], dtype=torch.float64)
    """
    distances = (-shifts)[:, None].expand(-1, len(weight)).contiguous()
    distances.addmm_(states, weight.t())  # rounded once, after the sum
    sums = np.empty(len(states))
    log_sum_exp(as_array(distances), sums)
    return torch.from_numpy(sums) + shifts.double()
