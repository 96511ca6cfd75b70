"""Plans the requests to vLLM that answer a token tree: by its nodes, or by whole labels.

One request can ask two things: how probable given tokens are after its prompt, and how probable
the last tokens of the prompt were. The first reads the prefix cache and stops at the end of the
prompt; the second puts the whole prompt through the model, so it pays for long texts only.
Nothing here needs vLLM.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from debias.inference.labels import LabelTree

MOST_SUCCESSORS = 128
"""Token ids that vLLM takes in one ``logprob_token_ids``; more are asked in several requests."""
_REQUEST_TOKENS = 16
"""What a request costs beside its tokens, in tokens, roughly."""
_SCORED_TOKEN = 8
"""What a token costs in a prompt whose every position is put through the vocabulary, in others, roughly."""


@dataclass(frozen=True)
class Request:
    """One request, and the edges of a token tree that it answers.

    Parameters
    ----------
    tokens : tuple of int
        The prompt, never empty.
    n_scored : int
        How many of its last tokens to score.
    successors : tuple of int
        Tokens to score as what follows the prompt.
    edges : tuple of int
        Positions in the tree's edges that the scored tokens, then the successors, are.
    """

    tokens: tuple[int, ...]
    n_scored: int
    successors: tuple[int, ...]
    edges: tuple[int, ...]


def requests_by_node(context: Sequence[int], tree: LabelTree) -> list[Request]:
    """Ask every node of a tree once for the tokens that follow it.

    Parameters
    ----------
    context : sequence of int
    tree : LabelTree

    Returns
    -------
    list of Request
        The root first, parents before children.

    Examples
    --------
    >>> from debias.inference.labels import label_tree
    >>> for request in requests_by_node([7, 8], label_tree(((1, 2), (1, 3), (4,)))):
    ...     print(request.tokens, request.successors, request.edges)
    (7, 8) (1, 4) (0, 1)
    (7, 8, 1) (2, 3) (2, 3)
    """
    prompts = [tuple(context)]
    for token, parent in zip(tree.nodes, tree.parents, strict=True):
        prompts.append((*prompts[parent + 1], token))
    edges: list[list[int]] = [[] for _ in prompts]
    for edge, (parent, _) in enumerate(tree.edges):
        edges[parent + 1].append(edge)
    return [
        request
        for prompt, own in zip(prompts, edges, strict=True)
        for request in _split(prompt, (), own, tree)
    ]


def requests_by_label(context: Sequence[int], tree: LabelTree) -> list[Request]:
    """Ask for each label at once: all its tokens but the last are scored within the prompt.

    Labels that differ in their last token only share a request.

    Parameters
    ----------
    context : sequence of int
    tree : LabelTree

    Returns
    -------
    list of Request

    Examples
    --------
    >>> from debias.inference.labels import label_tree
    >>> for request in requests_by_label([7, 8], label_tree(((1, 2, 3), (4,), (5,)))):
    ...     print(request.tokens, request.n_scored, request.successors, request.edges)
    (7, 8, 1, 2) 2 (3,) (0, 3, 4)
    (7, 8) 0 (4, 5) (1, 2)
    """
    last: dict[tuple[int, ...], list[int]] = {}
    for path in tree.paths:
        own = last.setdefault(path[:-1], [])
        if path[-1] not in own:
            own.append(path[-1])
    requests = []
    for path, edges in last.items():
        prompt = (*context, *(tree.edges[edge][1] for edge in path))
        requests.extend(_split(prompt, path, edges, tree))
    return requests


class Piece(NamedTuple):
    """Consecutive answers to one prompt: its place, the number of the first answer, and how many."""

    place: int
    first: int
    n_answers: int


def in_whole_prompts(pieces: Iterable[Piece], lengths: Sequence[int], most: int | None) -> list[list[Piece]]:
    """Divide pieces into batches whose prompts fit into one step of vLLM, however they are scheduled.

    On a CPU, vLLM 0.32 ends in an error where a prompt is computed in parts and its answer has a seed: the
    generators of torch cannot go back there.

    Parameters
    ----------
    pieces : iterable of Piece
    lengths : sequence of int
        Tokens of the prompt of each place. Each answer computes its prompt.
    most : int or None
        Tokens of a step; None where no batch is too large. No prompt may be longer.

    Returns
    -------
    list of lists of Piece
        In order; a piece may be divided.

    Examples
    --------
    >>> for batch in in_whole_prompts([Piece(0, 0, 3), Piece(1, 5, 2)], [40, 30], 100):
    ...     print([tuple(piece) for piece in batch])
    [(0, 0, 2)]
    [(0, 2, 1), (1, 5, 2)]
    """
    if most is None:
        return [list(pieces)]
    batches: list[list[Piece]] = []
    room = 0
    for place, first, count in pieces:
        taken = 0
        while taken < count:
            if room < lengths[place]:
                batches.append([])
                room = most
            now = min(count - taken, room // max(lengths[place], 1))
            batches[-1].append(Piece(place, first + taken, now))
            room -= now * lengths[place]
            taken += now
    return batches


def _split(
    prompt: tuple[int, ...], path: tuple[int, ...], edges: Sequence[int], tree: LabelTree
) -> list[Request]:
    """Make requests of one prompt, none with more successors than are allowed."""
    requests = []
    for start in range(0, len(edges), MOST_SUCCESSORS):
        own = tuple(edges[start : start + MOST_SUCCESSORS])
        scored = path if start == 0 else ()
        successors = tuple(tree.edges[edge][1] for edge in own)
        requests.append(Request(prompt, len(scored), successors, scored + own))
    return requests


def plan(context: Sequence[int], tree: LabelTree, block: int, cached: bool) -> list[Request]:
    """Choose the requests that cost less, by the tokens that go through the model.

    Parameters
    ----------
    context : sequence of int
    tree : LabelTree
    block : int
        Tokens of a block of the prefix cache, 0 without one: what follows the last full block of
        a prompt is computed for every request.
    cached : bool
        Whether requests that score tokens of their prompt read the prefix cache, too, and put no
        other tokens through the vocabulary.

    Returns
    -------
    list of Request

    Examples
    --------
    Two labels of two tokens each: three nodes are three ends of a cached prompt, two labels are two
    whole prompts. A text of 200 tokens is better asked for at once.

    >>> from debias.inference.labels import chain_tree, label_tree
    >>> len(plan(range(200), label_tree(((1, 2), (3, 4))), block=16, cached=False))
    3
    >>> len(plan(range(200), chain_tree(tuple(range(200))), block=16, cached=False))
    1
    """
    by_node, by_label = requests_by_node(context, tree), requests_by_label(context, tree)
    fewer = _cost(by_label, block, cached) < _cost(by_node, block, cached)
    return by_label if fewer else by_node


def _cost(requests: Sequence[Request], block: int, cached: bool) -> float:
    """Tokens put through the model, roughly: the first prompt whole, then what the cache lacks."""
    total = 0.0
    for place, request in enumerate(requests):
        reads = bool(block) and place > 0 and (cached or not request.n_scored)
        fresh = min(block, len(request.tokens)) if reads else len(request.tokens)
        total += fresh * (_SCORED_TOKEN if request.n_scored and not cached else 1) + _REQUEST_TOKENS
    return total


def reads_cache_safely(n_tokens: int, n_scored: int, block: int) -> bool:
    """Whether no block of the prefix cache can end among the tokens to be scored.

    The cache keeps what attention needs, not hidden states: from a cached token no probability
    can be read. Cached tokens end with a full block, before the last token of the prompt.

    Parameters
    ----------
    n_tokens : int
        Length of the prompt.
    n_scored : int
        How many of its last tokens are scored: reading begins one token before them.
    block : int
        Tokens of a block, 0 without a prefix cache.

    Returns
    -------
    bool

    Examples
    --------
    >>> reads_cache_safely(20, 3, block=16), reads_cache_safely(20, 4, block=16)
    (True, False)
    >>> reads_cache_safely(20, 3, block=0)
    True
    """
    if not block:
        return True
    most_cached = math.floor((n_tokens - 1) / block) * block
    return most_cached <= n_tokens - n_scored - 1
