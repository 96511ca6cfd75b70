"""A fitted correction applied to a probability table, classes matched by name.

The order of the columns does not matter; a class that only one of the two has is refused.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.metrics.class_mix import describe_other_mix
from debias.tables.labels.label_reading import plain_labels
from debias.tables.matched_columns import matched_columns
from debias.tables.table import ProbabilityTable


def correction_classes(debiaser: BaseDebiaser) -> list[str]:
    """Return the class names of a fitted correction, in the order of its columns.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.

    Returns
    -------
    list of str
        Names; integer classes as text.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> X = pd.DataFrame({"yes": [0.6, 0.7], "no": [0.4, 0.3]})
    >>> correction_classes(WeightDebiaser().fit(X, ["yes", "no"]))
    ['yes', 'no']
    """
    return [str(name) for name in debiaser.get_feature_names_out()]


def matched_probabilities(debiaser: BaseDebiaser, table: ProbabilityTable) -> pd.DataFrame:
    """Return the probabilities of a table with its columns in the order of the correction.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        Rows sum to one.

    Returns
    -------
    DataFrame of shape (n_samples, n_classes)
        One column per class.

    Raises
    ------
    TableError
        The classes of both are not the same.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> X = pd.DataFrame({"yes": [0.6, 0.7], "no": [0.4, 0.3]})
    >>> debiaser = WeightDebiaser().fit(X, ["yes", "no"])
    >>> matched_probabilities(debiaser, ProbabilityTable(X[["no", "yes"]])).columns.tolist()
    ['yes', 'no']
    >>> matched_probabilities(debiaser, ProbabilityTable([[0.2, 0.8]], classes=["no", "maybe"]))
    Traceback (most recent call last):
        ...
    debias.errors.TableError: the correction is for the classes 'yes', 'no', but the table has 'no',
    'maybe': only the correction has 'yes', only the table has 'maybe'; ...
    """
    return matched_columns(table, correction_classes(debiaser))


def as_table(debiaser: BaseDebiaser, rows: ProbabilityTable | tuple[Any, Any]) -> ProbabilityTable:
    """Return labelled rows as a table: they may be a pair of X and y as for ``fit``.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    rows : ProbabilityTable or tuple of X and y
        Columns of X as in the fit.

    Returns
    -------
    ProbabilityTable

    Raises
    ------
    ParameterError
        It is neither.
    TableError
        A row is not a distribution, or a label is missing or no class.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> X, y = [[0.6, 0.4], [0.7, 0.3]], ["a", "b"]
    >>> as_table(WeightDebiaser().fit(X, y), (X, y))
    ProbabilityTable(2 rows, classes=['a', 'b'], labelled)
    """
    if isinstance(rows, ProbabilityTable):
        return rows
    if not (isinstance(rows, tuple) and len(rows) == 2):
        allowed = "a ProbabilityTable, or a pair of rows and labels"
        raise ParameterError(parameter="table", allowed=allowed, received=f"<{type(rows).__name__}>")
    X, y = rows
    probabilities = debiaser._validated(X)
    labels = [str(label) for label in plain_labels(y).tolist()]
    return ProbabilityTable(probabilities, labels, classes=correction_classes(debiaser))


def predict_table(debiaser: BaseDebiaser, table: ProbabilityTable) -> pd.DataFrame:
    """Predict every row of a table, without the correction and with it.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        Labelled or not.

    Returns
    -------
    DataFrame of length n_samples
        Columns: id, text and label where the table has them, uncorrected and prediction (class
        names), and ``p_<class>``, the corrected values of each row divided by their sum.

    Raises
    ------
    TableError
        The classes of both are not the same, or a row is not a distribution.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.6, 0.4], [0.9, 0.1]], ["no", "yes"], classes=["yes", "no"])
    >>> debiaser = WeightDebiaser(shrink=False).fit(table.probabilities, table.labels)
    >>> predict_table(debiaser, table).drop(columns=["p_yes", "p_no"])
      id label uncorrected prediction
    0  0    no         yes         no
    1  1   yes         yes        yes
    """
    probabilities = matched_probabilities(debiaser, table)
    names = np.array(probabilities.columns.tolist(), dtype=object)
    X = probabilities if hasattr(debiaser, "feature_names_in_") else probabilities.to_numpy()
    optional = {"text": table.texts, "label": table.labels}
    frame = pd.DataFrame({"id": table.ids} | {k: v for k, v in optional.items() if v is not None})
    frame["uncorrected"] = names[probabilities.to_numpy().argmax(axis=1)]
    frame["prediction"] = [str(name) for name in debiaser.predict(X)]
    corrected = pd.DataFrame(debiaser.predict_proba(X), columns=[str(name) for name in debiaser.classes_])
    return frame.join(corrected[names.tolist()].add_prefix("p_"))


class Mixes(NamedTuple):
    """Rows of each class in a table, in the order of ``classes_``; tables of the same rows add up.

    Attributes
    ----------
    labels : ndarray of int, shape (n_classes,), or None
        Labelled as each; None without labels.
    predicted : ndarray of int, shape (n_classes,)
        Predicted as each by the model itself, without the correction.
    """

    labels: npt.NDArray[np.int64] | None
    predicted: npt.NDArray[np.int64]

    @classmethod
    def of(cls, debiaser: BaseDebiaser, table: ProbabilityTable) -> "Mixes":
        """Count the rows of a table.

        Raises
        ------
        TableError
            The classes of both are not the same.
        """
        position = pd.Index([str(name) for name in debiaser.classes_])

        def mix(values: Any) -> npt.NDArray[np.int64]:
            return np.bincount(position.get_indexer(pd.Index(values).astype(str)), minlength=len(position))

        probabilities = matched_probabilities(debiaser, table)
        predicted = probabilities.columns[probabilities.to_numpy().argmax(axis=1)]
        return cls(None if table.labels is None else mix(table.labels), mix(predicted))

    def plus(self, other: "Mixes") -> "Mixes":
        """Return the rows of both."""
        both = (self.labels, other.labels)
        labels = None if both[0] is None or both[1] is None else both[0] + both[1]
        return Mixes(labels, self.predicted + other.predicted)


def describe_other_mixes(debiaser: BaseDebiaser, rows: ProbabilityTable | Mixes) -> list[str]:
    """Say where labels, or the model's own predictions, have another class mix than on the opt rows.

    Predictions are compared without the correction, which was chosen on the opt rows: only so are
    both drawn alike where nothing has changed.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    rows : ProbabilityTable or Mixes
        Labelled or not.

    Returns
    -------
    list of str
        At most one sentence or two; none where chance may explain the difference.

    Raises
    ------
    TableError
        The classes of both are not the same.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> X = np.array([[0.6, 0.4], [0.9, 0.1], [0.65, 0.35], [0.8, 0.2]] * 25)
    >>> debiaser = WeightDebiaser().fit(X, [1, 0] * 50)
    >>> describe_other_mixes(debiaser, ProbabilityTable([[0.3, 0.7], [0.8, 0.2]] * 50))
    ["The model's own predictions have a different class mix from the opt rows (a test at the 1 %
    level): 0 50.0 % (100.0 % there), 1 50.0 % (0.0 % there). The classes, the texts or the model have
    changed: label some of these rows to see what the correction does to them."]
    """
    fitted, names = debiaser.fitted_, [str(name) for name in debiaser.classes_]
    counts = fitted.counts(corrected=False)
    weight = fitted.n_labels / counts.support.sum()  # weighted rows count as one each
    ours = rows if isinstance(rows, Mixes) else Mixes.of(debiaser, rows)
    if ours.labels is not None:
        said = describe_other_mix(names, ours.labels, counts.support * weight, "labels")
        if said:
            return [f"{said} Accuracy depends on the class mix; class accuracies and COBias need not."]
    said = describe_other_mix(names, ours.predicted, counts.predicted * weight, "model's own predictions")
    if not said:
        return []
    if ours.labels is not None:
        return [f"{said} The labels have not: the texts or the model have changed."]
    return [
        f"{said} The classes, the texts or the model have changed: label some of these rows to see what the "
        "correction does to them."
    ]
