"""Turns labels into tokens after a prompt, checks them before a model runs, and finds what they share.

Tokenisers may merge the end of a prompt with the beginning of a label. So each prompt is
tokenised with every label put after it; the context is what all of these begin with together
with the prompt alone, and a label's tokens are all that follows the context. Every label is then
scored after the same context, and the labels' probabilities can be compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, combinations, pairwise

from debias.errors import LabelError, param

Encode = Callable[[Sequence[str]], list[list[int]]]
Tokens = tuple[int, ...]


def shared_length(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the longest beginning that all sequences share.

    Examples
    --------
    >>> shared_length([[1, 2, 3], [1, 2], [1, 2, 4]])
    2
    """
    if not sequences:
        return 0
    # The smallest and the largest sequence in dictionary order share what all of them share.
    first, last = min(sequences, key=tuple), max(sequences, key=tuple)
    pairs = zip(first, last, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(last)))


def check_labels(encode: Encode, labels: Sequence[str], prompt: str = "") -> tuple[Tokens, ...]:
    """Check that labels can be told apart by their tokens, as they stand and without outer spaces.

    Parameters
    ----------
    encode : callable
        From a list of texts to their token ids, such as ``engine.encode``.
    labels : sequence of str
        Labels as they follow the prompt, usually with a leading space.
    prompt : str, default=""
        A prompt that they follow.

    Returns
    -------
    tuple of token tuples
        The tokens of each label.

    Raises
    ------
    LabelError
        Two labels are equal or have the same tokens, one has none, or one begins with all
        tokens of another: it then never has the greater probability, whatever the text.

    Examples
    --------
    >>> letters = lambda texts: [[ord(c) for c in text] for text in texts]
    >>> check_labels(letters, ["a", "bc"])
    ((97,), (98, 99))
    >>> check_labels(letters, [" no", " not sure"])
    Traceback (most recent call last):
    debias.errors.LabelError: label ' not sure' begins with all tokens of label ' no', so it can never be ...
    """
    stripped = [label.strip() for label in labels]
    for row, label in enumerate(stripped):
        if label in stripped[:row]:
            raise LabelError(
                f"label {label!r} occurs more than once (outer spaces aside)",
                received=label,
                fix="rename one of them",
            )
    (_, tokens), *_ = split_labels(encode, [prompt], labels)
    check_apart(labels, tokens)
    return tokens


def check_apart(labels: Sequence[str], tokens: Sequence[tuple[int | str, ...]]) -> None:
    """Raise LabelError where the tokens of one label are those of another, or begin with all of them."""
    for (a, tokens_a), (b, tokens_b) in combinations(zip(labels, tokens, strict=True), 2):
        _check_pair(a, b, tokens_a, tokens_b)


def _check_pair(a: str, b: str, tokens_a: tuple[int | str, ...], tokens_b: tuple[int | str, ...]) -> None:
    """Raise LabelError when two labels cannot be told apart."""
    if tokens_a == tokens_b:
        raise LabelError(
            f"labels {a!r} and {b!r} have the same tokens {list(tokens_a)}",
            received=(a, b),
            fix="use other words",
        )
    if len(tokens_a) > len(tokens_b):
        a, b, tokens_a, tokens_b = b, a, tokens_b, tokens_a
    if tokens_b[: len(tokens_a)] == tokens_a:
        raise LabelError(
            f"label {b!r} begins with all tokens of label {a!r}, so it can never be more probable",
            received=b,
            fix="use other words, or end every label with the same character, such as a newline",
        )


def split_labels(
    encode: Encode, prompts: Sequence[str], labels: Sequence[str]
) -> list[tuple[list[int], tuple[Tokens, ...]]]:
    """Context tokens of each prompt, and the tokens of every label after it.

    Only the last line of a prompt is tokenised again with each label, once for all prompts that
    end alike; that a prompt's tokens end with those of its last line is checked for every prompt,
    and where they do not, the whole prompt is tokenised with every label.

    Parameters
    ----------
    encode : callable
    prompts : sequence of str, length n
    labels : sequence of str, length K

    Returns
    -------
    list of (context, labels' tokens), length n

    Raises
    ------
    LabelError
        A label adds no token to a prompt.

    Examples
    --------
    A tokeniser that merges ":" and " " in front of a letter; the context then ends before ":".

    >>> merged = lambda texts: [[ord(c) for c in text.replace(": ", "#")] for text in texts]
    >>> context, tokens = split_labels(merged, ["Q:"], [" a", " b"])[0]
    >>> "".join(map(chr, context)), ["".join(map(chr, t)) for t in tokens]
    ('Q', ['#a', '#b'])
    """
    encoded = encode(prompts)
    ends: dict[str, tuple[list[int], tuple[int, tuple[Tokens, ...]]]] = {}
    answer = []
    for prompt, whole in zip(prompts, encoded, strict=True):
        line = prompt[prompt.rfind("\n") + 1 :]
        if line not in ends and line != prompt and line:
            own = encode([line])[0]
            ends[line] = (own, _boundary(encode, line, own, labels))
        own, (kept, tokens) = ends.get(line, ([], (0, ())))
        # A context that keeps nothing of the line could reach further back: tokenise all of it.
        if not own or not kept or whole[-len(own) :] != own:
            kept, tokens = _boundary(encode, prompt, whole, labels)
            own = whole
        answer.append((whole[: len(whole) - len(own) + kept], tokens))
    return answer


def _boundary(
    encode: Encode, text: str, alone: list[int], labels: Sequence[str]
) -> tuple[int, tuple[Tokens, ...]]:
    """How many tokens of ``text`` are context, and each label's tokens after them."""
    joined = encode([text + label for label in labels])
    kept = shared_length([alone]) if not labels else min(shared_length([alone, one]) for one in joined)
    tokens = tuple(tuple(one[kept:]) for one in joined)
    for label, own in zip(labels, tokens, strict=True):
        if not own:
            raise LabelError(
                f"label {label!r} adds no token to the prompt", received=label, fix="use another word"
            )
    return kept, tokens


def split_pairs(
    encode: Encode, prompts: Sequence[str], continuations: Sequence[str]
) -> list[tuple[list[int], Tokens]]:
    """Context tokens of each prompt, and the tokens of its own continuation after it.

    Examples
    --------
    >>> letters = lambda texts: [[ord(c) for c in text] for text in texts]
    >>> split_pairs(letters, ["ab"], ["c"])
    [([97, 98], (99,))]
    """
    alone = encode(prompts)
    joined = encode([p + c for p, c in zip(prompts, continuations, strict=True)])
    kept = [shared_length(pair) for pair in zip(alone, joined, strict=True)]
    return [(one[:k], tuple(one[k:])) for one, k in zip(joined, kept, strict=True)]


@dataclass(frozen=True)
class LabelTree:
    """The token tree of labels: what they share at their beginnings is computed once.

    The root is the last token of the context. Every edge is one conditional probability; a
    label's log-probability is the sum over its path. Only inner nodes, whose successors are
    scored, have to be put through the model.

    Parameters
    ----------
    nodes : tuple of int
        Token of each inner node except the root, parents before children.
    parents : tuple of int
        Position in ``nodes`` of each one's parent, -1 for the root.
    edges : tuple of (int, int)
        (position in ``nodes`` of the parent or -1, token) of each edge, ordered by parent.
    paths : tuple of tuple of int
        The edges on each label's way, one per token.

    Examples
    --------
    >>> tree = label_tree(((1, 2), (1, 3), (4,)))
    >>> tree.nodes, tree.edges, tree.paths
    ((1,), ((-1, 1), (-1, 4), (0, 2), (0, 3)), ((0, 2), (0, 3), (1,)))
    """

    nodes: tuple[int, ...]
    parents: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    paths: tuple[tuple[int, ...], ...]

    @cached_property
    def is_chain(self) -> bool:
        """Whether every token follows the one before it."""
        return all(parent == place - 1 for place, parent in enumerate(self.parents))


@lru_cache(maxsize=4096)
def label_tree(labels: tuple[Tokens, ...]) -> LabelTree:
    """Build the token tree of labels, each a tuple of one or more tokens."""
    inner = sorted(
        {label[:depth] for label in labels for depth in range(1, len(label))}, key=lambda p: (len(p), p)
    )
    place = {path: row for row, path in enumerate(inner)} | {(): -1}
    steps = {label[:depth] for label in labels for depth in range(1, len(label) + 1)}
    edges = sorted((place[step[:-1]], step[-1]) for step in steps)
    order = {edge: row for row, edge in enumerate(edges)}
    paths = tuple(tuple(order[place[label[:d]], label[d]] for d in range(len(label))) for label in labels)
    return LabelTree(tuple(p[-1] for p in inner), tuple(place[p[:-1]] for p in inner), tuple(edges), paths)


def chain_tree(tokens: Tokens) -> LabelTree:
    """Build the tree of one text: a chain, every token one edge.

    Examples
    --------
    >>> chain_tree((5, 6, 7)).edges
    ((-1, 5), (0, 6), (1, 7))
    """
    places = range(-1, len(tokens) - 1)
    paths = (tuple(range(len(tokens))),)
    return LabelTree(tokens[:-1], tuple(places)[:-1], tuple(zip(places, tokens, strict=True)), paths)


def span_tree(tokens: Sequence[int], spans: Sequence[tuple[int, int]]) -> LabelTree:
    """Build the tree of a text some spans of which are scored: a chain that begins with the first span.

    Parameters
    ----------
    tokens : sequence of int
        The whole text.
    spans : sequence of (start, stop)
        One or more, in order, none of them empty.

    Examples
    --------
    >>> tree = span_tree([9, 5, 6, 7, 8, 4], [(1, 2), (4, 6)])
    >>> tree.nodes, tree.edges, tree.paths
    ((5, 6, 7, 8), ((-1, 5), (2, 8), (3, 4)), ((0,), (1, 2)))
    """
    first, last = spans[0][0], spans[-1][1]
    nodes = tuple(tokens[first : last - 1])
    edges = tuple((place - 1 - first, tokens[place]) for span in spans for place in range(*span))
    ends = list(accumulate((stop - start for start, stop in spans), initial=0))
    paths = tuple(tuple(range(*pair)) for pair in pairwise(ends))
    return LabelTree(nodes, tuple(range(-1, len(nodes) - 1)), edges, paths)


def first_tokens(labels: tuple[Tokens, ...]) -> tuple[Tokens, ...]:
    """Cut labels to their first tokens, which must differ.

    Raises
    ------
    LabelError
        Two labels share their first token.

    Examples
    --------
    >>> first_tokens(((1, 2), (3,)))
    ((1,), (3,))
    """
    cut = tuple(label[:1] for label in labels)
    if len(set(cut)) < len(cut):
        raise LabelError(
            f"{param('scoring', repr('first-token'))} needs labels with different first tokens, but some of "
            f"these are shared: {[list(label) for label in labels]}",
            parameter="scoring",
            received="first-token",
            fix=f"use {param('scoring', repr('label'))}, which is exact",
        )
    return cut
