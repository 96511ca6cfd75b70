"""LoRA adapters by their contents, on files written as PEFT writes them."""

import json
import os

import pytest

from debias.errors import ModelError
from debias.inference.models.adapters import read_adapter
from tests.support.refusals import refused
from tests.support.small_adapter import write_adapter
from tests.support.tiny_models import tiny_model


@pytest.fixture(scope="module")
def config():
    config = tiny_model("qwen2").config
    config.head_dim = config.hidden_size // config.num_attention_heads
    return config


def test_equal_contents_have_equal_names_wherever_they_lie(tmp_path, config):
    one, other = (read_adapter(write_adapter(tmp_path / f"{n}" / "same", config)) for n in (1, 2))
    assert (one.name, one.number, one.rank) == (other.name, other.number, 4)
    assert one.name.startswith("same-") and 1 <= one.number < 2**31
    different = read_adapter(write_adapter(tmp_path / "3" / "same", config, seed=1))
    assert different.name != one.name and different.number != one.number


def test_a_change_of_any_file_makes_another_adapter(tmp_path, config):
    path = write_adapter(tmp_path, config)
    first = read_adapter(path)
    assert first.current() is first
    settings = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 1}))
    second = first.current()
    write_adapter(path, config, seed=1)
    third = second.current()
    assert len({first.digest, second.digest, third.digest}) == 3
    os.utime(path / "adapter_model.safetensors")
    assert third.current().digest == third.digest


def test_the_rank_is_the_largest_that_is_named(tmp_path, config):
    path = write_adapter(tmp_path, config)
    settings = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(settings | {"rank_pattern": {"q_proj": 32}}))
    assert read_adapter(path).rank == 32


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "adapter_config.json"),
        ("{", "adapter_config.json"),
        ('{"peft_type": "IA3"}', "IA3"),
        ('{"peft_type": "LORA", "r": "many"}', "many"),
        ("[]", "adapter_config.json"),
    ],
)
def test_what_is_no_adapter_is_refused(tmp_path, config, content, named):
    path = write_adapter(tmp_path, config)
    if content is None:
        (path / "adapter_config.json").unlink()
    else:
        (path / "adapter_config.json").write_text(content)
    with refused(ModelError, parameter="adapter", file=str(path), mentions=named):
        read_adapter(path)


def test_an_adapter_without_weights_is_refused(tmp_path, config):
    path = write_adapter(tmp_path, config)
    (path / "adapter_model.safetensors").unlink()
    with refused(ModelError, parameter="adapter", file=str(path), mentions="adapter_model.safetensors"):
        read_adapter(path)
