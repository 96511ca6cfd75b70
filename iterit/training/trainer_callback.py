"""How rounds get into a Trainer: a sampler in place of its own, and a callback that turns rounds.

The training loop stays the Trainer's: an epoch is one pass over the picks of a round, and as every
round picks as many rows, the learning-rate schedule is computed from them.
"""

import math
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback

from debias.errors import ParameterError, ResumeError
from iterit.training.checkpoints import last_whole_checkpoint
from iterit.training.driver import RoundDriver
from iterit.training.training_rows import RoundSampler

_Base: Any = Trainer


class RoundsTrainer(_Base):
    """What a trainer's class gets on top; the trainer's own class stays below it.

    Attributes
    ----------
    rounds : RoundDriver
    round_sampler : RoundSampler
    resumed_from : Path or None
    """

    rounds: RoundDriver
    round_sampler: RoundSampler
    resumed_from: Path | None = None

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **more: Any) -> Any:
        """Train; ``resume_from_checkpoint=True`` takes the newest checkpoint that is whole.

        Raises
        ------
        ResumeError
            There is none, or it is of another run.
        """
        if resume_from_checkpoint is True:
            found = last_whole_checkpoint(self.args.output_dir, self.args.world_size)
            if found is None:
                raise ResumeError(
                    f"{self.args.output_dir} holds no whole checkpoint; train without resume_from_checkpoint"
                )
            resume_from_checkpoint = str(found)
        self.resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        return super().train(resume_from_checkpoint or None, *args, **more)

    def num_examples(self, dataloader: Any) -> int:
        """Rows of an epoch: the picks of a round, not all rows."""
        if getattr(dataloader, "dataset", None) is self.train_dataset:
            return self.round_sampler.n_picks
        return int(super().num_examples(dataloader))

    def _get_train_sampler(self, train_dataset: Any = None) -> RoundSampler:
        """Return the sampler of rounds; the Trainer asks for it when it makes its data loader."""
        if self.args.world_size > 1:
            self.round_sampler.multiple = self.rows_at_once
        return self.round_sampler

    @property
    def rows_at_once(self) -> int:
        """Rows that all processes take together before they add up gradients."""
        return int(self._train_batch_size * self.args.world_size)


class RoundsCallback(TrainerCallback):
    """Begins a round with an epoch, and writes beside the Trainer's checkpoints.

    Parameters
    ----------
    trainer : RoundsTrainer
    """

    def __init__(self, trainer: RoundsTrainer) -> None:
        self.trainer = trainer

    @property
    def rounds(self) -> RoundDriver:
        """The run of rounds."""
        return self.trainer.rounds

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Begin, or take up the rounds of the checkpoint that is resumed."""
        if self.trainer.resumed_from is None:
            self.rounds.begin()
        else:
            self.rounds.resume(self.trainer.resumed_from, state.global_step)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Score and pick where a round begins, and give the sampler its rows."""
        batches = len(more["train_dataloader"])
        steps = max(math.ceil(batches / args.gradient_accumulation_steps), 1)
        epoch = state.global_step // steps
        per_step = self.trainer.rows_at_once * args.gradient_accumulation_steps
        self.trainer.round_sampler.rows = self.rounds.rows_for_epoch(self.trainer, epoch, per_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        """Note the loss."""
        if logs and "loss" in logs:
            self.rounds.note_loss(logs["loss"], state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Write before the Trainer writes its checkpoint, which it may delete older ones after."""
        if control.should_save:
            self._write(args, state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Have the loss of the round logged, and write before the Trainer does."""
        self.rounds.note_training_time()
        control.should_log = True
        if control.should_save:
            self._write(args, state)

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Write where another callback asked for a checkpoint; the newest losses, too."""
        self._write(args, state)

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Write the whole run beside the checkpoints."""
        if state.is_world_process_zero:
            self.rounds.checkpoint().write(args.output_dir)

    def _write(self, args: Any, state: Any) -> None:
        if state.is_world_process_zero:
            self.rounds.checkpoint().write(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def install(trainer: Any, rounds: RoundDriver) -> None:
    """Give a trainer the sampler and the callback.

    Parameters
    ----------
    trainer : transformers.Trainer
        Or of a class that inherits from it, such as SFTTrainer.
    rounds : RoundDriver

    Raises
    ------
    ParameterError
        It has rounds already.
    """
    if isinstance(trainer, RoundsTrainer):
        raise ParameterError("trainer has rounds already; make a new one")
    base = type(trainer)
    bases = (RoundsTrainer,) if base is Trainer else (RoundsTrainer, base)
    trainer.__class__ = type(base.__name__, bases, {"__module__": base.__module__, "__doc__": base.__doc__})
    trainer.rounds = rounds
    trainer.round_sampler = RoundSampler(rounds.settings.n_picks)
    trainer.add_callback(RoundsCallback(trainer))
