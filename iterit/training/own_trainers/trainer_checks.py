"""Refuses trainers with which rounds are impossible, before anything is scored."""

import math
import warnings

from transformers import Trainer

from debias.errors import DebiasWarning, ParameterError
from debias.inference.models.causality import check_causal
from iterit.training.trainer_parts import model_of

_KNOWN_HOMES = ("transformers", "trl", "iterit")
_LOADING = ("get_train_dataloader", "_get_dataloader", "_get_train_sampler")


def check_trainer(trainer: Trainer, epochs_per_round: int = 1) -> None:
    """Refuse a trainer with which rounds are impossible.

    Parameters
    ----------
    trainer : transformers.Trainer
    epochs_per_round : int, default=1

    Raises
    ------
    ParameterError
        The message names the argument.
    ModelError
        The trainer's model is no causal language model.
    """
    if not isinstance(trainer, Trainer):
        allowed = "a transformers.Trainer or SFTTrainer"
        raise ParameterError(parameter="trainer", received=trainer, allowed=allowed)
    if trainer.processing_class is None:
        raise ParameterError(parameter="processing_class", received=None, allowed="the model's tokenizer")
    if hasattr(trainer, "rounds"):
        raise ParameterError("the trainer already has rounds", parameter="trainer", fix="make a new trainer")
    check_training(trainer, epochs_per_round)
    _note_order(trainer)
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):  # they hold only parts of the weights
        check_causal(model_of(trainer))


def _note_order(trainer: Trainer) -> None:
    """Warn of an order of rows that was asked for, and that rounds have of their own."""
    given = trainer.args
    order = getattr(given, "train_sampling_strategy", "random")
    if order != "random" or getattr(given, "group_by_length", False):  # the name in earlier releases
        asked = f"train_sampling_strategy={order!r}" if order != "random" else "group_by_length"
        warnings.warn(
            f"a round trains its picks in its own order, so {asked} is ignored.",
            DebiasWarning,
            stacklevel=4,
        )


def check_training(trainer: Trainer, epochs_per_round: int = 1) -> None:
    """Refuse ways to load data, and arguments, with which rounds are impossible.

    Parameters
    ----------
    trainer : transformers.Trainer
    epochs_per_round : int, default=1

    Raises
    ------
    ParameterError
        The message names the method or the argument.
    """
    for name in _LOADING:
        if (owner := _owner(trainer, name)) is not None:
            raise ParameterError(
                f"{owner} has its own {name}, but a round trains only its picks, in their order",
                parameter=name,
                received=owner,
                allowed="that of the Trainer",
                fix="remove it from the trainer; a collator of your own may stay",
            )
    given = trainer.args
    by_steps, n_epochs = given.max_steps > 0, given.num_train_epochs
    refused = {
        "num_train_epochs": (
            not by_steps and n_epochs % epochs_per_round != 0,
            f"a multiple of epochs_per_round ({epochs_per_round}): an epoch is a pass over the picks",
        ),
        "dataloader_drop_last": (given.dataloader_drop_last, "False: it would drop picks"),
        "dataloader_in_order": (
            not getattr(given, "dataloader_in_order", True),  # earlier releases know none
            "True: a round trains its picks in their order",
        ),
        "ignore_data_skip": (given.ignore_data_skip, "False: a resumed run would train picks twice"),
        "save_only_model": (
            given.save_only_model and given.save_strategy != "no",
            "False: a run cannot resume from a checkpoint without its optimiser",
        ),
    }
    for parameter, (is_refused, allowed) in refused.items():
        if is_refused:
            raise ParameterError(parameter=parameter, received=getattr(given, parameter), allowed=allowed)


def check_again(trainer: Trainer, n_items: int, epochs_per_round: int, rows: object) -> None:
    """Refuse a trainer that was changed since it was given rounds, before it trains.

    Parameters
    ----------
    trainer : transformers.Trainer
    n_items : int
        Rows, or packs of rows, that an epoch trains.
    epochs_per_round : int
    rows : TrainingRows
        The training data of the rounds.

    Raises
    ------
    ParameterError
    """
    check_training(trainer, epochs_per_round)
    check_steps(trainer, n_items, epochs_per_round)
    if trainer.train_dataset is not rows:
        raise ParameterError(
            "the trainer was given other training data than the records of its rounds",
            parameter="train_dataset",
            received=type(trainer.train_dataset).__name__,
            allowed="the records that IterIT was given",
            fix="give the rows to IterIT as its records, and leave train_dataset as attach set it",
        )


def check_steps(trainer: Trainer, n_items: int, epochs_per_round: int = 1) -> None:
    """Refuse a number of steps that is no number of whole rounds.

    Parameters
    ----------
    trainer : transformers.Trainer
    n_items : int
        Rows, or packs of rows, that an epoch trains.
    epochs_per_round : int, default=1

    Raises
    ------
    ParameterError
    """
    given = trainer.args
    steps = steps_per_epoch(trainer, n_items) * epochs_per_round
    if given.max_steps > 0 and (given.max_steps % steps or given.auto_find_batch_size):
        allowed = (
            "omitted: auto_find_batch_size changes the steps of a round"
            if given.auto_find_batch_size
            else f"a multiple of the steps of a round ({steps}), or omitted"
        )
        raise ParameterError(parameter="max_steps", received=given.max_steps, allowed=allowed)


def own_method(trainer: Trainer, name: str) -> str | None:
    """Return the class of a user that has a method of its own, None where there is none.

    Unlike for methods that rounds replace, a class of this project before it does not matter.
    """
    if name in vars(trainer):
        return "the trainer"
    owners = (kind for kind in type(trainer).__mro__ if name in vars(kind))
    return next((kind.__name__ for kind in owners if not _is_known(kind)), None)


def _is_known(kind: type) -> bool:
    return kind.__module__.split(".")[0] in _KNOWN_HOMES


def _owner(trainer: Trainer, name: str) -> str | None:
    """Return the class that has its own way to load training data, None where it is a known one."""
    if name in vars(trainer):
        return "the trainer"
    owner = next(kind for kind in type(trainer).__mro__ if name in vars(kind))
    return None if _is_known(owner) else owner.__name__


def steps_per_epoch(trainer: Trainer, n_items: int) -> int:
    """Return the optimiser steps of a pass over the picks of a round, or over their packs."""
    given = trainer.args
    batches = math.ceil(n_items / (given.train_batch_size * given.world_size))
    return max(math.ceil(batches / given.gradient_accumulation_steps), 1)


def limit_of(trainer: Trainer, max_tokens: int | None) -> int | None:
    """Return the most tokens of a record: those given, or a trainer's ``max_length``, within the context."""
    given = max_tokens or getattr(trainer.args, "max_length", None)
    return min(filter(None, (given, context_of(trainer))), default=None)


def context_of(trainer: Trainer) -> int | None:
    """Return the context length in the model's configuration, None if it has none."""
    config = model_of(trainer).config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    length = getattr(config, "max_position_embeddings", None)
    return int(length) if length else None
