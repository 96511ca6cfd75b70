"""Forward passes that read few positions: a shared beginning once, packed lines, few logits.

The beginning that all contexts share goes through the model once; its keys and values stand
before every batch. The vocabulary is projected on only where a probability is read, in float32.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from debias.inference.labels import LabelTree, chain_tree
from debias.inference.transformers.cpu_llama.layer_kernels import log_sum_exp
from debias.inference.transformers.cpu_llama.llama_pass import LlamaPass
from debias.inference.transformers.passes.packed_pass import StretchedPass
from debias.inference.transformers.passes.packing import Line, Row, pack
from debias.inference.transformers.passes.padded_pass import CachedPass
from debias.inference.transformers.passes.prefix_groups import Part, divide
from debias.inference.transformers.passes.thread_pool import side_by_side
from debias.inference.transformers.token_counts import Work
from debias.inference.transformers.vocabulary import shifted_products
from debias.inference.transformers.vocabulary.exact_products import products_of_bfloat16

FloatArray = NDArray[np.float64]
AnyPass = CachedPass | StretchedPass | LlamaPass
_READS_AT_ONCE = 2048
_VOCABULARY_AT_ONCE = 2048


@dataclass(frozen=True)
class Abilities:
    """What a model was found to do right, by trying.

    See :func:`debias.inference.transformers.passes.capabilities.probe`.

    Parameters
    ----------
    projects : bool
        The decoder's hidden states times the output matrix are the model's logits.
    shares : bool
        Keys and values of a shared beginning can be computed once.
    branches : bool
        A mask over keys is followed, so that trees and several prompts fit into one line.
    batches : bool
        Rows of different lengths do not change each other.
    window : int
        Longest row, in tokens, for which ``shares`` and ``branches`` hold.
    stretches : bool
        Attention is taken by name, so that lines need no padding; needs all of the above.
    layers : bool
        Layers are of the Llama kind, which has a pass of its own; needs all but ``stretches``.
    """

    projects: bool = False
    shares: bool = False
    branches: bool = False
    batches: bool = True
    window: int = 2**31 - 1
    stretches: bool = False
    layers: bool = False


class Forward:
    """Scores rows with a causal language model.

    Parameters
    ----------
    model : PreTrainedModel
    max_batch_tokens : int
        Most tokens, padding included, that one batch puts through the model.
    abilities : Abilities
    """

    def __init__(self, model: Any, max_batch_tokens: int, abilities: Abilities) -> None:
        self.model = model
        self.max_batch_tokens = max_batch_tokens
        self.abilities = abilities
        self.decoder = decoder_of(model) if abilities.projects else None
        self.work = Work()
        self.layered = LlamaPass(model, self.decoder) if abilities.layers else None
        self.stretched = StretchedPass(model, self.decoder) if abilities.stretches else None

    def compile(self) -> bool | str:
        """Compile the model's layers; return True, or why they are left as they are."""
        if self.layered is not None:
            return "its layers have a compiled pass of their own, which is faster"
        if self.stretched is None:
            return "only a model that needs no padding is compiled: see the other shortcuts"
        try:
            self.stretched.compile()
        except Exception as error:  # torch.compile raises what its compilers raise
            return f"{type(error).__name__}: {error}".splitlines()[0]
        return True

    def score(self, rows: Sequence[Row], near: bool = False) -> list[FloatArray]:
        """Log-probability of every edge of every row.

        Parameters
        ----------
        rows : sequence of Row, length n
        near : bool, default=False
            Whether means over many edges are wanted, for which 1e-3 nats are near enough.

        Returns
        -------
        list of n float64 arrays
            Natural-log probabilities in the order of each tree's edges.
        """
        fits = max((row.n_tokens for row in rows), default=0) <= self.abilities.window
        branches = self.abilities.branches and fits
        if not branches and not all(row.tree.is_chain for row in rows):
            return self._score_apart(rows)
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                return self._score(rows, self.abilities.shares and fits, branches, near)
        finally:
            self.model.train(training)

    def _score_apart(self, rows: Sequence[Row]) -> list[FloatArray]:
        """Score every label of every tree in a row of its own, for models that follow no mask."""
        apart = [Row(row.context, chain_tree(label)) for row in rows for label in _labels(row.tree)]
        scores = iter(self.score(apart))
        answer = []
        for row in rows:
            edges = np.empty(len(row.tree.edges))
            for path in row.tree.paths:
                edges[list(path)] = next(scores)
            answer.append(edges)
        return answer

    def _score(self, rows: Sequence[Row], share: bool, branches: bool, near: bool) -> list[FloatArray]:
        """Score rows whose trees fit into one row each."""
        one_pass = self._pass(branches)
        whole = [Part(tuple(range(len(rows))), 0)]
        parts = divide([row.context for row in rows]) if share else whole
        pending = _Reads(self, near)
        self.work = self.work.plus(tokens=sum(part.shared for part in parts))
        budget = self.max_batch_tokens if self.abilities.batches else 1
        try:
            for part in parts:
                own = [rows[i] for i in part.rows]
                one_pass.begin(own[0].context[: part.shared])
                lines = pack(own, part.shared, branches, one_pass.room)
                for batch, states in _run(one_pass, one_pass.batches(lines, budget)):
                    numbers = [part.rows[i] for line in batch for i in line.rows]
                    self._count(batch, one_pass)
                    pending.add(numbers, [rows[i] for i in numbers], states)
        finally:
            one_pass.end()
        return pending.finish(rows)

    @property
    def weights_at_reads(self) -> int:
        """Weights of the decoder that only the positions that are read are multiplied by."""
        one_pass = self._pass(self.abilities.branches)
        return one_pass.weights_at_reads if isinstance(one_pass, LlamaPass) else 0

    def _pass(self, branches: bool) -> AnyPass:
        """Return the fastest pass that the model can take as it is now."""
        if branches and self.layered is not None and self.layered.still_fits():
            return self.layered
        return (self.stretched if branches else None) or CachedPass(self.model, self.decoder)

    def _count(self, batch: Sequence[Line], one_pass: AnyPass) -> None:
        """Add a batch to what went through the model."""
        tokens = sum(map(len, batch))
        reads = sum(len(own) for line in batch for own in line.reads)
        self.work = self.work.plus(tokens, one_pass.computed(batch) - tokens, reads)


def _run(one_pass: AnyPass, batches: Iterable[list[Line]]) -> Iterator[tuple[list[Line], torch.Tensor]]:
    """Run batches, side by side where a pass can; give each with its states."""
    if isinstance(one_pass, LlamaPass):
        every = list(batches)
        yield from zip(every, side_by_side(one_pass.states, every), strict=True)
    else:
        for batch in batches:
            yield batch, one_pass.states(batch)


class _Reads:
    """Hidden states waiting for the vocabulary, projected many at a time."""

    def __init__(self, forward: Forward, near: bool) -> None:
        self.forward, self.near = forward, near
        self.order: list[int] = []
        self.waiting: list[tuple[Row, torch.Tensor]] = []
        self.n_waiting = 0
        self.scores: list[FloatArray] = []

    def add(self, numbers: Sequence[int], rows: Sequence[Row], states: torch.Tensor) -> None:
        """Take the states of a batch, row after row."""
        self.order.extend(numbers)
        sizes = [1 + len(row.tree.nodes) for row in rows]
        self.waiting.extend(zip(rows, torch.split(states, sizes), strict=True))
        self.n_waiting += len(states)
        # Logits are large, so without a known decoder they are read at once.
        if self.n_waiting >= _READS_AT_ONCE or self.forward.decoder is None:
            self._flush()

    def _flush(self) -> None:
        """Turn waiting states into log-probabilities of edges."""
        if not self.waiting:
            return
        starts = np.cumsum([0] + [len(states) for _, states in self.waiting])
        reads: list[int] = []
        tokens: list[int] = []
        sizes: list[int] = []
        for start, (row, _) in zip(starts, self.waiting, strict=False):
            reads.extend(int(start) + 1 + parent for parent, _ in row.tree.edges)
            tokens.extend(token for _, token in row.tree.edges)
            sizes.append(len(row.tree.edges))
        states = torch.cat([s for _, s in self.waiting])
        flat = self._log_probabilities(states, torch.tensor(reads), torch.tensor(tokens))
        self.scores.extend(np.split(flat, np.cumsum(sizes)[:-1]))
        self.waiting, self.n_waiting = [], 0

    def _log_probabilities(
        self, states: torch.Tensor, reads: torch.Tensor, tokens: torch.Tensor
    ) -> FloatArray:
        """Log-probability of each token at each read."""
        reads, tokens = reads.to(states.device), tokens.to(states.device)
        if self.forward.decoder is None:
            flat = (
                (states[reads, tokens].double() - torch.logsumexp(states, -1).double()[reads]).cpu().numpy()
            )
        else:
            head = self.forward.model.get_output_embeddings()
            states = states.to(head.weight.device)
            flat = project(states, head.weight, head.bias, reads, tokens, self.near)
        return np.asarray(flat, dtype=np.float64)

    def finish(self, rows: Sequence[Row]) -> list[FloatArray]:
        """Return the scores in the order of the rows."""
        self._flush()
        answer: list[FloatArray] = [np.empty(0)] * len(rows)
        for number, scores in zip(self.order, self.scores, strict=True):
            answer[number] = scores
        return answer


def project(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    reads: torch.Tensor,
    tokens: torch.Tensor,
    near: bool = False,
) -> FloatArray:
    """Log-probabilities of tokens from hidden states, in float32 and a slice of vocabulary at a time.

    Parameters
    ----------
    states : float32 tensor, shape (n_reads, width)
    weight : tensor, shape (vocabulary, width)
    bias : tensor, shape (vocabulary,), or None
    reads, tokens : int64 tensors, shape (n_edges,)
        Which state and which token each answer is about.
    near : bool, default=False
        Whether 1e-3 nats are near enough where that is faster, see
        :mod:`debias.inference.transformers.vocabulary.shifted_products`.

    Returns
    -------
    float64 array, shape (n_edges,)

    Examples
    --------
    >>> h, w = torch.eye(2), torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]])
    >>> np.exp(project(h, w, None, torch.tensor([0, 1]), torch.tensor([1, 1]))).round(3)
    array([0.75, 0.5 ])
    """
    own = torch.einsum("ew,ew->e", states[reads], weight[tokens].float())
    if bias is not None:
        own = own + bias[tokens].float()
    near = near and bias is None and shifted_products.pays(states, weight)
    n_exact = _VOCABULARY_AT_ONCE if near else len(weight)
    total = _log_sums(states, weight[:n_exact], None if bias is None else bias[:n_exact])
    if n_exact < len(weight):
        rounded, rest = states.bfloat16(), weight[n_exact:]
        shifts = shifted_products.shifts_of(total, own, reads)
        total = torch.logaddexp(
            total, _over_slices(lambda piece: shifted_products.log_sums(rounded, rest[piece], shifts), rest)
        )
    answer: FloatArray = (own.double() - total[reads]).cpu().numpy()
    return answer


def _log_sums(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Logarithm of the sum of the exponentials of the logits of each state, float64."""

    def summed(piece: slice) -> torch.Tensor:
        own_bias = None if bias is None else bias[piece].float()
        return _log_sum_exp(torch.nn.functional.linear(states, weight[piece].float(), own_bias))

    with products_of_bfloat16(states, weight):
        return _over_slices(summed, weight)


def _over_slices(summed: Callable[[slice], torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    """Join logarithms of sums over slices of the vocabulary."""
    slices = [slice(at, at + _VOCABULARY_AT_ONCE) for at in range(0, len(weight), _VOCABULARY_AT_ONCE)]
    parts = side_by_side(summed, slices) if weight.device.type == "cpu" else map(summed, slices)
    return functools.reduce(torch.logaddexp, parts)


def _log_sum_exp(logits: torch.Tensor) -> torch.Tensor:
    """Logarithm of each row's sum of exponentials, float64."""
    if logits.device.type != "cpu":
        return torch.logsumexp(logits, -1).double()
    sums = np.empty(len(logits))
    log_sum_exp(logits.detach().numpy(), sums)
    return torch.from_numpy(sums)


def decoder_of(model: Any) -> Any:
    """Return the part of a causal model that ends in hidden states, before the vocabulary."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.base_model
    return model.base_model if decoder is model else decoder


def _labels(tree: LabelTree) -> list[tuple[int, ...]]:
    """Tokens of each label of a tree."""
    return [tuple(tree.edges[edge][1] for edge in path) for path in tree.paths]
