"""Fits the rows of `debias compare` on redrawn rows and measures them on others; tests that say who wins."""

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import read
from numpy.typing import NDArray

from debias.estimators.debiasers import EnsembleDebiaser
from debias.estimators.tuning.debiaser import Debiaser
from debias.metrics.confusion import cobias_of_accuracies
from debias.reports.comparison.compared_methods import MethodSettings, choose_methods
from debias.search.objective import Objective, confusion_counts
from debias.tables.table import ProbabilityTable

Array = NDArray[Any]
FIGURES = ("z", "accuracy", "cobias", "balanced", "worst")
SPLITS = ("opt", "test")
MOST_PATTERNS = 1 << 14


@dataclass(frozen=True)
class Rows:
    """Class probabilities and labels, as columns."""

    X: Array
    y: Array

    def take(self, rows: Array) -> "Rows":
        """Return some of the rows."""
        return Rows(self.X[rows], self.y[rows])

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(np.vstack([self.X, other.X]), np.concatenate([self.y, other.y]))

    @property
    def n_classes(self) -> int:
        """Number of columns."""
        return self.X.shape[1]


def one_shot_pairs(folder: Path, tasks: Sequence[str]) -> dict[str, tuple[Rows, Rows]]:
    """Return opt and test rows of the 1-shot tables in a folder, by task: published text, or collected."""
    found = {}
    for task in tasks:
        published = [folder / f"{task}_shot1_seed0" / f"{split}.txt" for split in SPLITS]
        collected = [folder / f"{task}_{split}_shot1_seed0.parquet" for split in SPLITS]
        if all(path.exists() for path in published):
            opt, test = (_normalised(*read(path)) for path in published)
        elif all(path.exists() for path in collected):
            opt, test = (rows_of(ProbabilityTable.read(path)) for path in collected)
        else:
            continue
        found[task] = (opt, test)
    return found


def rows_of(table: ProbabilityTable) -> Rows:
    """Return the rows of a collected table."""
    return _normalised(table.to_numpy(), np.asarray(table.label_indices))


def _normalised(X: Array, y: Array) -> Rows:
    return Rows(X / X.sum(axis=1, keepdims=True), np.asarray(y, dtype=np.int64))


def fit(key: str, rows: Rows, n_starts: int, seed: int = 0, objective: Objective | None = None) -> Any:
    """Fit a row of the comparison; what would prove its choice searches by descent, which is quicker."""
    settings = MethodSettings(objective=objective, n_starts=n_starts, n_jobs=1, seed=seed)
    method = choose_methods([key])[0]
    estimator: Any = method.make(settings, None)  # type: ignore[arg-type]
    if isinstance(estimator, EnsembleDebiaser | Debiaser):
        estimator.set_params(search="descent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.set_params(classes=list(range(rows.n_classes))).fit(rows.X, rows.y)


def figures(rows: Rows, predicted: Array, objective: Objective | None = None) -> dict[str, float]:
    """Return the figures of predictions; classes without rows count in none of them."""
    counts = confusion_counts(rows.y, np.asarray(predicted), rows.n_classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracies = counts.correct / counts.support
    present = accuracies[counts.support > 0]
    return {
        "z": float((objective or Objective())(*counts[:3])),
        "accuracy": float((predicted == rows.y).mean()),
        "cobias": float(cobias_of_accuracies(present)),
        "balanced": float(present.mean()),
        "worst": float(present.min()),
    }


def class_accuracies(rows: Rows, predicted: Array) -> Array:
    """Return the accuracy of each class; NaN without rows."""
    counts = confusion_counts(rows.y, np.asarray(predicted), rows.n_classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts.support > 0, counts.correct / counts.support, np.nan)


def redraw(whole: Rows, size: int, seed: Sequence[int]) -> tuple[Rows, Rows]:
    """Draw rows to fit on, of at least two classes; the others are held out."""
    rng = np.random.default_rng(list(seed))
    while True:
        taken = rng.choice(len(whole.y), size, replace=False)
        if len(np.unique(whole.y[taken])) > 1:
            return whole.take(taken), whole.take(np.setdiff1d(np.arange(len(whole.y)), taken))


def sign_flip(differences: Sequence[float], seed: int = 0) -> float:
    """Return the two-sided p of a mean difference over independent tables: all sign patterns, or drawn ones.

    Without a difference between two methods, each table's difference is as likely to have the other sign.
    """
    values = np.asarray([value for value in differences if value == value], dtype=np.float64)
    if not len(values) or not values.any():
        return 1.0
    if 2 ** len(values) <= MOST_PATTERNS:
        signs = np.array(list(itertools.product((-1, 1), repeat=len(values))))
    else:
        drawn = np.random.default_rng(seed).choice((-1, 1), size=(MOST_PATTERNS - 1, len(values)))
        signs = np.vstack([np.ones(len(values)), drawn])
    sums = np.abs(signs @ values)
    return float((sums >= abs(values.sum()) - 1e-12).mean())
