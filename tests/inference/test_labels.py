"""Labels as tokens: against whole tokenisation, and trees against the labels they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.errors import LabelError
from debias.inference.labels import (
    chain_tree,
    check_labels,
    first_tokens,
    label_tree,
    shared_length,
    split_labels,
    split_pairs,
)
from tests.support.refusals import refused
from tests.support.tiny_models import LABELS, byte_tokenizer, merging_tokenizer

TOKENIZERS = {"bytes": byte_tokenizer, "merging": merging_tokenizer}
WORDS = st.sampled_from(["Question: ", "\n", "Who", " wrote", " it ?", "Answer", " Type:", ":", " ", "\n\n"])
PROMPT = st.lists(WORDS, max_size=8).map("".join)


def encoder(name):
    tokenizer = TOKENIZERS[name]()
    return lambda texts: (
        [list(i) for i in tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []
    )


@pytest.mark.parametrize("name", TOKENIZERS)
@given(prompts=st.lists(PROMPT, min_size=1, max_size=5))
def test_context_and_label_are_the_tokens_of_the_whole(name, prompts):
    encode = encoder(name)
    for prompt, (context, tokens) in zip(prompts, split_labels(encode, prompts, LABELS), strict=True):
        whole = encode([prompt + label for label in LABELS])
        alone = encode([prompt])[0]
        assert [context + list(own) for own in tokens] == whole
        assert context == alone[: len(context)]
        # As long as it can be: one token more would not be shared by all.
        assert len(context) == min(shared_length([alone, one]) for one in whole)


@given(prompts=st.lists(PROMPT, min_size=1, max_size=4), end=st.sampled_from([" Person", "s", "\n", ""]))
def test_pairs_are_the_tokens_of_the_whole(prompts, end):
    encode = encoder("merging")
    texts = [prompt + end for prompt in prompts]
    for prompt, text, (context, tokens) in zip(
        prompts, texts, split_pairs(encode, prompts, texts), strict=True
    ):
        assert context + list(tokens) == encode([prompt + text])[0]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple), min_size=1, max_size=8))
def test_a_tree_walks_every_label_and_shares_every_beginning(labels):
    tree = label_tree(tuple(labels))
    assert [tuple(tree.edges[e][1] for e in path) for path in tree.paths] == labels
    assert len(tree.nodes) == len({label[:d] for label in labels for d in range(1, len(label))})
    assert len(tree.edges) == len({label[:d] for label in labels for d in range(1, len(label) + 1)})
    for path in tree.paths:
        node = -1
        for edge in path[:-1]:
            assert tree.edges[edge][0] == node
            (node,) = (
                i for i, p in enumerate(tree.parents) if p == node and tree.nodes[i] == tree.edges[edge][1]
            )
    assert all(parent < place for place, parent in enumerate(tree.parents))
    assert tree.is_chain == all(parent == place - 1 for place, parent in enumerate(tree.parents))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).map(tuple))
def test_a_chain_is_the_tree_of_one_label(tokens):
    assert chain_tree(tokens) == label_tree((tokens,))


def test_the_shared_beginning_of_nothing_is_nothing():
    assert shared_length([]) == 0
    assert shared_length([[], [1]]) == 0
    assert shared_length([[1, 2]]) == 2


@given(st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=1, max_size=5))
def test_the_shared_beginning_is_the_longest(sequences):
    length = shared_length(sequences)
    assert len({tuple(s[:length]) for s in sequences}) == 1 and min(map(len, sequences)) >= length
    assert any(len(s) == length for s in sequences) or len({s[length] for s in sequences}) > 1


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        ((" good", " good"), "good"),
        (("good", " good"), "good"),
        ((" good", " goods"), " goods"),
        ((" goods", " bad", " good"), " goods"),
    ],
)
def test_labels_that_cannot_be_told_apart(labels, wrong):
    def letters(texts):
        return [[ord(c) for c in text] for text in texts]

    with refused(LabelError, received=wrong):
        check_labels(letters, labels, "a prompt:")


def test_different_words_with_the_same_tokens_are_refused():
    def blind_to_digits(texts):
        return [[ord("#" if c.isdigit() else c) for c in text] for text in texts]

    with refused(LabelError, received=(" class 1", " class 2")):
        check_labels(blind_to_digits, (" class 1", " class 2"))


def test_a_label_that_adds_no_token_is_refused():
    def no_spaces(texts):
        return [[ord(c) for c in text if c != "~"] for text in texts]

    with refused(LabelError, received="~"):
        check_labels(no_spaces, ("~", "a"), "prompt")


def test_a_check_returns_the_tokens():
    encode = encoder("bytes")
    things, places, bad = check_labels(encode, (" Number of things", " Number of places", " not bad"))
    assert things[0] == places[0] and min(map(len, (things, places, bad))) > 1
    assert [len(tokens) for tokens in check_labels(encode, ("?", "a"))] == [1, 1]


def test_first_tokens_must_differ():
    with refused(LabelError, parameter="scoring"):
        first_tokens(((1, 2), (1, 3)))
