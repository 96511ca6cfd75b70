"""A forward pass without padding: all lines of a batch are one, and attention keeps them apart.

Only the attention looks from token to token; everything else in a decoder works on each token
alone, so it does not matter to it where a line ends. Works on CPUs, for models that take their
attention by name from transformers; whether a model does it right is found out by trying.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch

from debias.inference.transformers.passes.packing import LINE_TOKENS, Line
from debias.inference.transformers.passes.varlen_attention import Stretches, forget_prefix, plan, set_prefix


class StretchedPass:
    """Runs lines one after another in a single one.

    Parameters
    ----------
    model : PreTrainedModel
    decoder : Module
        What ends in hidden states.

    Raises
    ------
    NotImplementedError
        The model does not take its attention by name, or its attention is not plain.
    """

    room: int | None = LINE_TOKENS  # longer rows have a line each, and need no mask

    def __init__(self, model: Any, decoder: Any) -> None:
        if model.device.type != "cpu":
            raise NotImplementedError("it is made for CPUs")
        self.model, self.decoder = model, decoder
        self.shared = 0
        with torch.no_grad():
            self.modules = self._run([1, 2], [0, 1], [Stretches(0, 2)], "modules").modules
        if not self.modules:
            raise NotImplementedError("the model does not take its attention by name")

    def _run(
        self, tokens: Sequence[int], depths: Sequence[int], stretches: Sequence[Stretches], keep: str = ""
    ) -> Any:
        """Run one line; return the plan, with the hidden states."""
        ids, places = (torch.tensor([values]) for values in (tokens, depths))
        with plan(self.decoder.config, stretches, keep) as own:
            output = self.decoder(input_ids=ids, position_ids=places, use_cache=False)
        own.states = output.last_hidden_state[0]
        return own

    def begin(self, tokens: Sequence[int]) -> None:
        """Run the shared beginning and keep its keys and values; none when it is empty."""
        self.end()
        self.shared = len(tokens)
        if tokens:
            own = self._run(tokens, range(self.shared), [Stretches(0, self.shared)], "keys")
            set_prefix(self.modules, own.pairs)

    def batches(self, lines: Sequence[Line], max_tokens: int) -> Iterator[list[Line]]:
        """Cut lines into batches of at most ``max_tokens``, or one line."""
        batch: list[Line] = []
        for line in sorted(lines, key=_kind, reverse=True):
            if batch and sum(map(len, batch)) + len(line) > max_tokens:
                yield batch
                batch = []
            batch.append(line)
        if batch:
            yield batch

    def states(self, batch: Sequence[Line]) -> torch.Tensor:
        """Hidden states at the read positions, float32, line after line as given."""
        starts = np.cumsum([0] + [len(line) for line in batch]).tolist()
        stretches = []
        place = 0
        for (length, is_chain), group in groupby(batch, key=_kind):
            lines = list(group)
            mask = None if is_chain else self._mask(lines)
            stretches.append(Stretches(starts[place], length, len(lines), mask))
            place += len(lines)
        tokens = [token for line in batch for token in line.tokens]
        depths = [self.shared + depth for line in batch for depth in line.depths]
        reads = [
            start + read
            for start, line in zip(starts, batch, strict=False)
            for own in line.reads
            for read in own
        ]
        states: torch.Tensor = self._run(tokens, depths, stretches).states
        return states[torch.tensor(reads)].float()

    def _mask(self, lines: Sequence[Line]) -> torch.Tensor:
        """Mask with which every token sees its own ancestors only."""
        sees = torch.from_numpy(np.stack([line.ancestors() for line in lines]))
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
                    self._run(tokens, range(len(tokens)), [Stretches(0, len(tokens))])
        except Exception:
            for layer in layers:
                layer._compiled_call_impl = None
            raise
        finally:
            self.end()

    def computed(self, batch: Sequence[Line]) -> int:
        """Tokens that a batch puts through the model: there is no padding."""
        return sum(map(len, batch))

    def end(self) -> None:
        """Let go of the shared beginning."""
        forget_prefix(self.modules)


def _kind(line: Line) -> tuple[int, bool]:
    """Lines of one kind attend in one call."""
    return len(line), line.is_chain
