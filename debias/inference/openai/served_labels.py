"""Scores labels from a server's answers, in each of the ways in which a server can be asked.

Echoed prompts and named tokens are exact. Of a token outside the most probable ones only a bound
is known, and the label it belongs to gets one: no probability of a token exceeds one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from debias.errors import ContextLengthError, EngineError, LabelError, param
from debias.inference.engine import FloatArray, LabelScores
from debias.inference.labels import LabelTree, Tokens, check_apart, first_tokens, label_tree
from debias.inference.openai.connection.server_answers import Token, TopTokens
from debias.inference.openai.label_words import (
    check_chat_labels,
    check_first_words,
    find_id,
    found_words,
    scored_text,
)
from debias.inference.openai.openai_requests import Prompt, Requests
from debias.inference.tokenization import Tokenization


@dataclass
class ServedLabels:
    """Scores labels and texts after prompts on a server.

    Parameters
    ----------
    requests : Requests
    tokens : Tokenization or None
        Of the served model.
    scoring : {"label", "first-token"}
    context_length : int
        Most tokens of a prompt and what follows it; checked before it is sent where tokens are known.
    one_token_each : bool
        Whether the labels are known to be one token each, as :meth:`check` finds by the server's counts.
    """

    requests: Requests
    tokens: Tokenization | None
    scoring: str = "label"
    context_length: int = 2**31 - 1
    one_token_each: bool = False

    def check(self, prompt: str, labels: Sequence[str]) -> None:
        """Raise LabelError for labels that cannot be scored in this way."""
        style = self.requests.capabilities.style
        if style == "echo" or (style == "completions" and self.tokens):
            return
        if style == "chat":
            check_chat_labels(labels, self.tokens, self.scoring)
            return
        alone = self.requests.about("the first prompt").prompt_tokens(prompt)
        if alone is None:
            check_first_words(labels)
            return
        for label in labels:
            joined = self.requests.about(f"label {label!r}").prompt_tokens(prompt + label)
            if joined is not None and joined - alone != 1:
                added = "no token" if joined <= alone else f"{joined - alone} tokens"
                raise LabelError(
                    f"without the model's tokenizer a label must be one token, but {label!r} adds {added} "
                    "to the prompt",
                    received=label,
                    fix=f"pass {param('tokenizer')} (its name or folder), or use labels of one token",
                )
        self.one_token_each = True

    def score(self, prompt: str, labels: Sequence[str]) -> LabelScores:
        """Score all labels after one prompt, shape (1, K)."""
        style = self.requests.capabilities.style
        if style == "chat":
            return self._chat(prompt, labels)
        if style == "completions":
            if self.tokens is None:
                top = self.requests.next_tokens(prompt)
                spaces = self.requests.capabilities.keeps_spaces
                if self.one_token_each:  # so tokens that a label only begins with are other tokens
                    return _row([scored_text(top, label, spaces) for label in labels])
                return _row(found_words(top, labels, spaces))
            return self._tree(prompt, labels, self.tokens)
        return _row([(value, False) for value in self._echo(prompt, labels)])

    def continuation(self, prompt: str, text: str) -> FloatArray:
        """Log-probability of every token of a text after its prompt."""
        if not text:
            return np.empty(0)
        if self.tokens is not None and self.requests.capabilities.takes_ids:
            ((context, tokens),) = self.tokens.split_pairs([prompt], [text])
            self._check_length(context, [tokens])
            (echoed,) = self.requests.echo([context + list(tokens)])
            return np.array(self._known(echoed[len(context) :]))
        alone, joined = self.requests.echo([prompt, prompt + text])
        return np.array(self._known(joined[_shared(alone, joined) :]))

    def _echo(self, prompt: str, labels: Sequence[str]) -> list[float]:
        """Score labels by echoing each one after its prompt."""
        if self.tokens is not None and self.requests.capabilities.takes_ids:
            ((context, tokens),) = self.tokens.split_labels([prompt], labels)
            self._check_length(context, tokens)
            kept = first_tokens(tokens) if self.scoring == "first-token" else tokens
            prompts: list[Prompt] = [context + list(own) for own in kept]
            return [sum(self._known(one[len(context) :])) for one in self.requests.echo(prompts)]
        alone, *joined = self.requests.echo([prompt, *(prompt + label for label in labels)])
        # As labels.py has it: the context is what the prompt shares with all that follows it.
        start = min(_shared(alone, one) for one in joined)
        spans = [one[start:] for one in joined]
        for label, span in zip(labels, spans, strict=True):
            if not span:
                raise LabelError(
                    f"label {label!r} adds no token to the prompt", received=label, fix="use another word"
                )
        if self.scoring == "first-token":
            numbers = {name: place for place, name in enumerate(dict.fromkeys(s[0].name for s in spans))}
            first_tokens(tuple((numbers[span[0].name],) for span in spans))
            spans = [span[:1] for span in spans]
        elif not any(token.id is None and token.piece is None for span in spans for token in span):
            check_apart(labels, [tuple(token.name for token in span) for span in spans])
        return [sum(self._known(span)) for span in spans]

    def _tree(self, prompt: str, labels: Sequence[str], tokenization: Tokenization) -> LabelScores:
        """Score labels by the next tokens after the prompt and after each beginning that labels share."""
        ((context, tokens),) = tokenization.split_labels([prompt], labels)
        self._check_length(context, tokens)
        tree = label_tree(first_tokens(tokens) if self.scoring == "first-token" else tokens)
        if self.requests.capabilities.asks_ids:
            values = self._named(context, tree)
            return _row([(sum(values[edge] for edge in path), False) for path in tree.paths])
        edges: dict[int, tuple[float, bool]] = {}
        for node in range(-1, len(tree.nodes)):
            into = [edges.get(edge, (0.0, True)) for edge in _edges_on(tree, node)]
            # Beyond a token that is known by a bound only, nothing makes the bound exact.
            if any(is_bound for _, is_bound in into):
                continue
            wanted = {edge: token for edge, (parent, token) in enumerate(tree.edges) if parent == node}
            edges |= self._next(prompt, context, _way(tree, node), wanted, tokenization)
        return _row([_along([edges[e] for e in path if e in edges]) for path in tree.paths])

    def _named(self, context: list[int], tree: LabelTree) -> dict[int, float]:
        """Log-probability on every edge of a label tree, by naming its tokens.

        The root comes first, so that the server has read the context when the nodes after it, all
        in one request, need it again.
        """
        values: dict[int, float] = {}
        for nodes in ([-1], range(len(tree.nodes))):
            edges = [
                (edge, nodes.index(parent), token)
                for edge, (parent, token) in enumerate(tree.edges)
                if parent in nodes
            ]
            places = [context + _way(tree, node) for node in nodes]
            if places:
                rows = self.requests.chosen(places, sorted({token for _, _, token in edges}))
                values |= {edge: rows[place][token] for edge, place, token in edges}
        return values

    def _next(
        self,
        prompt: str,
        context: list[int],
        before: list[int],
        wanted: dict[int, int],
        tokenization: Tokenization,
    ) -> dict[int, tuple[float, bool]]:
        """Log-probability of each wanted token after a context, and whether it is a bound."""
        capabilities = self.requests.capabilities
        place = context + before
        asked: Prompt = place
        if not capabilities.takes_ids:
            asked = prompt + tokenization.decode_after(context, before) if before else prompt
            if tokenization.encode([asked])[0] != place:
                raise EngineError(
                    "the server accepts no token ids, and no text produces a label's tokens after "
                    f"{asked[-40:]!r}",
                    fix=f"pass {param('style', repr('echo'))}, or use labels of one token",
                )
        top = self.requests.next_tokens(asked)
        if capabilities.names_ids:
            return {edge: _found(find_id(top, token), top) for edge, token in wanted.items()}
        texts = {edge: tokenization.decode_after(place, [token]) for edge, token in wanted.items()}
        spaces = capabilities.keeps_spaces
        return {edge: scored_text(top, text, spaces) for edge, text in texts.items()}

    def _check_length(self, context: list[int], tokens: Sequence[Tokens]) -> None:
        """Raise ContextLengthError for a prompt that does not fit with what follows it."""
        needed = len(context) + max(map(len, tokens))
        if needed > self.context_length:
            raise ContextLengthError(
                f"{self.requests.subject} needs {needed} tokens including its continuation, but the model "
                f"has {self.context_length}",
                received=needed,
                fix=f"shorten it, or collect with {param('too_long', repr('truncate'))}",
            )

    def _chat(self, prompt: str, labels: Sequence[str]) -> LabelScores:
        """Score labels as the first token of an answer."""
        top = self.requests.next_tokens(prompt)
        words = [label.strip() for label in labels]
        if self.tokens is None:
            return _row(found_words(top, words))
        first = [self.tokens.label_tokens(word)[0] for word in words]
        if self.requests.capabilities.names_ids:
            return _row([_found(find_id(top, token), top) for token in first])
        return _row([scored_text(top, self.tokens.decode([token])) for token in first])

    def _known(self, tokens: Sequence[Token]) -> list[float]:
        """Log-probabilities of tokens; none of them may be the first of a text."""
        values = [token.logprob for token in tokens if token.logprob is not None]
        if len(values) < len(tokens):
            raise EngineError(
                f"{self.requests.subject}: the first token of a text has no probability, so a prompt needs "
                "at least one token"
            )
        return values


def _row(values: Sequence[tuple[float, bool]]) -> LabelScores:
    """Scores of one prompt."""
    return LabelScores(
        np.array([[value for value, _ in values]], dtype=np.float64),
        np.array([[is_bound for _, is_bound in values]], dtype=np.bool_),
    )


def _found(logprob: float | None, top: TopTokens) -> tuple[float, bool]:
    """Return a log-probability, or the bound of one that was not returned."""
    return (top.bound(), True) if logprob is None else (logprob, False)


def _along(edges: Sequence[tuple[float, bool]]) -> tuple[float, bool]:
    """Sum along a label's tokens, as far as they are known."""
    return sum(value for value, _ in edges), any(is_bound for _, is_bound in edges)


def _way(tree: LabelTree, node: int) -> list[int]:
    """Tokens from the root to a node."""
    way: list[int] = []
    while node >= 0:
        way.insert(0, tree.nodes[node])
        node = tree.parents[node]
    return way


def _edges_on(tree: LabelTree, node: int) -> list[int]:
    """Edges from the root to a node."""
    found = []
    while node >= 0:
        found.append(tree.edges.index((tree.parents[node], tree.nodes[node])))
        node = tree.parents[node]
    return found


def _shared(a: Sequence[Token], b: Sequence[Token]) -> int:
    """How many tokens two texts begin with together."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((place for place, (x, y) in pairs if x.name != y.name), min(len(a), len(b)))
