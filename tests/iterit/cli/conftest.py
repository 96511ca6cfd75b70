"""Fixtures of the tests of iterit's commands."""

import pytest
import torch

from tests.support.tiny_models import byte_tokenizer, tiny_model


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny random model in a folder, as any user's model is."""
    path = tmp_path_factory.mktemp("model")
    tiny_model("qwen2").save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path
