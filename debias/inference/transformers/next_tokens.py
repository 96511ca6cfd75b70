"""Yields whole distributions of the next token, a few contexts at a time, out of any forward pass."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READS_AT_ONCE = 64
"""Distributions in memory at a time."""

OnLogits = Callable[[int, NDArray[np.float32]], object]
"""Called with the number of a context and the logits of the token that follows it."""


class WaitingContexts:
    """Hidden states that wait to become logits, some at a time.

    Parameters
    ----------
    model : PreTrainedModel
    has_states : bool
        Whether what a pass returns are hidden states; otherwise they are logits.
    on_logits : callable
    """

    def __init__(self, model: "PreTrainedModel", has_states: bool, on_logits: OnLogits) -> None:
        self._model, self._has_states, self._on_logits = model, has_states, on_logits

    def add(self, numbers: Sequence[int], states: torch.Tensor) -> None:
        """Hand out the logits of a batch, one context after another."""
        for start in range(0, len(numbers), READS_AT_ONCE):
            some = slice(start, start + READS_AT_ONCE)
            logits = self._logits(states[some]).float().cpu().numpy()
            for number, row in zip(numbers[some], logits, strict=True):
                self._on_logits(number, row)

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return logits, computed in float32 where states are given."""
        if not self._has_states:
            return states
        head = self._model.get_output_embeddings()
        assert isinstance(head, torch.nn.Linear)
        bias = None if head.bias is None else head.bias.float()
        return torch.nn.functional.linear(states.to(head.weight.device).float(), head.weight.float(), bias)
