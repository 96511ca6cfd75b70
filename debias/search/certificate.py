"""A certificate: what is known of how good a choice is, and what it took to know it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["optimal", "radius", "heuristic"]


@dataclass(frozen=True)
class Certificate:
    """How good a choice is, as far as it was proved.

    Attributes
    ----------
    status : {"optimal", "radius", "heuristic"}
        ``"optimal"``: no choice is better. ``"radius"``: none is better that differs in up to
        `radius` classes. ``"heuristic"``: the best that was met.
    radius : int
        Classes that may change at once without doing better; all of them where it is optimal,
        0 where nothing was proved.
    objective : float
        z of the choice.
    lower_bound : float
        No choice at all has a lower z.
    n_evaluations : int
        Choices that were evaluated, those that bounds ruled out not counted.
    seconds : float
        Wall-clock time.
    interrupted : bool
        Whether it was stopped, by a person or a time limit, before it was done.

    Examples
    --------
    >>> certificate = Certificate("radius", 2, 0.5, 0.25, 9216, 0.1)
    >>> certificate.gap
    0.25
    >>> print(certificate)
    no better choice differs in up to 2 classes; the best possible objective lies between 0.250000
    and 0.500000
    """

    status: Status
    radius: int
    objective: float
    lower_bound: float
    n_evaluations: int
    seconds: float
    interrupted: bool = False

    @property
    def gap(self) -> float:
        """How far the objective may lie above the best possible one."""
        return self.objective - self.lower_bound

    def __str__(self) -> str:
        between = f"the best possible objective lies between {self.lower_bound:.6f} and {self.objective:.6f}"
        if self.status == "optimal":
            return f"proved: no choice has an objective under {self.objective:.6f}"
        if self.status == "radius":
            classes = "one class" if self.radius == 1 else f"up to {self.radius} classes"
            return f"no better choice differs in {classes}; {between}"
        return f"the best choice met, not proved; {between}"

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain data."""
        return {**asdict(self), "gap": self.gap}
