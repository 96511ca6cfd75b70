"""Measures methods on one pair of tables: each is fitted on the opt rows and predicts the test rows."""

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from debias.console.progress import dropped_at_ctrl_c
from debias.errors import InterruptedWarning, TableError
from debias.metrics.confusion import accuracies_of, codes_of
from debias.reports.comparison.compared_methods import Method, MethodSettings
from debias.tables.class_columns import FloatArray, IndexArray
from debias.tables.overlap import check_disjoint
from debias.tables.table import ProbabilityTable

Announce = Callable[[str], object]
_LONGEST = 200


@dataclass(frozen=True)
class Measurement:
    """What one method predicted on the test rows, or why it could not.

    Attributes
    ----------
    method : Method
    predicted : ndarray of shape (n_test,), optional
        Class of each row, as a position; None where the method failed or was not reached.
    labels_used : int, optional
    seconds : float, optional
        Of the fit.
    reason : str
        Why there is no prediction.
    """

    method: Method
    predicted: IndexArray | None = None
    labels_used: int | None = None
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class MeasuredTable:
    """All methods on one pair of tables.

    Attributes
    ----------
    name : str
    classes : tuple of str
    n_opt : int
    truth : ndarray of shape (n_test,)
        Class of each test row, as a position.
    measurements : tuple of Measurement
    rows : str
        Tells the test rows apart from those of other tables: equal where they are the same.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    name: str
    classes: tuple[str, ...]
    n_opt: int
    truth: IndexArray
    measurements: tuple[Measurement, ...]
    rows: str
    interrupted: bool = False

    def predictions(self) -> dict[str, IndexArray]:
        """Return the predictions by method, of those that have any."""
        return {one.method.name: one.predicted for one in self.measurements if one.predicted is not None}

    def counts(self, predicted: IndexArray) -> IndexArray:
        """Return confusion counts of shape (n_classes, n_classes + 1); the last column is no class."""
        n = len(self.classes)
        return np.bincount(self.truth * (n + 1) + predicted, minlength=n * (n + 1)).reshape(n, n + 1)

    def class_accuracies(self) -> pd.DataFrame:
        """Return the accuracy of each class (columns) with each method that was measured (rows)."""
        rows: dict[str, FloatArray] = {
            name: accuracies_of(self.counts(predicted)) for name, predicted in self.predictions().items()
        }
        columns = pd.Index(list(self.classes), name="class")
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("method")


def check_pair(opt: ProbabilityTable, test: ProbabilityTable) -> None:
    """Refuse a pair of tables that cannot be compared on: common rows, other classes, no labels.

    Raises
    ------
    OverlapError
        The tables share rows.
    TableError
        A table has no labels or rows that do not sum to 1, or the classes differ.
    """
    check_disjoint(opt, test)
    if set(opt.classes) != set(test.classes):
        raise TableError(
            parameter="the classes of the test table",
            allowed=f"those of the opt table, {list(opt.classes)}",
            received=list(test.classes),
        )
    for table in (opt, test):
        _ = table.label_indices  # an unlabelled table is refused with what to do about it
        table.check_sums()


def measure(
    name: str,
    opt: ProbabilityTable,
    test: ProbabilityTable,
    methods: Sequence[Method],
    settings: MethodSettings,
    on_method: Announce | None = None,
) -> MeasuredTable:
    """Fit every method on the opt rows, and let it predict the test rows.

    A method that fails is kept with its reason. After Ctrl-C, what was measured is kept. What methods
    warn of is said once, however many say it.

    Parameters
    ----------
    name : str
    opt, test : ProbabilityTable
        As :func:`check_pair` accepts them.
    methods : sequence of Method
    settings : MethodSettings
    on_method : callable, optional
        Called with the name of each method before it is fitted.

    Returns
    -------
    MeasuredTable
    """
    classes = opt.classes
    truth = codes_of(pd.Index(classes), np.array(test.classes)[test.label_indices])
    found = [Measurement(method, reason="interrupted: not measured") for method in methods]
    interrupted = False
    with warnings.catch_warnings(record=True) as caught, dropped_at_ctrl_c():
        warnings.simplefilter("always")
        try:
            for place, method in enumerate(methods):
                if on_method is not None:
                    on_method(method.name)
                found[place] = _measured(method, opt, test, settings)
        except KeyboardInterrupt:
            interrupted = True
    said = {(one.category, str(one.message)) for one in caught}
    for category, text in sorted(said, key=str):
        if not issubclass(category, InterruptedWarning):
            warnings.warn(text, category, stacklevel=3)
    return MeasuredTable(name, classes, len(opt), truth, tuple(found), _rows(test, truth), interrupted)


def _rows(test: ProbabilityTable, truth: IndexArray) -> str:
    """Return a digest of ids, texts and labels: tables of other prompts have the same rows."""
    said = [list(test.classes), test.ids.tolist(), truth.tolist()]
    said.append(None if test.texts is None else test.texts.tolist())
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _measured(
    method: Method, opt: ProbabilityTable, test: ProbabilityTable, settings: MethodSettings
) -> Measurement:
    """Fit one method and predict; a search that Ctrl-C ended early is not measured, whatever it kept."""
    started = time.perf_counter()
    try:
        classifier = method.make(settings, opt)
        classifier.fit(method.read(opt, opt.classes, settings), opt.labels)
        done = Measurement(
            method, labels_used=labels_used(classifier, len(opt)), seconds=time.perf_counter() - started
        )
        if getattr(classifier, "interrupted_", False):
            raise KeyboardInterrupt
        predicted = classifier.predict(method.read(test, opt.classes, settings))
        return replace(done, predicted=codes_of(pd.Index(opt.classes), predicted))
    except Exception as error:  # one method that fails does not end the comparison: the row says why
        reason = " ".join(str(error).split())[:_LONGEST].removesuffix(".") or type(error).__name__
        return Measurement(method, reason=f"failed: {reason}")


def labels_used(method: object, n_samples: int) -> int:
    """Return how many labels a fitted method used: what it says, else all that it was given.

    Examples
    --------
    >>> from debias.estimators.baselines import Uncorrected
    >>> labels_used(Uncorrected().fit([[0.7, 0.3]]), 1)
    0
    """
    return int(getattr(method, "n_labels_", n_samples))
