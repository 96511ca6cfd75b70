"""Projects hidden states on the vocabulary, in float32 and a slice of the vocabulary at a time."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from debias.inference.transformers.passes.thread_pool import map_in_threads
from debias.inference.transformers.vocabulary import shifted_products
from debias.inference.transformers.vocabulary.exact_products import products_of_bfloat16
from debias.inference.transformers.vocabulary.float_kernels import log_sum_exp

FloatArray = NDArray[np.float64]
_VOCABULARY_AT_ONCE = 2048


def project(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    reads: torch.Tensor,
    tokens: torch.Tensor,
    near: bool = False,
) -> FloatArray:
    """Log-probabilities of tokens from hidden states.

    Parameters
    ----------
    states : float32 tensor, shape (n_reads, width)
    weight : tensor, shape (vocabulary, width)
    bias : tensor, shape (vocabulary,), or None
    reads, tokens : int64 tensors, shape (n_edges,)
        Which state and which token each answer is about.
    near : bool, default=False
        Whether 1e-3 nats are near enough where that is faster, see
        :mod:`debias.inference.transformers.vocabulary.shifted_products`.

    Returns
    -------
    float64 array, shape (n_edges,)

    Examples
    --------
    >>> h, w = torch.eye(2), torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]])
    >>> np.exp(project(h, w, None, torch.tensor([0, 1]), torch.tensor([1, 1]))).round(3)
    array([0.75, 0.5 ])
    """
    own = torch.einsum("ew,ew->e", states[reads], weight[tokens].float())
    if bias is not None:
        own = own + bias[tokens].float()
    near = near and bias is None and shifted_products.pays(states, weight)
    n_exact = _VOCABULARY_AT_ONCE if near else len(weight)
    total = _log_sums(states, weight[:n_exact], None if bias is None else bias[:n_exact])
    if n_exact < len(weight):
        rounded, rest = states.bfloat16(), weight[n_exact:]
        shifts = shifted_products.shifts_of(total, own, reads)
        total = torch.logaddexp(
            total, _over_slices(lambda piece: shifted_products.log_sums(rounded, rest[piece], shifts), rest)
        )
    answer: FloatArray = (own.double() - total[reads]).cpu().numpy()
    return answer


def _log_sums(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Logarithm of the sum of the exponentials of the logits of each state, float64."""

    def summed(piece: slice) -> torch.Tensor:
        own_bias = None if bias is None else bias[piece].float()
        return _log_sum_exp(torch.nn.functional.linear(states, weight[piece].float(), own_bias))

    with products_of_bfloat16(states, weight):
        return _over_slices(summed, weight)


def _over_slices(summed: Callable[[slice], torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    """Join logarithms of sums over slices of the vocabulary."""
    slices = [slice(at, at + _VOCABULARY_AT_ONCE) for at in range(0, len(weight), _VOCABULARY_AT_ONCE)]
    parts = map_in_threads(summed, slices) if weight.device.type == "cpu" else map(summed, slices)
    return functools.reduce(torch.logaddexp, parts)


def _log_sum_exp(logits: torch.Tensor) -> torch.Tensor:
    """Logarithm of each row's sum of exponentials, float64."""
    if logits.device.type != "cpu":
        return torch.logsumexp(logits, -1).double()
    sums = np.empty(len(logits))
    log_sum_exp(logits.detach().numpy(), sums)
    return torch.from_numpy(sums)
