"""Families: the corrections that a search may choose from, an ordered list with one identity.

The published ones are the weights (DNIP), the memberships (FuRud) and both together (DCS); the wide one
has weights on a geometric scale, with slopes. ``|`` adds other shapes, and corrections of your own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from debias.corrections.correction import Correction, FloatArray, Triangle, Weight
from debias.corrections.shapes import Gaussian, Sigmoid, Trapezoid
from debias.corrections.sloped_weights import SlopedWeight
from debias.errors import ParameterError

FIRST_WEIGHT_ID = 19
FIRST_OWN_ID = 1000
FIRST_TRAPEZOID_ID = 2000
FIRST_GAUSSIAN_ID = 3000
FIRST_SIGMOID_ID = 4000
FIRST_SLOPED_ID = 5000

FAMILY_NAMES = ("ensemble", "weights", "memberships", "wide")
"""Names that :func:`family_of` knows."""

SLOPES = (0.5, 1.0, 2.0)
LEAST_WEIGHT = 1 / 1000
"""Slopes and least weight of the wide family. A class that a model names a hundred times too often needs a
weight of 1/100; where others are named ten times too rarely at the same time, 1/1000."""

_HALVINGS = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Positions of the shapes that are not published. The largest probability of a row takes most of the
sum of one, so the others are near 0: each point is half of the next."""

_TRIANGLES = (
    [(0, 0, 0.5), (0, 0.5, 1), (0.5, 1, 1)]
    + [(0, 0, 0.25), (0, 0.25, 0.5), (0.25, 0.5, 0.75), (0.5, 0.75, 1), (0.75, 1, 1)]
    + [(0, 0, 0.125)]
    + [(k / 8, (k + 1) / 8, (k + 2) / 8) for k in range(7)]
    + [(0.875, 1, 1), (0, 1, 1), (0, 0, 1)]
)


class Family(Sequence[Correction]):
    """An ordered list of corrections with the identity in it exactly once.

    Parameters
    ----------
    corrections : iterable of Correction
        Later identities and repeated corrections are omitted, so that a choice has one
        name; without an identity, the triangle (0, 1, 1) is put first.

    Raises
    ------
    ParameterError
        Two different corrections with the same id.

    Examples
    --------
    >>> len(ensemble(30)), len(memberships()), len(weights(30))
    (48, 19, 30)
    >>> memberships()[17].name
    'identity'
    >>> from debias.corrections.correction import Function
    >>> (memberships() | [Function("square root", np.sqrt)])[-1].id
    1000
    """

    def __init__(self, corrections: Sequence[Correction]):
        corrections = list(corrections)
        strangers = [item for item in corrections if not isinstance(item, Correction)]
        if strangers:
            raise ParameterError(parameter="corrections", allowed="Correction objects", received=strangers[0])
        identity = next((item for item in corrections if item.is_identity), Triangle(0.0, 1.0, 1.0, id=17))
        others = [item for item in corrections if not item.is_identity or item is identity]
        kept: dict[int, Correction] = {}
        for correction in others if identity in others else [identity, *others]:
            numbered = _numbered(correction, kept)
            assert numbered.id is not None
            if kept.setdefault(numbered.id, numbered) != numbered:
                raise ParameterError(
                    f"two corrections have the id {numbered.id}: {kept[numbered.id].name!r} and "
                    f"{numbered.name!r}",
                    parameter="id",
                    received=numbered.id,
                    fix="give one of them a different id",
                )
        self._corrections = tuple(kept.values())
        self.ids = np.array(list(kept), dtype=np.int64)
        self.identity = next(i for i, correction in enumerate(self) if correction.is_identity)

    @overload
    def __getitem__(self, index: int) -> Correction: ...
    @overload
    def __getitem__(self, index: slice) -> "Family": ...
    def __getitem__(self, index: int | slice) -> "Correction | Family":
        """Return one correction, or a smaller family."""
        return Family(self._corrections[index]) if isinstance(index, slice) else self._corrections[index]

    def __len__(self) -> int:
        return len(self._corrections)

    def __iter__(self) -> Iterator[Correction]:
        return iter(self._corrections)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Family) and self._corrections == other._corrections

    def __hash__(self) -> int:
        return hash(self._corrections)

    def __or__(self, other: Sequence[Correction]) -> "Family":
        """Return the union, in order."""
        return Family([*self, *other])

    def __repr__(self) -> str:
        return f"Family of {len(self)} corrections: {', '.join(c.name for c in self._corrections[:3])}, ..."

    @property
    def groups(self) -> tuple[npt.NDArray[np.int64], ...]:
        """Positions of the corrections of each kind, the identity in every one.

        Examples
        --------
        >>> [len(group) for group in ensemble(30).groups]
        [19, 30]
        """
        kinds = dict.fromkeys(correction.kind for correction in self)
        return tuple(
            np.array([i for i, c in enumerate(self) if c.kind == kind or c.is_identity], dtype=np.int64)
            for kind in kinds
        )

    def index_of(self, correction_id: int) -> int:
        """Return the position of the correction with a published id.

        Raises
        ------
        ParameterError
            The family has no such correction.
        """
        found = np.flatnonzero(self.ids == correction_id)
        if not len(found):
            raise ParameterError(
                parameter="id", allowed=f"one of {self.ids.tolist()}", received=correction_id
            )
        return int(found[0])

    def values(self, p: npt.ArrayLike) -> FloatArray:
        """Return the corrected values by every correction.

        Parameters
        ----------
        p : array-like of shape (n_samples,)
            Probabilities of one class.

        Returns
        -------
        ndarray of shape (n_corrections, n_samples)
            Corrected values.

        Examples
        --------
        >>> Family([Weight(1, 2), Weight(2, 2)]).values([0.5, 1.0])
        array([[0.25, 0.5 ],
               [0.5 , 1. ]])
        """
        return np.stack([correction(p) for correction in self])

    @classmethod
    def of(cls, corrections: "Self | Sequence[Correction]") -> "Self":
        """Return `corrections` as a family."""
        return corrections if isinstance(corrections, cls) else cls(corrections)


IDENTITY = Triangle(0.0, 1.0, 1.0, id=17)
"""The correction that changes nothing, by its published name."""


def memberships() -> Family:
    """Return the 19 published membership functions, ids 0 to 18 (FuRud, arXiv 2412.19018).

    Examples
    --------
    >>> memberships()[4].name
    'triangle (0, 0.25, 0.5)'
    """
    return Family([Triangle(*map(float, corners), id=index) for index, corners in enumerate(_TRIANGLES)])


def weights(n_weights: int = 30) -> Family:
    """Return the weights 1/n, 2/n, ..., 1, ids from 19 (DNIP, arXiv 2405.07623).

    Parameters
    ----------
    n_weights : int, default=30
        Number of steps; published values are 30, 50, 70 and 90.

    Raises
    ------
    ParameterError
        Fewer than one step.

    Examples
    --------
    >>> [weight.name for weight in weights(3)]
    ['weight 1/3', 'weight 2/3', 'identity']
    """
    n = _checked(n_weights)
    return Family([Weight(steps, n, id=FIRST_WEIGHT_ID + steps - 1) for steps in range(1, n + 1)])


def ensemble(n_weights: int = 30) -> Family:
    """Return memberships and weights together, one identity (DCS, arXiv 2503.05157).

    The last weight is the identity, as id 17 is, so it is omitted: with 30 weights there are 48
    corrections.

    Examples
    --------
    >>> len(ensemble(30)), ensemble(30).ids[[0, -1]].tolist()
    (48, [0, 47])
    """
    return memberships() | weights(n_weights)


def wide(n_weights: int = 30, monotone: bool = True) -> Family:
    """Return weights on a geometric scale with slopes, ids from 5000, and memberships.

    A weight w with a slope s takes p to w * p ** s, which is affine in log(p). Weights go from 1 to
    1/1000 in steps of equal ratio, to reach a class that is named far too often; slopes are 1/2, 1 and 2.

    Parameters
    ----------
    n_weights : int, default=30
        Weights for each slope.
    monotone : bool, default=True
        Omit the memberships that fall anywhere: with them a class may lose a row because the model
        is surer of it.

    Returns
    -------
    Family
        With 30 weights, 93 corrections, or 108 where they may fall.

    Raises
    ------
    ParameterError
        Fewer than one weight.

    Examples
    --------
    >>> len(wide()), len(wide(monotone=False)), wide()[-1].name
    (93, 108, 'weight 0.001, slope 2')
    >>> all(correction.is_monotone for correction in wide())
    True
    """
    n = _checked(n_weights)
    scale = [float(f"{LEAST_WEIGHT ** (step / max(1, n - 1)):.4g}") for step in range(n)]
    kinds = [(weight, slope) for slope in SLOPES for weight in scale]
    sloped = [SlopedWeight(*kind, id=FIRST_SLOPED_ID + k) for k, kind in enumerate(kinds)]
    return Family([one for one in (*memberships(), *sloped) if one.is_monotone or not monotone])


def family_of(
    family: str | Sequence[Correction], n_weights: int = 30, monotone: bool | None = None
) -> Family:
    """Return the family that has a name, or one that is given.

    Parameters
    ----------
    family : str or Family or sequence of Correction
        One of :data:`FAMILY_NAMES`, or the corrections themselves.
    n_weights : int, default=30
        Steps of the scale of weights, where a name stands for a family that has one.
    monotone : bool, optional
        Whether only corrections that never fall are kept. By default so in ``"wide"``, and in no other.

    Raises
    ------
    ParameterError
        There is no such family, or fewer than one step.

    Examples
    --------
    >>> len(family_of("wide")), len(family_of("wide", monotone=False)), len(family_of("ensemble", 10))
    (93, 108, 28)
    >>> [correction.name for correction in family_of("memberships", monotone=True)]
    ['triangle (0.5, 1, 1)', 'triangle (0.75, 1, 1)', 'triangle (0.875, 1, 1)', 'identity']
    """
    if not isinstance(family, (str, Iterator)) and isinstance(family, Iterable):  # an iterator is read once
        found = Family.of(family)
    elif family == "wide":
        return wide(n_weights, monotone is not False)
    elif family in FAMILY_NAMES:
        found = memberships() if family == "memberships" else _WITH_WEIGHTS[family](n_weights)
    else:
        raise ParameterError(
            parameter="family", allowed=f"one of {FAMILY_NAMES}, or corrections", received=family
        )
    return Family([one for one in found if one.is_monotone]) if monotone else found


_WITH_WEIGHTS = {"ensemble": ensemble, "weights": weights}


def _checked(n_weights: int) -> int:
    """Refuse what is no number of weights."""
    if isinstance(n_weights, bool) or not isinstance(n_weights, (int, np.integer)) or n_weights < 1:
        raise ParameterError(parameter="n_weights", allowed="a positive integer", received=n_weights)
    return int(n_weights)


def trapezoids() -> Family:
    """Return 14 trapezoids, ids from 2000, and the identity.

    Each is one from one point of 0, 1/16, 1/8, 1/4, 1/2, 1 to another and falls to zero at the
    points beside these. Class probabilities crowd near 0, so the points do too.

    Returns
    -------
    Family
        To be united with another one.

    Examples
    --------
    >>> from debias.corrections.families import ensemble
    >>> len(ensemble() | trapezoids() | gaussians() | sigmoids())
    104
    >>> trapezoids()[1].name, trapezoids()[-1].name
    ('trapezoid (0, 0, 0.0625, 0.125)', 'trapezoid (0.25, 0.5, 1, 1)')
    """
    points, last = _HALVINGS, len(_HALVINGS) - 1
    tops = [(i, j) for i in range(last) for j in range(i + 1, last + 1) if (i, j) != (0, last)]
    shapes = [(points[max(i - 1, 0)], points[i], points[j], points[min(j + 1, last)]) for i, j in tops]
    return Family([Trapezoid(*shape, id=FIRST_TRAPEZOID_ID + k) for k, shape in enumerate(shapes)])


def gaussians() -> Family:
    """Return 18 Gaussians, ids from 3000, and the identity.

    Means 0, 1/16, 1/8, 1/4, 1/2 and 1, as close as class probabilities crowd; deviations 1/16, 1/8
    and 1/4. They are zero nowhere, so the original probabilities never decide a row.

    Returns
    -------
    Family
        To be united with another one.

    Examples
    --------
    >>> gaussians()[1].name
    'Gaussian (mean 0, deviation 0.0625)'
    """
    shapes = [(mean, deviation) for mean in _HALVINGS for deviation in (1 / 16, 1 / 8, 1 / 4)]
    return Family([Gaussian(*shape, id=FIRST_GAUSSIAN_ID + k) for k, shape in enumerate(shapes)])


def sigmoids() -> Family:
    """Return 24 sigmoids, ids from 4000, and the identity.

    Centers 1/16, 1/8, 1/4 and 1/2, as close as class probabilities crowd; slopes 8, 16 and 32,
    rising and falling, which is from 10 to 90 % within .55, .27 and .14.

    Returns
    -------
    Family
        To be united with another one.

    Examples
    --------
    >>> sigmoids()[1].name
    'sigmoid (center 0.0625, slope -32)'
    """
    shapes = [
        (center, slope) for center in _HALVINGS[1:-1] for slope in (-32.0, -16.0, -8.0, 8.0, 16.0, 32.0)
    ]
    return Family([Sigmoid(*shape, id=FIRST_SIGMOID_ID + k) for k, shape in enumerate(shapes)])


def _numbered(correction: Correction, taken: dict[int, Correction]) -> Correction:
    """Return the correction, with the next free id of one's own if it has none."""
    if correction.id is not None:
        return correction
    own_id = FIRST_OWN_ID
    while own_id in taken:
        own_id += 1
    return replace(correction, id=own_id)
