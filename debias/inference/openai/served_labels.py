"""Log-probabilities of labels from a server's answers, by each of the ways in which it can be asked.

Echoed prompts and named tokens are exact. Of a token outside the most probable ones only a bound
is known, and the label it belongs to gets one: no probability of a token exceeds one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from debias.errors import ContextLengthError, EngineError, LabelError
from debias.inference.engine import FloatArray, LabelScores
from debias.inference.labels import LabelTree, Tokens, first_tokens, label_tree
from debias.inference.openai.connection.server_answers import Token, TopTokens
from debias.inference.openai.label_matching import beginnings, find_id, find_text
from debias.inference.openai.openai_requests import Prompt, Requests
from debias.inference.openai.served_tokenizer import ServedTokenizer


@dataclass
class ServedLabels:
    """Scores labels and texts after prompts on a server.

    Parameters
    ----------
    requests : Requests
    tokenizer : ServedTokenizer or None
    scoring : {"label", "first-token"}
    context_length : int
        Most tokens of a prompt and what follows it; checked before it is sent where there is a tokenizer.
    one_token_each : bool
        Whether the labels are known to be one token each, as :meth:`check` finds by the server's counts.
    """

    requests: Requests
    tokenizer: ServedTokenizer | None
    scoring: str = "label"
    context_length: int = 2**31 - 1
    one_token_each: bool = False

    async def check(self, prompt: str, labels: Sequence[str]) -> None:
        """Raise LabelError for labels that cannot be scored in this way."""
        style = self.requests.abilities.style
        if style == "echo" or (style == "completions" and self.tokenizer):
            return
        if style == "chat":
            _check_chat_labels(labels, self.tokenizer, self.scoring)
            return
        alone = await self.requests.prompt_tokens(prompt, "the first prompt")
        if alone is None:
            return
        for label in labels:
            joined = await self.requests.prompt_tokens(prompt + label, f"label {label!r}")
            if joined is not None and joined - alone != 1:
                raise LabelError(
                    f"label {label!r} adds {joined - alone} tokens to the prompt, and without the model's"
                    " tokenizer they cannot be told: give tokenizer= (its name or folder), or use labels of"
                    " one token"
                )
        self.one_token_each = True

    async def score(self, prompt: str, labels: Sequence[str], subject: str) -> LabelScores:
        """Score all labels after one prompt, shape (1, K)."""
        style = self.requests.abilities.style
        if style == "chat":
            return await self._chat(prompt, labels, subject)
        if style == "completions":
            if self.tokenizer is None:
                top = await self.requests.next_tokens(prompt, subject)
                spaces = self.requests.abilities.keeps_spaces
                if self.one_token_each:  # so tokens that a label only begins with are other tokens
                    return _row([_found(find_text(top, label, spaces), top) for label in labels])
                return _row([_found_word(top, label, spaces) for label in labels])
            return await self._tree(prompt, labels, subject)
        values = await self._echo(prompt, labels, subject)
        return _row([(value, False) for value in values])

    async def continuation(self, prompt: str, text: str, subject: str) -> FloatArray:
        """Log-probability of every token of a text after its prompt."""
        if not text:
            return np.empty(0)
        if self.tokenizer is not None and self.requests.abilities.takes_ids:
            context, tokens = self.tokenizer.split_pair(prompt, text)
            self._check_length(context, [tokens], subject)
            (echoed,) = await self.requests.echo([context + list(tokens)], subject)
            return np.array(_known(echoed[len(context) :], subject))
        alone, joined = await self.requests.echo([prompt, prompt + text], subject)
        start = _shared(alone, joined)
        return np.array(_known(joined[start:], subject))

    async def _echo(self, prompt: str, labels: Sequence[str], subject: str) -> list[float]:
        """Score labels by echoing each one after its prompt."""
        if self.tokenizer is not None and self.requests.abilities.takes_ids:
            context, tokens = self.tokenizer.split(prompt, labels)
            self._check_length(context, tokens, subject)
            kept = first_tokens(tokens) if self.scoring == "first-token" else tokens
            prompts: list[Prompt] = [context + list(own) for own in kept]
            echoed = await self.requests.echo(prompts, subject)
            return [sum(_known(one[len(context) :], subject)) for one in echoed]
        alone, *joined = await self.requests.echo([prompt, *(prompt + label for label in labels)], subject)
        # As labels.py has it: the context is what the prompt shares with all that follows it.
        start = min(_shared(alone, one) for one in joined)
        spans = [one[start:] for one in joined]
        for label, span in zip(labels, spans, strict=True):
            if not span:
                raise LabelError(f"label {label!r} adds no token to the prompt; use another word")
        if self.scoring == "first-token":
            numbers = {name: place for place, name in enumerate(dict.fromkeys(s[0].name for s in spans))}
            first_tokens(tuple((numbers[span[0].name],) for span in spans))
            spans = [span[:1] for span in spans]
        return [sum(_known(span, subject)) for span in spans]

    async def _tree(self, prompt: str, labels: Sequence[str], subject: str) -> LabelScores:
        """Score labels by the next tokens after the prompt and after each beginning that labels share."""
        assert self.tokenizer is not None
        context, tokens = self.tokenizer.split(prompt, labels)
        self._check_length(context, tokens, subject)
        tree = label_tree(first_tokens(tokens) if self.scoring == "first-token" else tokens)
        if self.requests.abilities.asks_ids:
            values = await self._named(context, tree, subject)
            return _row([(sum(values[edge] for edge in path), False) for path in tree.paths])
        edges: dict[int, tuple[float, bool]] = {}
        for node in range(-1, len(tree.nodes)):
            before = _way(tree, node)
            into = [edges.get(edge, (0.0, True)) for edge in _edges_on(tree, node)]
            # Beyond a token that is known by a bound only, nothing makes the bound exact.
            if any(is_bound for _, is_bound in into):
                continue
            wanted = {edge: token for edge, (parent, token) in enumerate(tree.edges) if parent == node}
            edges |= await self._next(prompt, context, before, wanted, subject)
        return _row([_along([edges[e] for e in path if e in edges]) for path in tree.paths])

    async def _named(self, context: list[int], tree: LabelTree, subject: str) -> dict[int, float]:
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
                wanted = sorted({token for _, _, token in edges})
                rows = await self.requests.chosen(places, wanted, subject)
                values |= {edge: rows[place][token] for edge, place, token in edges}
        return values

    async def _next(
        self, prompt: str, context: list[int], before: list[int], wanted: dict[int, int], subject: str
    ) -> dict[int, tuple[float, bool]]:
        """Log-probability of each wanted token after a context, and whether it is a bound."""
        assert self.tokenizer is not None
        abilities = self.requests.abilities
        place = context + before
        asked: Prompt = place if abilities.takes_ids else self._as_text(prompt, context, before)
        top = await self.requests.next_tokens(asked, subject)
        if abilities.names_ids:
            return {edge: _found(find_id(top, token), top) for edge, token in wanted.items()}
        texts = {edge: self.tokenizer.text(place, [token]) for edge, token in wanted.items()}
        spaces = abilities.keeps_spaces
        return {edge: _found(find_text(top, text, spaces), top) for edge, text in texts.items()}

    def _as_text(self, prompt: str, context: list[int], before: list[int]) -> str:
        """Return the text that the server reads as these tokens."""
        assert self.tokenizer is not None
        text = prompt + self.tokenizer.text(context, before) if before else prompt
        if self.tokenizer.encode([text])[0] != context + before:
            raise EngineError(
                f"the server takes no token ids, and no text leads to a label's tokens after {text[-40:]!r};"
                " use style='echo', or labels of one token"
            )
        return text

    def _check_length(self, context: list[int], tokens: Sequence[Tokens], subject: str) -> None:
        """Raise ContextLengthError for a prompt that does not fit with what follows it."""
        needed = len(context) + max(map(len, tokens))
        if needed > self.context_length:
            raise ContextLengthError(
                f"{subject} needs {needed} tokens with what follows it, the model has {self.context_length};"
                " shorten it, or collect with too_long='truncate'"
            )

    async def _chat(self, prompt: str, labels: Sequence[str], subject: str) -> LabelScores:
        """Score labels as the first token of an answer."""
        top = await self.requests.next_tokens(prompt, subject)
        words = [label.strip() for label in labels]
        if self.tokenizer is None:
            return _row([_found_word(top, word) for word in words])
        first = [self.tokenizer.label_tokens(word)[0] for word in words]
        if self.requests.abilities.names_ids:
            return _row([_found(find_id(top, token), top) for token in first])
        return _row([_found(find_text(top, self.tokenizer.text([], [token])), top) for token in first])


def _check_chat_labels(labels: Sequence[str], tokenizer: ServedTokenizer | None, scoring: str) -> None:
    """Raise LabelError for labels that one token of a chat does not decide."""
    words = [label.strip() for label in labels]
    if len(set(words)) < len(words):
        raise LabelError(f"labels {words} are not all different without their outer spaces; rename one")
    if tokenizer is None:
        if scoring == "first-token":
            raise LabelError("scoring='first-token' needs the first tokens of the labels: give tokenizer=")
        return
    tokens = tuple(tokenizer.label_tokens(word) for word in words)
    long = [word for word, own in zip(words, tokens, strict=True) if len(own) > 1]
    if long and scoring == "label":
        raise LabelError(
            f"labels {long} have several tokens, and a chat returns the first one only: give"
            " scoring='first-token', use labels of one token, or a server with completions"
        )
    first_tokens(tokens)


def _row(values: Sequence[tuple[float, bool]]) -> LabelScores:
    """Scores of one prompt."""
    return LabelScores(
        np.array([[value for value, _ in values]], dtype=np.float64),
        np.array([[is_bound for _, is_bound in values]], dtype=np.bool_),
    )


def _found(logprob: float | None, top: TopTokens) -> tuple[float, bool]:
    """Return a log-probability, or the bound of one that was not returned."""
    return (top.bound(), True) if logprob is None else (logprob, False)


def _found_word(top: TopTokens, word: str, keeps_spaces: bool = True) -> tuple[float, bool]:
    """Return the log-probability of a token that is all of a word, or a bound whatever its tokens are."""
    logprob = find_text(top, word, keeps_spaces)
    if logprob is not None:
        return logprob, False
    return max([top.bound(), *beginnings(top, word)]), True


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


def _known(tokens: Sequence[Token], subject: str) -> list[float]:
    """Log-probabilities of tokens; none of them may be the first of a text."""
    values = [token.logprob for token in tokens if token.logprob is not None]
    if len(values) < len(tokens):
        raise EngineError(
            f"{subject}: the first token of a text has no probability, so a prompt needs a token of its own"
        )
    return values
