"""No round trains at the learning rate 0 without a word: neither at first, nor where rounds are added."""

import warnings

import pytest
import torch
import transformers

from iterit.training.own_trainers.learning_rates import planned_rates, rounds_at_rate_0, take_schedule
from tests.support.small_runs import model_of, rounds_in, trainer_of, weights_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
ONE_STEP = {"per_device_train_batch_size": 10, "gradient_accumulation_steps": 1, "num_train_epochs": 2}


class Rates(transformers.TrainerCallback):
    """Keeps the rate of every step."""

    def __init__(self):
        self.found = []

    def on_pre_optimizer_step(self, args, state, control, **more):
        self.found.append(more["optimizer"].param_groups[0]["lr"])


def rates_of(trainer, **how):
    rates = Rates()
    trainer.add_callback(rates)
    trainer.train(**how)
    return rates.found


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial", "inverse_sqrt"])
@pytest.mark.parametrize("warmup", [0, 0.1])
def test_added_rounds_train_at_the_rates_of_the_longer_run(tmp_path, schedule, warmup):
    how = {"lr_scheduler_type": schedule, "warmup_steps": warmup, "save_strategy": "epoch"}
    first = trainer_of(tmp_path, model_of(), num_train_epochs=2, **how)
    rounds_in(first)
    first.train()
    longer = trainer_of(tmp_path, model_of(), num_train_epochs=4, **how)
    rounds_in(longer)
    before = weights_of(first)
    added = rates_of(longer, resume_from_checkpoint=True)
    assert len(added) == 4
    assert min(added) > 0
    assert not all(torch.equal(a, b) for a, b in zip(before, weights_of(longer), strict=True))
    whole = trainer_of(tmp_path / "whole", model_of(), num_train_epochs=4, **how | {"save_strategy": "no"})
    rounds_in(whole)
    assert added == pytest.approx(rates_of(whole)[4:])


def schedule_from_0(optimizer):
    return transformers.get_linear_schedule_with_warmup(optimizer, 2, 10)


def steps_down(optimizer):
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1], gamma=0.0)


@pytest.mark.parametrize(("make", "number"), [(schedule_from_0, "0"), (steps_down, "1")])
def test_a_schedule_of_a_users_own_that_stands_still_is_said_before_training(tmp_path, make, number):
    trainer = trainer_of(tmp_path, model_of("qwen2"), save_strategy="no", **ONE_STEP)
    trainer.optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=1e-3)
    trainer.lr_scheduler = make(trainer.optimizer)
    rounds_in(trainer)
    with pytest.warns(UserWarning, match=f"rate is 0 in every step of round {number}:"):
        rates = rates_of(trainer)
    assert [rate == 0 for rate in rates] == [number == "0", number == "1"]


@pytest.mark.parametrize(
    "how",
    [
        {"learning_rate": 0.0},
        {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": 1.0}},
    ],
)
def test_arguments_with_which_a_round_stands_still_are_said(tmp_path, how):
    trainer = trainer_of(tmp_path, model_of("qwen2"), save_strategy="no", **ONE_STEP | how)
    rounds_in(trainer)
    with pytest.warns(UserWarning, match="rate is 0 in every step of round"):
        trainer.train()


def test_a_schedule_is_as_before_when_it_was_looked_through():
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
    for make in (
        lambda one: torch.optim.lr_scheduler.OneCycleLR(one, 1.0, total_steps=6),
        lambda one: torch.optim.lr_scheduler.ExponentialLR(one, 0.5),
        schedule_from_0,
    ):
        schedule = make(optimizer)
        first = planned_rates(schedule, 6)
        assert planned_rates(schedule, 6) == first
        found = []
        for _ in range(6):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if len(found) < 6:
                    schedule.step()
        assert found == first
    assert planned_rates(object(), 3) == []
    measured = torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([weight], lr=0.0))
    assert planned_rates(measured, 3) == [0.0] * 3


def test_rounds_are_counted_whole():
    assert rounds_at_rate_0([0.0] * 3, 1, 2) == [1]
    assert rounds_at_rate_0([0.0, 0.1, 0.0, 0.0], 0, 2) == [1]
    assert rounds_at_rate_0([], 0, 2) == []


def test_a_schedule_that_began_elsewhere_is_not_past_its_step():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(4 - step, 0))
    schedule.last_epoch = 4  # the checkpoint's began a step later
    take_schedule(schedule, 3)
    assert optimizer.param_groups[0]["lr"] == schedule.get_last_lr()[0] == 1.0
