"""Finds what can be pruned in a model of the Llama kind: neurons and heads, and the matrices they are in.

A neuron is a row of the gate and of "up", and a column of "down". A head is one of keys and values with
all queries that share it: rows of queries, keys and values, and columns of the output.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from debias.errors import ModelError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

Indices = NDArray[np.int64]

CLASSES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
"""Kinds of models whose layers can be pruned, by ``model_type``."""
PROJECTIONS = {
    "q_proj": "self_attn", "k_proj": "self_attn", "v_proj": "self_attn", "o_proj": "self_attn",
    "gate_proj": "mlp", "up_proj": "mlp", "down_proj": "mlp",
}  # fmt: skip
"""Matrices of a layer, and the module that they are in."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model's layers.

    Parameters
    ----------
    n_layers : int
    hidden : int
        Numbers that pass from layer to layer.
    neurons : int
        Of the gated part of a layer.
    heads : int
        Heads of keys and values.
    group : int
        Heads of queries that share a head of keys and values.
    width : int
        Numbers in a head.

    Examples
    --------
    >>> sizes = Sizes(n_layers=2, hidden=32, neurons=48, heads=2, group=2, width=8)
    >>> sizes.shape("q_proj"), sizes.shape("down_proj")
    ((32, 32), (32, 48))
    """

    n_layers: int
    hidden: int
    neurons: int
    heads: int
    group: int
    width: int

    def shape(self, projection: str) -> tuple[int, int]:
        """Return the shape of a projection's weight: outputs and inputs."""
        queries, keys = self.heads * self.group * self.width, self.heads * self.width
        return {
            "q_proj": (queries, self.hidden),
            "k_proj": (keys, self.hidden),
            "v_proj": (keys, self.hidden),
            "o_proj": (self.hidden, queries),
            "gate_proj": (self.neurons, self.hidden),
            "up_proj": (self.neurons, self.hidden),
            "down_proj": (self.hidden, self.neurons),
        }[projection]


def sizes_of(config: "PreTrainedConfig") -> Sizes:
    """Read the sizes of a model's layers from its configuration.

    Raises
    ------
    ModelError
        The model is of a kind that cannot be pruned.

    Examples
    --------
    >>> from transformers import GPT2Config, LlamaConfig
    >>> sizes_of(LlamaConfig()).shape("down_proj")
    (4096, 11008)
    >>> sizes_of(GPT2Config())
    Traceback (most recent call last):
    debias.errors.ModelError: a model of the kind 'gpt2' cannot be pruned; pass one of the kind llama, ...
    """
    kind = str(getattr(config, "model_type", type(config).__name__))
    if kind not in CLASSES:
        raise unsupported(kind)
    n_heads = int(config.num_attention_heads)
    heads = int(config.num_key_value_heads or n_heads)
    return Sizes(
        n_layers=int(config.num_hidden_layers),
        hidden=int(config.hidden_size),
        neurons=int(config.intermediate_size),
        heads=heads,
        group=n_heads // heads,
        width=int(getattr(config, "head_dim", None) or config.hidden_size // n_heads),
    )


def unsupported(kind: str) -> ModelError:
    """Return the error for a model that cannot be pruned."""
    return ModelError(
        f"a model of the kind {kind!r} cannot be pruned",
        parameter="model",
        received=kind,
        allowed=", ".join(CLASSES),
        fix=f"pass one of the kind {', '.join(CLASSES)}",
    )


def projections_of(layer: Any) -> "dict[str, nn.Linear]":
    """Return the matrices of a layer by name."""
    return {name: getattr(getattr(layer, place), name) for name, place in PROJECTIONS.items()}


def layers_of(model: "PreTrainedModel") -> "list[nn.Module]":
    """Return the layers of a model whose matrices are plain and have the sizes that its configuration says.

    Raises
    ------
    ModelError
        The model is of another kind, is quantised, has an adapter, or was pruned already.
    """
    from torch import nn

    sizes = sizes_of(model.config)
    layers = list(model.get_decoder().layers)
    for number, layer in enumerate(layers):
        for name, module in projections_of(layer).items():
            if type(module) is not nn.Linear:
                raise ModelError(
                    f"{name} of layer {number} is not a plain matrix, so it cannot be cut",
                    parameter="model",
                    received=type(module).__name__,
                    allowed="a model without an adapter whose weights are not quantised",
                    fix="pass the model as it was before, in bfloat16, float16 or float32",
                )
            if tuple(module.weight.shape) != sizes.shape(name):
                raise ModelError(
                    f"{name} of layer {number} does not have the shape that the configuration says",
                    parameter="model",
                    received=tuple(module.weight.shape),
                    allowed=str(sizes.shape(name)),
                    fix="pass a whole model; one that was pruned cannot be pruned again",
                )
    return layers
