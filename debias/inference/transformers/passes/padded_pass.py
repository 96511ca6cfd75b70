"""A forward pass that any causal model understands: padded lines after a cached beginning."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from debias.inference.transformers.passes.packing import Line, batches, layout


class _PrefixLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of the shared beginning, put before those of any batch and never grown."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the beginning's keys and values with the batch's own after them."""
        size = (len(key_states), -1, -1, -1)
        keys = torch.cat([self.keys.expand(size), key_states], dim=-2)
        return keys, torch.cat([self.values.expand(size), value_states], dim=-2)


class CachedPass:
    """Runs lines that are padded to one length; a mask is made where a line holds several rows.

    Parameters
    ----------
    model : PreTrainedModel
    decoder : Module or None
        What ends in hidden states; None where the model's logits must be read.
    """

    room: int | None = None

    def __init__(self, model: Any, decoder: Any) -> None:
        self.model, self.decoder = model, decoder
        self.shared = 0
        self.cache: Cache | None = None

    def begin(self, tokens: Sequence[int]) -> None:
        """Run the shared beginning and keep its keys and values; none when it is empty."""
        self.shared, self.cache = len(tokens), None
        if not tokens:
            return
        cache = DynamicCache()
        ids = torch.tensor([tokens], device=self.model.device)
        (self.decoder or self.model)(input_ids=ids, past_key_values=cache, use_cache=True)
        if not cache.layers or any(type(layer) is not DynamicLayer for layer in cache.layers):
            raise ValueError("the model keeps something else than keys and values")
        self.cache = Cache(layers=[_PrefixLayer(layer.keys, layer.values) for layer in cache.layers])

    def batches(self, lines: Sequence[Line], max_tokens: int) -> Iterator[list[Line]]:
        """Cut lines, longest first, into batches of at most ``max_tokens``, padding included."""
        return batches(lines, max_tokens)

    def states(self, batch: Sequence[Line]) -> torch.Tensor:
        """Hidden states (or logits, without a known decoder) at the read positions, float32.

        Lines are padded on the right: a causal model never looks there from a real token.
        """
        ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
        for place, line in zip(ids, batch, strict=True):
            place[: len(line)] = line.tokens
        inputs: dict[str, Any] = {"input_ids": torch.from_numpy(ids).to(self.model.device)}
        if not all(line.is_chain for line in batch):
            inputs |= self._layout(batch)
        output = (self.decoder or self.model)(
            **inputs, past_key_values=self.cache, use_cache=self.cache is not None
        )
        states = output.logits if self.decoder is None else output.last_hidden_state
        reads = [(n, place) for n, line in enumerate(batch) for places in line.reads for place in places]
        read: torch.Tensor = states[tuple(torch.tensor(reads, device=states.device).T)].float()
        return read

    def _layout(self, batch: Sequence[Line]) -> dict[str, torch.Tensor]:
        """Mask and positions with which every token sees its own ancestors only."""
        sees, positions = layout(batch, self.shared)
        mask = torch.zeros(sees.shape, dtype=self.model.dtype)
        mask.masked_fill_(~torch.from_numpy(sees), torch.finfo(self.model.dtype).min)
        device = self.model.device
        return {
            "attention_mask": mask[:, None].to(device),
            "position_ids": torch.from_numpy(positions).to(device),
        }

    def computed(self, batch: Sequence[Line]) -> int:
        """Tokens that a batch puts through the model, padding included."""
        return len(batch) * max(map(len, batch))

    def end(self) -> None:
        """Let go of the shared beginning."""
        self.cache = None
