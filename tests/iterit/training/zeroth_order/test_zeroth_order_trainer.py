"""Forward-only training in real trainers and in rounds, against moved copies of the model."""

import copy

import numpy as np
import pytest
import torch
import transformers

from debias.errors import ParameterError, ResumeError
from debias.inference.zeroth_order.forward_training import seed_of_step
from debias.inference.zeroth_order.run_log import read_run
from debias.inference.zeroth_order.trained_part import TrainedPart, weights_digest
from iterit.reports.rounds_report import RoundsReport
from iterit.training.saving.whole_checkpoints import last_whole_checkpoint
from iterit.training.training_rows import PaddedBatch
from iterit.training.zeroth_order.step_trail import RUN_FILE
from iterit.training.zeroth_order.zeroth_order_trainer import ZerothOrderTrainer
from tests.support.refusals import refused
from tests.support.small_runs import arguments, model_of, rounds_in
from tests.support.tiny_models import byte_tokenizer

EPSILON = 0.01
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


def examples(n=8):
    random = np.random.default_rng(0)
    found = []
    for _ in range(n):
        tokens = random.integers(1, 300, size=random.integers(4, 12)).tolist()
        first = int(random.integers(1, len(tokens)))
        labels = [-100] * first + tokens[first:]
        found.append({"input_ids": tokens, "attention_mask": [1] * len(tokens), "labels": labels})
    return found


def trainer_of(folder, model=None, kind=ZerothOrderTrainer, sparsity=0.5, **changes):
    transformers.set_seed(0)
    given = {"num_train_epochs": 2, "learning_rate": 1e-3, "per_device_train_batch_size": 2} | changes
    return kind(
        model or model_of("llama"),
        transformers.TrainingArguments(**arguments(folder, **given)),
        data_collator=PaddedBatch(0),
        train_dataset=examples(),
        eval_dataset=examples(2),
        processing_class=byte_tokenizer(),
        epsilon=EPSILON,
        sparsity=sparsity,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Four steps of two batches, each with a checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    seen = []
    trainer = trainer_of(folder)
    inner = trainer.data_collator
    trainer.data_collator = lambda rows: seen.append(rows) or inner(rows)
    trainer.train()
    return folder, trainer, seen


def naive_loss(model, batches):
    """Mean cross-entropy over the answer tokens of all batches, one record at a time, whole logits."""
    losses = []
    with torch.no_grad():
        for one in (one for batch in batches for one in batch):
            ids = torch.tensor([one["input_ids"]])
            table = torch.log_softmax(model.eval()(input_ids=ids).logits[0].double(), -1)
            losses += [
                -table[i - 1, token].item() for i, token in enumerate(one["labels"]) if i and token != -100
            ]
    return np.mean(losses)


def test_steps_are_those_of_moved_copies(whole):
    _, trainer, seen = whole
    steps, model = trainer.training.log.steps, model_of("llama")
    part = TrainedPart.of(model, 0.5)
    assert len(steps) == 4
    for number, step in enumerate(steps):
        both = []
        for scale in (-EPSILON, EPSILON):
            moved = copy.deepcopy(model)
            TrainedPart(dict(moved.named_parameters()), part.thresholds, frozenset()).step(
                step.seed, scale, 1.0
            )
            both.append(naive_loss(moved, seen[2 * number : 2 * number + 2]))
        assert step.seed == seed_of_step(0, number)
        assert step.projected == pytest.approx((both[0] - both[1]) / (2 * EPSILON), abs=2e-3)
        part.step(step.seed, step.projected, step.rate)
    assert weights_digest(model) == weights_digest(trainer.model)


def test_a_checkpoint_is_the_list_of_steps(whole):
    folder, trainer, _ = whole
    assert (folder / RUN_FILE).read_bytes() == (folder / "checkpoint-4" / RUN_FILE).read_bytes()
    for number in (1, 4):
        assert not [*(folder / f"checkpoint-{number}").glob("*.safetensors")]
        assert (
            read_run(folder / f"checkpoint-{number}" / RUN_FILE).steps == trainer.training.log.steps[:number]
        )
    trainer.save_model(str(folder / "model"))
    assert (folder / "model" / "model.safetensors").exists()


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_resumes_at_a_step_as_if_it_had_never_stopped(whole, tmp_path, step):
    folder, trainer, _ = whole
    again = trainer_of(tmp_path)
    again.train(resume_from_checkpoint=str(folder / f"checkpoint-{step}"))
    assert (tmp_path / RUN_FILE).read_bytes() == (folder / RUN_FILE).read_bytes()
    assert weights_digest(again.model) == weights_digest(trainer.model)


def test_a_checkpoint_of_another_model_is_refused(whole, tmp_path):
    folder, _, _ = whole
    other = model_of("llama")
    other.model.norm.weight.data += 1
    with refused(ResumeError, parameter="model"):
        trainer_of(tmp_path, other).train(resume_from_checkpoint=str(folder / "checkpoint-1"))
    with refused(ResumeError, parameter="epsilon"):
        trainer = trainer_of(tmp_path)
        trainer.training.log.header = trainer.training.log.header.__class__(
            **(vars(trainer.training.log.header) | {"epsilon": 1.0})
        )
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-1"))
    (tmp_path / "checkpoint-1").mkdir()
    with refused(ResumeError, parameter="resume_from_checkpoint"):
        trainer_of(tmp_path)._load_from_checkpoint(str(tmp_path / "checkpoint-1"))


def test_a_loss_of_another_kind_is_the_trainers_own(tmp_path):
    """With label smoothing, the model is called as the Trainer calls it."""
    trainer = trainer_of(tmp_path, label_smoothing_factor=0.1, max_steps=1, gradient_accumulation_steps=1)
    trainer.train()
    (step,) = trainer.training.log.steps
    assert np.isfinite(step.projected) and step.projected != 0


class Stop(transformers.TrainerCallback):
    """Interrupts a run when a checkpoint is written."""

    def __init__(self, at):
        self.at = at

    def on_save(self, args, state, control, **more):
        if state.global_step == self.at:
            raise KeyboardInterrupt


def run_rounds(folder, n_rounds, stop=None):
    model = model_of("llama", lora=True)
    trainer = trainer_of(folder, model, num_train_epochs=n_rounds, per_device_train_batch_size=3)
    rounds = rounds_in(trainer)
    if stop is not None:
        trainer.add_callback(Stop(stop))
    newest = last_whole_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    return trainer, rounds


def test_rounds_train_an_adapter_without_gradients(tmp_path):
    trainer, rounds = run_rounds(tmp_path, 1)
    assert (
        len(trainer.training.log.steps)
        == 2
        == len(read_run(last_whole_checkpoint(tmp_path) / RUN_FILE).steps)
    )
    assert len(rounds.rounds.state.picks) == 10
    assert all(one.grad is None for one in trainer.model.parameters())
    report = RoundsReport.from_folder(tmp_path)
    assert report.steps["n_steps"].tolist() == [2]
    said = report.to_html()
    assert "Steps without gradients" in said and "share_not_touched" in said
    assert {name for name in trainer.training.running.part.parameters if "lora" not in name} == set()


@pytest.mark.slow
def test_rounds_resume_as_if_they_had_never_stopped(tmp_path):
    expected, rounds = run_rounds(tmp_path / "whole", 2)
    with pytest.raises(KeyboardInterrupt):
        run_rounds(tmp_path / "stopped", 2, stop=3)
    resumed, again = run_rounds(tmp_path / "stopped", 2)
    assert weights_digest(resumed.model) == weights_digest(expected.model)
    assert rounds.rounds.state.picks.equals(again.rounds.state.picks)


def test_what_cannot_be_trained_is_refused(tmp_path):
    with refused(ParameterError, parameter="dtype", received="bfloat16"):
        trainer_of(tmp_path, model_of("llama").to(torch.bfloat16))
    with refused(ParameterError, parameter="sparsity", mentions="NOT touched"):
        trainer_of(tmp_path, sparsity=1.0)
    with refused(ParameterError, parameter="load_best_model_at_end"):
        trainer_of(tmp_path, load_best_model_at_end=True, eval_strategy="steps", eval_steps=1)
