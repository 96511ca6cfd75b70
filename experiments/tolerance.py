"""Measures what a near-tie with a higher balanced accuracy is worth on rows that no fit saw.

Run it from the repository root (about five minutes on two cores):

    python experiments/tolerance.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. The calibrated
method is fitted with each tolerance: within the opt rows by cross-validation, and on all of them for
the test rows. Writes experiments/results/tolerance.csv and tolerance.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from common import FIGURES, RESULTS, figures, machine, markdown, read, rounded, settings_of
from sklearn.model_selection import StratifiedKFold

from debias.errors import FewRowsWarning
from debias.estimators.calibrated import CalibratedDebiaser


def measured(folder: Path, task: str, tolerance: float, settings: dict) -> list[dict]:
    """Return what a tolerance is worth on one table, on rows of folds and on test rows."""
    (X, y), (X_test, y_test) = (
        read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test")
    )
    debiaser = CalibratedDebiaser(tolerance=tolerance, random_state=settings["seed"])
    held_out = np.empty(len(y), dtype=np.int64)
    folds = StratifiedKFold(settings["folds"], shuffle=True, random_state=settings["seed"])
    for train, test in folds.split(X, y):
        held_out[test] = debiaser.fit(X[train], y[train]).predict(X[test])
    predicted = debiaser.fit(X, y).predict(X_test)
    return [
        {"rows": rows, "task": task, "tolerance": tolerance} | figures(truth, found, X.shape[1])
        for rows, truth, found in (("cross-validated", y, held_out), ("test", y_test, predicted))
    ]


def main() -> None:
    """Measure every tolerance on every table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder, settings = parser.parse_args().folder, settings_of(__file__)
    warnings.simplefilter("ignore", FewRowsWarning)
    rows = [
        row
        for task in settings["tasks"]
        for tolerance in settings["tolerances"]
        for row in measured(folder, task, tolerance, settings)
    ]
    frame = pd.DataFrame(rows)
    rounded(frame).to_csv(RESULTS / "tolerance.csv", index=False)
    means = frame.groupby(["rows", "tolerance"])[FIGURES].mean().round(4).reset_index()
    text = (
        "# What the tolerance for near-ties is worth\n\nThe calibrated method; of the log-biases whose"
        " objective is within the tolerance of the best, the one with the highest balanced accuracy is"
        f" taken. Means over {len(settings['tasks'])} tables, on rows that no fit saw:"
        f" {settings['folds']} folds of the opt rows, and test rows."
        f" {machine('numpy', 'numba', 'scikit-learn')}.\n\n"
    )
    (RESULTS / "tolerance.md").write_text(text + markdown(means) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
