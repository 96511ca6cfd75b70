"""Answers that a correction must not fall behind: the uncorrected model and the majority class."""

import numpy as np

from debias.estimators.baselines.baseline import Baseline
from debias.tables.class_columns import ClassColumns, FloatArray


class Uncorrected(Baseline):
    """The class probabilities as the model gave them.

    Parameters
    ----------
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Examples
    --------
    >>> Uncorrected(classes=["no", "yes"]).fit([[0.7, 0.3]]).predict([[0.5, 0.5], [0.1, 0.9]])
    array(['no', 'yes'], dtype='<U3')
    """


class MajorityClass(Baseline):
    """The most frequent label, whatever the model says.

    Parameters
    ----------
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    shares_ : ndarray of shape (n_classes,)
        Share of the labels of each column: its probability in every row.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]
    >>> MajorityClass().fit(X, [0, 1, 1]).predict(X)
    array([1, 1, 1])
    """

    _uses_labels = True

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        self.shares_ = np.bincount(match.y, minlength=probabilities.shape[1]) / len(match.y)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        return np.tile(self.shares_, (len(probabilities), 1))
