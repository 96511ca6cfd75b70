"""A plain copy gives the same answers as what it was copied from; digests tell weights apart."""

import json

import numpy as np
import pytest

from debias.inference.models import model_files
from debias.inference.models.export import export_model, exported_model
from debias.inference.models.loading import load_model
from debias.inference.models.model_files import files_digest, model_folder
from debias.inference.tokenization import Tokenization
from debias.inference.transformers.transformers_engine import TransformersEngine
from tests.support.tiny_models import (
    ARCHITECTURES,
    LABELS,
    PROMPTS,
    byte_tokenizer,
    merging_tokenizer,
    tiny_model,
)


@pytest.fixture
def folder(tmp_path):
    tiny_model("qwen2").save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_copy_answers_alike_and_is_gone_afterwards(folder):
    expected = TransformersEngine(folder, dtype="float32", device="cpu").label_logprobs(PROMPTS, LABELS)
    with exported_model(folder) as copied:
        received = TransformersEngine(copied, dtype="float32", device="cpu").label_logprobs(PROMPTS, LABELS)
        np.testing.assert_array_equal(received, expected)
        assert json.loads((copied / "config.json").read_text())["dtype"] == "float32"
    assert not copied.exists()
    half = export_model(folder, folder.parent / "half", dtype="bfloat16")
    assert json.loads((half / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_copy_has_the_weights_of_every_architecture(tmp_path, name, tied):
    model = tiny_model(name, tie_word_embeddings=tied)
    model.save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    copied, _ = load_model(export_model(tmp_path / "model", tmp_path / "copy"), dtype="float32")
    expected, received = model.state_dict(), copied.state_dict()
    assert received.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(received[key], value, err_msg=key)


@pytest.mark.slow
def test_the_demo_model_is_an_ordinary_folder_afterwards(demo_engine, tmp_path):
    copied = export_model("demo", tmp_path)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in copied.iterdir()}
    assert "quantization_config" not in json.loads((copied / "config.json").read_text())
    engine = TransformersEngine(copied, dtype="float32", device="cpu")
    prompts, labels = ["The capital of France is"], [" Paris", " Rome"]
    np.testing.assert_allclose(
        engine.label_logprobs(prompts, labels), demo_engine.label_logprobs(prompts, labels), atol=1e-5
    )


def test_digests_tell_weights_and_settings_apart(folder, tmp_path, monkeypatch):
    first = files_digest(folder)
    assert files_digest(export_model(folder, tmp_path / "again")) == files_digest(
        export_model(folder, tmp_path / "once more")
    )
    (folder / "README.md").write_text("Words do not matter.")
    assert files_digest(folder) == first
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"rms_norm_eps": 0.1}))
    assert files_digest(folder) != first
    # Large files are read in pieces all over them.
    monkeypatch.setattr(model_files, "_WHOLE", 0)
    monkeypatch.setattr(model_files, "_PIECE", 4)
    monkeypatch.setattr(model_files, "_PIECES", 9)
    before = files_digest(folder)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        content[place] ^= 1
        weights.write_bytes(content)
        assert files_digest(folder) != before
        before = files_digest(folder)
    assert model_folder(folder) == folder


@pytest.mark.parametrize("make", [byte_tokenizer, merging_tokenizer])
def test_tokens_are_those_that_the_model_reads(make):
    tokens = Tokenization(make())
    texts = ["Who wrote the book ?", "very good", ""]
    whole = [list(make()(text)["input_ids"]) for text in texts]
    assert tokens.encode(texts) == whole
    assert tokens.encode([]) == []
    assert [tokens.context(plain) for plain in tokens.encode_plain(texts[:2])] == whole[:2]
    assert len(tokens.context([])) == 1
    assert "goo" in tokens.decode(tokens.encode_plain(["very good"])[0])
    assert tokens.digest == Tokenization(make()).digest
