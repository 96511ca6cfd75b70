"""First tokens of labels: with real tokenizers of both kinds, and what is refused."""

import copy

import pytest

from debias import ProbabilityTable, WeightDebiaser
from debias.corrections.correction import Triangle, Weight
from debias.errors import CorrectionFileError, LabelError, ModelError
from debias.guarantees.watching.watcher import remember
from debias.inference.tokenization import Tokenization
from debias.serving.vllm.answer_logits import prepare
from debias.serving.vllm.first_tokens import (
    answer_words,
    first_tokens,
    tokenizer_digest,
    words_of_several_tokens,
)
from debias.serving.vllm.offered_corrections import Offer
from tests.support.correction_files import write_correction_file
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows
from tests.support.tiny_models import byte_tokenizer, merging_tokenizer

KINDS = {"bytes": byte_tokenizer, "sentencepiece": merging_tokenizer}
CLASSES = {"Number": Weight(1, 2), "good": Triangle(0, 1, 1)}


def test_tokens_are_those_that_a_collection_scores():
    tokenization = Tokenization.of(byte_tokenizer())
    words = (" Number of things", " planets", " good")
    (_, tokens), *_ = tokenization.split_labels(["Question: Where ?\nAnswer Type:"], words)
    assert first_tokens(tokenization.tokenizer, words) == tuple(own[0] for own in tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_is_that_of_a_collection(kind):
    tokenizer = KINDS[kind]()
    assert tokenizer_digest(tokenizer) == Tokenization.of(tokenizer).digest


def test_labels_that_share_a_first_token_are_refused():
    words = (" Number of things", " good", " Number of places")
    with refused(LabelError, received=(words[0], words[2])):
        first_tokens(byte_tokenizer(), words)
    with refused(LabelError, received=" Number"):  # the space is merged with what stands before it
        first_tokens(merging_tokenizer(), (" Number", " good"))
    with refused(LabelError, received=""):
        first_tokens(byte_tokenizer(), ("", " good"))


def test_words_are_given_for_all_classes_or_none():
    assert answer_words(["b", "a"], {"a": "A", "b": "B"}) == ("B", "A")
    with refused(LabelError, parameter="labels", received={"a": "A"}):
        answer_words(["b", "a"], {"a": "A"})


def test_a_file_is_read_and_checked_against_the_tokenizer(tmp_path):
    tokenizer = byte_tokenizer()
    own = tokenizer_digest(tokenizer)
    path = write_correction_file(tmp_path / "own.json", CLASSES, reference={"origin": {"tokenizer": own}})
    ready = prepare(Offer(path), tokenizer)
    assert ready.served.classes == ("Number", "good")
    assert ready.tokens == first_tokens(tokenizer, (" Number", " good"))
    bare = {"Number": "Number", "good": "good"}
    assert prepare(Offer(path, bare), tokenizer).tokens != ready.tokens
    with refused(ModelError, parameter="tokenizer", received=own, file=str(path)):
        prepare(Offer(path, tokenizer="another"), tokenizer)
    other = write_correction_file(
        tmp_path / "other.json", CLASSES, reference={"origin": {"tokenizer": "0123456789abcdef"}}
    )
    with refused(ModelError, received=own, file=str(other), mentions="0123456789abcdef"):
        prepare(Offer(other), tokenizer)
    alike = write_correction_file(
        tmp_path / "alike.json", {"Number of": Weight(1, 2), "Number": Weight(1, 3)}
    )
    with refused(LabelError, received=(" Number of", " Number"), file=str(alike)):
        prepare(Offer(alike), tokenizer)


def test_functions_of_ones_own_and_missing_files_are_refused(tmp_path):
    document = {
        "classes": [{"label": name, "correction": {"kind": "function", "label": "root"}} for name in "ab"]
    }
    path = write_correction_file(tmp_path / "own.json", CLASSES, **document)
    with refused(CorrectionFileError, file=str(path), mentions="root"):
        prepare(Offer(path), byte_tokenizer())
    with refused(CorrectionFileError, file=str(tmp_path / "none.json")):
        prepare(Offer(tmp_path / "none.json"), byte_tokenizer())


def test_a_fit_on_a_collected_table_remembers_its_tokenizer(tmp_path):
    tokenizer, digest = byte_tokenizer(), Tokenization.of(byte_tokenizer()).digest
    P, y = skewed_rows(0, 160, 2)
    metadata = {"collection": {"engine": {"engine": "transformers", "tokenizer": digest}}}
    table = ProbabilityTable(P, y, classes=["Number", "good"], metadata=metadata)
    debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
    remember(debiaser, table)
    debiaser.save(tmp_path / "c.json")
    assert prepare(Offer(tmp_path / "c.json"), tokenizer).served.classes == ("Number", "good")
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["<new>"])
    with refused(ModelError, parameter="tokenizer", mentions=digest):
        prepare(Offer(tmp_path / "c.json"), other)


def test_probabilities_of_whole_labels_are_not_those_of_first_tokens(tmp_path):
    tokenizer = byte_tokenizer()
    words = {"Number": " Number of things", "good": " good"}
    longer = words_of_several_tokens(tokenizer, tuple(words.values()))
    assert longer and longer[0] == words["Number"]
    for scoring, labels in (("label", words), ("first-token", words), (None, words)):
        reference = {"origin": {} if scoring is None else {"scoring": scoring}}
        path = write_correction_file(tmp_path / "c.json", CLASSES, reference=reference)
        if scoring == "label":
            with refused(LabelError, parameter="scoring", received=longer, file=str(path), fix=str):
                prepare(Offer(path, labels), tokenizer)
        else:
            prepare(Offer(path, labels), tokenizer)
