"""Puts an untrained LoRA adapter on a model, to be trained by forward passes in place of all weights."""

import importlib.util
from typing import TYPE_CHECKING, cast

from debias.errors import MissingDependencyError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def with_new_adapter(model: "PreTrainedModel", rank: int, seed: int = 0) -> "PreTrainedModel":
    """Return a model with a new adapter on all matrices of its layers, in float32, the same for a seed.

    Parameters
    ----------
    model : PreTrainedModel
    rank : int
        Its scale is twice the rank.
    seed : int, default=0

    Raises
    ------
    MissingDependencyError
        peft is not installed.
    """
    if importlib.util.find_spec("peft") is None:
        raise MissingDependencyError(
            "an adapter needs peft, which is not installed",
            received="peft",
            fix='run: pip install "debias-iterit[train]", or train all weights',
        )
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return cast("PreTrainedModel", get_peft_model(model, config).eval())
