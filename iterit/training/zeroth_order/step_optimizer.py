"""An optimiser for a training loop of torch: it takes the step that was measured, with the loop's rate."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from debias.inference.zeroth_order.forward_training import ForwardTraining, seed_of_step


class StepOptimizer(Optimizer):
    """Moves weights along the direction of the current step; no gradient is read.

    Parameters
    ----------
    training : ForwardTraining
    rate : float
        Learning rate, which a schedule may change.

    Attributes
    ----------
    units : int
        Difference of losses of the micro-batches so far, see :class:`ForwardTraining`.
    """

    def __init__(self, training: ForwardTraining, rate: float) -> None:
        self.training, self.units = training, 0
        super().__init__(list(training.running.part.parameters.values()), {"lr": rate, "weight_decay": 0.0})

    @property
    def seed(self) -> int:
        """Seed of the direction of the current step."""
        return seed_of_step(self.training.seed, len(self.training.log.steps))

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take the step: processes add up their differences, one whole number each."""
        units, self.units = self.units, 0
        self.training.take(self.seed, units, float(self.param_groups[0]["lr"]))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Do nothing: there are no gradients."""
