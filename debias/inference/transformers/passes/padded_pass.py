"""Runs sequences padded to one length after a cached beginning, as any causal model understands them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from debias.inference.transformers.passes.model_pass import Batch, ModelPass
from debias.inference.transformers.passes.packing import PackedSequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _PrefixLayer(DynamicLayer):
    """Keys and values of the shared beginning, put before those of any batch and never grown."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys, self.values = self.before = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the beginning's keys and values with the batch's own after them."""
        size = (len(key_states), -1, -1, -1)
        keys, values = (one.expand(size) for one in self.before)
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


class PaddedPass(ModelPass):
    """Runs sequences that are padded to one length; a mask is made where a sequence holds several rows.

    Parameters
    ----------
    model : PreTrainedModel
    decoder : Module or None
        What ends in hidden states; None where the model's logits must be read.
    """

    room: int | None = None

    def __init__(self, model: "PreTrainedModel", decoder: "PreTrainedModel | None") -> None:
        self.model, self.decoder = model, decoder
        self.n_shared = 0
        self.cache: Cache | None = None

    def fits(self, branches: bool) -> bool:
        """Return True: any model can be run this way."""
        return True

    def begin(self, tokens: Sequence[int]) -> None:
        """Run the shared beginning and keep its keys and values; an empty one keeps nothing."""
        self.n_shared, self.cache = len(tokens), None
        if not tokens:
            return
        cache = DynamicCache()
        ids = torch.tensor([tokens], device=self.model.device)
        (self.decoder or self.model)(input_ids=ids, past_key_values=cache, use_cache=True)
        pairs = [(one.keys, one.values) for one in cache.layers if type(one) is DynamicLayer]
        kept = [
            _PrefixLayer(keys, values) for keys, values in pairs if keys is not None and values is not None
        ]
        if not kept or len(kept) < len(cache.layers):
            raise ValueError("the model keeps other things than keys and values")
        self.cache = Cache(layers=[*kept])

    def batches(self, sequences: Sequence[PackedSequence], max_tokens: int) -> Iterator[Batch]:
        """Divide sequences, longest first, into batches of at most ``max_tokens``, padding included.

        Examples
        --------
        >>> sequences = [PackedSequence([1] * n) for n in (5, 4, 4, 2)]
        >>> [len(batch) for batch in PaddedPass(None, None).batches(sequences, max_tokens=10)]
        [2, 2]
        """
        start = 0
        while start < len(sequences):
            size = max(1, max_tokens // len(sequences[start]))
            yield list(sequences[start : start + size])
            start += size

    def states(self, batch: Batch) -> torch.Tensor:
        """Return hidden states (or logits, without a known decoder) at the read positions, float32.

        Sequences are padded on the right: a causal model never looks there from a real token.
        """
        ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
        for place, sequence in zip(ids, batch, strict=True):
            place[: len(sequence)] = sequence.tokens
        inputs = {"input_ids": torch.from_numpy(ids).to(self.model.device)}
        if not all(sequence.is_chain for sequence in batch):
            inputs |= self._masked(batch)
        output = (self.decoder or self.model)(
            **inputs, past_key_values=self.cache, use_cache=self.cache is not None
        )
        states = output.logits if self.decoder is None else output.last_hidden_state
        reads = [
            (n, place) for n, sequence in enumerate(batch) for places in sequence.reads for place in places
        ]
        read: torch.Tensor = states[tuple(torch.tensor(reads, device=states.device).T)].float()
        return read

    def _masked(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Mask and positions with which every token sees its own ancestors only."""
        sees, positions = padded_layout(batch, self.n_shared)
        mask = torch.zeros(sees.shape, dtype=self.model.dtype)
        mask.masked_fill_(~torch.from_numpy(sees), torch.finfo(self.model.dtype).min)
        device = self.model.device
        return {
            "attention_mask": mask[:, None].to(device),
            "position_ids": torch.from_numpy(positions).to(device),
        }

    def computed(self, batch: Batch) -> int:
        """Count the tokens that a batch puts through the model, padding included."""
        return len(batch) * max(map(len, batch))

    def compile(self) -> None:
        """Raise NotImplementedError: each length of a batch would be compiled anew."""
        raise NotImplementedError("only a model that needs no padding is compiled: see the other shortcuts")

    def end(self) -> None:
        """Release the shared beginning."""
        self.cache = None


def padded_layout(
    batch: Sequence[PackedSequence], n_shared: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Mask and positions of a batch.

    Returns
    -------
    sees : bool array, shape (n_sequences, width, n_shared + width)
        Which token each token sees; padding sees what a causal model sees.
    positions : int64 array, shape (n_sequences, width)
        Place of each token in its own prompt.
    """
    width = max(map(len, batch))
    sees = np.repeat(np.tri(width, n_shared + width, n_shared, dtype=bool)[None], len(batch), axis=0)
    positions = np.repeat(np.arange(n_shared, n_shared + width)[None], len(batch), axis=0)
    for mask, places, sequence in zip(sees, positions, batch, strict=True):
        mask[: len(sequence), n_shared : n_shared + len(sequence)] = sequence.ancestors()
        places[: len(sequence)] = n_shared + np.array(sequence.depths)
    return sees, positions
