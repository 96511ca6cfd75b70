"""The contents of a probability table, as they pass between the table and its files.

Plain data: :mod:`debias.tables.checks` checks it, :mod:`debias.tables.formats` reads and writes it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from debias.tables.class_columns import FloatArray, IndexArray

PER_ROW = ("probabilities", "labels", "ids", "texts", "label_mass")


@dataclass(frozen=True)
class TableParts:
    """The contents of a probability table; checked or, fresh from a file, not yet.

    Attributes
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    classes : sequence of str
        Class names in column order.
    labels, ids, texts : ndarray of str of shape (n_samples,), or None
        One per row, where there are any. Ids are always there once checked.
    label_mass : ndarray of shape (n_samples,), or None
        Probability that all labels together got before normalisation.
    metadata : dict
        Where the table came from.
    source : str or None
        Fingerprint of the table that these rows were taken from, if they were.
    ids_given : bool or None
        Whether the ids name the samples, rather than count the rows of one file; None where
        that has to be told from the ids.

    Examples
    --------
    >>> parts = TableParts(np.array([[0.7, 0.3], [0.4, 0.6]]), ("no", "yes"), ids=np.array(["a", "b"]))
    >>> parts.take(np.array([1])).ids.tolist()
    ['b']
    """

    probabilities: FloatArray
    classes: Sequence[str]
    labels: Any = None
    ids: Any = None
    texts: Any = None
    label_mass: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    ids_given: bool | None = None

    def take(self, rows: IndexArray) -> "TableParts":
        """Return some rows, which remember the table they were taken from."""
        per_row = {name: getattr(self, name) for name in PER_ROW}
        taken: dict[str, Any] = {
            name: None if values is None else values[rows] for name, values in per_row.items()
        }
        return replace(self, source=self.source or self.fingerprint(), **taken)

    def fingerprint(self) -> str:
        """Return the SHA-256, in hexadecimal, of probabilities, ids and texts."""
        digest = hashlib.sha256(np.ascontiguousarray(self.probabilities, dtype="<f8").tobytes())
        texts = None if self.texts is None else list(self.texts)
        digest.update(json.dumps([list(self.ids), texts]).encode())
        return digest.hexdigest()

    def equals(self, other: "TableParts") -> bool:
        """Whether classes, metadata and every row are the same, floats bit by bit."""
        return (
            tuple(self.classes) == tuple(other.classes)
            and self.metadata == other.metadata
            and all(_same(getattr(self, name), getattr(other, name)) for name in PER_ROW)
        )


def _same(mine: Any, its: Any) -> bool:
    """Whether two optional arrays are equal."""
    if mine is None or its is None:
        return mine is its
    return bool(np.array_equal(mine, its))
