"""Copies a model to score with, in another number format, with an adapter merged in.

Training often changes a weight by less than half a step of bfloat16 (a part in 256): rounded to
nearest, weights from a checkpoint in that format would stay the same, and the copy would score as if
it had hardly been trained. So weights are rounded at random, up with a probability equal to how far
up they are: correct on average (stochastic rounding; Gupta et al., "Deep Learning with Limited
Numerical Precision", ICML 2015). The draws are the same each time, so that only a weight that has
changed is rounded differently.
"""

import copy
import zlib
from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def scoring_copy(model: "PreTrainedModel", dtype: torch.dtype) -> "PreTrainedModel":
    """Copy a model, merge its adapter in (it then needs no products of its own), and round it.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
        Not changed.
    dtype : torch.dtype

    Returns
    -------
    PreTrainedModel
        Its parameters, and the buffers that a checkpoint holds, are in that format; other buffers,
        such as the frequencies of rotary positions, keep theirs.
    """
    copied = copy.deepcopy(model)
    if hasattr(copied, "merge_and_unload"):
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.data = parameter.data.float()
            copied = cast("PeftModel", copied).merge_and_unload()
    kept = copied.state_dict().keys()
    for name, parameter in copied.named_parameters():
        if parameter.is_floating_point():
            parameter.data = rounded(parameter.data, dtype, zlib.crc32(name.encode()))
    for name, buffer in copied.named_buffers():
        if name in kept and buffer.is_floating_point():
            buffer.data = buffer.data.to(dtype)
    return copied


def rounded(values: torch.Tensor, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Round numbers to a format: to bfloat16 at random, correct on average, to others to nearest.

    Parameters
    ----------
    values : tensor
    dtype : torch.dtype
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    tensor of dtype

    Examples
    --------
    A tenth of a step above 1 becomes the next number in one of ten cases, else 1:

    >>> step = 2.0**-7
    >>> found = rounded(torch.full((10_000,), 1 + 0.1 * step), torch.bfloat16).float()
    >>> sorted(set(found.tolist())) == [1.0, 1.0 + step]
    True
    >>> round(float((found > 1).float().mean()), 1)
    0.1
    """
    if dtype != torch.bfloat16 or values.dtype not in (torch.float32, torch.float64):
        return values.to(dtype)
    bits = values.detach().float().contiguous().view(torch.int32)
    generator = torch.Generator(device=values.device).manual_seed(seed)
    below = torch.randint(
        0, 1 << 16, bits.shape, generator=generator, device=values.device, dtype=torch.int32
    )
    # The upper half of a float32 is a bfloat16; what is added carries into it as often as it should.
    found = below.add_(bits).bitwise_and_(-(1 << 16)).view(torch.float32)
    return torch.where(torch.isfinite(values) & torch.isfinite(found), found, values).to(torch.bfloat16)
