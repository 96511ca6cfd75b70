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
from iterit.training.own_trainers.batch_check import BatchCheck
from iterit.training.own_trainers.learning_rates import planned_rates, rounds_at_rate_0, take_schedule
from iterit.training.own_trainers.trainer_checks import check_again, steps_per_epoch
from iterit.training.own_trainers.trainer_data import set_collator
from iterit.training.saving.checkpoint_writing import checkpoint_errors, training_alone
from iterit.training.saving.checkpoints import check_weights
from iterit.training.saving.run_facts import training_facts
from iterit.training.saving.whole_checkpoints import check_whole, last_whole_checkpoint
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
    batch_check: BatchCheck
    resumed_from: Path | None = None
    _first_step = 0
    _begun_at = 0

    def __init__(self, *args: object, iterit: Rounds, **options: object) -> None:
        super().__init__(*args, **options)
        iterit.attach(self)

    def train(
        self, resume_from_checkpoint: str | bool | None = None, *args: object, **more: object
    ) -> object:
        """Train; ``resume_from_checkpoint=True`` takes the newest checkpoint that is complete.

        Raises
        ------
        ParameterError
            The trainer was given data, a loader, a collator or a setting with which rounds are impossible.
        ResumeError
            There is no complete checkpoint, or it is of another run.
        RunInUseError
            Another process trains into the same folder.
        StorageError
            A checkpoint cannot be written.
        """
        check_again(self, self.rounds.n_items, self.rounds.epochs_per_round, self.batch_check.rows)
        self.rounds.facts |= training_facts(self, self.rounds.n_items)
        self.batch_check.n_known = set_collator(self, self.batch_check.rows)
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
            path = Path(resume_from_checkpoint)
            check_weights(path)
            if not (self.is_deepspeed_enabled or self.is_fsdp_enabled):  # they write other files
                check_whole(path, self.args.world_size)
        if resume_from_checkpoint:
            self.rounds.check_resumed(resume_from_checkpoint, self._planned_steps())
        self.resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        alone = training_alone(self.args.output_dir) if self.is_world_process_zero() else nullcontext()
        with alone, checkpoint_errors(self.args.output_dir):
            return super().train(resume_from_checkpoint or None, *args, **more)

    def _planned_steps(self) -> int:
        """Return the steps that the run has in the end."""
        steps = steps_per_epoch(self, self.rounds.n_items)
        return self.args.max_steps if self.args.max_steps > 0 else int(steps * self.args.num_train_epochs)

    def training_step(self, model: object, inputs: Any, *args: object, **more: object) -> Any:
        """Train a batch, once it was seen to hold picks as they are, and while the model receives those."""
        with self.batch_check.batch(model, inputs):
            return super().training_step(model, inputs, *args, **more)

    def compute_loss(self, model: object, inputs: Any, *args: object, **more: object) -> Any:
        """Compute the loss of a batch; a training step of a user's own may have changed it."""
        self.batch_check.check(inputs)
        return super().compute_loss(model, inputs, *args, **more)

    def log(self, logs: dict[str, float], *args: object, **more: object) -> None:
        """Log, but no training where nothing was left to train."""
        begun = self._begun_at
        if "train_runtime" not in logs or self.state.global_step > begun or not begun:
            super().log(logs, *args, **more)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model, as the Trainer does."""
        with checkpoint_errors(output_dir or str(self.args.output_dir)):
            super().save_model(output_dir, _internal_call)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the schedule of the learning rate; a warm-up begins above 0, so that every step trains."""
        self._first_step = 0
        warmup = self.args.get_warmup_steps(num_training_steps)
        if self.lr_scheduler is not None or not warmup:
            return super().create_scheduler(num_training_steps, optimizer)
        if warmup >= num_training_steps:
            warnings.warn(
                f"the warm-up takes {warmup:,} steps, but there are only {num_training_steps:,}: the learning"
                f" rate never reaches {self.args.learning_rate:g}; use fewer warmup_steps, or a share"
                " below 1",
                stacklevel=2,
            )
        schedule = super().create_scheduler(num_training_steps + 1, optimizer)
        if max(schedule.get_last_lr()) == 0:
            with warnings.catch_warnings():  # the first step of the schedule has the rate 0: it is left out
                warnings.filterwarnings("ignore", message=".*lr_scheduler.step")
                schedule.step()
            self._first_step = 1
        return schedule

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Take the state of a checkpoint, but the rates of the schedule as it is now: it may be longer."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            take_schedule(self.lr_scheduler, self.state.global_step + self._first_step)

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
        self.trainer._begun_at = state.global_step
        if self.trainer.resumed_from is None:
            self.rounds.begin()
        else:
            self.rounds.resume(self.trainer.resumed_from, state.global_step)
        trainer = self.trainer
        trainer.batch_check.begin(trainer, more["train_dataloader"], trainer.round_sampler)
        n_picks = self.rounds.settings.n_picks
        steps = steps_per_epoch(trainer, self.rounds.n_items) * self.rounds.epochs_per_round
        if not state.is_world_process_zero or state.global_step >= state.max_steps:
            return
        rates = planned_rates(more["lr_scheduler"], state.max_steps - state.global_step)
        if still := rounds_at_rate_0(rates, state.global_step, steps):
            warnings.warn(
                f"the learning rate is 0 in every step of round {', '.join(map(str, still[:10]))}: the"
                " weights will not move there; use another schedule, or a learning_rate above 0",
                stacklevel=2,
            )
        if steps < 2:
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
        sampler = self.trainer.round_sampler
        sampler.rows = self.rounds.rows_for_epoch(self.trainer, epoch, per_step)
        trained = (state.global_step - epoch * steps) * args.gradient_accumulation_steps
        self.trainer.batch_check.begin_epoch(self.trainer, more["train_dataloader"], sampler, trained)

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
        is_stopped = control.should_epoch_stop or control.should_training_stop
        if not is_stopped or state.global_step >= state.max_steps:
            self.trainer.batch_check.end_epoch()
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


def install(trainer: Trainer, rounds: RoundDriver, batch_check: BatchCheck) -> None:
    """Give a trainer, of whatever class, the sampler and the callback."""
    base = type(trainer)
    if not isinstance(trainer, IterITTrainer):
        bases = (IterITTrainer,) if base is Trainer else (IterITTrainer, base)
        inherited = {"__module__": base.__module__, "__doc__": base.__doc__}
        trainer.__class__ = type(base.__name__, bases, inherited)
    installed = cast(IterITTrainer, trainer)
    installed.rounds, installed.batch_check = rounds, batch_check
    installed.round_sampler = RoundSampler(rounds.n_items)
    installed.add_callback(RoundsCallback(installed))
