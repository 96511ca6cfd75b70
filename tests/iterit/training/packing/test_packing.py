"""Packing: any picks fit, in as many packs each round; a packed record is trained as it is alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import ParameterError
from iterit.records.instruction_records import Records
from iterit.templates.named_templates import template_for
from iterit.training.packing.pack_plan import plan_packs
from iterit.training.packing.packed_batch import PackedRows, packed_batch
from iterit.training.trainer import IterIT
from iterit.training.training_rows import FILLER, PaddedBatch, TrainingRows
from tests.support.refusals import refused
from tests.support.small_runs import arguments, model_of, picks_of, rows, weights_of
from tests.support.tiny_models import byte_tokenizer, tiny_model

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


def sft_trainer(folder, model, **changes):
    import transformers
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    transformers.set_seed(0)
    settings = SFTConfig(**arguments(folder, **{"bf16": False, "gradient_checkpointing": False, **changes}))
    data = Dataset.from_list([{"text": "replaced by the records"}])
    return SFTTrainer(model, settings, train_dataset=data, processing_class=byte_tokenizer())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(1, 40), st.integers(0, 99))
def test_any_picks_fit_into_the_packs(lengths, n_picks, seed):
    lengths = np.array(lengths)
    n_picks = min(n_picks, len(lengths))
    plan = plan_packs(lengths, n_picks, 20)
    picked = np.random.default_rng(seed).permutation(len(lengths))[:n_picks]
    packs = plan.packs(picked, lengths, seed, 1)
    assert len(packs) == plan.n_packs
    assert sorted(row for pack in packs for row in pack) == sorted(picked.tolist())
    assert all(pack and lengths[list(pack)].sum() <= 20 for pack in packs)
    longest = np.sort(lengths)[::-1][:n_picks]
    assert plan.n_packs <= max(2 * longest.sum() // 20 + 1, 1)  # at most one pack is half empty
    assert packs == plan.packs(np.sort(picked), lengths, seed, 1)


def test_packs_are_shuffled_by_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(1, 9, 100)
    plan = plan_packs(lengths, 50, 16)
    made = {tuple(plan.packs(np.arange(50), lengths, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(made) == 4


@pytest.mark.parametrize("name", ["qwen2", "llama", "gpt2"])
def test_loss_and_gradients_of_a_pack_are_those_of_its_records(name):
    model = tiny_model(name, byte_tokenizer()).train(False)
    encoded = template_for(byte_tokenizer()).encode_all(Records.from_rows(rows()))
    packed = packed_batch(
        [PackedRows(encoded)[(3, 8, 1)], PackedRows(encoded)[FILLER], PackedRows(encoded)[(5,)]]
    )
    padded = PaddedBatch(0)([TrainingRows(encoded)[row] for row in (3, 8, 1, 5)])
    found = []
    for batch in (packed, padded):
        model.zero_grad()
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        found.append(
            [loss.detach(), *(one.grad.clone() for one in model.parameters() if one.grad is not None)]
        )
    assert (packed["labels"] != -100).sum() == (padded["labels"] != -100).sum()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_an_sft_trainer_packs_the_picks_of_each_round(tmp_path):
    torch.set_num_threads(1)
    runs = []
    for packing in (True, False):
        trainer = sft_trainer(
            tmp_path / str(packing), model_of("qwen2"), packing=packing, max_length=512, save_strategy="no",
            per_device_train_batch_size=100, gradient_accumulation_steps=1, max_grad_norm=1.0,
        )  # fmt: skip
        rounds = IterIT(rows(), 0.25, show_progress=False)
        rounds.attach(trainer)
        trainer.train()
        runs.append((trainer, rounds))
    (packed, one), (plain, other) = runs
    assert packed.state.global_step == plain.state.global_step == 3  # a step takes all packs of a round
    assert picks_of(one) == picks_of(other)
    for a, b in zip(weights_of(packed), weights_of(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-4)


def test_the_schedule_is_that_of_the_packs_and_a_run_resumes(tmp_path):
    torch.set_num_threads(1)
    changes = {"packing": True, "max_length": 512, "per_device_train_batch_size": 1, "save_steps": 1}
    trainer = sft_trainer(tmp_path / "whole", model_of("qwen2"), **changes, gradient_accumulation_steps=1)
    rounds = IterIT(rows(), 0.25, show_progress=False)
    rounds.attach(trainer)
    n_packs = rounds.rounds.packing.n_packs
    assert 1 < n_packs < 10
    trainer.train()
    assert trainer.state.global_step == 3 * n_packs
    assert rounds.rounds.facts["packs_per_round"] == n_packs
    again = sft_trainer(tmp_path / "again", model_of("qwen2"), **changes, gradient_accumulation_steps=1)
    resumed = IterIT(rows(), 0.25, show_progress=False)
    resumed.attach(again)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{n_packs + 1}"))
    assert picks_of(resumed) == picks_of(rounds)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(again), weights_of(trainer), strict=True))


def test_steps_must_be_whole_rounds_of_packs(tmp_path):
    changes = {"packing": True, "max_length": 512, "gradient_accumulation_steps": 1, "save_strategy": "no"}
    trainer = sft_trainer(
        tmp_path, model_of("qwen2"), **changes, per_device_train_batch_size=1, max_steps=101
    )
    with refused(ParameterError, parameter="max_steps", received=101):
        IterIT(rows(), 0.25, show_progress=False).attach(trainer)


@pytest.mark.parametrize("name", ["bloom", "mamba"])
def test_a_model_that_shows_packed_records_to_each_other_is_refused(tmp_path, name):
    changes = {"packing": True, "max_length": 512, "save_strategy": "no"}
    trainer = sft_trainer(tmp_path, tiny_model(name, byte_tokenizer()), **changes)
    with refused(ParameterError, parameter="packing", received=True, fix=str):
        IterIT(rows(), 0.25, show_progress=False).attach(trainer)
