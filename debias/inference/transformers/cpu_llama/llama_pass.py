"""A forward pass through layers of the Llama kind that moves no number twice without need.

Most models for text are built alike: root-mean-square norms, rotary positions, heads that share
keys, gated activations. Their own code makes some fifty tensors a layer. Here matrix products
write into memory that is there already, what lies between them is compiled, lines are not padded,
and each core has a batch of its own. What a model gets wrong this way is found out by trying.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from debias.inference.labels import chain_tree
from debias.inference.transformers.cpu_llama import layer_kernels
from debias.inference.transformers.cpu_llama.batch_layout import LineLayout, kind_of, lay_lines, padded_width
from debias.inference.transformers.cpu_llama.llama_layers import LlamaLayer, add_product, product, read_layers
from debias.inference.transformers.passes.buffers import Workspace, as_array
from debias.inference.transformers.passes.packing import Line

_LINE_TOKENS = 64  # of 16, 32, 64 and 128 the fastest, or near it, on short and on long texts
_Pair = tuple[torch.Tensor, torch.Tensor]


class LlamaPass:
    """Runs batches of lines on a CPU.

    Parameters
    ----------
    model : PreTrainedModel
    decoder : Module
        What ends in hidden states.

    Raises
    ------
    NotImplementedError
        The model is not built this way.
    """

    room: int | None = _LINE_TOKENS  # longer rows have a line each, and need no mask

    def __init__(self, model: Any, decoder: Any) -> None:
        if model.device.type != "cpu" or model.dtype not in (torch.bfloat16, torch.float32):
            raise NotImplementedError("it is made for CPUs, in bfloat16 and float32")
        self.decoder, self.dtype = decoder, model.dtype
        self.layers = read_layers(decoder)
        self.shared = 0
        self._prefix: list[_Pair] = []
        self._prefix_mask: torch.Tensor | None = None
        self._spaces: list[Workspace] = []

    @property
    def weights_at_reads(self) -> int:
        """Weights that only the read positions are multiplied by: the end of the last layer."""
        last = self.layers[-1]
        modules = (last.o_proj, last.gate_proj, last.up_proj, last.down_proj)
        return sum(int(module.weight.numel()) for module in modules)

    def still_fits(self) -> bool:
        """Read the layers again, which adapters or hooks may have changed since; say if they fit."""
        try:
            self.layers = read_layers(self.decoder)
        except NotImplementedError:
            return False
        return True

    def begin(self, tokens: Sequence[int]) -> None:
        """Run the shared beginning and keep its keys and values; none when it is empty."""
        self.end()
        if not tokens:
            return
        line = Line()
        line.add(0, list(tokens), chain_tree((0,)))
        prefix: list[_Pair] = []
        with self._workspace() as space:
            self._run(lay_lines([line], self.dtype), space, prefix)
        self.shared, self._prefix = len(tokens), prefix
        width = padded_width(self.shared)
        if width > self.shared:
            self._prefix_mask = torch.zeros(1, 1, 1, width)
            self._prefix_mask[..., self.shared :] = float("-inf")

    def end(self) -> None:
        """Let go of the shared beginning and of the memory for batches."""
        self.shared, self._prefix, self._prefix_mask, self._spaces = 0, [], None, []

    def batches(self, lines: Sequence[Line], max_tokens: int) -> Iterator[list[Line]]:
        """Cut lines into batches of like size, of at most ``max_tokens`` or one line."""
        n_tokens, n_cores = sum(map(len, lines)), torch.get_num_threads()
        n_batches = -(-n_tokens // max_tokens)
        size = -(-n_tokens // (-(-n_batches // n_cores) * n_cores)) if n_tokens else 0
        batch: list[Line] = []
        filled = 0
        for line in sorted(lines, key=kind_of, reverse=True):
            if batch and (filled >= size or filled + len(line) > max_tokens):
                yield batch
                batch, filled = [], 0
            batch.append(line)
            filled += len(line)
        if batch:
            yield batch

    def states(self, batch: Sequence[Line]) -> torch.Tensor:
        """Hidden states at the read positions, float32, line after line as given."""
        with self._workspace() as space:
            return self._run(lay_lines(batch, self.dtype), space)

    def computed(self, batch: Sequence[Line]) -> int:
        """Tokens that a batch puts through the model: there is no padding."""
        return sum(map(len, batch))

    @contextmanager
    def _workspace(self) -> Iterator[Workspace]:
        """Lend memory to one batch; batches side by side have each their own."""
        try:
            space = self._spaces.pop()
        except IndexError:
            space = Workspace(self.dtype)
        yield space
        self._spaces.append(space)

    def _run(self, layout: LineLayout, space: Workspace, keep: list[_Pair] | None = None) -> torch.Tensor:
        """Run a batch; keep keys and values of its only line in a list, when there is one."""
        states = self.decoder.embed_tokens(torch.tensor(layout.tokens))
        angles = self._angles(layout)
        for number, layer in enumerate(self.layers):
            answers = self._attend(layer, number, states, layout, angles, space, keep)
            last = number == len(self.layers) - 1
            if last and keep is not None:
                break
            if last:  # only what is read goes on
                reads = torch.tensor(layout.reads)
                states, answers = states[reads], answers[reads]
            add_product(layer.o_proj, answers, states)
            self._feed_forward(layer, states, space)
        return self.decoder.norm(states).float()  # type: ignore[no-any-return]

    def _angles(self, layout: LineLayout) -> tuple[Any, Any]:
        """Cosines and sines of positions, float32 arrays of shape (n_tokens, half a head)."""
        places = torch.tensor([layout.depths]) + self.shared
        both = self.decoder.rotary_emb(torch.empty(1, dtype=torch.float32), places)
        half = self.layers[0].width // 2
        if both[0].shape[-1] != 2 * half:
            raise NotImplementedError("only a part of each head is rotated")
        cosines, sines = (part[0, :, :half].contiguous().numpy() for part in both)
        return cosines, sines

    def _attend(
        self,
        layer: LlamaLayer,
        number: int,
        states: torch.Tensor,
        layout: LineLayout,
        angles: tuple[Any, Any],
        space: Workspace,
        keep: list[_Pair] | None,
    ) -> torch.Tensor:
        """Answers of all heads, shape (n_tokens, n_heads * width)."""
        n_tokens = len(states)
        normal = space.tensor("normal", *states.shape)
        layer_kernels.normalise(as_array(states), *layer.input_norm.arguments, as_array(normal))
        laid = []
        heads: dict[str, torch.Tensor] = {}
        for name, projection, count, norm in layer.projections:
            flat = product(projection, normal, space.tensor(name, n_tokens, count * layer.width))
            heads[name] = flat.view(n_tokens, count, layer.width)
            if norm is not None:
                rows = as_array(flat.view(-1, layer.width))
                layer_kernels.normalise(rows, *norm.arguments, rows)
            if name != "values":
                layer_kernels.rotate(as_array(heads[name]), *angles)
            lined = space.tensor(f"laid {name}", layout.n_places * count * layer.width)
            layer_kernels.lay_out(
                as_array(heads[name]), layout.starts, layout.widths, layout.places, as_array(lined)
            )
            laid.append(lined)
        if keep is not None:
            keys, values = (kept.view(1, layer.n_key_heads, -1, layer.width) for kept in laid[1:])
            keep.append((keys.clone(), values.clone()))
        answers = space.tensor("answers", n_tokens, layer.n_key_heads, layer.group, layer.width)
        shared = self._attend_to_shared(layer, number, heads["queries"], space)
        self._attend_to_lines(layer, laid, layout, shared, answers)
        return answers.view(n_tokens, -1)

    def _attend_to_shared(
        self, layer: LlamaLayer, number: int, queries: torch.Tensor, space: Workspace
    ) -> list[Any]:
        """Attend to the shared beginning: answers and norms as arrays; nothing without one."""
        if not self._prefix:
            return []
        n_tokens = len(queries)
        dense = space.tensor("dense queries", layer.n_key_heads, layer.group, n_tokens, layer.width)
        by_head = queries.view(n_tokens, layer.n_key_heads, layer.group, layer.width).permute(1, 2, 0, 3)
        dense.copy_(by_head)
        keys, values = (part[0, :, None] for part in self._prefix[number])
        return _flash(dense, keys, values, self._prefix_mask, layer.scale)

    def _attend_to_lines(
        self,
        layer: LlamaLayer,
        laid: Sequence[torch.Tensor],
        layout: LineLayout,
        shared: list[Any],
        answers: torch.Tensor,
    ) -> None:
        """Attend within lines, and join with what is known of the shared beginning."""
        for block in layout.blocks:
            piece = slice(block.start, block.start + block.n_lines * block.width)
            queries, keys, values = (
                one.view(layout.n_places, -1)[piece].view(
                    block.n_lines * layer.n_key_heads, -1, block.width, layer.width
                )
                for one in laid
            )
            mask = block.mask
            if mask is not None:
                mask = mask.repeat_interleave(layer.n_key_heads, 0).unsqueeze(1)
            own = _flash(queries, keys, values, mask, layer.scale, causal=mask is None)
            tokens = slice(block.first, block.last)
            where = block.first, layout.lines[tokens], layout.places[tokens]
            if shared:
                layer_kernels.join(*where, *own, *shared, as_array(answers))
            else:
                layer_kernels.gather(*where, own[0], as_array(answers))

    def _feed_forward(self, layer: LlamaLayer, states: torch.Tensor, space: Workspace) -> None:
        """Add to states what the gated part of a layer makes of them."""
        normal = space.tensor("normal", *states.shape)
        layer_kernels.normalise(as_array(states), *layer.output_norm.arguments, as_array(normal))
        gates, values = (
            product(module, normal, space.tensor(name, len(states), layer.inner))
            for name, module in (("gates", layer.gate_proj), ("inner values", layer.up_proj))
        )
        layer_kernels.gate(as_array(gates).reshape(-1), as_array(values).reshape(-1))
        add_product(layer.down_proj, gates, states)


def _flash(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    causal: bool = False,
) -> list[Any]:
    """Attention that never holds all scores: answers (B, w, G, d) and norms (B, w, G), as arrays."""
    keys, values = (part.expand(-1, queries.shape[1], -1, -1) for part in (keys, values))
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    answers, norms = kernel(queries, keys, values, 0.0, causal, attn_mask=mask, scale=scale)
    return [as_array(answers.transpose(1, 2)), np.ascontiguousarray(norms.transpose(1, 2).numpy())]
