"""Recovered adapters against the referee: the whole model with zeros, changed as the pruned one is."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from debias.errors import ModelError, StorageError
from iterit.training.pruned.adapter_recovery import recover, recovered_weights
from iterit.training.pruned.cutting import load_pruned
from iterit.training.pruned.kept_parts import KeptParts
from iterit.training.pruned.llama_parts import PROJECTIONS, Sizes
from iterit.training.pruned.pruned_manifest import Manifest
from tests.support.pruned_models import (
    logits_of,
    some_parts,
    whole_model,
    with_random_adapter,
    write_pruned,
    zeroed,
)
from tests.support.refusals import refused

KINDS = {
    "grouped heads": ("llama", {}),
    "a head of keys for each query": ("llama", {"num_key_value_heads": 4}),
    "biases everywhere": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "biases of queries, keys and values": ("qwen2", {}),
    "norms in heads": ("qwen3", {}),
    "a window": ("mistral_window", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_model_with_zeros_changes_as_the_pruned_one_does(kind, tmp_path):
    from peft import PeftModel

    name, changes = KINDS[kind]
    model = whole_model(name, **changes)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and module.bias is not None:
                torch.nn.init.normal_(module.bias)
    whole = copy.deepcopy(model)
    manifest = write_pruned(tmp_path, model, some_parts(_sizes(model)))
    adapted = with_random_adapter(load_pruned(tmp_path / "small"))
    adapted.save_pretrained(tmp_path / "adapter")
    recover(tmp_path / "adapter", tmp_path / "recovered", pruned=tmp_path / "small")
    found = PeftModel.from_pretrained(zeroed(whole, manifest.kept), tmp_path / "recovered").eval()
    expected = logits_of(adapted)
    torch.testing.assert_close(logits_of(found), expected, rtol=0, atol=1e-5)
    with found.disable_adapter(), adapted.disable_adapter():
        torch.testing.assert_close(logits_of(found), logits_of(adapted), rtol=0, atol=1e-5)
        assert (logits_of(adapted) - expected).abs().max() > 0.1  # the adapter does something


def test_peft_loads_the_recovered_adapter_on_the_whole_model(tmp_path):
    import transformers
    from peft import AutoPeftModelForCausalLM, PeftModel

    manifest = write_pruned(tmp_path, whole_model(), some_parts(_sizes(whole_model())))
    with_random_adapter(load_pruned(tmp_path / "small")).save_pretrained(tmp_path / "adapter")
    recover(tmp_path / "adapter", tmp_path / "recovered")
    found = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "recovered")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    before = logits_of(base)
    torch.testing.assert_close(
        logits_of(PeftModel.from_pretrained(base, tmp_path / "recovered")), logits_of(found)
    )
    assert (logits_of(found) - before).abs().max() > 0.1
    said = json.loads((tmp_path / "recovered" / "adapter_config.json").read_text())
    trained = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert said.pop("base_model_name_or_path") == manifest.base
    assert trained.pop("base_model_name_or_path") == str(tmp_path / "small")
    assert said == trained
    assert sorted(path.name for path in (tmp_path / "recovered").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_nothing_pruned_leaves_the_adapter_as_it_is(tmp_path):
    model = whole_model()
    sizes = _sizes(model)
    write_pruned(tmp_path, model, (KeptParts.whole(sizes),) * sizes.n_layers)
    with_random_adapter(load_pruned(tmp_path / "small")).save_pretrained(tmp_path / "adapter")
    recover(tmp_path / "adapter", tmp_path / "recovered")
    names = [tmp_path / name / "adapter_model.safetensors" for name in ("adapter", "recovered")]
    before, after = (load_file(name) for name in names)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_products_are_those_of_the_pruned_model_at_what_is_kept_and_zero_elsewhere(data):
    sizes = Sizes(
        n_layers=1,
        hidden=data.draw(st.integers(1, 6)),
        neurons=data.draw(st.integers(1, 7)),
        heads=data.draw(st.integers(1, 3)),
        group=data.draw(st.integers(1, 3)),
        width=data.draw(st.integers(1, 3)),
    )
    kept = KeptParts(
        *(
            tuple(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))))
            for n in (sizes.neurons, sizes.heads)
        )
    )
    source = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    manifest = Manifest("", "", "llama", sizes, (kept,))
    for name, place in PROJECTIONS.items():
        shape = kept.shape(name, sizes)
        path = f"base_model.model.model.layers.0.{place}.{name}.lora_"
        small = {
            f"{path}A.weight": torch.randn(2, shape[1], generator=source),
            f"{path}B.weight": torch.randn(shape[0], 2, generator=source),
        }
        found = recovered_weights(small, manifest)
        product = (found[f"{path}B.weight"] @ found[f"{path}A.weight"]).numpy()
        expected = np.zeros(sizes.shape(name), np.float32)
        rows, columns = kept.outputs(name, sizes), kept.inputs(name, sizes)
        rows = np.arange(sizes.shape(name)[0]) if rows is None else rows
        columns = np.arange(sizes.shape(name)[1]) if columns is None else columns
        expected[np.ix_(rows, columns)] = (small[f"{path}B.weight"] @ small[f"{path}A.weight"]).numpy()
        np.testing.assert_allclose(product, expected, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A pruned model, its base, and an adapter of it."""
    folder = tmp_path_factory.mktemp("pruned")
    model = whole_model()
    write_pruned(folder, model, some_parts(_sizes(model)))
    with_random_adapter(load_pruned(folder / "small")).save_pretrained(folder / "adapter")
    return folder


def test_another_base_is_refused(written, tmp_path):
    whole_model(seed=5).save_pretrained(tmp_path / "other")
    with refused(
        ModelError, parameter="model", received=str(tmp_path / "other"), allowed=str(written / "base")
    ):
        recover(written / "adapter", tmp_path / "out", model=tmp_path / "other")
    with refused(ModelError, parameter="model", received=str(tmp_path / "none")):
        recover(written / "adapter", tmp_path / "out", model=tmp_path / "none")
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_pruned_model_is_refused(written, tmp_path):
    model = whole_model()
    kept = some_parts(_sizes(model))
    other = [kept[0], *[KeptParts(tuple(n - 1 for n in kept[1].neurons), kept[1].heads)] * 2]
    write_pruned(tmp_path, model, tuple(other))  # of the same shapes
    with refused(ModelError, parameter="adapter", received=str(tmp_path / "small")):
        recover(written / "adapter", tmp_path / "out", pruned=tmp_path / "small")
    shutil.copytree(written / "adapter", tmp_path / "moved")
    shutil.copy(written / "small" / "pruned.json", tmp_path / "moved")
    recover(tmp_path / "moved", tmp_path / "out")  # the copy of the manifest is enough
    shutil.copy(tmp_path / "small" / "pruned.json", tmp_path / "moved")
    with refused(ModelError, parameter="adapter"):
        recover(tmp_path / "moved", tmp_path / "out", pruned=written / "small")


def test_an_adapter_with_other_shapes_is_refused(written, tmp_path):
    """One of the whole model."""
    shutil.copytree(written / "adapter", tmp_path / "adapter")
    recover(written / "adapter", tmp_path / "large")
    shutil.copy(tmp_path / "large" / "adapter_model.safetensors", tmp_path / "adapter")
    with refused(ModelError, parameter="adapter", file=str(tmp_path / "adapter"), allowed=str):
        recover(tmp_path / "adapter", tmp_path / "out")


def edited(written, tmp_path, change=None, **named):
    """A copy of the adapter with other settings or weights."""
    folder = tmp_path / "edited"
    shutil.copytree(written / "adapter", folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | named))
    if change is not None:
        weights = load_file(folder / "adapter_model.safetensors")
        save_file(change(weights), folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [("use_dora", True), ("bias", "all"), ("init_lora_weights", "pissa"), ("modules_to_save", ["norm"])],
)
def test_an_adapter_that_is_more_than_products_is_refused(name, value, written, tmp_path):
    folder = edited(written, tmp_path, **{name: value})
    with refused(ModelError, parameter="adapter", received=value, file=str(folder / "adapter_config.json")):
        recover(folder, tmp_path / "out")


LAYER = "base_model.model.model.layers.{}.mlp.up_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "received"),
    [
        (lambda weights: {}, str),
        (lambda weights: weights | {"base_model.model.model.norm.lora_A.weight": torch.ones(1, 1)}, str),
        (lambda weights: weights | {LAYER.format(9): torch.ones(4, 32)}, str),
        (lambda weights: weights | {LAYER.format(1): torch.ones(4, 31)}, (4, 31)),
        (lambda weights: weights | {LAYER.format(1): torch.ones(32)}, (32,)),
    ],
)
def test_weights_that_cannot_be_recovered_are_refused(change, received, written, tmp_path):
    folder = edited(written, tmp_path, change)
    with refused(ModelError, parameter="adapter", received=received, file=str(folder)):
        recover(folder, tmp_path / "out")


def test_what_is_outside_the_layers_is_copied(written, tmp_path):
    name = "base_model.model.lm_head.lora_A.weight"
    folder = edited(written, tmp_path, lambda weights: weights | {name: torch.ones(4, 32)})
    recover(folder, tmp_path / "out")
    assert torch.equal(load_file(tmp_path / "out" / "adapter_model.safetensors")[name], torch.ones(4, 32))


def test_a_damaged_adapter_and_one_that_names_no_model_are_refused(written, tmp_path):
    folder = edited(written, tmp_path, base_model_name_or_path=str(tmp_path / "gone"))
    with refused(ModelError, parameter="pruned", received=str(tmp_path / "gone")):
        recover(folder, tmp_path / "out")
    (folder / "adapter_model.safetensors").write_bytes(b"damaged")
    with refused(ModelError, parameter="adapter", file=str(folder / "adapter_model.safetensors")):
        recover(folder, tmp_path / "out", pruned=written / "small")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")  # it is never unpickled
    with refused(ModelError, parameter="adapter"):
        recover(folder, tmp_path / "out", pruned=written / "small")


def test_a_folder_that_cannot_be_written_is_refused(written, tmp_path):
    (tmp_path / "file").write_text("")
    with refused(StorageError, parameter="out"):
        recover(written / "adapter", tmp_path / "file" / "out")


def _sizes(model):
    from iterit.training.pruned.llama_parts import sizes_of

    return sizes_of(model.config)
