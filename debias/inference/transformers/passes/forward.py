"""Scores rows while it reads few positions: a shared beginning once, packed sequences, few logits.

The beginning that contexts share goes through the model once; its keys and values stand before
every batch. The vocabulary is projected on only where a probability is read, in float32.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from debias.inference.labels import LabelTree, chain_tree
from debias.inference.transformers.cpu_llama.llama_pass import LlamaPass
from debias.inference.transformers.mean_states import weighted_states, weighted_sums
from debias.inference.transformers.next_tokens import OnLogits, WaitingContexts
from debias.inference.transformers.passes.model_pass import Batch, Capabilities, ModelPass, decoder_of
from debias.inference.transformers.passes.packed_pass import PackedPass
from debias.inference.transformers.passes.packing import Row, pack
from debias.inference.transformers.passes.padded_pass import PaddedPass
from debias.inference.transformers.passes.prefix_groups import PrefixGroup, group_by_prefix
from debias.inference.transformers.token_counts import TokenCounts
from debias.inference.transformers.vocabulary.projection import project

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FloatArray = NDArray[np.float64]
NO_TREE = LabelTree((), (), (), ())
"""What follows a context of which nothing but the next token is wanted."""
_READS_AT_ONCE = 2048


class Forward:
    """Scores rows with a causal language model.

    Parameters
    ----------
    model : PreTrainedModel
    max_batch_tokens : int
        Most tokens, padding included, that one batch puts through the model.
    capabilities : Capabilities

    Attributes
    ----------
    passes : list of ModelPass
        Those that the model can take, the fastest first.
    token_counts : TokenCounts
        What went through the model so far.
    output_matrix : Tensor or None
        Stands for the model's output matrix, or what gives its rows, while it is set.
    """

    def __init__(self, model: "PreTrainedModel", max_batch_tokens: int, capabilities: Capabilities) -> None:
        self.model = model
        self.max_batch_tokens = max_batch_tokens
        self.capabilities = capabilities
        self.decoder = decoder_of(model) if capabilities.projects else None
        self.token_counts = TokenCounts()
        self.output_matrix: torch.Tensor | None = None
        self.passes: list[ModelPass] = []
        if self.decoder is not None and capabilities.layers:
            self.passes.append(LlamaPass(model, self.decoder))
        if self.decoder is not None and capabilities.packs:
            self.passes.append(PackedPass(model, self.decoder))
        self.passes.append(PaddedPass(model, self.decoder))

    def compile(self) -> bool | str:
        """Compile the model's layers; return True, or why they are not compiled."""
        try:
            self.passes[0].compile()
        except Exception as error:  # torch.compile raises what its compilers raise
            words = (
                str(error) if isinstance(error, NotImplementedError) else f"{type(error).__name__}: {error}"
            )
            return words.splitlines()[0]
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
        fits = max((row.n_tokens for row in rows), default=0) <= self.capabilities.window
        branches = self.capabilities.branches and fits
        if not branches and not all(row.tree.is_chain for row in rows):
            return self._score_apart(rows)
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                return self._score(rows, self.capabilities.shares and fits, branches, near)
        finally:
            self.model.train(training)

    def read_next(self, contexts: Sequence[list[int]], on_logits: OnLogits) -> None:
        """Compute the logits of the token that follows each context.

        Parameters
        ----------
        contexts : sequence of lists of int
            Each of at least one token.
        on_logits : callable
            Called with the number of a context and its logits, a float32 array over the vocabulary, in
            the order in which they are computed.
        """
        rows = [Row(list(context), NO_TREE) for context in contexts]
        fits = max((row.n_tokens for row in rows), default=0) <= self.capabilities.window
        branches = self.capabilities.branches and fits
        waiting = WaitingContexts(self.model, self.decoder is not None, on_logits)
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                for numbers, states, _ in self._run(rows, self.capabilities.shares and fits, branches):
                    waiting.add(numbers, states)
        finally:
            self.model.train(training)

    def weighted_states(
        self, sequences: Sequence[Sequence[int]], weights: Sequence[FloatArray]
    ) -> NDArray[np.float32]:
        """Weighted means of the last hidden states of token sequences.

        Parameters
        ----------
        sequences : sequence of n sequences of int
            Of one or more tokens each.
        weights : sequence of n float64 arrays
            One for each token; they sum to 1.

        Returns
        -------
        float32 array, shape (n, n_dimensions)
        """
        if self.decoder is None or not len(sequences):
            budget = self.max_batch_tokens if self.capabilities.batches else 1
            return weighted_states(self.model, sequences, weights, tokens_per_batch=budget)
        rows = [Row(list(tokens), NO_TREE, whole=True) for tokens in sequences]
        fits = max(row.n_tokens for row in rows) <= self.capabilities.window
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                return self._weighted(rows, weights, fits)
        finally:
            self.model.train(training)

    def _weighted(
        self, rows: Sequence[Row], weights: Sequence[FloatArray], fits: bool
    ) -> NDArray[np.float32]:
        """Add what a row's own tokens and the beginning that it shares with others contribute."""
        branches, share = self.capabilities.branches and fits, self.capabilities.shares and fits
        parts: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(rows)
        beginnings: dict[tuple[int, ...], list[int]] = {}
        for numbers, states, n_shared in self._run(rows, share, branches):
            own = weighted_sums(states, [weights[i][n_shared:] for i in numbers])
            for number, part in zip(numbers, own, strict=True):
                parts[number] = part
                if n_shared:
                    beginnings.setdefault(tuple(rows[number].context[:n_shared]), []).append(number)
        shared = [Row(list(tokens), NO_TREE, whole=True) for tokens in beginnings]
        followers = [*beginnings.values()]
        for numbers, states, _ in self._run(shared, False, branches):
            sizes = [shared[i].n_tokens for i in numbers]
            for number, beginning in zip(numbers, torch.split(states, sizes), strict=True):
                for row in followers[number]:
                    before = weighted_sums(beginning, [weights[row][: len(beginning)]])[0]
                    parts[row] = parts[row] + before
        return np.stack(parts)

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
        waiting = _WaitingReads(self.model, self.decoder, near, self.output_matrix)
        for numbers, states, _ in self._run(rows, share, branches):
            waiting.add(numbers, [rows[i] for i in numbers], states)
        return waiting.finish(rows)

    def _run(
        self, rows: Sequence[Row], share: bool, branches: bool
    ) -> Iterator[tuple[list[int], torch.Tensor, int]]:
        """Put rows through the model; yield numbers and states of each batch, and what its rows share."""
        if not rows:
            return
        chosen = self._pass(branches)
        whole = [PrefixGroup(tuple(range(len(rows))), 0)]
        groups = group_by_prefix([row.context for row in rows]) if share else whole
        self.token_counts = self.token_counts.plus(tokens=sum(group.n_shared for group in groups))
        budget = self.max_batch_tokens if self.capabilities.batches else 1
        try:
            for group in groups:
                own = [rows[i] for i in group.rows]
                chosen.begin(own[0].context[: group.n_shared])
                sequences = pack(own, group.n_shared, branches, chosen.room)
                for batch, states in chosen.run(chosen.batches(sequences, budget)):
                    numbers = [group.rows[i] for sequence in batch for i in sequence.rows]
                    self._count(batch, chosen.computed(batch), reads=not own[0].whole)
                    yield numbers, states, group.n_shared
        finally:
            chosen.end()

    @property
    def weights_at_reads(self) -> int:
        """Weights of the decoder that only the positions that are read are multiplied by."""
        return self._pass(self.capabilities.branches).weights_at_reads()

    def _pass(self, branches: bool) -> ModelPass:
        """Return the fastest pass that the model can take as it is now."""
        return next(one for one in self.passes if one.fits(branches))

    def _count(self, batch: Batch, n_computed: int, reads: bool) -> None:
        """Add a batch to what went through the model; reads count where the vocabulary is projected on."""
        tokens = sum(map(len, batch))
        n_reads = sum(len(own) for sequence in batch for own in sequence.reads) if reads else 0
        self.token_counts = self.token_counts.plus(tokens, n_computed - tokens, n_reads)


class _WaitingReads:
    """Hidden states that wait for the vocabulary, projected many at a time."""

    def __init__(
        self,
        model: "PreTrainedModel",
        decoder: "PreTrainedModel | None",
        near: bool,
        matrix: torch.Tensor | None = None,
    ) -> None:
        self.model, self.decoder, self.near, self.matrix = model, decoder, near, matrix
        self.order: list[int] = []
        self.waiting: list[tuple[Row, torch.Tensor]] = []
        self.n_waiting = 0
        self.scores: list[FloatArray] = []

    def add(self, numbers: Sequence[int], rows: Sequence[Row], states: torch.Tensor) -> None:
        """Add the states of a batch, row after row."""
        self.order.extend(numbers)
        sizes = [1 + len(row.tree.nodes) for row in rows]
        self.waiting.extend(zip(rows, torch.split(states, sizes), strict=True))
        self.n_waiting += len(states)
        # Logits are large, so without a known decoder they are read at once.
        if self.n_waiting >= _READS_AT_ONCE or self.decoder is None:
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
        if self.decoder is not None:
            head = self.model.get_output_embeddings()
            assert isinstance(head, torch.nn.Linear)
            matrix = head.weight if self.matrix is None else self.matrix
            states = states.to(matrix.device)
            return project(states, matrix, head.bias, reads, tokens, self.near)
        found: FloatArray = (
            (states[reads, tokens].double() - torch.logsumexp(states, -1).double()[reads]).cpu().numpy()
        )
        return found

    def finish(self, rows: Sequence[Row]) -> list[FloatArray]:
        """Return the scores in the order of the rows."""
        self._flush()
        answer: list[FloatArray] = [np.empty(0)] * len(rows)
        for number, scores in zip(self.order, self.scores, strict=True):
            answer[number] = scores
        return answer


def _labels(tree: LabelTree) -> list[tuple[int, ...]]:
    """Tokens of each label of a tree."""
    return [tuple(tree.edges[edge][1] for edge in path) for path in tree.paths]
