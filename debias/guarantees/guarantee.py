"""A guarantee: what holds on new rows with a stated confidence, from held-out rows.

"Proved" is said of rows that were seen, "guaranteed" of new rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd

from debias.console.notebooks.card import card
from debias.console.number_formats import at_least, at_most, counted, exact_percent, listed, percent
from debias.errors import CorrectionFileError, ParameterError
from debias.guarantees.accuracy_bounds import (
    FloatArray,
    check_confidence,
    clopper_pearson,
    labels_needed,
    most_cobias,
)
from debias.guarantees.named_shares import check_mix, shares_of

Checked = Literal["table", "digests", "nothing"]

ASSUMED = (
    "This assumes rows like these, drawn independently given their class, from the same model and prompt, "
    "and that nothing was chosen on the held-out rows."
)
NOT_THE_SAME = (
    "The intervals in the other tables promise less: each covers a single figure, and the confidence of a "
    "bootstrap is only approximate."
)
"""What readers of a report must know, since it shows both."""
HEADER = ("class", "held-out rows", "correct, %", "at least, %", "at most, %", "rows needed")
"""Names of the columns of :func:`guarantee_cells`."""
MOST_CLASSES, MOST_ROWS = 2000, 1 << 53
SAME = 1e-9
"""Two releases may compute the same bound with this difference."""


@dataclass(frozen=True)
class Guarantee:
    """What holds on new rows; every statement holds at once with the stated confidence.

    Parameters
    ----------
    classes : tuple of str
        In the order of the columns.
    n, correct : tuple of int
        Held-out rows of each class, and those of them that are predicted correctly.
    confidence : float, default=0.95
        Of all statements together, those on other candidates included.
    class_mix : tuple of float, optional
        Shares of the classes among the new rows, to state the accuracy at.
    precision : float, default=0.05
        How close to the measured accuracies bounds should be, to say how many rows that takes.
    n_candidates : int, default=1
        Classifiers that were judged on the same rows.
    n_repeated : int, default=0
        Held-out rows that repeat another one.
    checked : {"table", "digests", "nothing"}, default="nothing"
        By what it was told that no held-out row was fitted on: the table of fitted rows, digests of
        them, or nothing.
    confusion : tuple of tuple of int, optional
        Held-out rows by class and predicted class, for `watch`; not kept for more than 150 classes.

    Raises
    ------
    ParameterError
        A value is not allowed.

    Notes
    -----
    With N classes, d = 1 - confidence and m candidates, each class accuracy A_j has exact bounds
    l_j, u_j, each of which fails with a probability of at most d / (2 N m); so all hold at once, and:

    - every class accuracy is at least the lowest l_j;
    - COBias is at most its maximum over these bounds, see
      :func:`~debias.guarantees.accuracy_bounds.most_cobias`;
    - the accuracy at any class mix q is ``sum q_j A_j``, which lies in ``[sum q_j l_j, sum q_j u_j]``.

    Examples
    --------
    >>> guarantee = Guarantee(classes=("no", "yes"), n=(500, 400), correct=(410, 300))
    >>> guarantee.to_frame().round(3)
             n  correct  accuracy    low   high  labels_needed
    class
    no     500      410      0.82  0.778  0.857            361
    yes    400      300      0.75  0.698  0.797            431
    >>> for sentence in guarantee.sentences():
    ...     print(sentence)
    Guaranteed on new rows, with 95 % confidence: every class accuracy is at least 69.8 %.
    COBias is at most 15.9 points (7.0 on the held-out rows).
    Accuracy is between 74.2 and 83.1 % at the class mix of the held-out rows, and at least 69.8 % at any
    other. Bounds of ±5 points take about 431 held-out rows of yes (400 so far).
    This assumes rows like these, drawn independently given their class, from the same model and prompt, and
    that nothing was chosen on the held-out rows. It was not checked whether the correction was fitted on
    these rows.
    """

    classes: tuple[str, ...]
    n: tuple[int, ...]
    correct: tuple[int, ...]
    confidence: float = 0.95
    class_mix: tuple[float, ...] | None = None
    precision: float = 0.05
    n_candidates: int = 1
    n_repeated: int = 0
    checked: Checked = "nothing"
    confusion: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        n_classes = len(self.classes)
        if not 2 <= n_classes <= MOST_CLASSES or len(self.n) != n_classes or len(self.correct) != n_classes:
            sizes = [n_classes, len(self.n), len(self.correct)]
            raise ParameterError(
                parameter="classes, n and correct",
                allowed=f"of one length, from 2 to {MOST_CLASSES}",
                received=sizes,
            )
        counts = (*self.n, *self.correct, self.n_repeated, self.n_candidates - 1)
        if not all(type(count) is int and 0 <= count < MOST_ROWS for count in counts):
            allowed = "counts of rows, and at least one candidate"
            raise ParameterError(parameter="n and correct", allowed=allowed, received=counts)
        if any(right > rows for right, rows in zip(self.correct, self.n, strict=True)) or not any(self.n):
            raise ParameterError(
                parameter="correct", allowed="at most n, which is not all 0", received=(self.correct, self.n)
            )
        if self.class_mix is not None:
            check_mix(self.class_mix, n_classes)
        if not (isinstance(self.precision, float) and 0 < self.precision <= 0.5):
            allowed = "a number above 0 and at most 0.5"
            raise ParameterError(parameter="precision", allowed=allowed, received=self.precision)
        if self.checked not in get_args(Checked):
            allowed = " or ".join(map(repr, get_args(Checked)))
            raise ParameterError(parameter="checked", allowed=allowed, received=self.checked)
        if self.confusion is not None and not self._fits(self.confusion):
            allowed = "rows of counts that add up to n, with those of correct on the diagonal"
            raise ParameterError(parameter="confusion", allowed=allowed, received=self.confusion)

    def _fits(self, confusion: Any) -> bool:
        """Tell whether a confusion matrix has the counts of this guarantee."""
        return (
            isinstance(confusion, tuple)
            and len(confusion) == len(self.classes)
            and all(
                isinstance(row, tuple)
                and len(row) == len(self.classes)
                and all(type(count) is int and 0 <= count < MOST_ROWS for count in row)
                and (sum(row), row[k]) == (self.n[k], self.correct[k])
                for k, row in enumerate(confusion)
            )
        )

    @property
    def tail(self) -> float:
        """How probable it may be that one bound of one class does not hold."""
        return (1 - self.confidence) / (2 * len(self.classes) * self.n_candidates)

    @cached_property
    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        return clopper_pearson(self.correct, self.n, self.tail)

    @property
    def accuracies(self) -> FloatArray:
        """Measured class accuracies; NaN without rows."""
        n = np.asarray(self.n, dtype=np.float64)
        return np.asarray(np.where(n > 0, np.asarray(self.correct) / np.maximum(n, 1), np.nan))

    @property
    def low(self) -> FloatArray:
        """Lower bound of each class accuracy."""
        return self._bounds[0]

    @property
    def high(self) -> FloatArray:
        """Upper bound of each class accuracy."""
        return self._bounds[1]

    @property
    def worst_class_at_least(self) -> float:
        """What every class accuracy reaches."""
        return float(self.low.min())

    @cached_property
    def cobias_at_most(self) -> float:
        """What COBias does not exceed."""
        return most_cobias(self.low, self.high)

    def accuracy(self, class_mix: Any = None) -> tuple[float, float]:
        """Return bounds of the accuracy at a class mix; they hold for all mixes at once.

        Parameters
        ----------
        class_mix : mapping of class to share, or sequence of shares by column, optional
            That of the held-out rows if not given.

        Raises
        ------
        ParameterError
            The shares are not of these classes, or do not sum to 1.

        Examples
        --------
        >>> guarantee = Guarantee(classes=("no", "yes"), n=(500, 400), correct=(410, 300))
        >>> low, high = guarantee.accuracy({"yes": 0.1, "no": 0.9})
        >>> round(low, 3), round(high, 3)
        (0.77, 0.851)
        """
        if class_mix is None:
            shares = np.asarray(self.n) / np.sum(self.n)
        else:
            shares = np.asarray(shares_of(class_mix, self.classes))
        return float(shares @ self.low), float(shares @ self.high)

    @property
    def labels_needed(self) -> tuple[int, ...]:
        """About how many held-out rows bring the bounds of each class within `precision`."""
        shares = np.nan_to_num(self.accuracies, nan=0.5)
        return tuple(labels_needed(float(share), self.tail, self.precision) for share in shares)

    def to_frame(self) -> pd.DataFrame:
        """Return a row per class: n, correct, accuracy, low, high, labels_needed."""
        columns = {
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.accuracies,
            "low": self.low,
            "high": self.high,
            "labels_needed": self.labels_needed,
        }
        return pd.DataFrame(columns, index=pd.Index(self.classes, name="class"))

    def sentences(self) -> list[str]:
        """Return one sentence for each statement, and what all of them assume."""
        low, high = self.accuracy()
        worst = f"{at_least(self.worst_class_at_least)} %"
        measured = self.accuracies[~np.isnan(self.accuracies)]
        said = [
            f"Guaranteed on new rows, with {exact_percent(self.confidence)} % confidence: every class "
            f"accuracy is at least {worst}.",
            f"COBias is at most {at_most(self.cobias_at_most)} points "
            f"({percent(most_cobias(measured, measured), unit=False)} on the held-out rows).",
            f"Accuracy is between {at_least(low)} and {at_most(high)} % at the class mix of the "
            f"held-out rows, and at least {worst} at any other.",
        ]
        if self.class_mix is not None:
            low, high = self.accuracy(self.class_mix)
            shares = zip(self.classes, self.class_mix, strict=True)
            mix = listed([f"{name} {percent(share)}" for name, share in shares], most=20)
            said.append(f"At the class mix {mix}, accuracy is between {at_least(low)} and {at_most(high)} %.")
        if self.n_candidates > 1:
            said.append(
                f"This holds for all {self.n_candidates} candidates at once, so you may choose the best one."
            )
        return [*said, *self._on_labels(), f"{ASSUMED}{self._cautions()}"]

    def _on_labels(self) -> list[str]:
        """Say which classes need more rows, and about how many."""
        frame = self.to_frame()
        wide = frame[frame["labels_needed"] > frame["n"]]
        if wide.empty:
            return []
        needed = [
            f"{row.labels_needed:,} held-out rows of {row.Index} ({row.n:,} so far)"
            for row in wide.itertuples()
        ]
        return [f"Bounds of ±{100 * self.precision:g} points take about {listed(needed, most=20)}."]

    def _cautions(self) -> str:
        """Say what weakens the statements."""
        said = []
        unseen = [name for name, rows in zip(self.classes, self.n, strict=True) if not rows]
        if unseen:
            said.append(f"There are no held-out rows of {listed(unseen)}, so nothing is guaranteed there.")
        if self.n_repeated:
            rows, verb = counted(self.n_repeated, "row"), "repeats" if self.n_repeated == 1 else "repeat"
            said.append(f"{rows} {verb} another held-out row, so the rows are not fully independent.")
        if self.checked == "nothing":
            said.append("It was not checked whether the correction was fitted on these rows.")
        return "".join(f" {sentence}" for sentence in said)

    def _repr_html_(self) -> str:
        """Return a card for notebooks."""
        title = f"Guarantee for new rows, with {exact_percent(self.confidence)} % confidence"
        return card(title, header=HEADER, rows=guarantee_cells(self), lines=self.sentences())

    def to_dict(self) -> dict[str, object]:
        """Return the guarantee as plain data; what follows from its counts is there to be read.

        Examples
        --------
        >>> guarantee = Guarantee(classes=("no", "yes"), n=(500, 400), correct=(410, 300))
        >>> Guarantee.from_dict(guarantee.to_dict()) == guarantee
        True
        """
        own: dict[str, object] = {one.name: getattr(self, one.name) for one in fields(self)}
        lists = {name: list(value) for name, value in own.items() if isinstance(value, tuple)}
        return own | lists | self._derived()

    def _derived(self) -> dict[str, object]:
        """Return what follows from the counts."""
        low, high = self.accuracy()
        return {
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "worst_class_at_least": self.worst_class_at_least,
            "cobias_at_most": self.cobias_at_most,
            "accuracy_between": [low, high],
        }

    @classmethod
    def from_dict(cls, entry: object) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        CorrectionFileError
            A field is missing or not as it should be, or a bound does not follow from the counts.

        Examples
        --------
        >>> entry = Guarantee(classes=("no", "yes"), n=(500, 400), correct=(410, 300)).to_dict()
        >>> Guarantee.from_dict(entry | {"cobias_at_most": 0.01})
        Traceback (most recent call last):
        debias.errors.CorrectionFileError: cobias_at_most must be 0.1589..., which follows from the counts,
        got 0.01.
        """
        if not isinstance(entry, Mapping):
            raise CorrectionFileError(parameter="guarantee", allowed="an object", received=entry)
        entry = {"confusion": None} | dict(entry)  # files of earlier releases have none
        own: dict[str, Any] = {one.name: _tuples(_field(entry, one.name)) for one in fields(cls)}
        if not isinstance(own["classes"], tuple) or not all(isinstance(x, str) for x in own["classes"]):
            raise CorrectionFileError(parameter="classes", allowed="texts", received=own["classes"])
        try:
            guarantee = cls(**own)
        except ParameterError as error:
            raise CorrectionFileError(
                parameter=error.parameter, received=error.received, allowed=error.allowed
            ) from error
        except TypeError as error:
            raise CorrectionFileError(str(error), parameter="guarantee") from error
        for name, follows in guarantee._derived().items():
            if not _is_same(_field(entry, name), follows):
                allowed = f"{follows}, which follows from the counts"
                raise CorrectionFileError(parameter=name, allowed=allowed, received=entry[name])
        return guarantee


def guarantee_cells(guarantee: Guarantee) -> list[list[str]]:
    """Return a row per class as text, for terminals and pages; the columns are :data:`HEADER`.

    Examples
    --------
    >>> guarantee_cells(Guarantee(classes=("no", "yes"), n=(500, 400), correct=(410, 300)))[1]
    ['yes', '400', '75.0', '69.8', '79.8', '431']
    """
    rows = zip(
        guarantee.classes,
        guarantee.n,
        guarantee.accuracies.tolist(),
        guarantee.low.tolist(),
        guarantee.high.tolist(),
        guarantee.labels_needed,
        strict=True,
    )
    return [
        [name, f"{n:,}", percent(share, unit=False), at_least(low), at_most(high), f"{needed:,}"]
        for name, n, share, low, high, needed in rows
    ]


def _field(entry: Mapping[str, Any], name: str) -> Any:
    """Return a field that must be there."""
    if name not in entry:
        raise CorrectionFileError(f"the field {name!r} of the guarantee is missing", parameter=name)
    return entry[name]


def _tuples(value: Any) -> Any:
    """Return lists of a file, and lists in them, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _is_same(written: Any, follows: Any) -> bool:
    """Tell whether numbers are those that follow, but for rounding."""
    numbers = written if isinstance(written, list) else [written]
    expected = follows if isinstance(follows, list) else [follows]
    return (
        isinstance(written, list) == isinstance(follows, list)
        and len(numbers) == len(expected)
        and all(
            isinstance(one, float) and abs(one - other) <= SAME
            for one, other in zip(numbers, expected, strict=True)
        )
    )
