"""Runs sequences without padding: those of a batch are joined to one, and attention keeps them apart.

Only the attention looks from token to token; everything else in a decoder works on each token
alone, so it does not matter to it where a sequence ends. Works on CPUs, for models that look up their
attention by name from transformers; whether a model does it right is found out by trying.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch

from debias.inference.transformers.passes.model_pass import Batch, ModelPass
from debias.inference.transformers.passes.packing import SEQUENCE_TOKENS, PackedSequence
from debias.inference.transformers.passes.varlen_attention import (
    AttentionPlan,
    Segments,
    attending_by,
    forget_prefix,
    set_prefix,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PackedPass(ModelPass):
    """Runs the sequences of a batch one after another as a single one.

    Parameters
    ----------
    model : PreTrainedModel
    decoder : Module
        What ends in hidden states.

    Raises
    ------
    NotImplementedError
        The model does not look up its attention by name, or its attention is not plain.
    """

    room: int | None = SEQUENCE_TOKENS  # longer rows have a sequence each, and need no mask

    def __init__(self, model: "PreTrainedModel", decoder: "PreTrainedModel") -> None:
        if model.device.type != "cpu":
            raise NotImplementedError("it is made for CPUs")
        self.model, self.decoder = model, decoder
        self.n_shared = 0
        with torch.no_grad():
            self.modules = self._run([1, 2], [0, 1], [Segments(0, 2)], "modules")[0].modules
        if not self.modules:
            raise NotImplementedError("the model does not look up its attention by name")

    def _run(
        self, tokens: Sequence[int], depths: Sequence[int], segments: Sequence[Segments], keep: str = ""
    ) -> tuple[AttentionPlan, torch.Tensor]:
        """Run one sequence; return the plan, which notes what is kept, and the hidden states."""
        ids, places = (torch.tensor([values]) for values in (tokens, depths))
        with attending_by(AttentionPlan(segments, keep), self.decoder.config) as plan:
            output = self.decoder(input_ids=ids, position_ids=places, use_cache=False)
        return plan, output.last_hidden_state[0]

    def begin(self, tokens: Sequence[int]) -> None:
        """Run the shared beginning and keep its keys and values; an empty one keeps nothing."""
        self.end()
        self.n_shared = len(tokens)
        if tokens:
            plan, _ = self._run(tokens, range(self.n_shared), [Segments(0, self.n_shared)], "keys")
            set_prefix(self.modules, plan.pairs)

    def batches(self, sequences: Sequence[PackedSequence], max_tokens: int) -> Iterator[Batch]:
        """Divide sequences into batches of at most ``max_tokens``, or one sequence."""
        batch: Batch = []
        for sequence in sorted(sequences, key=_kind, reverse=True):
            if batch and sum(map(len, batch)) + len(sequence) > max_tokens:
                yield batch
                batch = []
            batch.append(sequence)
        if batch:
            yield batch

    def states(self, batch: Batch) -> torch.Tensor:
        """Return hidden states at the read positions, float32, sequence after sequence as given."""
        starts = np.cumsum([0] + [len(sequence) for sequence in batch]).tolist()
        segments = []
        place = 0
        for (length, is_chain), group in groupby(batch, key=_kind):
            sequences = list(group)
            mask = None if is_chain else self._mask(sequences)
            segments.append(Segments(starts[place], length, len(sequences), mask))
            place += len(sequences)
        tokens = [token for sequence in batch for token in sequence.tokens]
        depths = [self.n_shared + depth for sequence in batch for depth in sequence.depths]
        reads = [
            start + read
            for start, sequence in zip(starts, batch, strict=False)
            for own in sequence.reads
            for read in own
        ]
        _, states = self._run(tokens, depths, segments)
        return states[torch.tensor(reads)].float()

    def _mask(self, sequences: Sequence[PackedSequence]) -> torch.Tensor:
        """Mask with which every token sees its own ancestors only."""
        sees = torch.from_numpy(np.stack([sequence.ancestors() for sequence in sequences]))
        return torch.zeros(sees.shape, dtype=self.model.dtype).masked_fill_(~sees, float("-inf"))

    def compile(self) -> None:
        """Compile the layers of the decoder, once for all of them and for every length.

        Raises
        ------
        NotImplementedError
            The decoder does not name its layers.
        RuntimeError
            There is no compiler, or it gave up.
        """
        layers = getattr(self.decoder, "layers", None)
        if not isinstance(layers, torch.nn.ModuleList):
            raise NotImplementedError("the decoder does not name its layers")
        for layer in layers:
            layer.compile(dynamic=True)
        try:
            with torch.no_grad():
                for tokens in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 7]):
                    self.begin(tokens[:2])
                    self._run(tokens, range(len(tokens)), [Segments(0, len(tokens))])
        except Exception:
            for layer in layers:
                layer._compiled_call_impl = None
            raise
        finally:
            self.end()

    def end(self) -> None:
        """Release the shared beginning."""
        forget_prefix(self.modules)


def _kind(sequence: PackedSequence) -> tuple[int, bool]:
    """Sequences of one kind attend in one call."""
    return len(sequence), sequence.is_chain
