"""A GGUF file is parsed once while a model is loaded, and what reads it gets what it gets without that."""

import contextlib
import threading

import gguf
import numpy as np
import pytest
import torch

from debias.inference.models import loading
from debias.inference.models.gguf_parsing import parsed_once


@pytest.fixture
def file(tmp_path):
    """A file with one tensor."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("output_norm.weight", np.arange(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_file_is_parsed_once_in_the_block_and_anew_after_it(file):
    own, names = gguf.GGUFReader, gguf.get_tensor_name_map
    with parsed_once():
        one = gguf.GGUFReader(file)
        assert gguf.GGUFReader(file) is one and one.tensors[0].data.tolist() == list(range(8))
        with parsed_once():
            assert gguf.GGUFReader(file) is one
        arch = gguf.MODEL_ARCH.LLAMA
        assert gguf.get_tensor_name_map(arch, 2) is gguf.get_tensor_name_map(arch, 2)
        assert gguf.get_tensor_name_map(arch, 2) is not gguf.get_tensor_name_map(arch, 3)
    assert gguf.GGUFReader is own and gguf.get_tensor_name_map is names
    with parsed_once():
        assert gguf.GGUFReader(file) is not one


def test_an_error_in_the_block_leaves_the_module_as_it_was():
    own = gguf.GGUFReader
    with pytest.raises(ValueError), parsed_once():
        raise ValueError
    assert gguf.GGUFReader is own


def test_blocks_in_several_threads_leave_the_module_as_it_was(file):
    own, found = gguf.GGUFReader, []

    def read():
        for _ in range(20):
            with parsed_once():
                found.append(gguf.GGUFReader(file) is gguf.GGUFReader(file))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gguf.GGUFReader is own and found == [True] * 80


@pytest.mark.slow
def test_the_demo_model_has_the_weights_that_transformers_reads_alone(monkeypatch, demo_engine):
    monkeypatch.setattr(loading, "parsed_once", contextlib.nullcontext)
    model, tokenizer = loading.load_model("demo", dtype="float32")
    own = demo_engine.model.state_dict()
    assert own.keys() == model.state_dict().keys()
    assert all(torch.equal(own[name], weights) for name, weights in model.state_dict().items())
    assert tokenizer.get_vocab() == demo_engine.tokenizer.get_vocab()
