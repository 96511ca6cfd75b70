"""Looks ahead at the learning rates of a run: no round is to train at the rate 0 without a word.

A schedule of the Trainer is a function of the step; a schedule of a user's own is tried out and put back.
"""

import copy
import warnings
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


def planned_rates(scheduler: object, n_steps: int) -> list[float]:
    """Return the largest learning rate of each of the next steps.

    Parameters
    ----------
    scheduler : LRScheduler
        As it is before the first of these steps, and afterwards. Where rates follow what is measured, the
        rate of now stands for all.
    n_steps : int

    Returns
    -------
    list of float
        Empty where it is no schedule of torch, shorter where the schedule ends.

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    >>> planned_rates(LambdaLR(optimizer, lambda step: step % 2), 3)
    [0.0, 0.5, 0.0]
    """
    if not isinstance(scheduler, LRScheduler) or n_steps < 1:
        return []
    groups: list[dict[str, Any]] = scheduler.optimizer.param_groups
    kept = [
        {name: copy.deepcopy(value) for name, value in group.items() if name != "params"} for group in groups
    ]
    state = copy.deepcopy(scheduler.state_dict())
    rates = [_largest(groups)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no step of the optimiser is between these
            for _ in range(n_steps - 1):
                scheduler.step()
                rates.append(_largest(groups))
    except TypeError:  # it asks for what was measured
        rates = rates[:1] * n_steps
    except ValueError:  # it has no more steps
        pass
    finally:
        scheduler.load_state_dict(state)
        for group, settings in zip(groups, kept, strict=True):
            for name, value in settings.items():
                if torch.is_tensor(group[name]):
                    group[name].copy_(value)
                else:
                    group[name] = value
    return rates


def rounds_at_rate_0(rates: list[float], first_step: int, steps_per_round: int) -> list[int]:
    """Return the rounds that train at the learning rate 0 from their first step to their last.

    Parameters
    ----------
    rates : list of float
        Of the steps from `first_step`.
    first_step, steps_per_round : int

    Examples
    --------
    >>> rounds_at_rate_0([0.0, 0.0, 0.0, 0.1, 0.0, 0.0], first_step=0, steps_per_round=2)
    [0, 2]
    """
    first = -(-first_step // steps_per_round)
    last = (first_step + len(rates)) // steps_per_round
    begins = {number: number * steps_per_round - first_step for number in range(first, last)}
    return [number for number, begin in begins.items() if not any(rates[begin : begin + steps_per_round])]


def take_schedule(scheduler: object, last_step: int) -> None:
    """Set the rates that a schedule has now, in place of those that a checkpoint of a shorter run kept.

    Parameters
    ----------
    scheduler : LRScheduler
        Loaded from the checkpoint. Only one that is a function of the step is changed.
    last_step : int
        The step of the schedule at which it can be at most.
    """
    if not isinstance(scheduler, LambdaLR):
        return
    scheduler.last_epoch = min(scheduler.last_epoch, last_step)
    found = [
        base * function(scheduler.last_epoch)
        for base, function in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
    ]
    for group, rate in zip(scheduler.optimizer.param_groups, found, strict=True):
        if torch.is_tensor(group["lr"]):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
    scheduler._last_lr = list(found)


def _largest(groups: list[dict[str, Any]]) -> float:
    return max((float(group["lr"]) for group in groups), default=0.0)
