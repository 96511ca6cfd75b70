"""A certificate: what is known of how good a choice is, and what it took to know it."""

from dataclasses import asdict, dataclass, field
from typing import Literal

from debias.console.notebooks.card import card
from debias.console.number_formats import fixed
from debias.search.constraints import INFEASIBLE

Status = Literal["optimal", "radius", "heuristic"]
Limit = Literal["", "time", "work"]


@dataclass(frozen=True)
class Certificate:
    """How good a choice is, as far as it was proved.

    Two certificates are equal where they prove the same, however long it took.

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
        Whether a person stopped the search before it was done.
    limit : {"", "time", "work"}
        What ended the proof before the optimum was proved: the time limit, the default limit of
        work, or neither.
    given_up : float
        How far the choice that was taken is above `objective`, for balanced accuracy, within a tolerance.
    has_bounds : bool
        Whether the objective has bounds. Without them, one of 1000 and more is only large.

    Examples
    --------
    >>> certificate = Certificate("radius", 2, 0.5, 0.25, 9216, 0.1)
    >>> certificate.gap
    0.25
    >>> print(certificate)
    proved: no better choice differs in up to 2 classes; the best possible objective lies between
    0.250000 and 0.500000, a gap of 0.250000
    """

    status: Status
    radius: int
    objective: float
    lower_bound: float
    n_evaluations: int
    seconds: float = field(default=0.0, compare=False)
    interrupted: bool = False
    limit: Limit = ""
    given_up: float = 0.0
    has_bounds: bool = True

    @property
    def gap(self) -> float:
        """How far the objective may lie above the best possible one, `given_up` aside."""
        return self.objective - self.lower_bound

    @property
    def none_in_bounds(self) -> bool:
        """Whether it is proved that no choice keeps the bounds of a Constrained objective.

        Examples
        --------
        >>> Certificate("optimal", 2, 1000.25, 1000.25, 9216).none_in_bounds
        True
        """
        return self.has_bounds and self.lower_bound >= INFEASIBLE

    @property
    def out_of_bounds(self) -> bool:
        """Whether the choice does not keep the bounds of a Constrained objective."""
        return self.has_bounds and self.objective >= INFEASIBLE

    @property
    def proved(self) -> str:
        """What is proved, as the rest of a sentence that begins with "Proved:".

        Examples
        --------
        >>> Certificate("optimal", 2, 1000.25, 1000.25, 9216).proved
        'no choice satisfies the bounds; this one is the closest'
        >>> Certificate("heuristic", 0, 0.5, 0.25, 9216, interrupted=True).proved
        'only that the best possible objective lies between 0.250000 and 0.500000, a gap of 0.250000;
        this is the best choice found until the search was stopped'
        """
        proved = self._proved_out_of_bounds() if self.out_of_bounds else self._proved_in_bounds()
        if self.given_up:
            best = "the proved optimum" if self.status == "optimal" else "the best choice found"
            by = fixed(self.given_up, 6)
            proved += f"; the choice taken is within {by} of {best}, with the highest balanced accuracy there"
        return f"{proved}; the time limit ended the proof" if self.limit == "time" else proved

    def _proved_in_bounds(self) -> str:
        if self.status == "optimal":
            return f"no choice has an objective under {fixed(self.objective, 6)}"
        between = (
            f"the best possible objective lies between {fixed(self.lower_bound, 6)} and "
            f"{fixed(self.objective, 6)}, a gap of {fixed(self.gap, 6)}"
        )
        if self.status == "radius":
            return f"no better choice differs in {self._classes()}; {between}"
        return f"only that {between}; this is the best choice found{self._until()}"

    def _proved_out_of_bounds(self) -> str:
        """Say it without the placeholder that stands for an objective out of bounds."""
        if self.status == "optimal":
            return "no choice satisfies the bounds; this one is the closest"
        if self.status == "radius":
            if self.none_in_bounds:
                return (
                    f"no choice satisfies the bounds, and none that differs in {self._classes()} comes closer"
                )
            closer = f"no choice that differs in {self._classes()} comes closer to the bounds"
            return f"{closer}; it is open whether any satisfies them"
        if self.none_in_bounds:
            return f"no choice satisfies the bounds; this is the closest found{self._until()}, not proved"
        return f"nothing; no choice found{self._until()} satisfies the bounds, this one is the closest"

    def _classes(self) -> str:
        return "one class" if self.radius == 1 else f"up to {self.radius} classes"

    def _until(self) -> str:
        return " until the search was stopped" if self.interrupted else ""

    def __str__(self) -> str:
        return f"proved: {self.proved}"

    def _repr_html_(self) -> str:
        """Return a card for notebooks."""
        facts = [
            ("objective", fixed(self.objective, 6)),
            ("no choice has less than", fixed(self.lower_bound, 6)),
            ("choices evaluated", f"{self.n_evaluations:,}"),
        ]
        title = f"Certificate ({self.status}), of the rows that were fitted on"
        return card(title, facts[2:] if self.out_of_bounds else facts, lines=[f"Proved: {self.proved}."])

    def to_dict(self) -> dict[str, object]:
        """Return the certificate as plain data, the same for the same proof: without its seconds.

        Whether there are bounds is said by the objective.
        """
        entry = {**asdict(self), "gap": self.gap}
        del entry["seconds"], entry["has_bounds"]
        if not self.given_up:
            del entry["given_up"]
        return entry
