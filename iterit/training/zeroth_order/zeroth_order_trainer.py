"""A Trainer of transformers that trains by forward passes alone; checkpoints are lists of steps.

Losses of answers are read in the pass that scores records: packed, without padding, in evaluation mode.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import Trainer

from debias.errors import ParameterError, ResumeError, param
from debias.inference.transformers.passes.capabilities import find_capabilities
from debias.inference.transformers.passes.forward import Forward
from debias.inference.zeroth_order.forward_training import ForwardTraining
from debias.inference.zeroth_order.perturbed_forward import PerturbedForward
from debias.inference.zeroth_order.run_log import RunHeader, RunLog, check_same, read_run, replay
from debias.inference.zeroth_order.trained_part import TrainedPart, weights_digest
from debias.inference.zeroth_order.zeroth_order_settings import EPSILON, SPARSITY
from iterit.training.own_trainers.trainer_checks import own_method
from iterit.training.rescoring import refuse_scattered
from iterit.training.trainer_parts import model_of
from iterit.training.zeroth_order.answer_rows import answer_rows
from iterit.training.zeroth_order.step_optimizer import StepOptimizer
from iterit.training.zeroth_order.step_trail import RUN_FILE

if TYPE_CHECKING:
    from debias.inference.zeroth_order.forward_training import Loss

_MAX_BATCH_TOKENS = 4096
_Base: Any = Trainer


class ZerothOrderTrainer(_Base):
    """A ``transformers.Trainer`` that computes no gradients: MeZO, or Sparse MeZO.

    Data, batches, accumulation, schedules, callbacks and evaluation are the Trainer's. Trained is what
    requires gradients, all weights or a LoRA adapter, and it must be in float32. A checkpoint holds 16 bytes
    a step in place of weights, so that one may be written after each step; it resumes on the same base model.

    Parameters
    ----------
    *args, **options
        Of the Trainer.
    sparsity : float, default=0.75
        Share of the weights of each tensor that is NOT touched: the largest. 0 is plain MeZO.
    epsilon : float, default=0.001
        How far weights are moved to measure the loss; 0.01 is usual for an adapter.

    Attributes
    ----------
    training : ForwardTraining
        Once training has begun; ``training.log.steps`` are the steps.

    Raises
    ------
    ParameterError
        What is trained is not in float32, or processes hold parts of the weights only.
    ResumeError
        A checkpoint is of another base model or of other settings, or is damaged.

    Examples
    --------
    >>> trainer = ZerothOrderTrainer(model, args, train_dataset=rows, sparsity=0.75)  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    training: ForwardTraining

    def __init__(
        self, *args: Any, sparsity: float = SPARSITY, epsilon: float = EPSILON, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        if not (isinstance(epsilon, int | float) and epsilon > 0):
            raise ParameterError(parameter="epsilon", allowed="a number above 0", received=epsilon)
        refuse_scattered(cast(Trainer, self))
        if self.args.n_gpu > 1:
            raise ParameterError(
                "one process uses several GPUs, which compute with copies of the model",
                parameter="n_gpu",
                received=self.args.n_gpu,
                fix="start one process for each GPU, by torchrun or accelerate launch",
            )
        if self.args.load_best_model_at_end:
            raise ParameterError(
                parameter="load_best_model_at_end",
                allowed="False: a checkpoint is a list of steps, to be replayed on the base model",
                received=True,
            )
        self.sparsity, self.epsilon = float(sparsity), float(epsilon)
        self._begin()

    def _begin(self) -> None:
        """Find out what is trained, and how the model is run."""
        model = model_of(cast(Trainer, self))
        part = TrainedPart.of(model, self.sparsity)
        forward = Forward(model, _MAX_BATCH_TOKENS, find_capabilities(model)[0])
        running = PerturbedForward(model, part, forward)
        header = RunHeader(
            weights_digest(model),
            part.thresholds_digest(),
            self.epsilon,
            self.sparsity,
            float(self.args.weight_decay),
            facts={"seed": int(self.args.seed), "n_weights": part.n_weights},
        )
        self.training = ForwardTraining(running, RunLog(None, header), int(self.args.seed))
        self._is_tried = False

    @property
    def steps_file(self) -> Path:
        """The file of the run."""
        return Path(str(self.args.output_dir)) / RUN_FILE

    def create_optimizer(self, model: object = None) -> StepOptimizer:
        """Return what takes measured steps."""
        if self.optimizer is None:
            self.optimizer: Any = StepOptimizer(self.training, float(self.args.learning_rate))
        return cast(StepOptimizer, self.optimizer)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **more: Any) -> Any:
        """Train; the list of steps in the output folder begins anew, or where a checkpoint ends."""
        log = self.training.log
        if log.steps and not resume_from_checkpoint:
            self._begin()  # the weights as they are now are the base of another run
            self.optimizer = None
        self._file_is_open = False
        return super().train(resume_from_checkpoint or None, *args, **more)

    def _open_file(self) -> None:
        """Write steps to the file of the run, in the first process."""
        if not self._file_is_open and self.is_world_process_zero():
            log = self.training.log
            self.steps_file.parent.mkdir(parents=True, exist_ok=True)
            log.write(self.steps_file)
            log.path = self.steps_file
        self._file_is_open = True

    def training_step(self, model: object, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Measure the loss of a micro-batch in both directions; no gradient is computed."""
        self._open_file()
        inputs = self._prepare_inputs(inputs)
        loss = self._loss_of(inputs, num_items_in_batch)
        if not self._is_tried:
            self.training.running.find_unmet(loss)
            self._is_tried = True
        optimizer = cast(StepOptimizer, getattr(self.optimizer, "optimizer", self.optimizer))
        units, mean = self.training.differences(optimizer.seed, [loss])
        optimizer.units += units
        return torch.tensor(mean, device=self.args.device)

    def _loss_of(self, inputs: Any, n_items: Any) -> "Loss":
        """Return what computes the part of the batch's loss that a micro-batch has."""
        forward = self.training.running.forward
        rows = answer_rows(inputs) if self._is_plain() else None
        if rows is None or forward is None:
            return lambda: self._trainers_loss(inputs, n_items)
        n_tokens = sum(len(row.tree.edges) for row in rows)
        processes = self.args.world_size
        if n_items is None:
            total = float(n_tokens * self.current_gradient_accumulation_steps * processes)
        else:
            total = float(n_items) * (1 if self.args.average_tokens_across_devices else processes)

        def packed() -> float:
            found = forward.score(rows) if rows else []
            return -sum(float(one.sum()) for one in found) / max(total, 1.0)

        return packed

    def _is_plain(self) -> bool:
        """Whether the loss is the mean over answer tokens."""
        is_plain = own_method(cast(Trainer, self), "compute_loss") is None  # rounds only look at batches
        return is_plain and self.compute_loss_func is None and self.label_smoother is None

    def _trainers_loss(self, inputs: Any, n_items: Any) -> float:
        """Compute a loss of another kind as the Trainer does, in evaluation mode."""
        model = model_of(cast(Trainer, self))
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self.compute_loss(model, dict(inputs), num_items_in_batch=n_items)
        finally:
            model.train(was_training)
        scaled = (
            self.model_accepts_loss_kwargs and n_items is not None
        ) or self.compute_loss_func is not None
        share = 1 if scaled else self.current_gradient_accumulation_steps * self.args.world_size
        return float(loss) / share

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model; into a checkpoint, the list of steps alone."""
        folder = Path(output_dir or str(self.args.output_dir))
        if not (_internal_call and folder.name.startswith("checkpoint-")):
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            self.training.log.write(folder / RUN_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: object = None) -> None:
        """Take the steps of a checkpoint again."""
        path = Path(resume_from_checkpoint) / RUN_FILE
        training = self.training
        try:
            found = read_run(path)
        except OSError as error:
            raise ResumeError(
                "the checkpoint holds no list of steps: forward-only training did not write it",
                parameter="resume_from_checkpoint",
                received=str(resume_from_checkpoint),
                file=path,
                fix=f"train without {param('resume_from_checkpoint')}, or with the optimiser of that run",
            ) from error
        check_same(found.header, training.log.header, path)
        if training.log.steps:
            raise ResumeError(
                "the trainer has trained already, and a list of steps begins at its base model",
                parameter="resume_from_checkpoint",
                received=str(resume_from_checkpoint),
                fix="make a new trainer",
            )
        replay(training.running.part, found.header, found.steps)
        training.log.steps = list(found.steps)
        with suppress(AttributeError):
            self._file_is_open = False
