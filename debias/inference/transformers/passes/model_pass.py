"""Defines a forward pass, and the capabilities of a model that decide which passes it can take."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import torch

from debias.inference.transformers.passes.packing import PackedSequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Batch = list[PackedSequence]


@dataclass(frozen=True)
class Capabilities:
    """What a model was found to do right, by trying.

    See :func:`debias.inference.transformers.passes.capabilities.find_capabilities`.

    Parameters
    ----------
    projects : bool
        The decoder's hidden states times the output matrix are the model's logits.
    shares : bool
        Keys and values of a shared beginning can be computed once.
    branches : bool
        A mask over keys is followed, so that trees and several prompts fit into one sequence.
    batches : bool
        Rows of different lengths do not change each other.
    window : int
        Longest row, in tokens, for which ``shares`` and ``branches`` hold.
    packs : bool
        Attention is looked up by name, so that sequences need no padding; needs all of the above.
    layers : bool
        Layers are of the Llama kind, which has a pass of its own; needs all but ``packs``.
    """

    projects: bool = False
    shares: bool = False
    branches: bool = False
    batches: bool = True
    window: int = 2**31 - 1
    packs: bool = False
    layers: bool = False


class ModelPass(Protocol):
    """A way to put batches of packed sequences through a model, after a shared beginning.

    Attributes
    ----------
    room : int or None
        Most tokens of a sequence that holds several rows; as many as the longest row has if None.
    """

    room: int | None

    def fits(self, branches: bool) -> bool:
        """Whether the model, as it is now, can be run this way on sequences that may branch."""
        return branches

    def begin(self, tokens: Sequence[int]) -> None:
        """Run the shared beginning and keep its keys and values; an empty one keeps nothing."""

    def batches(self, sequences: Sequence[PackedSequence], max_tokens: int) -> Iterator[Batch]:
        """Divide sequences into batches of at most ``max_tokens``, or one sequence."""

    def states(self, batch: Batch) -> torch.Tensor:
        """Return hidden states at the read positions, float32, sequence after sequence as given."""

    def run(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Run batches; yield each with its states."""
        for batch in batches:
            yield batch, self.states(batch)

    def computed(self, batch: Batch) -> int:
        """Count the tokens that a batch puts through the model, padding included."""
        return sum(map(len, batch))

    def weights_at_reads(self) -> int:
        """Count the weights of the decoder that are multiplied by read positions only."""
        return 0

    def compile(self) -> None:
        """Compile the layers of the decoder; raise an error that says why if they are not compiled."""

    def end(self) -> None:
        """Release the shared beginning."""


def decoder_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """Return the part of a causal model that ends in hidden states, before the vocabulary."""
    base = cast("PreTrainedModel", model.base_model)
    decoder = cast("PreTrainedModel", model.get_decoder()) if hasattr(model, "get_decoder") else base
    return base if decoder is model else decoder
