"""Refuses models that are not causal: one that sees the tokens that follow would score what it reads.

No list of architectures is kept: two texts that differ in their ends are compared, as the model
answers them.
"""

from typing import TYPE_CHECKING

import torch

from debias.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TEXTS = ((3, 1, 4, 2, 5, 6, 8), (3, 1, 4, 7, 9, 2, 5))
_N_SAME = 3
_TOLERANCES = {torch.bfloat16: 0.05, torch.float16: 0.01}


def check_causal(model: "PreTrainedModel") -> None:
    """Raise ModelError for a model that is no causal language model.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
        With all of its weights in this process.

    Raises
    ------
    ModelError
        It has no logits for each token of a text, or they change with the tokens that follow.
    """
    problem = _fault(model)
    if problem:
        raise ModelError(
            f"{type(model).__name__} is not a causal language model: {problem}",
            parameter="model",
            received=type(model).__name__,
            fix="use a model that writes text from left to right, such as those of AutoModelForCausalLM",
        )


def _fault(model: "PreTrainedModel") -> str:
    """Say why a model is not causal, or return an empty string."""
    embeddings = model.get_input_embeddings()
    n_known = embeddings.num_embeddings if isinstance(embeddings, torch.nn.Embedding) else 10
    texts = torch.tensor(_TEXTS, device=model.device) % n_known
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            answers = model(input_ids=texts)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        return f"it cannot be called with tokens alone ({(str(error).strip().splitlines() or [''])[0][:200]})"
    finally:
        model.train(training)
    logits = getattr(answers, "logits", None)
    if not torch.is_tensor(logits) or logits.dim() != 3 or logits.shape[1] != texts.shape[1]:
        shape = tuple(logits.shape) if torch.is_tensor(logits) else "none"
        return f"it does not return logits for each of {texts.shape[1]} tokens, got {shape}"
    values = logits[:, :_N_SAME].float()
    gap, spread = float((values[0] - values[1]).abs().max()), float(values.std())
    if not gap <= _TOLERANCES.get(logits.dtype, 1e-3) * spread:
        return "its logits change with the tokens that follow"
    return ""
