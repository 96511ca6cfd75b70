"""A base maps class probabilities to posteriors; the corrections then work on the posteriors.

A base is plain data: it is saved in the file of a correction, and applied with numpy alone.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from debias.corrections.correction import FloatArray

SMALLEST = 1e-6
"""Least probability whose logarithm is taken."""


def log_probabilities(probabilities: FloatArray, smallest: float = SMALLEST) -> FloatArray:
    """Return the logarithms of probabilities, none below that of the smallest one, since 0 has none.

    Rows lie one after the other in memory, however they came: NumPy adds in the order of the memory.

    Examples
    --------
    >>> log_probabilities(np.array([[1.0, 0.0]])).round(2)
    array([[  0.  , -13.82]])
    """
    return np.ascontiguousarray(np.log(np.maximum(probabilities, smallest)))


def softmax(logits: FloatArray) -> FloatArray:
    """Return the softmax of every row.

    Examples
    --------
    >>> softmax(np.log([[1.0, 3.0]]))
    array([[0.25, 0.75]])
    """
    if len(logits) == 1:  # NumPy needs half the time for a number as for a column of one
        powers = np.exp(logits - logits.item(logits.argmax()))
        return np.asarray(powers / powers.sum(axis=1).item())
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class Base(ABC):
    """A map from class probabilities to posteriors, both of shape (n_samples, n_classes)."""

    kind: ClassVar[str]

    @abstractmethod
    def posteriors(self, probabilities: FloatArray) -> FloatArray:
        """Return the posteriors of some rows.

        Parameters
        ----------
        probabilities : ndarray of shape (n_samples, n_classes)
            Class probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to one; columns as they came.
        """

    def to_dict(self) -> dict[str, object]:
        """Describe the base as plain data, for a file."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Identity(Base):
    """The probabilities as the model gave them.

    Examples
    --------
    >>> Identity().posteriors(np.array([[0.7, 0.3]]))
    array([[0.7, 0.3]])
    """

    kind = "identity"

    def posteriors(self, probabilities: FloatArray) -> FloatArray:  # noqa: D102
        return probabilities
