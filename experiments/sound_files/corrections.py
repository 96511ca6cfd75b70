"""Files of corrections of every kind: bases, trees and guarantees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from debias import serving
from debias.corrections.families import ensemble
from debias.estimators.calibrated import CalibratedDebiaser
from debias.estimators.debiasers import EnsembleDebiaser
from debias.estimators.tuning.methods import load
from debias.guarantees.certification import certify
from debias.tables.table import ProbabilityTable
from sound_files.kinds import CLASSES, make_table


def debiasers() -> dict[str, Any]:
    """Return what makes correction files of every kind: bases, trees, guarantees."""
    return {
        "ensemble": EnsembleDebiaser(family=ensemble(), search="descent", n_starts=2),
        "affine": CalibratedDebiaser(base="affine"),
        "trees": CalibratedDebiaser(base="trees", family="wide", search="descent", n_starts=2),
        "batch": CalibratedDebiaser(base="batch", family="none"),
    }


def written_by(debiaser: Any) -> Callable[[Path], list[str]]:
    """Return what writes the file of a correction, with its guarantee."""

    def write(folder: Path) -> list[str]:
        table = make_table()
        debiaser.fit(table.probabilities, table.labels)
        random = np.random.default_rng(5)
        values = random.dirichlet(np.ones(4), size=80)
        labels = [CLASSES[k] for k in random.integers(0, 4, size=80)]
        certify(debiaser, ProbabilityTable(values, labels, classes=CLASSES), keep=True)
        debiaser.save(folder / "c.json")
        return ["c.json"]

    return write


def read_fitted(folder: Path) -> str:
    """Read a correction and apply it, as scikit-learn's interface does."""
    debiaser = load(folder / "c.json")
    values = make_table().probabilities
    kept = vars(debiaser.fitted_) | {"classes": None, "columns": None}
    return f"{kept} {debiaser.predict(values).tolist()}"


def read_served(folder: Path) -> str:
    """Read a correction and apply it with NumPy alone."""
    served = serving.load(folder / "c.json")
    return f"{served.classes} {served.corrections} {served.predict(make_table().probabilities).tolist()}"
