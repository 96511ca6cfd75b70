"""Corrections: functions [0, 1] -> [0, 1] of one class's probability.

More shapes are in :mod:`debias.corrections.shapes`; rows are corrected in
:mod:`debias.corrections.decision_rule`. Ids are the published ones (DCS, arXiv 2503.05157): 0 to 18 for
membership functions, from 19 for weights. Only NumPy is needed, so a correction runs anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import inf, nextafter
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError

FloatArray = npt.NDArray[np.float64]

ONE, _ZERO = np.array(1.0), np.array(0.0)
"""As arrays: NumPy would make them anew in each call."""

_GRID = np.unique(np.concatenate([np.linspace(0, 1, 10_001), np.geomspace(1e-12, 1, 2_001)]))
"""Probabilities at which a function of one's own is looked at."""


@dataclass(frozen=True)
class Correction:
    """One correction: call it on probabilities to get the corrected values.

    To write your own, use :class:`Function`, or derive from this class and define
    ``_values``.

    Examples
    --------
    >>> Weight(15, 30)(0.5)
    array(0.25)

    Attributes
    ----------
    id : int or None
        Published id; a :class:`~debias.corrections.families.Family` numbers corrections
        without one from 1000 on.
    """

    id: int | None = field(default=None, kw_only=True)

    kind = "correction"
    formula: ClassVar[Callable[..., FloatArray] | None] = None
    """Takes probabilities and the numbers of the correction, one by one or as arrays that broadcast; so the
    columns of a row that have corrections of one kind are computed together."""
    number_names: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers of the formula, in its order."""
    shared_numbers: ClassVar[tuple[str, ...]] = ()
    """Numbers that are alike for all columns that are computed together."""

    @property
    def name(self) -> str:
        """The name in reports."""
        return self.kind

    @property
    def is_identity(self) -> bool:
        """Whether it changes no probability."""
        return False

    @property
    def is_monotone(self) -> bool:
        """Whether it never falls as the probability rises; of a function, as far as a fine grid shows.

        Examples
        --------
        >>> Triangle(0.5, 1, 1).is_monotone, Triangle(0, 0.5, 1).is_monotone
        (True, False)
        """
        return bool((np.diff(self(_GRID)) >= 0).all())

    def _values(self, p: FloatArray) -> FloatArray:
        if self.formula is None:
            raise TypeError(f"{type(self).__name__} must define _values(p), the corrected values.")
        with np.errstate(over="ignore"):  # far above or below a side that is all but a step
            return np.asarray(self.formula(p, *self.numbers()))

    def numbers(self) -> tuple[float, ...]:
        """Return the numbers of the formula, in its order."""
        return tuple(getattr(self, name) for name in self.number_names)

    def __call__(self, p: npt.ArrayLike) -> FloatArray:
        """Return the corrected values.

        Parameters
        ----------
        p : array-like
            Probabilities in [0, 1], of any shape.

        Returns
        -------
        ndarray of float64
            Values in [0, 1], of the same shape.

        Raises
        ------
        ParameterError
            The function leaves [0, 1] or changes the shape.

        Examples
        --------
        >>> Triangle(0.25, 0.5, 0.75)([0.25, 0.375, 0.5, 0.7])
        array([0. , 0.5, 1. , 0.2])
        """
        given = np.asarray(p, dtype=np.float64)
        inside = np.minimum(given.ravel(), ONE)  # a softmax in float32 may be a little above 1
        values = np.asarray(self._values(inside), dtype=np.float64)
        if values.shape != given.ravel().shape:
            raise ParameterError(
                parameter=f"the result of the correction {self.name!r}",
                allowed=f"one value for each of {given.size} probabilities",
                received=values.shape,
            )
        bad = ~((values >= 0) & (values <= 1))
        if bad.any():
            at = int(np.argmax(bad))
            raise ParameterError(
                parameter=f"the value of the correction {self.name!r} at {given.ravel()[at]:.6g}",
                allowed="in [0, 1]",
                received=float(values[at]),
            )
        return values.reshape(given.shape)

    def to_dict(self) -> dict[str, object]:
        """Describe the correction by its numbers, so that a saved file holds no code.

        Examples
        --------
        >>> Weight(7, 30, id=25).to_dict()
        {'kind': 'weight', 'id': 25, 'steps': 7, 'of': 30}
        """
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "id"}
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        return {"kind": self.kind, "id": self.id, **numbers}


def trapezoid_sides(left: float, left_top: float, right_top: float, right: float) -> tuple[float, ...]:
    """Return where the sides of a trapezoid start and how wide they are, for :func:`trapezoid_height`.

    A side of no width is a step. It gets a line through the numbers beside the corner, or, where [0, 1] ends
    there, one that is at least 1 throughout: so the height needs no special case.

    Parameters
    ----------
    left, left_top, right_top, right : float
        Corners in rising order.

    Returns
    -------
    tuple of four floats
        Start and width of the left side, and of the right side.

    Examples
    --------
    >>> trapezoid_sides(0.0, 0.0, 0.0, 0.5)
    (-1.0, 1.0, 0.5, 0.5)
    """
    start, end = (left, left_top - left), (right, right - right_top)
    if left == left_top:
        before = nextafter(left, -inf)
        start = (left - 1.0, 1.0) if left <= 0 else (before, left - before)
    if right_top == right:
        after = nextafter(right, inf)
        end = (right + 1.0, 1.0) if right >= 1 else (after, after - right)
    return (*start, *end)


def trapezoid_height(
    p: FloatArray, start: FloatArray, rise: FloatArray, end: FloatArray, fall: FloatArray
) -> FloatArray:
    """Return the height of a trapezoid: 0 outside, 1 on its top, straight between.

    Parameters
    ----------
    p : ndarray
        Probabilities.
    start, rise, end, fall : ndarray or float
        As returned by :func:`trapezoid_sides`.

    Examples
    --------
    >>> trapezoid_height(np.array([0.1, 0.25, 0.5, 0.9]), *trapezoid_sides(0.0, 0.5, 0.5, 0.5))
    array([0.2, 0.5, 1. , 0. ])
    """
    height = np.minimum((p - start) / rise, (end - p) / fall)
    return np.asarray(np.maximum(np.minimum(height, ONE), _ZERO))


@dataclass(frozen=True)
class Triangle(Correction):
    """A triangular membership function (FuRud, arXiv 2412.19018).

    It rises from `left` to `peak` and falls from `peak` to `right`; where two of them
    coincide that side is a shoulder.

    Parameters
    ----------
    left, peak, right : float
        ``left <= peak <= right``.

    Examples
    --------
    >>> Triangle(0, 1, 1).is_identity  # "Don't Change"
    True
    >>> Triangle(0, 0, 0.5)([0, 0.25, 0.5])
    array([1. , 0.5, 0. ])
    """

    left: float
    peak: float
    right: float

    kind = "membership"

    def __post_init__(self) -> None:
        if not (self.left <= self.peak <= self.right and self.left < self.right):
            raise ParameterError(
                parameter="the corners of a triangle",
                allowed="left <= peak <= right, with left < right",
                received=(self.left, self.peak, self.right),
            )

    @property
    def name(self) -> str:
        """Its three corners."""
        if self.is_identity:
            return "identity"
        return f"triangle ({self.left:g}, {self.peak:g}, {self.right:g})"

    @property
    def is_identity(self) -> bool:
        """Whether it is the triangle (0, 1, 1), which is p itself."""
        return (self.left, self.peak, self.right) == (0, 1, 1)

    @property
    def is_monotone(self) -> bool:
        """Whether it does not fall within [0, 1]."""
        return self.peak >= 1 or self.peak < self.right <= 0

    formula = staticmethod(trapezoid_height)
    number_names = ("start", "rise", "end", "fall")

    def numbers(self) -> tuple[float, ...]:
        """Return its sides."""
        return trapezoid_sides(self.left, self.peak, self.peak, self.right)


@dataclass(frozen=True)
class Weight(Correction):
    """Multiply the probability by ``steps / of`` (DNIP, arXiv 2405.07623).

    Parameters
    ----------
    steps, of : int
        The weight is ``steps / of``, with ``1 <= steps <= of``.

    Examples
    --------
    >>> Weight(15, 30)([0.2, 1.0])
    array([0.1, 0.5])
    """

    steps: int
    of: int

    kind = "weight"

    def __post_init__(self) -> None:
        whole = all(
            isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in (self.steps, self.of)
        )
        if not (whole and 1 <= self.steps <= self.of):
            raise ParameterError(
                parameter="a weight",
                allowed="steps / of with integers 1 <= steps <= of",
                received=(self.steps, self.of),
            )
        for name in ("steps", "of"):  # those of NumPy cannot be written
            object.__setattr__(self, name, int(getattr(self, name)))

    @property
    def weight(self) -> float:
        """The factor."""
        return self.steps / self.of

    @property
    def name(self) -> str:
        """The factor as a fraction."""
        return "identity" if self.is_identity else f"weight {self.steps}/{self.of}"

    @property
    def is_identity(self) -> bool:
        """Whether the factor is one."""
        return self.steps == self.of

    @property
    def is_monotone(self) -> bool:
        """It never falls."""
        return True

    number_names = ("weight",)

    @staticmethod
    def formula(p: FloatArray, weight: float) -> FloatArray:
        """Return the probability times the weight."""
        return p * weight


@dataclass(frozen=True)
class Function(Correction):
    """A correction of your own: any function from [0, 1] to [0, 1], applied to an array.

    A saved correction holds its label only (a file holds no code): pass the same family
    to :func:`debias.load` to read it back.

    Parameters
    ----------
    label : str
        The name in reports.
    function : callable
        Takes and returns an array of shape (n_samples,).

    Examples
    --------
    >>> Function("square root", np.sqrt)([0.25])
    array([0.5])
    """

    label: str
    function: Callable[[FloatArray], npt.ArrayLike]

    kind = "function"

    @property
    def name(self) -> str:
        """Its label."""
        return self.label

    def _values(self, p: FloatArray) -> FloatArray:
        return np.asarray(self.function(p), dtype=np.float64)

    def to_dict(self) -> dict[str, object]:
        """Describe the function by its label."""
        return {**super().to_dict(), "label": self.label}
