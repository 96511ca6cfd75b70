"""A saved correction, read and applied with NumPy alone: the same answers as of the fitted estimator."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from debias.corrections.bases.base import Base
from debias.corrections.correction import Correction, FloatArray
from debias.corrections.correction_document import (
    Document,
    base_of,
    corrections_of,
    damage_named,
    labels_of,
    read_document,
)
from debias.corrections.decision_rule import DecisionRule, IndexArray
from debias.errors import CorrectionFileError, TableError
from debias.rows.probability_rows import check_probabilities, two_orders


@dataclass(frozen=True, eq=False)
class ServedCorrection:
    """A correction that is ready to be applied. It is never changed, so threads may share it.

    Parameters
    ----------
    classes : tuple of length n_classes
        Class labels in the order of the columns.
    corrections : tuple of Correction
        One per column.
    base : Base
        What maps class probabilities to the posteriors that are corrected.
    document : dict
        The file that it was read from, as plain data.

    Examples
    --------
    >>> from debias.corrections.bases.base import Identity
    >>> from debias.corrections.correction import Triangle, Weight
    >>> half = ServedCorrection(("no", "yes"), (Weight(1, 2), Triangle(0, 1, 1)), Identity())
    >>> half.predict([[0.6, 0.4], [0.8, 0.2]]).tolist()
    ['yes', 'no']
    >>> half.predict({"yes": [0.4], "no": [0.6]}).tolist()
    ['yes']
    """

    classes: tuple[Any, ...]
    corrections: tuple[Correction, ...]
    base: Base
    document: Document = field(default_factory=dict, repr=False)

    @cached_property
    def rule(self) -> DecisionRule:
        """Base and corrections, as they are applied to rows."""
        return DecisionRule(self.corrections, self.base)

    @cached_property
    def _labels(self) -> npt.NDArray[Any]:
        return np.array(self.classes)

    def predict(self, probabilities: Any) -> npt.NDArray[Any]:
        """Return the predicted labels.

        Parameters
        ----------
        probabilities : array-like of shape (n_samples, n_classes), frame or mapping
            Class probabilities. Columns with names, those of a frame or a mapping, are matched to the
            classes by name; those of an array, or of a frame whose columns pandas merely numbers, are in
            the order of ``classes``.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        TableError
            A row is not a distribution, or the columns are others than the classes.
        """
        return np.asarray(self._labels[self.decide(probabilities)])

    def decide(self, probabilities: Any) -> IndexArray:
        """Return the positions in ``classes`` of the predicted labels; parameters as in ``predict``."""
        return self.rule.decide(self._checked(probabilities))

    def values(self, probabilities: Any) -> FloatArray:
        """Return the corrected values, columns as ``classes``, rows not renormalised; see ``predict``."""
        return self.rule.values(self._checked(probabilities))

    def shares(self, probabilities: Any) -> FloatArray:
        """Return the corrected values divided by their sum, columns as ``classes``; see ``predict``."""
        return self.rule.shares(self._checked(probabilities))

    def _checked(self, probabilities: Any) -> FloatArray:
        """Return rows of valid probabilities, columns as the classes."""
        if type(probabilities) is np.ndarray and probabilities.dtype == np.float64:
            values: FloatArray = probabilities  # what comes most often is taken as it is
        else:
            values = self._values(probabilities)
        if values.ndim != 2 or values.shape[1] != len(self.classes):
            raise TableError(
                parameter="probabilities",
                allowed=f"of shape (n_samples, {len(self.classes)}), a column for each of {self.classes}",
                received=values.shape,
            )
        return check_probabilities(values, self.classes, sum_to_one=True)

    def _values(self, probabilities: Any) -> FloatArray:
        """Return rows of numbers of whatever kind, columns as the classes."""
        # the names of a frame, whichever library made it; a table of Arrow has its arrays in `columns`
        names = getattr(probabilities, "column_names", getattr(probabilities, "columns", None))
        if isinstance(probabilities, Mapping):
            names = probabilities.keys()
        if names is None or (not isinstance(probabilities, Mapping) and self._are_counted(names)):
            return _numbers(lambda: _real(probabilities))
        order = self._order_of(list(names))
        return _numbers(
            lambda: np.column_stack([_real(probabilities[name]).astype(np.float64) for name in order])
        )

    def _are_counted(self, names: Iterable[object]) -> bool:
        """Tell whether columns have no names but 0, 1, 2, ..., that are no classes.

        Raises
        ------
        TableError
            They are classes in another order, and pandas may have numbered them: two readings differ.
        """
        given, classes = list(names), [str(label) for label in self.classes]
        counted = [str(column) for column in range(len(given))]
        if given != list(range(len(given))) or [str(name) for name in given] != counted:
            return False
        if set(counted) != set(classes):
            return True
        if counted != classes and type(names).__name__ == "RangeIndex":
            raise two_orders(given, self.classes)
        return False

    def _order_of(self, names: list[object]) -> list[object]:
        """Return the names of columns in the order of the classes; names are compared as texts."""
        by_text = {str(name): name for name in names}
        wanted = [str(label) for label in self.classes]
        if len(names) != len(wanted) or set(by_text) != set(wanted):
            raise TableError(
                parameter="the columns", allowed=f"the classes {wanted}", received=[*map(str, names)]
            )
        return [by_text[text] for text in wanted]


def _numbers(convert: Callable[[], Any]) -> FloatArray:
    """Return an array of numbers, or say that rows are none."""
    try:
        return np.asarray(convert(), dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # such as a tensor with a gradient
        problem = f"class probabilities must be numbers in rows of equal length; {str(error)[:200]}"
        raise TableError(problem) from error


def _real(given: Any) -> npt.NDArray[Any]:
    """Return an array without an imaginary part, a unit of time or a mask, which a conversion would drop."""
    values = np.asanyarray(given)
    if values.dtype.kind in "cmM":
        raise TypeError(f"got values of the type {values.dtype}")
    if type(values) is np.ndarray or not np.ma.is_masked(values):
        return values
    return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))


def load(path: str | PathLike[str]) -> ServedCorrection:
    """Read a correction that ``.save()`` or ``debias fit`` wrote, with NumPy alone.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ServedCorrection

    Raises
    ------
    CorrectionFileError
        The file is missing, damaged or of another version, or it names a function of your own.

    Examples
    --------
    >>> import os, tempfile
    >>> from debias import WeightDebiaser
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = WeightDebiaser().fit(X, [1, 0, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     debiaser.save(os.path.join(folder, "correction.json"))
    ...     served = load(os.path.join(folder, "correction.json"))
    >>> (served.predict(X) == debiaser.predict(X)).all()
    np.True_
    """
    with damage_named(path):
        document = read_document(path)
        classes = tuple(labels_of(document))
        return ServedCorrection(classes, corrections_of(document, _refuse_own), base_of(document), document)


def _refuse_own(description: dict[str, object]) -> Correction:
    raise CorrectionFileError(
        f"the correction {description.get('label', description.get('id'))!r} is a custom function, which "
        "cannot be stored in a file",
        parameter="correction",
        fix="serve it in Python, with debias.load(path, family=...)",
    )


def apply(correction: ServedCorrection | str | PathLike[str], probabilities: Any) -> npt.NDArray[Any]:
    """Return the labels that a saved correction predicts.

    Parameters
    ----------
    correction : ServedCorrection, str or path-like
        A correction, or its file. Load it once where rows come one by one.
    probabilities : array-like of shape (n_samples, n_classes), frame or mapping
        Class probabilities; see :meth:`ServedCorrection.predict`.

    Returns
    -------
    ndarray of shape (n_samples,)
        Labels.

    Raises
    ------
    CorrectionFileError, TableError
        The file cannot be read; a row is not a distribution, or the columns are others than the classes.

    Examples
    --------
    >>> from debias.corrections.bases.base import Identity
    >>> from debias.corrections.correction import Triangle, Weight
    >>> half = ServedCorrection(("no", "yes"), (Weight(1, 2), Triangle(0, 1, 1)), Identity())
    >>> apply(half, [[0.6, 0.4]]).tolist()
    ['yes']
    """
    served = correction if isinstance(correction, ServedCorrection) else load(correction)
    return served.predict(probabilities)
