"""Linear maps of log-probabilities: logits = matrix @ log p + bias.

Batch calibration, vector scaling and the affine map differ in which entries of the matrix may
differ from those of the identity.
"""

from dataclasses import dataclass

import numpy as np

from debias.corrections.bases.base import Base, log_probabilities, softmax
from debias.corrections.correction import FloatArray

_AT_ONCE = 1 << 18
"""Products that are kept at once, two megabytes."""


def row_sums(values: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return ``values @ matrix.T``, the sums of each row by itself.

    A product of matrices would round a row differently in another batch.

    Examples
    --------
    >>> row_sums(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [1.0, 1.0]]))
    array([[1., 3.]])
    """
    n_rows = max(1, _AT_ONCE // matrix.size)
    parts = [
        (values[first : first + n_rows, None, :] * matrix).sum(axis=2)
        for first in range(0, len(values), n_rows)
    ]
    return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts))


@dataclass(frozen=True, eq=False)
class LinearMap(Base):
    """A linear map of log-probabilities, then a softmax.

    Parameters
    ----------
    matrix : ndarray of shape (n_classes, n_classes)
        Row k says how the log-probability of each class adds to the logit of class k.
    bias : ndarray of shape (n_classes,)
        What is added to each logit, in nats.
    spread : ndarray of shape (n_classes,)
        Standard deviation of each log-probability over the rows of the fit: a usual step.
    kind : {"batch", "vector", "affine"}
        Which entries were learnt: the bias alone, a slope per class as well, or the whole matrix.
    strength : float or None
        Weight of the pull towards batch calibration; None where it is batch calibration.

    Examples
    --------
    >>> half = LinearMap(np.eye(2), np.log([0.5, 1.0]), np.ones(2), "batch")
    >>> half.posteriors(np.array([[0.5, 0.5]])).round(3)
    array([[0.333, 0.667]])
    """

    matrix: FloatArray
    bias: FloatArray
    spread: FloatArray
    kind: str  # type: ignore[misc]
    strength: float | None = None

    def posteriors(self, probabilities: FloatArray) -> FloatArray:  # noqa: D102
        logs = log_probabilities(probabilities)
        if self.kind == "batch":
            return softmax(logs + self.bias[None])  # of the shape of one row: NumPy needs half the time
        return softmax(row_sums(logs, self.matrix) + self.bias)

    def moved_evidence(self) -> FloatArray:
        """Return what the map adds to the effect of a usual step, shape (n_classes, n_classes).

        Entry (k, j): where the log-probability of class j is a standard deviation higher, by how much
        the log-odds of class k against the average class rise, beyond what they do without the map. (A
        number added to a whole column of the matrix moves all logits alike and changes nothing, so
        columns are taken less their means.)
        """
        change = self.matrix - np.eye(len(self.bias))
        return np.asarray((change - change.mean(axis=0)) * self.spread)

    def to_dict(self) -> dict[str, object]:
        """Describe the map as plain data: rows and columns in the order of the classes of the file."""
        return {
            "kind": self.kind,
            "strength": self.strength,
            "bias": self.bias.tolist(),
            "spread": self.spread.tolist(),
            "matrix": self.matrix.tolist(),
        }


def batch_calibration(unlabelled: FloatArray) -> LinearMap:
    """Return the map that divides by the mean class probabilities of some rows (Zhou et al. 2023).

    Parameters
    ----------
    unlabelled : ndarray of shape (n_samples, n_classes)
        Class probabilities; no labels are needed.

    Examples
    --------
    >>> calibration = batch_calibration(np.array([[0.9, 0.1], [0.6, 0.4]]))
    >>> calibration.posteriors(np.array([[0.75, 0.25]]))
    array([[0.5, 0.5]])
    """
    bias = -log_probabilities(unlabelled.mean(axis=0))
    spread = log_probabilities(unlabelled).std(axis=0)
    return LinearMap(np.eye(unlabelled.shape[1]), bias - bias.mean(), spread, "batch")
