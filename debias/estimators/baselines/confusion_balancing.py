"""Confusion balancing: factors that make the diagonal, or the columns, of the confusion matrix even."""

from dataclasses import dataclass

import numpy as np

from debias.errors import ParameterError
from debias.estimators.baselines.class_factors import FactorBaseline
from debias.search.objective import confusion_counts
from debias.tables.class_columns import ClassColumns, FloatArray

BALANCES = ("accuracies", "counts")


@dataclass(kw_only=True, eq=False, repr=False)
class ConfusionBalancing(FactorBaseline):
    r"""Multiply by factors that are raised and cut until the confusion matrix of the labels is even.

    With ``balance="accuracies"`` the factors maximise the least class accuracy (then the mean); with
    ``"counts"`` they minimise the rows by which the predicted counts :math:`q` differ from the label counts
    :math:`B`, :math:`\sum_j |q_j - B_j|`. Both start at 1 and take `n_steps` multiplicative steps (Arora,
    Hazan and Kale 2012): step t adds :math:`r_j / \sqrt{t}` to the logarithm of the factor of class j,
    where :math:`r_j` is the mean class accuracy less that of the class, or
    :math:`\log ((B_j + 1) / (q_j + 1))`. The best factors met are kept. Even accuracies are the aim of
    minimax classification (Martinez, Bertran and Sapiro 2020), matched counts that of class mass
    normalisation (Zhu, Ghahramani and Lafferty 2003).

    Parameters
    ----------
    balance : {"accuracies", "counts"}, default="accuracies"
        What is made even.
    n_steps : int, default=200
        Steps.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    factors_ : ndarray of shape (n_classes,)
        Factor of each column; the largest is 1.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
    >>> ConfusionBalancing().fit(X, [0, 0, 1, 1]).predict(X)
    array([0, 0, 1, 1])
    >>> ConfusionBalancing(balance="counts").fit(X, [1, 0, 0, 1]).predict(X)
    array([0, 0, 1, 1])
    """

    balance: str = "accuracies"
    n_steps: int = 200

    _uses_labels = True

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        if self.balance not in BALANCES:
            raise ParameterError(
                parameter="balance", allowed=f"one of {', '.join(map(repr, BALANCES))}", received=self.balance
            )
        if self.n_steps < 1:
            raise ParameterError(parameter="n_steps", allowed="a positive integer", received=self.n_steps)
        n_classes = probabilities.shape[1]
        present = np.bincount(match.y, minlength=n_classes) > 0
        b = np.zeros(n_classes)
        best, kept = (-np.inf, -np.inf), b
        for step in range(1, self.n_steps + 1):
            predicted = (probabilities * np.exp(b - b.max())).argmax(axis=1)
            correct, counts, support = confusion_counts(match.y, predicted, n_classes)[:3]
            accuracies = correct / np.maximum(support, 1)
            if self.balance == "accuracies":
                worth = float(accuracies[present].min()), float(accuracies[present].mean())
                residual = np.where(present, accuracies[present].mean() - accuracies, 0.0)
            else:
                worth = -float(np.abs(counts - support).sum()), 0.0
                residual = np.log((support + 1) / (counts + 1))
            if worth > best:
                best, kept = worth, b
            if not residual.any():
                break
            b = b + residual / np.sqrt(step)
        self._keep(kept)
