"""Packed sequences: every prompt is whole, sees itself alone, and shared beginnings stand there once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from debias.inference.labels import chain_tree, label_tree
from debias.inference.transformers.passes.packing import SEQUENCE_TOKENS, Row, pack
from debias.inference.transformers.passes.padded_pass import PaddedPass, padded_layout

TREES = st.sampled_from(
    [chain_tree((1,)), chain_tree((1, 2, 3)), label_tree(((1, 2), (1, 3, 4), (5,), (6, 1)))]
)
CONTEXT = st.lists(st.integers(0, 2), min_size=1, max_size=60).map(lambda tokens: [9, 9, *tokens])
ROWS = st.lists(st.builds(Row, CONTEXT, TREES), min_size=1, max_size=12)


def _seen(sequence, place):
    """Tokens on the way to a place, by its parents."""
    way = []
    while place >= 0:
        way.append(sequence.tokens[place])
        place = sequence.parents[place]
    return way[::-1]


@given(ROWS, st.booleans())
def test_every_read_sees_its_own_prompt_alone(rows, several):
    sequences = pack(rows, 2, several)
    assert sorted(number for sequence in sequences for number in sequence.rows) == list(range(len(rows)))
    assert several or all(len(sequence.rows) == 1 for sequence in sequences)
    for sequence in sequences:
        for number, (root, *nodes) in zip(sequence.rows, sequence.reads, strict=True):
            row = rows[number]
            assert _seen(sequence, root) == row.context[2:]
            for place, parent, token in zip(nodes, row.tree.parents, row.tree.nodes, strict=True):
                before = row.context[2:] if parent < 0 else _seen(sequence, nodes[parent])
                assert _seen(sequence, place) == [*before, token]
        sees = sequence.ancestors()
        for place in range(len(sequence)):
            assert [sequence.tokens[i] for i in np.flatnonzero(sees[place])] == _seen(sequence, place)
            assert sequence.depths[place] == len(_seen(sequence, place)) - 1


@given(ROWS)
def test_lines_are_full_but_not_too_full(rows):
    sequences = pack(rows, 2, several=True)
    assert all(
        len(sequence) <= max(SEQUENCE_TOKENS, *(row.n_tokens - 2 for row in rows), 1)
        for sequence in sequences
    )
    assert sum(map(len, sequences)) <= sum(row.n_tokens - 2 for row in rows)
    assert [len(sequence) for sequence in sequences] == sorted(map(len, sequences), reverse=True)


def test_prompts_in_one_line_share_what_they_begin_with():
    rows = [
        Row([9, 1, 2, 3], chain_tree((1,))),
        Row([9, 1, 2], chain_tree((1,))),
        Row([9, 1, 4], chain_tree((1,))),
    ]
    (sequence,) = pack(rows, 1, several=True)
    assert (
        sequence.tokens == [1, 2, 3, 4] and sequence.rows == [1, 0, 2] and sequence.reads == [[1], [2], [3]]
    )


def test_long_prompts_keep_a_line_each():
    rows = [Row([9, *range(1000)], chain_tree((1,))), Row([9, 1], chain_tree((1,)))]
    assert [sequence.rows for sequence in pack(rows, 1, several=True)] == [[0], [1]]


@given(ROWS, st.integers(1, 200))
def test_batches_hold_every_line_and_keep_the_budget(rows, budget):
    sequences = pack(rows, 2, several=False)
    cut = list(PaddedPass(None, None).batches(sequences, budget))
    assert [sequence for batch in cut for sequence in batch] == sequences
    assert all(len(batch) == 1 or len(batch) * len(batch[0]) <= budget for batch in cut)


@given(ROWS)
def test_the_layout_of_chains_is_the_causal_one(rows):
    batch = pack([Row(row.context, chain_tree((1,))) for row in rows], 2, several=False)
    sees, positions = padded_layout(batch, 2)
    width = max(map(len, batch))
    assert all((mask == np.tri(width, 2 + width, 2, dtype=bool)).all() for mask in sees)
    assert (positions == np.arange(2, 2 + width)).all()
