"""Reads the layers of a model, when they are of the Llama kind, and multiplies by their matrices."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from debias.inference.transformers.passes.buffers import as_array

_ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
_HEAD_NORMS = {"q_norm", "k_norm"}
_FEED_FORWARD = {"gate_proj", "up_proj", "down_proj", "act_fn"}
_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_SILU = {"SiLU", "SiLUActivation"}


class LlamaDecoder(Protocol):
    """The parts of a decoder that are used here."""

    embed_tokens: nn.Embedding
    layers: nn.ModuleList
    norm: nn.Module
    rotary_emb: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Norm:
    """A root-mean-square norm.

    Parameters
    ----------
    module : Module
    epsilon : float32
        Added to the mean square.
    """

    module: Any
    epsilon: np.float32

    @property
    def arguments(self) -> tuple[NDArray[np.float32] | NDArray[np.uint16], np.float32]:
        """Weight, as an array, and epsilon."""
        return as_array(self.module.weight), self.epsilon


@dataclass(frozen=True)
class LlamaLayer:
    """What a layer is made of.

    Parameters
    ----------
    input_norm, output_norm : Norm
        Before attention, and before the gated part.
    projections : tuple
        Name, module, number of heads and norm of each head, of queries, keys and values.
    o_proj, gate_proj, up_proj, down_proj : Module
    n_key_heads, group, width, inner : int
        Heads of keys, heads of queries for each of them, numbers in a head, and in the gated part.
    scale : float
        Of the scores.
    """

    input_norm: Norm
    output_norm: Norm
    projections: tuple[tuple[str, nn.Linear, int, Norm | None], ...]
    o_proj: nn.Linear
    gate_proj: nn.Linear
    up_proj: nn.Linear
    down_proj: nn.Linear
    n_key_heads: int
    group: int
    width: int
    inner: int
    scale: float


def read_layers(decoder: LlamaDecoder) -> list[LlamaLayer]:
    """Read the layers of a decoder.

    Parameters
    ----------
    decoder : LlamaDecoder

    Raises
    ------
    NotImplementedError
        Something in it is not of the Llama kind, or is watched by a hook.
    """
    parts = {"embed_tokens", "layers", "norm", "rotary_emb"}
    _demand(parts <= _children(decoder), "the decoder has other parts")
    _demand(isinstance(decoder.layers, nn.ModuleList), "the layers are not a list")
    _demand(not _hooked(decoder), "a hook watches the decoder")
    return [_read(layer) for layer in decoder.layers]


def _read(layer: Any) -> LlamaLayer:
    """Read one layer."""
    _demand(_children(layer) == _LAYER, "a layer has other parts")
    attention, inner = layer.self_attn, layer.mlp
    names = _children(attention) - _HEAD_NORMS
    _demand(names >= _ATTENTION and not _with_weights(attention, names - _ATTENTION), "attention differs")
    _demand(_children(inner) == _FEED_FORWARD and type(inner.act_fn).__name__ in _SILU, "the gate differs")
    for module in (layer, attention, inner):
        _demand(not _hooked(module), "a hook watches a layer")
        _demand(not list(module.parameters(recurse=False)), "a layer has weights of its own")
    width = int(attention.head_dim)
    counts = [attention.q_proj.out_features // width, attention.k_proj.out_features // width]
    norms = [_norm(getattr(attention, f"{letter}_norm", None)) for letter in "qk"]
    return LlamaLayer(
        input_norm=_demanded_norm(layer.input_layernorm),
        output_norm=_demanded_norm(layer.post_attention_layernorm),
        projections=(
            ("queries", attention.q_proj, counts[0], norms[0]),
            ("keys", attention.k_proj, counts[1], norms[1]),
            ("values", attention.v_proj, counts[1], None),
        ),
        o_proj=attention.o_proj,
        gate_proj=inner.gate_proj,
        up_proj=inner.up_proj,
        down_proj=inner.down_proj,
        n_key_heads=counts[1],
        group=counts[0] // counts[1],
        width=width,
        inner=int(inner.gate_proj.out_features),
        scale=float(attention.scaling),
    )


def _children(module: Any) -> set[str]:
    """Names of the modules in a module."""
    return {name for name, _ in module.named_children()}


def _with_weights(module: nn.Module, names: set[str]) -> list[str]:
    """Those of the named modules in a module that have weights."""
    return [name for name in names if list(getattr(module, name).parameters())]


def _hooked(*modules: Any) -> bool:
    """Whether something is called before or after a module."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def _norm(module: Any) -> Norm | None:
    """Read a norm; None when there is none."""
    return None if module is None else _demanded_norm(module)


def _demanded_norm(module: Any) -> Norm:
    """Read a norm."""
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    plain = type(module).__name__.endswith("RMSNorm") and isinstance(epsilon, float) and not _hooked(module)
    _demand(plain and getattr(module, "weight", None) is not None, "a norm differs")
    return Norm(module, np.float32(epsilon))


def _demand(holds: bool, otherwise: str) -> None:
    """Refuse a model."""
    if not holds:
        raise NotImplementedError(f"not of the Llama kind: {otherwise}")


def _plain(module: nn.Module) -> bool:
    """Whether a module is nothing but a matrix, and is not called in another way."""
    return type(module) is nn.Linear and not _hooked(module) and "forward" not in module.__dict__


def product(module: nn.Linear, inputs: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Write what a projection makes of inputs to ``out``; adapters and other kinds are called as they are."""
    if not _plain(module):
        return out.copy_(module(inputs))
    if module.bias is not None:
        return torch.addmm(module.bias, inputs, module.weight.t(), out=out)
    return torch.mm(inputs, module.weight.t(), out=out)


def add_product(module: nn.Linear, inputs: torch.Tensor, total: torch.Tensor) -> None:
    """Add what a projection makes of inputs to ``total``."""
    if _plain(module) and module.bias is None:
        total.addmm_(inputs, module.weight.t())
    else:
        total.add_(module(inputs))
