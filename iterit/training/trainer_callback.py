"""Puts rounds into a Trainer: a subclass with a sampler of its own, and a callback that begins rounds.

The training loop stays the Trainer's: an epoch is one pass over the picks of a round, and as every
round picks the same number of rows, the learning-rate schedule is computed from them.
"""

import math
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from transformers import Trainer, TrainerCallback

from debias.errors import ResumeError, param
from iterit.training.driver import RoundDriver
from iterit.training.own_trainers.trainer_checks import steps_per_epoch
from iterit.training.saving.checkpoint_writing import checkpoint_errors, training_alone
from iterit.training.saving.checkpoints import check_weights, last_whole_checkpoint
from iterit.training.training_rows import RoundSampler

if TYPE_CHECKING:
    from torch.utils.data import DataLoader
    from transformers import TrainerControl as Control
    from transformers import TrainerState as State
    from transformers import TrainingArguments as Args

_Base: Any = Trainer


class Rounds(Protocol):
    """An :class:`iterit.training.trainer.IterIT`, or whatever else attaches rounds to a trainer."""

    def attach(self, trainer: Trainer) -> Trainer:
        """Give a trainer rounds."""


class IterITTrainer(_Base):
    """A ``transformers.Trainer`` that scores, picks and trains round by round.

    It does what :meth:`iterit.training.trainer.IterIT.attach` does with a trainer; in a class with other
    bases, such as ``class Mine(IterITTrainer, SFTTrainer)``, it goes first.

    Parameters
    ----------
    *args, **options
        Of the Trainer: model, arguments, ``processing_class`` and so on. It needs no training data.
    iterit : IterIT
        Records, ratio and settings of the rounds.

    Attributes
    ----------
    rounds : RoundDriver
        The run: ``rounds.state.picks``, ``rounds.state.scores``, ``rounds.history``.
    round_sampler : RoundSampler
    resumed_from : Path or None

    Raises
    ------
    ParameterError
        The Trainer has a setting with which rounds are impossible: the message names it.

    Examples
    --------
    >>> from transformers import Trainer
    >>> issubclass(IterITTrainer, Trainer)
    True
    >>> rounds = IterIT("alpaca.jsonl", ratio=0.05)  # doctest: +SKIP
    >>> trainer = IterITTrainer(model, args, processing_class=tokenizer, iterit=rounds)  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    rounds: RoundDriver
    round_sampler: RoundSampler
    resumed_from: Path | None = None

    def __init__(self, *args: object, iterit: Rounds, **options: object) -> None:
        super().__init__(*args, **options)
        iterit.attach(self)

    def train(
        self, resume_from_checkpoint: str | bool | None = None, *args: object, **more: object
    ) -> object:
        """Train; ``resume_from_checkpoint=True`` takes the newest checkpoint that is complete.

        Raises
        ------
        ResumeError
            There is no complete checkpoint, or it is of another run.
        RunInUseError
            Another process trains into the same folder.
        StorageError
            A checkpoint cannot be written.
        """
        if resume_from_checkpoint is True:
            found = last_whole_checkpoint(self.args.output_dir, self.args.world_size)
            if found is None:
                raise ResumeError(
                    "the folder has no complete checkpoint",
                    file=self.args.output_dir,
                    fix=f"train without {param('resume_from_checkpoint')}",
                )
            resume_from_checkpoint = str(found)
        elif resume_from_checkpoint:
            check_weights(Path(resume_from_checkpoint))
        self.resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        alone = training_alone(self.args.output_dir) if self.is_world_process_zero() else nullcontext()
        with alone, checkpoint_errors(self.args.output_dir):
            return super().train(resume_from_checkpoint or None, *args, **more)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model, as the Trainer does."""
        with checkpoint_errors(output_dir or str(self.args.output_dir)):
            super().save_model(output_dir, _internal_call)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the schedule of the learning rate; a warm-up begins above 0, so that every step trains."""
        warmup = self.args.get_warmup_steps(num_training_steps)
        if self.lr_scheduler is not None or not warmup:
            return super().create_scheduler(num_training_steps, optimizer)
        if warmup >= num_training_steps:
            warnings.warn(
                f"the warm-up takes {warmup:,} steps, and there are {num_training_steps:,}: the learning rate"
                f" never gets to {self.args.learning_rate:g}; use fewer warmup_steps, or a share below 1",
                stacklevel=2,
            )
        schedule = super().create_scheduler(num_training_steps + 1, optimizer)
        if max(schedule.get_last_lr()) == 0:
            with warnings.catch_warnings():  # the first step of the schedule has the rate 0: it is left out
                warnings.filterwarnings("ignore", message=".*lr_scheduler.step")
                schedule.step()
        return schedule

    def num_examples(self, dataloader: "DataLoader[object]") -> int:
        """Return the rows of an epoch: the picks of a round, or their packs, not all rows."""
        if getattr(dataloader, "dataset", None) is self.train_dataset:
            return self.round_sampler.n_items
        return int(super().num_examples(dataloader))

    def _get_train_sampler(self, train_dataset: object = None) -> RoundSampler:
        """Return the sampler of rounds; the Trainer asks for it when it makes its data loader."""
        if self.args.world_size > 1:
            self.round_sampler.multiple = self.rows_at_once
        return self.round_sampler

    @property
    def rows_at_once(self) -> int:
        """Rows that all processes take together before they add up gradients."""
        return int(self._train_batch_size * self.args.world_size)


class RoundsCallback(TrainerCallback):
    """Begins a round with an epoch, and writes beside the Trainer's checkpoints."""

    def __init__(self, trainer: IterITTrainer) -> None:
        self.trainer, self.rounds = trainer, trainer.rounds

    def on_train_begin(self, args: "Args", state: "State", control: "Control", **more: object) -> None:
        """Begin, or resume the rounds of the checkpoint."""
        if self.trainer.resumed_from is None:
            self.rounds.begin()
        else:
            is_finished = state.global_step >= state.max_steps
            self.rounds.resume(self.trainer.resumed_from, state.global_step, is_finished)
        n_picks = self.rounds.settings.n_picks
        steps = steps_per_epoch(self.trainer, self.rounds.n_items) * self.rounds.epochs_per_round
        if steps < 2 and state.is_world_process_zero:
            warnings.warn(
                f"a round has a single optimiser step, of {n_picks:,} records: it moves the weights once; use"
                " more records, a smaller batch, or fewer gradient_accumulation_steps",
                stacklevel=2,
            )

    def on_epoch_begin(self, args: "Args", state: "State", control: "Control", **more: Any) -> None:
        """Score and pick where a round begins, and give the sampler its rows."""
        batches = len(more["train_dataloader"])
        steps = max(math.ceil(batches / args.gradient_accumulation_steps), 1)
        epoch = state.global_step // steps
        per_step = self.trainer.rows_at_once * args.gradient_accumulation_steps
        self.trainer.round_sampler.rows = self.rounds.rows_for_epoch(self.trainer, epoch, per_step)

    def on_log(self, args: "Args", state: "State", control: "Control", **more: Any) -> None:
        """Keep the loss."""
        if "loss" in (logs := more.get("logs") or {}):
            self.rounds.add_loss(logs["loss"], state.global_step)

    def on_step_end(self, args: "Args", state: "State", control: "Control", **more: object) -> None:
        """Write before the Trainer writes its checkpoint, after which it may delete older ones."""
        if control.should_save and state.is_world_process_zero:
            self.rounds.checkpoint().write(self._folder(args, state))

    def on_epoch_end(self, args: "Args", state: "State", control: "Control", **more: object) -> None:
        """Have the loss of the round logged, and write before the Trainer does."""
        self.rounds.add_training_time()
        control.should_log = True
        self.on_step_end(args, state, control)

    def on_save(self, args: "Args", state: "State", control: "Control", **more: object) -> None:
        """Write the newest losses, and the digests of the weights that the Trainer has written."""
        if state.is_world_process_zero:
            folder = self._folder(args, state)
            self.rounds.checkpoint().write(folder, sorted(folder.glob("*.safetensors")))

    def _folder(self, args: "Args", state: "State") -> Path:
        """Return the folder of the checkpoint of this step."""
        return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"

    def on_train_end(self, args: "Args", state: "State", control: "Control", **more: object) -> None:
        """Write the whole run beside the checkpoints."""
        if state.is_world_process_zero:
            self.rounds.checkpoint().write(str(args.output_dir))


def install(trainer: Trainer, rounds: RoundDriver) -> None:
    """Give a trainer, of whatever class, the sampler and the callback."""
    base = type(trainer)
    if not isinstance(trainer, IterITTrainer):
        bases = (IterITTrainer,) if base is Trainer else (IterITTrainer, base)
        inherited = {"__module__": base.__module__, "__doc__": base.__doc__}
        trainer.__class__ = type(base.__name__, bases, inherited)
    installed = cast(IterITTrainer, trainer)
    installed.rounds = rounds
    installed.round_sampler = RoundSampler(rounds.n_items)
    installed.add_callback(RoundsCallback(installed))
