"""Parts of a training run: settings, adapters, random states, processes that fail."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.utils import import_utils

from debias.errors import MissingDependencyError, ModelError, ParameterError
from debias.inference.models.new_adapter import with_adapter
from iterit.training.distributed import everywhere, in_first
from iterit.training.rescoring import adapter_folder, model_to_score, refuse_scattered, unchanged_randomness
from iterit.training.scoring_copy import rounded, scoring_copy
from iterit.training.setup.trainer_setup import check_precision, make_trainer, trainable_folder
from iterit.training.setup.training_settings import TrainingSettings
from iterit.training.training_rows import PaddedBatch, RoundSampler, pad_token_of
from tests.support.refusals import refused
from tests.support.small_runs import model_of
from tests.support.tiny_models import byte_tokenizer


@pytest.mark.parametrize(
    ("parameter", "value"), [("batch_size", 0), ("lora_rank", -1), ("warmup_share", 1.0), ("rounds", 1.5)]
)
def test_settings_that_are_not_allowed(parameter, value):
    with refused(ParameterError, parameter=parameter, received=value):
        TrainingSettings(**{parameter: value})


def test_an_adapter_changes_nothing_before_it_is_trained():
    tokens = torch.tensor([[1, 2, 3, 4]])
    plain, adapted = model_of("qwen2").eval(), with_adapter(model_of("qwen2"), 4).eval()
    with torch.no_grad():
        torch.testing.assert_close(plain(tokens).logits, adapted(tokens).logits)
    trained = [name for name, one in adapted.named_parameters() if one.requires_grad]
    assert trained and all("lora_" in name for name in trained)


@pytest.mark.parametrize(("lora", "below"), [(True, torch.bfloat16), (False, torch.float32)])
def test_what_is_trained_in_mixed_precision_stays_in_float32(tmp_path, lora, below):
    model_of("qwen2").save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    settings = TrainingSettings(bf16=True, lora=lora, device="cpu")
    model = make_trainer(tmp_path, tmp_path / "run", settings).model
    trained = {one.dtype for one in model.parameters() if one.requires_grad}
    kept = {one.dtype for name, one in model.named_parameters() if "lora_" not in name}
    assert trained == {torch.float32}
    assert kept == {below}


@pytest.mark.parametrize("able", [True, False])
def test_mixed_precision_is_the_default_of_adapters_where_the_device_computes_in_it(monkeypatch, able):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able}, raising=False)
    assert TrainingSettings(device="cpu").mixed_precision is able
    assert TrainingSettings(device="cpu", bf16=True).mixed_precision
    for others in ({"lora": False}, {"optimizer": "mezo"}, {"bf16": False}):
        assert not TrainingSettings(device="cpu", **others).mixed_precision


@pytest.mark.parametrize("has_accelerator", [True, False])
def test_an_accelerator_without_bfloat16_is_refused_mixed_precision(monkeypatch, has_accelerator):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_accelerator)
    monkeypatch.setattr(import_utils, "is_torch_bf16_gpu_available", lambda: False)
    check_precision(TrainingSettings())
    check_precision(TrainingSettings(bf16=True, device="cpu"))
    if has_accelerator:
        with refused(ParameterError, parameter="bf16", received=True):
            check_precision(TrainingSettings(bf16=True))
    else:
        check_precision(TrainingSettings(bf16=True))


def test_a_gpu_that_emulates_bfloat16_trains_in_float32_by_default(monkeypatch):
    for place in (torch.cuda, torch.accelerator):
        monkeypatch.setattr(place, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(import_utils, "is_torch_bf16_gpu_available", lambda: True)
    assert not TrainingSettings().mixed_precision
    check_precision(TrainingSettings(bf16=True))  # it can, and was asked to


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:7", "xpu"])
def test_a_device_that_a_trainer_would_not_take_is_refused(tmp_path, device):
    with refused(ParameterError, parameter="device", received=device):
        make_trainer("no-model", tmp_path, TrainingSettings(device=device))


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with refused(MissingDependencyError, received="peft", mentions="debias-iterit[train]"):
        with_adapter(model_of("qwen2"), 4)


def test_a_model_that_is_not_there_is_refused(tmp_path):
    assert trainable_folder("some/model", tmp_path) == "some/model"
    with refused(ModelError, parameter="model", received=str(tmp_path / "none")):
        make_trainer(tmp_path / "none", tmp_path, TrainingSettings())


def test_scoring_leaves_random_states_and_modes_as_they_were():
    model = model_of()
    model.train()
    model.transformer.h[0].eval()  # a part that the user froze
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    with unchanged_randomness(), model_to_score(model) as scoring:
        assert scoring is model
        scoring.eval()
        _ = random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
    drawn = (random.random(), float(np.random.rand()), float(torch.rand(1)))  # noqa: NPY002
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    assert drawn == (random.random(), float(np.random.rand()), float(torch.rand(1)))  # noqa: NPY002
    assert model.training and not model.transformer.h[0].training and model.transformer.h[1].training


def test_a_copy_keeps_what_is_smaller_than_a_step_of_its_format():
    torch.manual_seed(0)
    plain = torch.randn(200, 500).bfloat16().float()
    change = 0.1 * 2.0**-8 * plain.abs()  # a tenth of half a step at most, of a checkpoint in bfloat16
    assert torch.equal((plain + change).bfloat16().float(), plain)  # to nearest, nothing is left of it
    found = rounded(plain + change, torch.bfloat16).float()
    assert float((found - plain).sum() / change.sum()) == pytest.approx(1, rel=0.05)
    again = rounded(plain + 2 * change, torch.bfloat16).float()
    assert (again >= found).all() and (again > found).any()  # the same draws: no weight goes back
    assert torch.equal(rounded(plain, torch.bfloat16).float(), plain)
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 3.4e38, -3.4e38, 0.0, 1e-45])
    assert rounded(odd, torch.bfloat16).isfinite().tolist() == odd.bfloat16().isfinite().tolist()
    assert torch.equal(rounded(plain + change, torch.float16), (plain + change).half())


def test_a_copy_has_its_adapter_merged_and_keeps_its_positions():
    model = model_of("qwen2", lora=True).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6]])
    with torch.no_grad():
        exact = model(tokens).logits
        torch.testing.assert_close(scoring_copy(model, torch.float32)(tokens).logits, exact)
        for parameter in model.base_model.model.parameters():  # as training in mixed precision keeps it
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16().float().bfloat16()
        copied = scoring_copy(model, torch.bfloat16)
    assert not any("lora" in name for name, _ in copied.named_parameters())
    assert {one.dtype for one in copied.parameters()} == {torch.bfloat16}
    own, kept = (dict(one.named_buffers()) for one in (model.base_model.model, copied))
    positions = [name for name in kept if name.endswith("inv_freq")]
    assert positions
    for name in positions:
        assert torch.equal(own[name], kept[name])


@pytest.mark.filterwarnings("ignore:Could not find a config file")  # earlier releases of peft look for one
def test_an_engine_is_given_an_adapter_or_nothing(tmp_path):
    with adapter_folder(model_of("qwen2", lora=True)) as folder:
        assert (folder / "adapter_config.json").exists()
    assert not folder.exists()
    with refused(ParameterError, parameter="engine"), adapter_folder(model_of()):
        pass


@pytest.mark.parametrize(("kind", "fsdp"), [("FSDP", True), ("DeepSpeed", False)])
def test_weights_in_parts_are_refused(kind, fsdp):
    trainer = SimpleNamespace(is_fsdp_enabled=fsdp, is_deepspeed_enabled=not fsdp)
    with refused(ParameterError, parameter="trainer", received=kind):
        refuse_scattered(trainer)


@pytest.mark.parametrize("share", [everywhere, in_first])
def test_an_error_in_a_process_is_raised(share):
    def fail():
        raise ModelError(parameter="model", received="none")

    with refused(ModelError, parameter="model", received="none"):
        share(fail)


def test_filling_up_and_padding():
    sampler = RoundSampler(5)
    sampler.rows = np.array([3, 1, 4, 0, 2])
    assert list(sampler) == [3, 1, 4, 0, 2] and len(sampler) == 5
    sampler.multiple = 4
    assert list(sampler) == [3, 1, 4, 0, 2, -1, -1, -1] and len(sampler) == 8
    short = {"input_ids": [1], "attention_mask": [1], "labels": [1]}
    batch = PaddedBatch(9)([short, {"input_ids": [2, 3], "attention_mask": [1, 1], "labels": [-100, 3]}])
    assert batch["input_ids"].tolist() == [[1, 9], [2, 3]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch["labels"].tolist() == [[1, -100], [-100, 3]]
    assert pad_token_of(SimpleNamespace(pad_token_id=320, eos_token_id=7), 320) == 7
    assert pad_token_of(SimpleNamespace(pad_token_id=3, eos_token_id=7), 320) == 3
    assert pad_token_of(SimpleNamespace(), 320) == 0
