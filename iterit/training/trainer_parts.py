"""Returns the model, the tokenizer and the step of a trainer that was checked, with their types."""

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer


def model_of(trainer: "Trainer") -> "PreTrainedModel":
    """Return the model of a trainer; a PeftModel has the same methods."""
    return cast("PreTrainedModel", trainer.model)


def tokenizer_of(trainer: "Trainer") -> "PreTrainedTokenizerBase":
    """Return the tokenizer of a trainer."""
    return cast("PreTrainedTokenizerBase", trainer.processing_class)


def step_of(trainer: "Trainer") -> int:
    """Return the number of steps that a trainer has trained."""
    return int(trainer.state.global_step)
