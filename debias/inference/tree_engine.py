"""The base of engines that know token ids: labels and texts become token trees whose edges are scored."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from debias.errors import ContextLengthError, param
from debias.inference.engine import (
    Engine,
    FloatArray,
    LabelScores,
    OnAnswer,
    check_label_texts,
    check_pairs,
    check_texts,
)
from debias.inference.labels import LabelTree, chain_tree, first_tokens, label_tree
from debias.inference.tokenization import Tokenization

TreeRow = tuple[list[int], LabelTree]
"""A context of at least one token, and the token tree whose edges are scored after it."""


class TreeEngine(Engine):
    """An engine that scores the edges of token trees.

    Attributes
    ----------
    scoring : {"label", "first-token"}
    """

    scoring: str
    _tokens: Tokenization

    @abstractmethod
    def _score_trees(self, rows: Sequence[TreeRow]) -> list[FloatArray]:
        """Log-probability of every edge of every row's tree."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, the opening token that the model expects included."""
        return self._tokens.encode(texts)

    def label_logprobs(self, prompts: Sequence[str], labels: Sequence[str]) -> FloatArray:
        """Log-probability of every label after every prompt, exact for labels of any length.

        Equal prompts are computed once.

        Parameters
        ----------
        prompts : sequence of str, length n
        labels : sequence of str, length K

        Returns
        -------
        float64 array, shape (n, K)
            Natural logarithms, not normalised over the labels.

        Raises
        ------
        ContextLengthError
            A prompt and its longest label do not fit into the context.
        EngineError
            The engine gives no answer, or no complete one.
        LabelError
            A label adds no token, or with ``scoring="first-token"`` first tokens are shared.
        """
        prompts, labels = check_texts(prompts, "prompts"), check_label_texts(labels)
        unique = list(dict.fromkeys(prompts))
        table = self.score_label_rows(self.label_rows(unique, labels)).reshape(len(unique), len(labels))
        place = {prompt: row for row, prompt in enumerate(unique)}
        return table[[place[prompt] for prompt in prompts]]

    def label_rows(self, prompts: Sequence[str], labels: Sequence[str]) -> list[TreeRow]:
        """Return prompts and labels in tokens, to be scored by :meth:`score_label_rows`, once or often.

        Parameters
        ----------
        prompts : sequence of str, length n
        labels : sequence of str, length K

        Returns
        -------
        list of TreeRow, length n

        Raises
        ------
        ContextLengthError, LabelError
            As for :meth:`label_logprobs`.
        """
        rows = [
            (context, label_tree(first_tokens(tokens) if self.scoring == "first-token" else tokens))
            for context, tokens in self._tokens.split_labels(list(prompts), list(labels))
        ]
        self._check_lengths(rows, prompts)
        return rows

    def score_label_rows(self, rows: Sequence[TreeRow]) -> FloatArray:
        """Log-probability of every label after every prompt, with the weights as they are now.

        Parameters
        ----------
        rows : sequence of TreeRow, length n

        Returns
        -------
        float64 array, shape (n, K)
        """
        sums = [
            [edges[list(path)].sum() for path in tree.paths]
            for (_, tree), edges in zip(rows, self._score_trees(rows), strict=True)
        ]
        return np.array(sums, dtype=np.float64)

    def label_scores(
        self, prompts: Sequence[str], labels: Sequence[str], on_answer: OnAnswer | None = None
    ) -> LabelScores:
        """Answer as :meth:`label_logprobs` does, all at once: batches of other prompts have other digits."""
        return LabelScores(self.label_logprobs(prompts, labels))

    def continuation_logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[FloatArray]:
        """Log-probability of every token of each continuation, given its prompt.

        An empty continuation has an empty array.

        Parameters
        ----------
        prompts, continuations : sequences of str, length n

        Returns
        -------
        list of n float64 arrays
            One natural-log probability per token of the continuation.

        Raises
        ------
        ContextLengthError
            A prompt and its continuation do not fit into the context.
        EngineError
            The engine gives no answer, or no complete one.
        """
        prompts, continuations = check_pairs(prompts, continuations)
        pairs = self._tokens.split_pairs(prompts, continuations)
        filled = [row for row, (_, tokens) in enumerate(pairs) if tokens]
        rows = [(pairs[row][0], chain_tree(pairs[row][1])) for row in filled]
        self._check_lengths(rows, [prompts[row] for row in filled])
        answer: list[FloatArray] = [np.empty(0) for _ in pairs]
        for row, scores in zip(filled, self._score_trees(rows), strict=True):
            answer[row] = scores
        return answer

    def _check_lengths(self, rows: Sequence[TreeRow], prompts: Sequence[str]) -> None:
        """Raise ContextLengthError where a row is longer than the context."""
        for (context, tree), prompt in zip(rows, prompts, strict=True):
            self._check_fit([context], [prompt], max(map(len, tree.paths)))

    def _check_fit(self, contexts: Sequence[list[int]], prompts: Sequence[str], n_following: int) -> None:
        """Raise ContextLengthError where a prompt is too long for so many tokens after it."""
        limit = self.context_length
        for context, prompt in zip(contexts, prompts, strict=True):
            needed = len(context) + n_following
            if needed > limit:
                raise ContextLengthError(
                    f"a prompt needs {needed} tokens including its continuation, but the model has room for "
                    f"{limit}; it begins {prompt[:60]!r}",
                    received=needed,
                    fix=f"shorten it, or collect with {param('too_long', repr('truncate'))}",
                )
