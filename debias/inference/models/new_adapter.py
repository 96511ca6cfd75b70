"""Puts an untrained LoRA adapter on a model, to be trained in place of all its weights."""

import importlib.util
from typing import TYPE_CHECKING, cast

from debias.errors import MissingDependencyError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def with_adapter(model: "PreTrainedModel", rank: int) -> "PeftModel":
    """Put an untrained LoRA adapter on all matrices of a model's layers.

    Parameters
    ----------
    model : PreTrainedModel
    rank : int
        Its scale is twice the rank.

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
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def with_seeded_adapter(model: "PreTrainedModel", rank: int, seed: int = 0) -> "PreTrainedModel":
    """Put an untrained adapter on a model, the same for a seed, and leave torch's randomness alone.

    Parameters
    ----------
    model : PreTrainedModel
    rank : int
    seed : int, default=0

    Raises
    ------
    MissingDependencyError
        peft is not installed.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return cast("PreTrainedModel", with_adapter(model, rank).eval())
