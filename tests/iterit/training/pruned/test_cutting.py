"""Rules, cuts and folders: against the whole model with zeros, and byte for byte where nothing is pruned."""

import copy
import json

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import ModelError, ParameterError
from iterit.training.pruned.cutting import cut_model, load_causal_model, load_pruned
from iterit.training.pruned.kept_parts import KeptParts, n_kept
from iterit.training.pruned.llama_parts import sizes_of
from iterit.training.pruned.prune_settings import PruneSettings
from iterit.training.pruned.pruned_manifest import read_manifest, weights_fingerprint
from iterit.training.pruned.pruning_rules import (
    Importance,
    activation_rule,
    choose_parts,
    random_rule,
    weight_rule,
)
from tests.support.pruned_models import (
    logits_of,
    some_parts,
    whole_model,
    with_random_adapter,
    write_pruned,
    zeroed,
)
from tests.support.refusals import refused
from tests.support.tiny_models import tiny_model

MIDDLE = {"keep_first": 1, "keep_last": 1}
TEXTS = [[5, 6, 7, 8, 9], [20, 21], []]


def weights_in(layer):
    gated, attention = layer.mlp, layer.self_attn
    return gated.gate_proj.weight, gated.up_proj.weight, gated.down_proj.weight, attention


@pytest.mark.parametrize("whole_first", [True, False])
def test_a_pruned_model_is_the_whole_one_with_zeros(whole_first, tmp_path):
    model = whole_model()
    whole, kept = copy.deepcopy(model), some_parts(sizes_of(model.config), whole_first)
    write_pruned(tmp_path, model, kept)
    small = load_pruned(tmp_path / "small")
    assert type(small) is transformers.LlamaForCausalLM
    torch.testing.assert_close(logits_of(small), logits_of(zeroed(whole, kept)), rtol=0, atol=1e-5)
    assert torch.equal(logits_of(small), logits_of(model.eval()))
    assert torch.equal(logits_of(copy.deepcopy(small)), logits_of(small))


def test_where_all_layers_are_alike_transformers_loads_the_folder_by_itself(tmp_path):
    model = whole_model()
    write_pruned(tmp_path, model, some_parts(sizes_of(model.config), whole_first=False))
    found = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    assert torch.equal(logits_of(found), logits_of(load_pruned(tmp_path / "small")))
    assert (found.config.num_attention_heads, found.config.num_key_value_heads) == (2, 1)
    assert sum(one.numel() for one in found.parameters()) < sum(
        one.numel() for one in whole_model().parameters()
    )


def test_where_they_differ_it_refuses_and_never_loads_something_else(tmp_path):
    model = whole_model()
    write_pruned(tmp_path, model, some_parts(sizes_of(model.config)))
    with pytest.raises(RuntimeError, match="mismatched"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    assert load_causal_model(tmp_path / "small", torch.bfloat16).dtype == torch.bfloat16
    assert load_causal_model(tmp_path / "base", torch.float32).dtype == torch.float32


@pytest.mark.parametrize("tied", [True, False])
def test_nothing_pruned_gives_the_same_bytes(tied, tmp_path):
    model = whole_model(tie_word_embeddings=tied)
    kept = choose_parts(model, weight_rule, PruneSettings(share=0.0, **MIDDLE))
    write_pruned(tmp_path, model, tuple(kept))
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "small" / name).read_bytes() == (tmp_path / "base" / name).read_bytes()


def test_weights_are_squared_sums_over_what_a_part_consists_of():
    """Neuron by neuron and head by head, in plain loops."""
    model = whole_model().requires_grad_(False)
    kept = choose_parts(model, weight_rule, PruneSettings(share=0.5, **MIDDLE))
    gate, up, down, attention = weights_in(model.model.layers[1])
    sizes = [sum(float((w**2).sum()) for w in (gate[n], up[n], down[:, n])) for n in range(48)]
    best = sorted(sorted(range(48), key=lambda n: -sizes[n])[:24])
    assert list(kept[1].neurons) == best
    heads = []
    for head in range(2):
        total = sum(
            float((module.weight[head * 8 : head * 8 + 8] ** 2).sum())
            for module in (attention.k_proj, attention.v_proj)
        )
        rows = slice(head * 16, head * 16 + 16)
        total += float((attention.q_proj.weight[rows] ** 2).sum())
        heads.append(total + float((attention.o_proj.weight[:, rows] ** 2).sum()))
    assert kept[1].heads == (int(np.argmax(heads)),)
    assert [len(one.neurons) for one in kept] == [48, 24, 48]


def test_activations_are_what_each_part_adds_on_the_texts():
    """Against hidden states taken apart text by text, neuron by neuron."""
    model = whole_model().requires_grad_(False)
    rule = activation_rule(model, TEXTS)
    kept = choose_parts(model, rule, PruneSettings(share=0.75, head_share=0.5, **MIDDLE))
    layer, total, heads = model.model.layers[1], np.zeros(48), np.zeros(2)
    seen = {}
    handles = [
        module.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0][0]}))
        for name, module in (("down", layer.mlp.down_proj), ("o", layer.self_attn.o_proj))
    ]
    with torch.no_grad():
        for text in TEXTS[:2]:
            model(torch.tensor([text]))
            for token in range(len(text)):
                for neuron in range(48):
                    total[neuron] += float(
                        (seen["down"][token, neuron] * layer.mlp.down_proj.weight[:, neuron]).square().sum()
                    )
                for place in range(32):
                    added = seen["o"][token, place] * layer.self_attn.o_proj.weight[:, place]
                    heads[place // 16] += float(added.square().sum())
    for handle in handles:
        handle.remove()
    assert list(kept[1].neurons) == sorted(np.argsort(-total, kind="stable")[:12].tolist())
    assert kept[1].heads == (int(np.argmax(heads)),)
    assert not any(module._forward_pre_hooks for module in model.modules())
    with refused(ParameterError, parameter="texts"):
        activation_rule(model, [[]])


def test_a_seed_draws_the_same_parts_and_another_seed_others():
    model = whole_model()
    drawn = [choose_parts(model, random_rule(seed), PruneSettings(share=0.5, **MIDDLE)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    more = choose_parts(model, random_rule(0), PruneSettings(share=0.5, keep_first=0, keep_last=0))
    assert more[1] == drawn[0][1]
    assert more[0] != more[1]


def test_a_function_of_the_users_own_is_a_rule():
    def first_neurons(layer):
        return Importance(-np.arange(layer.sizes.neurons), [layer.number, 0])

    kept = choose_parts(whole_model(), first_neurons, PruneSettings(share=0.75, head_share=0.5, **MIDDLE))
    assert kept[1] == KeptParts(tuple(range(12)), (0,))


@pytest.mark.parametrize(
    "returned",
    [None, ([1.0],), ([1.0] * 47, [1.0, 2.0]), ([np.nan] * 48, [1.0, 2.0]), (["a"] * 48, [1.0, 2.0])],
)
def test_a_rule_that_returns_something_else_is_refused(returned):
    with refused(ParameterError, parameter="rule"):
        choose_parts(whole_model(), lambda layer: returned, PruneSettings(share=0.5, **MIDDLE))


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_the_number_kept_is_the_nearest_and_never_none(total, share):
    found = n_kept(total, share)
    assert 1 <= found <= total
    assert found == 1 or abs(found - total * (1 - share)) <= 0.5 + 1e-6


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.data())
def test_the_most_important_are_kept_and_the_first_of_equal_ones(importance, data):
    count = data.draw(st.integers(1, len(importance)))
    kept = KeptParts.highest(importance, [0.0], count, 1).neurons
    expected = sorted(range(len(importance)), key=lambda n: (-importance[n], n))[:count]
    assert list(kept) == sorted(expected)


def test_layers_that_are_all_whole_are_refused():
    with refused(ParameterError, parameter="keep_first", received=2):
        choose_parts(whole_model(), weight_rule, PruneSettings(share=0.5, keep_first=2, keep_last=1))
    with refused(ParameterError, parameter="share", received=1.0):
        PruneSettings(share=1.0)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "phi"])
def test_other_kinds_are_refused_and_the_kinds_that_can_be_pruned_named(name):
    with refused(ModelError, parameter="model", received=name, mentions=("llama", "qwen2", "mistral")):
        choose_parts(tiny_model(name), weight_rule, PruneSettings())


def test_a_model_with_an_adapter_and_a_pruned_one_are_refused():
    adapted = with_random_adapter(whole_model(), target_modules=["q_proj"])
    with refused(ModelError, parameter="model", received="Linear"):
        choose_parts(adapted.base_model.model, weight_rule, PruneSettings(**MIDDLE))
    model = whole_model()
    cut_model(model, some_parts(sizes_of(model.config)))
    with refused(ModelError, parameter="model", received=(16, 32)):
        choose_parts(model, weight_rule, PruneSettings(**MIDDLE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pruned")
    model = whole_model()
    write_pruned(path, model, some_parts(sizes_of(model.config)))
    return path


def test_a_manifest_is_read_as_it_was_written(folder):
    manifest = read_manifest(folder / "small")
    assert manifest.kept == some_parts(manifest.sizes)
    assert manifest.fingerprint == weights_fingerprint(folder / "base")
    assert weights_fingerprint(folder / "small") != manifest.fingerprint


def changed(folder, tmp_path, change):
    """A copy of the manifest, changed as JSON, with a digest that fits."""
    from iterit.training.pruned import pruned_manifest

    content = json.loads((folder / "small" / "pruned.json").read_text())
    content.pop("digest")
    change(content)
    content["digest"] = pruned_manifest._digest(content)
    (tmp_path / "pruned.json").write_text(json.dumps(content))
    return tmp_path


CHANGES = {
    "a later version": lambda content: content.update(version=2),
    "a layer too few": lambda content: content["kept"].pop(),
    "a neuron too many": lambda content: content["kept"][1]["neurons"].append(48),
    "not ascending": lambda content: content["kept"][1]["neurons"].reverse(),
    "no head": lambda content: content["kept"][1]["heads"].clear(),
    "a fraction": lambda content: content["kept"][1]["heads"].append(1.5),
    "a size of zero": lambda content: content["sizes"].update(width=0),
    "another size": lambda content: content["sizes"].update(height=1),
    "no base": lambda content: content.pop("base"),
    "kept is not a list": lambda content: content.update(kept=3),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_manifest_that_is_wrong_is_refused(change, folder, tmp_path):
    with refused(ModelError, parameter="pruned", file=str(tmp_path / "pruned.json")):
        read_manifest(changed(folder, tmp_path, change))


@settings(max_examples=20, deadline=None)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_manifest_is_refused_or_means_the_same(folder, tmp_path_factory, place, byte):
    whole = bytearray((folder / "small" / "pruned.json").read_bytes())
    whole[place % len(whole)] = byte
    target = tmp_path_factory.mktemp("damaged")
    (target / "pruned.json").write_bytes(whole)
    try:
        found = read_manifest(target)
    except ModelError as error:
        assert error.parameter == "pruned"
    else:
        assert found == read_manifest(folder / "small")


def test_a_manifest_beside_other_weights_is_refused(folder, tmp_path):
    import shutil

    shutil.copytree(folder / "small", tmp_path / "small")
    shutil.copy(folder / "base" / "model.safetensors", tmp_path / "small")
    with refused(ModelError, parameter="pruned", file=str(tmp_path / "small")):
        load_pruned(tmp_path / "small")
    (tmp_path / "small" / "model.safetensors").write_bytes(b"damaged")
    with refused(ModelError, parameter="pruned"):
        load_pruned(tmp_path / "small")


def test_a_folder_without_a_tensor_is_refused(folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(folder / "small", tmp_path / "small")
    file = tmp_path / "small" / "model.safetensors"
    weights = load_file(file)
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, file, metadata={"format": "pt"})
    with refused(ModelError, parameter="pruned", mentions="model.layers.1.mlp.up_proj.weight"):
        load_pruned(tmp_path / "small")


def test_a_fingerprint_is_of_weights_however_they_are_divided_into_files(tmp_path):
    model = whole_model()
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    assert weights_fingerprint(tmp_path / "one") == weights_fingerprint(tmp_path / "many")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.add_(1e-3)
    model.save_pretrained(tmp_path / "trained")
    assert weights_fingerprint(tmp_path / "trained") != weights_fingerprint(tmp_path / "one")
    (tmp_path / "one" / "model.safetensors").write_bytes(b"damaged")
    with refused(ModelError, parameter="model", file=str(tmp_path / "one" / "model.safetensors")):
        weights_fingerprint(tmp_path / "one")
    (tmp_path / "many" / "model.safetensors.index.json").write_text("[]")
    with refused(ModelError, parameter="model", file=str(tmp_path / "many" / "model.safetensors.index.json")):
        weights_fingerprint(tmp_path / "many")
