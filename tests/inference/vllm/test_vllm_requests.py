"""Requests to vLLM: every label's probability comes together from their answers, whichever way."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.inference.labels import chain_tree, label_tree
from debias.inference.vllm.vllm_asking import Ways, read_answer
from debias.inference.vllm.vllm_requests import (
    MOST_SUCCESSORS,
    Piece,
    Request,
    in_whole_prompts,
    plan,
    reads_cache_safely,
    requests_by_label,
    requests_by_node,
)

LABELS = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple), min_size=1, max_size=8, unique=True
).map(tuple)
CONTEXT = st.lists(st.integers(0, 3), min_size=1, max_size=6)


def probability(before, token):
    """A model's log-probability that depends on all that stands before."""
    return -float(hash((tuple(before), token)) % 1000) / 100


def answered(requests, tree):
    """Edges as a model would answer the requests, each edge checked to be answered alike."""
    edges = np.full(len(tree.edges), np.nan)
    for request in requests:
        tokens, n = request.tokens, request.n_scored
        values = [probability(tokens[:i], tokens[i]) for i in range(len(tokens) - n, len(tokens))]
        values += [probability(tokens, token) for token in request.successors]
        for edge, value in zip(request.edges, values, strict=True):
            assert np.isnan(edges[edge]) or edges[edge] == value
            edges[edge] = value
    return edges


@given(context=CONTEXT, labels=LABELS, block=st.sampled_from([0, 16]), cached=st.booleans())
def test_labels_come_together_from_the_answers(context, labels, block, cached):
    tree = label_tree(labels)
    for requests in (
        requests_by_node(context, tree),
        requests_by_label(context, tree),
        plan(context, tree, block, cached),
    ):
        edges = answered(requests, tree)
        for label, path in zip(labels, tree.paths, strict=True):
            expected = [probability([*context, *label[:i]], label[i]) for i in range(len(label))]
            assert edges[list(path)].sum() == pytest.approx(sum(expected))


@given(context=CONTEXT, labels=LABELS)
def test_each_node_is_asked_once_and_no_prompt_is_longer_than_its_label_needs(context, labels):
    tree = label_tree(labels)
    by_node = requests_by_node(context, tree)
    assert len({request.tokens for request in by_node}) == len(by_node) == 1 + len(tree.nodes)
    longest = len(context) + max(map(len, labels))
    for requests in (by_node, requests_by_label(context, tree)):
        # vLLM generates one token after the prompt: both must fit into the context together.
        assert max(len(request.tokens) + 1 for request in requests) == longest
        assert len({request.tokens for request in requests}) == len(requests)


def test_more_labels_than_one_request_takes_are_asked_in_several():
    tree = label_tree(tuple((token, 7) for token in range(2 * MOST_SUCCESSORS + 1)))
    requests = requests_by_node([1], tree)
    sizes = [len(request.successors) for request in requests if request.tokens == (1,)]
    assert sizes == [MOST_SUCCESSORS, MOST_SUCCESSORS, 1]
    tree = label_tree(tuple((7, token) for token in range(MOST_SUCCESSORS + 1)))
    first, second = requests_by_label([1], tree)
    assert (first.n_scored, second.n_scored) == (1, 0)
    assert not np.isnan(answered([first, second], tree)).any()


def test_the_cheaper_plan_is_chosen():
    def scored(tree, block, cached):
        return {request.n_scored for request in plan(range(300), tree, block, cached)}

    long, middle, short = chain_tree(tuple(range(200))), chain_tree((1,) * 20), label_tree(((1, 2), (3, 4)))
    assert scored(long, 16, False) == {199}
    assert scored(middle, 16, False) == {0}
    assert scored(short, 16, False) == {0}
    # Without a prefix cache every node costs the whole prompt.
    assert scored(middle, 0, False) == {19}
    # Spans that read the cache are as cheap as nodes, and there are fewer.
    assert scored(middle, 16, True) == {19}
    assert scored(short, 16, True) == {1}


@given(n_tokens=st.integers(2, 200), n_scored=st.integers(1, 50), block=st.sampled_from([1, 4, 16, 32]))
def test_the_cache_is_read_only_where_it_cannot_reach_what_is_scored(n_tokens, n_scored, block):
    n_scored = min(n_scored, n_tokens - 1)
    ends = list(range(block, n_tokens, block))  # the last token is always computed
    first_read = n_tokens - n_scored - 1
    assert reads_cache_safely(n_tokens, n_scored, block) == all(end <= first_read for end in ends)


def entry(value):
    return SimpleNamespace(logprob=value)


def output(successors=None, prompt=None, span=None):
    """What vLLM returns, as far as it is read."""
    return SimpleNamespace(
        outputs=[SimpleNamespace(logprobs=None if successors is None else [successors])],
        prompt_logprobs=prompt,
        prompt_token_id_logprobs=span,
    )


ASKED = Request((5, 6, 7), 2, (8, 9), (0, 1, 2, 3))
WHOLE = {8: entry(-1.0), 9: entry(-2.0), 4: entry(-0.1)}
PROMPT = [None, {6: entry(-3.0)}, {7: entry(-4.0), 1: entry(-0.5)}]


def test_whole_answers_are_read():
    for ways, given_output in (
        (Ways(scored="prompt_logprobs"), output(WHOLE, PROMPT)),
        (Ways(), output(WHOLE, span=np.array([[-3.0], [-4.0]]))),
    ):
        np.testing.assert_array_equal(read_answer(ASKED, given_output, ways), [-3.0, -4.0, -1.0, -2.0])
    rounded = read_answer(Request((5,), 0, (8,), (0,)), output({8: entry(1e-7)}), Ways())
    np.testing.assert_array_equal(rounded, [0.0])


@pytest.mark.parametrize(
    "broken",
    [
        output(None, PROMPT),
        output({8: entry(-1.0)}, PROMPT),
        output({8: entry(None), 9: entry(-2.0)}, PROMPT),
        output({8: entry(float("-inf")), 9: entry(-2.0)}, PROMPT),
        output({8: entry(float("nan")), 9: entry(-2.0)}, PROMPT),
        output({8: entry(12.5), 9: entry(-2.0)}, PROMPT),  # a logit, not a log-probability
        output(WHOLE, None),
        output(WHOLE, PROMPT[:2]),
        output(WHOLE, [None, {5: entry(-3.0)}, {7: entry(-4.0)}]),
        output(WHOLE, [None, None, {7: entry(-4.0)}]),
    ],
)
def test_an_answer_with_anything_missing_is_none(broken):
    assert read_answer(ASKED, broken, Ways(scored="prompt_logprobs")) is None


def test_a_span_that_vllm_dropped_is_none():
    assert read_answer(ASKED, output(WHOLE), Ways()) is None
    assert read_answer(ASKED, output(WHOLE, span=np.array([[-3.0]])), Ways()) is None


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 50), st.integers(1, 40)), max_size=3))
    ),
    st.integers(30, 200),
)
def test_batches_hold_whole_prompts_and_every_answer_once_in_order(rows, most):
    lengths = [length for length, _ in rows]
    pieces = [Piece(place, first, count) for place, (_, runs) in enumerate(rows) for first, count in runs]

    def answers(of):
        return [(place, first + k) for place, first, count in of for k in range(count)]

    batches = in_whole_prompts(pieces, lengths, most)
    assert [one for batch in batches for one in answers(batch)] == answers(pieces)
    sizes = [sum(count * lengths[place] for place, _, count in batch) for batch in batches]
    assert all(0 < size <= most for size in sizes)
    for batch, size in zip(batches[1:], sizes, strict=False):  # none could have begun a batch earlier
        assert size + lengths[batch[0].place] > most
    assert in_whole_prompts(pieces, lengths, None) == [pieces]
