"""Compares the settings of a checkpoint with those of the run that is to resume from it."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

from debias.errors import ResumeError
from iterit.training.saving.run_facts import difference_told

_TRAINING = (
    "batch_size", "gradient_accumulation_steps", "n_processes", "steps_per_epoch", "num_train_epochs",
    "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "optim", "model",
    "n_parameters", "n_trained_parameters", "frozen_weights", "share_not_touched", "epsilon",
)  # fmt: skip
"""Facts that decide how picks are trained, beside all arguments of training."""
_REFUSED = {
    "steps_per_epoch": "its rounds have a different number of steps",
    "optim": "its optimiser is a different one",
    "n_parameters": "its model has a different number of weights",
    "n_trained_parameters": "its optimiser belongs to other weights",
    "frozen_weights": "its adapter belongs to another model",
}
"""What no checkpoint can resume with."""
_KEPT = ("learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "optim_args")
"""Arguments that an optimiser takes from the checkpoint."""


def check_same_run(kept: Mapping[str, object], now: Mapping[str, object], folder: str | Path) -> None:
    """Refuse to resume with other settings than those of a checkpoint.

    Parameters
    ----------
    kept, now : mapping
        Settings of the checkpoint, and of the run that is to resume.
    folder : str or Path
        Named in the message.

    Raises
    ------
    ResumeError
        The message names what differs.

    Examples
    --------
    >>> check_same_run({"ratio": 0.05}, {"ratio": 0.1}, "run")
    Traceback (most recent call last):
    debias.errors.ResumeError: run: it was written with other settings: ratio was 0.05 and is 0.1; ...
    """
    now = json.loads(json.dumps(now))
    names = [name for name in {**kept, **now} if kept.get(name) != now.get(name)]
    if names:
        said = ", ".join(difference_told(name, kept.get(name), now.get(name)) for name in names)
        raise ResumeError(
            f"it was written with other settings: {said}",
            file=folder,
            parameter="ratio" if names[0] == "n_picks" else names[0],
            received=now.get(names[0]),
            fix="use the same settings, or train into another folder",
        )


def check_same_training(
    kept: Mapping[str, object], now: Mapping[str, object], folder: str | Path, is_finished: bool = False
) -> None:
    """Say which settings of the training are not those of a checkpoint; refuse those that cannot change.

    Parameters
    ----------
    kept, now : mapping
        Facts of the checkpoint, and of the run that is to resume; ``arguments`` are those of training.
    folder : str or Path
        Named in the message.
    is_finished : bool, default=False
        Whether nothing is left to train.

    Raises
    ------
    ResumeError
        A round has another number of steps, so that the rows of a step would be others, or the state of
        the optimiser is of other weights or of another optimiser, or the adapter is of another model.

    Examples
    --------
    >>> check_same_training({"optim": "mezo"}, {"optim": "adamw_torch"}, "run")
    Traceback (most recent call last):
    debias.errors.ResumeError: run: its optimiser is a different one: optim was 'mezo' and is 'adamw_torch';
    use ...
    """
    was, is_now = _training(kept), _training(json.loads(json.dumps(now)))
    names = [name for name in was if name in is_now and was[name] != is_now[name]]

    def said(some: list[str]) -> str:
        return ", ".join(difference_told(name, was[name], is_now[name]) for name in some)

    if refused := next((name for name in _REFUSED if name in names and not _fits(was, is_now, name)), None):
        parameter = names[0] if refused == "steps_per_epoch" else refused
        raise ResumeError(
            f"{_REFUSED[refused]}: {said(names)}",
            file=folder,
            parameter=parameter,
            received=is_now[parameter],
            fix="use the same settings, or train into another folder",
        )
    if not names:
        return
    if is_finished:
        outcome = f"{said(names)}; the run is finished, and nothing more is trained"
    else:
        stay, change = [n for n in names if n in _KEPT], [n for n in names if n not in _KEPT]
        outcome = "; ".join(
            f"{said(some)} ({what})"
            for some, what in (
                (stay, "the optimiser keeps the old value"),
                (change, "the new value counts from now on"),
            )
            if some
        )
    warnings.warn(
        f"{folder}: it was trained with other settings: {outcome}: to use the new ones throughout, train into"
        " another folder",
        stacklevel=2,
    )


def _fits(was: Mapping[str, object], is_now: Mapping[str, object], name: str) -> bool:
    """Tell whether the state of an optimiser is good for another one, as with the kinds of torch's AdamW."""
    return name == "optim" and all(str(one[name]).startswith("adamw_torch") for one in (was, is_now))


def _training(facts: Mapping[str, object]) -> dict[str, object]:
    """Return what decides how picks are trained; checkpoints of earlier releases know less of it."""
    arguments = facts.get("arguments")
    known = {name: facts[name] for name in _TRAINING if name in facts}
    for name in {"optim", "lr_scheduler_type"} & set(known):  # earlier releases kept the name in Python
        known[name] = str(known[name]).rpartition(".")[2].lower()
    return {**(arguments if isinstance(arguments, Mapping) else {}), **known}
