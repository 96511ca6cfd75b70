"""Trains the model of an engine on class probabilities of labelled prompts, by forward passes alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from debias.inference.zeroth_order.class_loss import ClassLoss
from debias.inference.zeroth_order.forward_training import ForwardTraining, Loss, Measured, rows_of_step
from debias.inference.zeroth_order.perturbed_forward import PerturbedForward
from debias.inference.zeroth_order.run_log import RunHeader, RunLog
from debias.inference.zeroth_order.trained_part import TrainedPart, weights_digest
from debias.inference.zeroth_order.zeroth_order_settings import ZerothOrderSettings, rate_of

if TYPE_CHECKING:
    from debias.inference.transformers.transformers_engine import TransformersEngine

OnStep = Callable[[int, Measured], object]


@dataclass
class ClassTraining:
    """A prompted classifier that is trained by forward passes; the model of its engine changes.

    Parameters
    ----------
    engine : TransformersEngine
    loss : ClassLoss
        Of the labelled prompts.
    settings : ZerothOrderSettings
    path : path
        File of the run, see :mod:`debias.inference.zeroth_order.run_log`. Where it is there, its steps are
        taken by :meth:`begin`: the weights of the engine must be those of the base.
    facts : dict, optional
        Further facts for its header.

    Attributes
    ----------
    training : ForwardTraining
    rate : float
        Learning rate, once training has begun.
    unmet : list of str
        Tensors that are copied whole in a pass, as the model does not read them by calling their module.

    Raises
    ------
    ParameterError
        What is to be trained is not in float32.
    ResumeError
        The file is of another run, or damaged.
    """

    engine: "TransformersEngine"
    loss: ClassLoss
    settings: ZerothOrderSettings
    path: str | Path
    facts: dict[str, Any] = field(default_factory=dict)
    rate: float = 0.0
    unmet: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings, model = self.settings, self.engine.model
        part = TrainedPart.of(model, settings.untouched)
        given = {"optimizer": settings.optimizer, "seed": settings.seed, "n_weights": part.n_weights}
        header = RunHeader(
            weights_digest(model),
            part.thresholds_digest(),
            settings.epsilon,
            settings.untouched,
            settings.weight_decay,
            facts=given | self.facts,
        )
        running = PerturbedForward(model, part, self.engine.forward)
        self.training = ForwardTraining(running, RunLog(self.path, header), settings.seed)

    def begin(self) -> int:
        """Find how the model is run and at what rate, and take the steps of the file; return how many."""
        steps = self.training.log.steps
        if not self.rate:
            self.unmet = self.training.running.find_unmet(lambda: self.loss([0]))
            known = self.settings.learning_rate or (steps[0].rate if steps else None)
            self.rate = known or rate_of(self.training.curvature(self.losses(0)))
            self.training.resume()
        return len(steps)

    def losses(self, number: int) -> list[Loss]:
        """Return the losses of the micro-batches of a step, which add up to the mean of its batch."""
        rows = rows_of_step(len(self.loss), self.settings.batch_size, self.settings.seed, number)
        size, total = self.settings.micro_batch or len(rows), self.loss.weight(rows)
        return [partial(self._part, rows[at : at + size], total) for at in range(0, len(rows), size)]

    def _part(self, rows: list[int], total: float) -> float:
        return self.loss(rows) / total

    @property
    def n_steps(self) -> int:
        """Steps so far."""
        return len(self.training.log.steps)

    def step(self) -> Measured:
        """Take the next step."""
        self.begin()
        return self.training.step(self.losses(self.n_steps), self.rate)

    def run(self, on_step: OnStep | None = None) -> None:
        """Take all steps that are left.

        Parameters
        ----------
        on_step : callable, optional
            Called with the number of each step and what it measured.
        """
        self.begin()
        while self.n_steps < self.settings.steps:
            measured = self.step()
            if on_step is not None:
                on_step(self.n_steps - 1, measured)

    def trail(self) -> pd.DataFrame:
        """Return the steps: seed, projected gradient and learning rate."""
        return pd.DataFrame(self.training.log.steps, columns=["seed", "projected", "rate"])
