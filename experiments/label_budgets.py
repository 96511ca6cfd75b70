"""Measures the default fit at every budget of labels, beside doing nothing and batch calibration.

Run it from the repository root (about ten minutes on two cores):

    python experiments/label_budgets.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Labelled rows are
drawn from the opt rows; a draw may miss a class. Every figure is of the test rows and of the opt rows
that were not drawn. Writes experiments/results/label_budgets.csv and label_budgets.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, rounded, settings_of
from joblib import Parallel, delayed

from debias.estimators.baselines import BatchCalibration, Uncorrected
from debias.estimators.tuning.debiaser import Debiaser
from debias.search.objective import Objective, confusion_counts


def measure(task: str, size: int, draw: int, tables: tuple, seed: int) -> dict:
    """Fit on one draw; return z of the three on all other rows."""
    (X, y), (X_test, y_test) = tables
    rng = np.random.default_rng([seed, size, draw])
    while True:
        taken = rng.choice(len(y), size, replace=False)
        if len(np.unique(y[taken])) > 1:
            break
    rest = np.setdiff1d(np.arange(len(y)), taken)
    X_new, y_new = np.vstack([X_test, X[rest]]), np.concatenate([y_test, y[rest]])
    row = {"task": task, "labels": size, "draw": draw}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name, method in {
            "uncorrected": Uncorrected(),
            "batch": BatchCalibration(),
            "auto": Debiaser(),
        }.items():
            # columns are classes, whatever labels a draw has
            method.set_params(classes=list(range(X.shape[1]))).fit(X[taken], y[taken])
            row[name] = float(Objective()(*confusion_counts(y_new, method.predict(X_new), X.shape[1])[:3]))
            if name == "auto":
                row["chosen"] = method.method_
    return row


def main() -> None:
    """Measure every draw, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    given, settings = parser.parse_args(), settings_of(__file__)
    jobs = []
    for task in settings["tasks"]:
        tables = tuple(read(given.folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test"))
        jobs += [
            delayed(measure)(task, size, draw, tables, settings["seed"])
            for size in settings["sizes"]
            if size <= len(tables[0][1])
            for draw in range(settings["n_draws"])
        ]
    rows = Parallel(n_jobs=settings["n_jobs"], verbose=5)(jobs)
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "label_budgets.csv", index=False, float_format="%.6f")
    table["better of two"] = table[["uncorrected", "batch"]].min(axis=1)
    table["loss"] = table["auto"] - table["better of two"]
    table["worse than uncorrected"] = table["auto"] > table["uncorrected"] + 1e-9
    by_size = table.groupby("labels")
    curve = by_size[["uncorrected", "batch", "auto", "better of two", "loss"]].mean()
    curve["standard error of the loss"] = by_size["loss"].sem()
    curve["worse than uncorrected"] = [
        f"{100 * share:.0f} %" for share in by_size["worse than uncorrected"].mean()
    ]
    for name in ("uncorrected", "batch", "calibrated"):
        curve[f"chose {name}"] = by_size["chosen"].apply(
            lambda chosen, name=name: int((chosen == name).sum())
        )
    by_task = table.pivot_table(index="task", columns="labels", values="loss", sort=False)
    by_task.columns = [f"{size:,} labels" for size in by_task.columns]
    page = [
        "# The default fit at every budget of labels",
        "",
        f"z on all rows that were not drawn, lower is better; {settings['n_draws']} draws of each table. "
        f"{machine('numpy', 'scikit-learn')}.",
        "",
        markdown(rounded(curve, dict.fromkeys(curve.columns, 3))),
        "",
        "Mean z of the default less the better of doing nothing and batch calibration, table by table:",
        "",
        markdown(rounded(by_task, dict.fromkeys(by_task.columns, 3))),
    ]
    (RESULTS / "label_budgets.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    print("\n".join(page))


if __name__ == "__main__":
    main()
