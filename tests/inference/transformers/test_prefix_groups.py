"""Parts of prompts that begin alike: every row once, what is shared is shared, tokens are saved."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from debias.inference.labels import chain_tree
from debias.inference.transformers.passes.forward import Forward
from debias.inference.transformers.passes.model_pass import Capabilities
from debias.inference.transformers.passes.packing import Row
from debias.inference.transformers.passes.prefix_groups import group_by_prefix
from tests.support.tiny_models import tiny_model

contexts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), max_size=20)


def computed(groups, contexts):
    """Tokens that go through the model, were rows not packed."""
    return sum(
        group.n_shared + sum(len(contexts[i]) - group.n_shared for i in group.rows) for group in groups
    )


@given(contexts=contexts, least_saved=st.integers(0, 30))
def test_every_row_is_in_one_part_and_begins_as_its_part_does(contexts, least_saved):
    groups = group_by_prefix(contexts, least_saved)
    assert sorted(row for group in groups for row in group.rows) == list(range(len(contexts)))
    for group in groups:
        beginnings = {tuple(contexts[row][: group.n_shared]) for row in group.rows}
        assert len(beginnings) == 1
        assert all(group.n_shared < len(contexts[row]) for row in group.rows)


@given(contexts=contexts, least_saved=st.integers(0, 30))
def test_dividing_never_costs_tokens(contexts, least_saved):
    whole = group_by_prefix(contexts, least_saved=10**9)
    assert len(whole) <= 1
    groups = group_by_prefix(contexts, least_saved)
    assert computed(groups, contexts) <= computed(whole, contexts) - (len(groups) - 1) * least_saved


def nested(n_sets=3, n_documents=4, n_questions=5):
    """System text, sets of demonstrations, documents, questions."""
    rng = np.random.default_rng(0)

    def draw(length):
        return rng.integers(5, 90, length).tolist()

    system = draw(20)
    sets = [draw(60) for _ in range(n_sets)]
    documents = [draw(80) for _ in range(n_documents)]
    return [
        [*system, *one, *document, *draw(6)]
        for one in sets
        for document in documents
        for _ in range(n_questions)
    ]


def test_documents_that_several_questions_are_asked_about_are_computed_once():
    contexts = nested()
    groups = group_by_prefix(contexts, least_saved=100)
    assert sorted(len(group.rows) for group in groups) == [5] * 12
    assert {group.n_shared for group in groups} == {160}


def test_nested_beginnings_give_the_answers_of_plain_rows():
    model = tiny_model("qwen2")
    rows = [Row(context, chain_tree((7, 8))) for context in nested(2, 2, 12)]
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(lambda *call: seen.append(call[1][0].numel()))
    together = Forward(
        model, 4096, Capabilities(projects=True, shares=True, branches=True, packs=True)
    ).score(rows)
    hook.remove()
    alone = Forward(model, 1, Capabilities()).score(rows)
    for expected, received in zip(alone, together, strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-4, rtol=0)
    assert sum(seen) < sum(row.n_tokens for row in rows) / 4
