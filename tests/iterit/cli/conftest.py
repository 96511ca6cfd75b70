"""Fixtures of the tests of iterit's commands."""

import json
from pathlib import Path

import pytest

from tests.support.small_runs import rows
from tests.support.tiny_models import byte_tokenizer, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory, one_thread):
    """A tiny random model in a folder, as any user's model is."""
    path = tmp_path_factory.mktemp("model")
    tiny_model("qwen2").save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with records in it."""
    monkeypatch.chdir(tmp_path)
    Path("your.jsonl").write_text("\n".join(map(json.dumps, rows())))
    return tmp_path
