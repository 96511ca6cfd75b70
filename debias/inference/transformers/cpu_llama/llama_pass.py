"""Runs layers of the Llama kind on CPUs, and moves no number twice without need.

Most models for text are built alike: root-mean-square norms, rotary positions, heads that share
keys, gated activations. Their own code makes some fifty tensors a layer. Here matrix products
write into memory that is used again, what lies between them is compiled, sequences are not padded,
and each core has a batch of its own. Whether a model gets it right is found out by trying.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from debias.inference.labels import chain_tree
from debias.inference.transformers.cpu_llama import layer_kernels
from debias.inference.transformers.cpu_llama.batch_layout import (
    BatchLayout,
    kind_of,
    lay_out_batch,
    padded_width,
)
from debias.inference.transformers.cpu_llama.llama_layers import (
    LlamaDecoder,
    LlamaLayer,
    add_product,
    product,
    read_layers,
)
from debias.inference.transformers.passes.buffers import Buffers, as_array
from debias.inference.transformers.passes.model_pass import Batch, ModelPass
from debias.inference.transformers.passes.packing import PackedSequence
from debias.inference.transformers.passes.thread_pool import map_in_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SEQUENCE_TOKENS = 64  # of 16, 32, 64 and 128 the fastest, or near it, on short and on long texts
_Pair = tuple[torch.Tensor, torch.Tensor]
_Angles = tuple[NDArray[np.float32], NDArray[np.float32]]


class _Found(NamedTuple):
    """Answers of attention, (B, G, w, d), and the logarithms of what they were divided by, (B, G, w)."""

    answers: NDArray[np.float32] | NDArray[np.uint16]
    norms: NDArray[np.float32]


class LlamaPass(ModelPass):
    """Runs batches of sequences on a CPU, each core a batch of its own.

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

    room: int | None = _SEQUENCE_TOKENS  # longer rows have a sequence each, and need no mask

    def __init__(self, model: "PreTrainedModel", decoder: "PreTrainedModel") -> None:
        if model.device.type != "cpu" or model.dtype not in (torch.bfloat16, torch.float32):
            raise NotImplementedError("it is made for CPUs, in bfloat16 and float32")
        self.decoder, self.dtype = cast(LlamaDecoder, decoder), model.dtype
        self.layers = read_layers(self.decoder)
        self.n_shared = 0
        self._prefix: list[_Pair] = []
        self._prefix_mask: torch.Tensor | None = None
        self._free: list[Buffers] = []

    def weights_at_reads(self) -> int:
        """Count the weights that read positions only are multiplied by: the end of the last layer."""
        last = self.layers[-1]
        modules = (last.o_proj, last.gate_proj, last.up_proj, last.down_proj)
        return sum(module.weight.numel() for module in modules)

    def compile(self) -> None:
        """Raise NotImplementedError: there is nothing left to compile."""
        raise NotImplementedError("its layers have a compiled pass of their own, which is faster")

    def fits(self, branches: bool) -> bool:
        """Read the layers again, which adapters or hooks may have changed since; tell whether they fit."""
        if not branches:
            return False
        try:
            self.layers = read_layers(self.decoder)
        except NotImplementedError:
            return False
        return True

    def begin(self, tokens: Sequence[int]) -> None:
        """Run the shared beginning and keep its keys and values; an empty one keeps nothing."""
        self.end()
        if not tokens:
            return
        sequence = PackedSequence()
        sequence.add(0, list(tokens), chain_tree((0,)))
        prefix: list[_Pair] = []
        with self._lent_buffers() as buffers:
            self._run(lay_out_batch([sequence], self.dtype), buffers, prefix)
        self.n_shared, self._prefix = len(tokens), prefix
        self._prefix_mask = torch.zeros(1, 1, 1, padded_width(self.n_shared))
        self._prefix_mask[..., self.n_shared :] = float("-inf")

    def end(self) -> None:
        """Release the shared beginning and the memory for batches."""
        self.n_shared, self._prefix, self._prefix_mask, self._free = 0, [], None, []

    def batches(self, sequences: Sequence[PackedSequence], max_tokens: int) -> Iterator[Batch]:
        """Divide sequences into batches of like size, of at most ``max_tokens`` or one sequence."""
        n_tokens, n_cores = sum(map(len, sequences)), torch.get_num_threads()
        n_batches = -(-n_tokens // max_tokens)
        size = -(-n_tokens // (-(-n_batches // n_cores) * n_cores)) if n_tokens else 0
        batch: Batch = []
        filled = 0
        for sequence in sorted(sequences, key=kind_of, reverse=True):
            if batch and (filled >= size or filled + len(sequence) > max_tokens):
                yield batch
                batch, filled = [], 0
            batch.append(sequence)
            filled += len(sequence)
        if batch:
            yield batch

    def states(self, batch: Batch) -> torch.Tensor:
        """Return hidden states at the read positions, float32, sequence after sequence as given."""
        with self._lent_buffers() as buffers:
            return self._run(lay_out_batch(batch, self.dtype), buffers)

    def run(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Run batches in parallel; yield each with its states."""
        every = list(batches)
        yield from zip(every, map_in_threads(self.states, every), strict=True)

    @contextmanager
    def _lent_buffers(self) -> Iterator[Buffers]:
        """Lend memory to one batch; batches that run in parallel have each their own."""
        try:
            buffers = self._free.pop()
        except IndexError:
            buffers = Buffers(self.dtype)
        yield buffers
        self._free.append(buffers)

    def _run(self, layout: BatchLayout, buffers: Buffers, keep: list[_Pair] | None = None) -> torch.Tensor:
        """Run a batch; keep keys and values of its only sequence in a list, when there is one."""
        states = self.decoder.embed_tokens(torch.tensor(layout.tokens))
        angles = self._angles(layout)
        masks: dict[tuple[int, int], list[torch.Tensor | None]] = {}  # layers mostly have the same heads
        for number, layer in enumerate(self.layers):
            kind = layer.n_key_heads, layer.group
            if kind not in masks:
                masks[kind] = [block.mask_of_heads(*kind, self.dtype) for block in layout.blocks]
            answers = self._attend(layer, number, states, layout, angles, masks[kind], buffers, keep)
            last = number == len(self.layers) - 1
            if last and keep is not None:
                break
            if last:  # the rest is needed only where it is read
                reads = torch.tensor(layout.reads)
                states, answers = states[reads], answers[reads]
            add_product(layer.o_proj, answers, states)
            self._feed_forward(layer, states, buffers)
        return self.decoder.norm(states).float()

    def _angles(self, layout: BatchLayout) -> _Angles:
        """Cosines and sines of positions, float32 arrays of shape (n_tokens, half a head)."""
        places = torch.tensor([layout.depths]) + self.n_shared
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
        layout: BatchLayout,
        angles: _Angles,
        masks: Sequence[torch.Tensor | None],
        buffers: Buffers,
        keep: list[_Pair] | None,
    ) -> torch.Tensor:
        """Answers of all heads, shape (n_tokens, n_heads * width)."""
        n_tokens = len(states)
        normal = buffers.tensor("normal", *states.shape)
        layer_kernels.normalise(as_array(states), *layer.input_norm.arguments, as_array(normal))
        laid = []
        heads: dict[str, torch.Tensor] = {}
        for name, projection, count, norm in layer.projections:
            flat = product(projection, normal, buffers.tensor(name, n_tokens, count * layer.width))
            heads[name] = flat.view(n_tokens, count, layer.width)
            if norm is not None:
                rows = as_array(flat.view(-1, layer.width))
                layer_kernels.normalise(rows, *norm.arguments, rows)
            if name != "values":
                layer_kernels.rotate(as_array(heads[name]), *angles)
            laid_out = buffers.tensor(f"laid {name}", layout.n_places * count * layer.width)
            source, target = (_words(one, layer.width) for one in (heads[name], laid_out))
            layer_kernels.lay_out(source, layout.starts, layout.widths, layout.places, target)
            laid.append(laid_out)
        if keep is not None:
            keys, values = (kept.view(1, layer.n_key_heads, -1, layer.width) for kept in laid[1:])
            keep.append((keys.clone(), values.clone()))
        answers = buffers.tensor("answers", n_tokens, layer.n_key_heads, layer.group, layer.width)
        shared = self._attend_to_shared(layer, number, heads["queries"], buffers)
        self._attend_within_sequences(layer, laid, layout, masks, shared, answers)
        return answers.view(n_tokens, -1)

    def _attend_to_shared(
        self, layer: LlamaLayer, number: int, queries: torch.Tensor, buffers: Buffers
    ) -> _Found | None:
        """Attend to the shared beginning; None without one."""
        if not self._prefix:
            return None
        n_tokens = len(queries)
        dense = buffers.tensor("dense queries", layer.n_key_heads, layer.group, n_tokens, layer.width)
        by_head = queries.view(n_tokens, layer.n_key_heads, layer.group, layer.width).permute(1, 2, 0, 3)
        dense.copy_(by_head)
        keys, values = (part[0, :, None] for part in self._prefix[number])
        return _flash(dense, keys, values, self._prefix_mask, layer.scale, folds=True)

    def _attend_within_sequences(
        self,
        layer: LlamaLayer,
        laid: Sequence[torch.Tensor],
        layout: BatchLayout,
        masks: Sequence[torch.Tensor | None],
        shared: _Found | None,
        answers: torch.Tensor,
    ) -> None:
        """Attend within sequences, and join the answers with those about the shared beginning."""
        for block, mask in zip(layout.blocks, masks, strict=True):
            piece = slice(block.start, block.start + block.n_sequences * block.width)
            queries, keys, values = (
                one.view(layout.n_places, -1)[piece].view(
                    block.n_sequences * layer.n_key_heads, -1, block.width, layer.width
                )
                for one in laid
            )
            own = _flash(queries, keys, values, mask, layer.scale, folds=block.folds)
            tokens = slice(block.first, block.last)
            where = block.first, layout.sequences[tokens], layout.places[tokens]
            if shared is not None:
                layer_kernels.join(*where, *own, *shared, as_array(answers))
            else:
                layer_kernels.gather(*where, own.answers, as_array(answers))

    def _feed_forward(self, layer: LlamaLayer, states: torch.Tensor, buffers: Buffers) -> None:
        """Add to states what the gated part of a layer makes of them."""
        normal = buffers.tensor("normal", *states.shape)
        layer_kernels.normalise(as_array(states), *layer.output_norm.arguments, as_array(normal))
        gates, values = (
            product(module, normal, buffers.tensor(name, len(states), layer.inner))
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
    folds: bool,
) -> _Found:
    """Attend without ever holding all scores: (B, G, w, d) to (B, 1, v, d); with no mask, to what is before.

    Where a group folds, its heads follow each other as queries of one head.
    """
    asked = queries.reshape(len(queries), 1, -1, queries.shape[-1]) if folds else queries
    keys, values = (part.expand(-1, asked.shape[1], -1, -1) for part in (keys, values))
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    answers, norms = kernel(asked, keys, values, 0.0, mask is None, attn_mask=mask, scale=scale)
    answers, norms = answers.reshape(queries.shape), norms.reshape(queries.shape[:-1])
    return _Found(as_array(answers.contiguous()), norms.contiguous().numpy())


def _words(tensor: torch.Tensor, width: int) -> NDArray[Any]:
    """Return a view of heads to be copied: eight bytes at a time where the width of a head allows it."""
    array = as_array(tensor)
    return array.view(np.uint64) if width * array.itemsize % 8 == 0 else array
