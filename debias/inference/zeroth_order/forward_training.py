"""Takes steps of MeZO (arXiv 2305.17333): two losses along a random direction make a projected gradient.

A step costs two forward passes and one pass over the weights. What several processes exchange in a
step is one whole number, the difference of their losses in units of 2**-40, whose sum is the same in any
order: so two processes, with the micro-batches of one, write the same run.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from debias.errors import EngineError, param
from debias.inference.zeroth_order.perturbed_forward import PerturbedForward
from debias.inference.zeroth_order.run_log import RunLog, Step, replay

Loss = Callable[[], float]
"""Runs the model on a micro-batch; returns its part of the loss of the batch."""
_UNIT = 2.0**40
_FEW = 2.0**16


@dataclass(frozen=True)
class Measured:
    """What a step measured.

    Parameters
    ----------
    step : Step
    loss : float
        Mean of the two losses of the micro-batches of this process.
    """

    step: Step
    loss: float


def seed_of_step(seed: int, number: int) -> int:
    """Return the seed of a step's direction.

    Examples
    --------
    >>> seed_of_step(0, 1) == seed_of_step(0, 1), seed_of_step(0, 1) == seed_of_step(0, 2)
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}\0{number}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def rows_of_step(n_rows: int, batch_size: int, seed: int, number: int) -> list[int]:
    """Return the rows of a step: passes over all rows, shuffled anew each time.

    Parameters
    ----------
    n_rows, batch_size : int
        A batch has no more rows than there are.
    seed : int
    number : int
        Of the step, from 0.

    Examples
    --------
    >>> sorted(rows_of_step(4, 2, 0, 0) + rows_of_step(4, 2, 0, 1))
    [0, 1, 2, 3]
    """
    size = min(batch_size, n_rows)
    first = number * size
    orders: dict[int, list[int]] = {}
    rows = []
    for place in range(first, first + size):
        turn, at = divmod(place, n_rows)
        if turn not in orders:
            orders[turn] = np.random.default_rng([seed, turn]).permutation(n_rows).tolist()
        rows.append(orders[turn][at])
    return rows


def summed(value: int) -> int:
    """Return the sum of a whole number over all processes; the number itself where there is one.

    Examples
    --------
    >>> summed(3)
    3
    """
    import torch
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    total = torch.tensor(value, dtype=torch.int64, device=device)
    distributed.all_reduce(total)
    return int(total.item())


@dataclass
class ForwardTraining:
    """A model that learns by forward passes alone.

    Parameters
    ----------
    running : PerturbedForward
    log : RunLog
        The steps so far have to be taken before more are: see :meth:`resume`.
    seed : int, default=0

    Attributes
    ----------
    n_forwards : int
        Micro-batches that went through the model.
    """

    running: PerturbedForward
    log: RunLog
    seed: int = 0
    n_forwards: int = 0
    share_sum: Callable[[int], int] = field(default=summed, repr=False)

    def resume(self) -> int:
        """Take the steps that the log has; return how many there are."""
        replay(self.running.part, self.log.header, self.log.steps)
        return len(self.log.steps)

    def differences(self, seed: int, losses: Sequence[Loss]) -> tuple[int, float]:
        """Return the difference of losses in both directions, in units, and their mean.

        Parameters
        ----------
        seed : int
            Of the direction.
        losses : sequence of callable
            Of the micro-batches of this process; the parts of all processes add up to the loss.
        """
        units, total = 0, 0.0
        epsilon = self.log.header.epsilon
        both = []
        for scale in (epsilon, -epsilon):
            with self.running.at(seed, scale):
                both.append([loss() for loss in losses])
        self.n_forwards += 2 * len(losses)
        for above, below in zip(*both, strict=True):
            if not np.isfinite([above, below]).all():
                raise EngineError(
                    f"the loss of step {len(self.log.steps)} is not finite",
                    parameter="learning_rate",
                    received=(above, below),
                    fix=f"use a smaller {param('learning_rate')} or {param('epsilon')}; the earlier steps "
                    "are kept",
                )
            units += round((above - below) * _UNIT)
            total += (above + below) / 2
        return units, total

    def curvature(self, losses: Sequence[Loss], n_directions: int = 4) -> float:
        """Return how much the loss bends along a random direction, on average: the trace of its Hessian.

        A step along g z changes a loss by ``-r g**2 + r**2 g**2 trace / 2``, for which the best rate r is
        1 / trace: with it, a rate need not be guessed, for any model, mask or adapter. It costs
        ``2 * n_directions + 1`` forward passes.

        Parameters
        ----------
        losses : sequence of callable
            As for :meth:`differences`.
        n_directions : int, default=4

        Returns
        -------
        float
            Below 0 where the loss bends down on average.
        """
        centre = sum(loss() for loss in losses)
        self.n_forwards += len(losses)
        epsilon = self.log.header.epsilon
        bends = []
        for number in range(n_directions):
            _, mean = self.differences(seed_of_step(self.seed, -1 - number), losses)
            bends.append(2 * (mean - centre) / epsilon**2)
        return self.share_sum(round(float(np.mean(bends)) * _FEW)) / _FEW

    def step(self, losses: Sequence[Loss], rate: float) -> Measured:
        """Take the next step, and write it to the log.

        Parameters
        ----------
        losses : sequence of callable
            As for :meth:`differences`.
        rate : float
            Learning rate.

        Returns
        -------
        Measured

        Raises
        ------
        EngineError
            A loss is not finite; no step was taken.
        StorageError
            The step cannot be written; it was not taken.
        """
        seed = seed_of_step(self.seed, len(self.log.steps))
        units, loss = self.differences(seed, losses)
        return Measured(self.take(seed, units, rate), loss)

    def take(self, seed: int, units: int, rate: float) -> Step:
        """Take a step for the differences of all processes: this is all that they exchange."""
        projected = self.share_sum(units) / _UNIT / (2 * self.log.header.epsilon)
        step = Step(seed, float(np.float32(projected)), float(np.float32(rate)))
        self.log.append(step)
        self.running.part.step(*step, self.log.header.decay)
        return step
