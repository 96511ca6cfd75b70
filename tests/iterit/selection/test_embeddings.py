"""Embeddings of texts: a loop over single texts is the referee."""

import numpy as np
import pytest
import torch

from debias.errors import ModelError, ParameterError
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.selection.embeddings import ngram_embeddings, sentence_embeddings
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer, tiny_model

TEXTS = ["a good day", "what a night this was, and what a day", "", "x", "good day to you all"] * 3


@pytest.mark.parametrize("tokens_per_batch", [1, 40, 8192])
def test_batches_give_what_single_texts_give(tokens_per_batch):
    tokenizer = byte_tokenizer()
    model = tiny_model("llama", tokenizer).train()
    found = sentence_embeddings(TEXTS, model, tokenizer, max_tokens=20, tokens_per_batch=tokens_per_batch)
    assert model.training  # as it was
    model.eval()
    for text, vector in zip(TEXTS, found, strict=True):
        ids = tokenizer(text)["input_ids"][:20]
        if not ids:
            assert not vector.any()
            continue
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-1]
        assert np.allclose(vector, hidden[0].mean(0).numpy(), atol=1e-5)


def test_what_cannot_be_embedded():
    with refused(ParameterError, parameter="tokenizer", received=None):
        sentence_embeddings(TEXTS, tiny_model("llama"))
    with refused(ModelError, parameter="model", received="./no/such/folder"):
        sentence_embeddings(TEXTS, "./no/such/folder")
    with refused(ParameterError, parameter="n_dimensions", received=50):
        ngram_embeddings(count_ngrams(["a good day"]), 50)
    assert sentence_embeddings([], tiny_model("llama"), byte_tokenizer()).shape[0] == 0


def test_engines_folders_and_encoders_are_asked_as_they_are(tmp_path):
    tokenizer = byte_tokenizer()
    model = tiny_model("llama", tokenizer)
    expected = sentence_embeddings(TEXTS, model, tokenizer)
    by_engine = sentence_embeddings(TEXTS, TransformersEngine(model, tokenizer))
    np.testing.assert_allclose(by_engine, expected, atol=1e-5)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    np.testing.assert_allclose(sentence_embeddings(TEXTS, tmp_path), expected, atol=1e-5)

    class Encoder:
        def __init__(self, vectors):
            self.vectors = vectors

        def encode(self, texts):
            return self.vectors[: len(texts)]

    np.testing.assert_array_equal(sentence_embeddings(TEXTS, Encoder(expected)), expected)
    with refused(ParameterError, parameter="model", received=Encoder, mentions="(15,)"):
        sentence_embeddings(TEXTS, Encoder(np.ones(15)))


def test_embeddings_from_ngrams_tell_topics_apart():
    texts = ["cats and dogs", "dogs and cats", "stocks or bonds", "bonds or stocks"]
    vectors = ngram_embeddings(count_ngrams(texts), 2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.9
    assert similarity[2, 3] > 0.9
    assert abs(similarity[0, 2]) < 0.1
