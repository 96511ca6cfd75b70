"""The answer of the integer program: a choice, how good it is, and how much better one could be."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["optimal", "time limit", "infeasible"]


@dataclass(frozen=True)
class ProgramResult:
    """The answer of :meth:`debias.search.milp.integer_program.IntegerProgram.solve`.

    What is said of the choice was counted from the probabilities, not by the solver.

    Attributes
    ----------
    status : {"optimal", "time limit", "infeasible"}
        The choice is proved to be the best that the constraints allow; or the time was over
        before that; or no choice meets the constraints.
    seconds : float
        Wall-clock time.
    lower_bound : float or None
        No choice that meets the constraints has a lower z, to within 1e-9 per row; None
        where there is no such choice.
    choice : tuple of int or None
        Index into the family for every class. None, like all that follows, where no choice
        was found.
    objective : float or None
        z of the choice.
    n_changed : int or None
        Classes whose correction is not the identity.
    simplest : bool
        Whether it is proved that no equally good choice changes fewer classes.
    accuracy, cobias : float or None
        Share of rows predicted as their class; mean gap of the class accuracies.
    class_accuracies : tuple of float or None
        By column; NaN for a class without rows.

    Examples
    --------
    >>> result = ProgramResult("time limit", 60.0, 0.25, (0, 4), 0.5, 1, False, 0.75, 0.25, (0.5, 1.0))
    >>> result.gap
    0.25
    >>> print(result)
    time limit: objective 0.500000, and the best possible one is at least 0.250000
    """

    status: Status
    seconds: float
    lower_bound: float | None = None
    choice: tuple[int, ...] | None = None
    objective: float | None = None
    n_changed: int | None = None
    simplest: bool = False
    accuracy: float | None = None
    cobias: float | None = None
    class_accuracies: tuple[float, ...] | None = None

    @property
    def gap(self) -> float | None:
        """How far the objective may lie above the best possible one."""
        if self.objective is None or self.lower_bound is None:
            return None
        return self.objective - self.lower_bound

    def __str__(self) -> str:
        if self.status == "infeasible":
            return "infeasible: no choice of corrections meets the constraints"
        if self.objective is None:
            return f"time limit: no choice found yet, and the objective is at least {self.lower_bound:.6f}"
        if self.status == "optimal":
            return (
                f"optimal: no choice that meets the constraints has an objective under {self.objective:.6f}"
            )
        return (
            f"time limit: objective {self.objective:.6f}, "
            f"and the best possible one is at least {self.lower_bound:.6f}"
        )
