"""Measures how far a learnt map depends on the luck of its folds, with one deal of the rows and with five.

Run it from the repository root (about ten minutes on one core):

    python experiments/fold_deals.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Rows are drawn from
the opt rows; the same rows are fitted with other deals to folds, and measured on the test rows. Writes
experiments/results/fold_deals.csv and fold_deals.md.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from common import FIGURES, RESULTS, figures, machine, markdown, read, rounded, settings_of

from debias.errors import DebiasWarning
from debias.estimators.bases import cross_fitting
from debias.estimators.calibrated import CalibratedDebiaser


def measured(folder: Path, task: str, settings: dict) -> list[dict]:
    """Return the figures on test rows of every fit of one table."""
    (X, y), (X_test, y_test) = (
        read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test")
    )
    lines = []
    for size in settings["sizes"]:
        if size >= len(y):
            continue
        for draw in range(settings["first"], settings["first"] + (settings["draws"] if size else 1)):
            rows = np.sort(np.random.default_rng([draw, size]).permutation(len(y))[: size or len(y)])
            for seed in range(settings["seeds"]):
                for deals in settings["deals"]:
                    cross_fitting.N_DEALS = deals
                    fitted = CalibratedDebiaser(random_state=seed).fit(X[rows], y[rows])
                    found = figures(y_test, fitted.predict(X_test), X.shape[1])
                    known = {"task": task, "rows": size or len(y), "drawn": size, "draw": draw, "seed": seed}
                    lines.append(known | {"deals": deals} | found)
    return lines


def main() -> None:
    """Measure every table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder, settings, start = parser.parse_args().folder, settings_of(__file__), time.perf_counter()
    warnings.simplefilter("ignore", DebiasWarning)
    frame = pd.DataFrame([line for task in settings["tasks"] for line in measured(folder, task, settings)])
    rounded(frame).to_csv(RESULTS / "fold_deals.csv", index=False)
    one_draw = frame.groupby(["drawn", "deals", "task", "draw"])
    luck = one_draw["z"].std().groupby(["drawn", "deals"]).mean().rename("z by luck of folds")
    means = frame.groupby(["drawn", "deals", "task"])[FIGURES].mean().groupby(["drawn", "deals"]).mean()
    at_draw = one_draw["z"].mean().unstack("deals")
    fewest, most = min(settings["deals"]), max(settings["deals"])
    gains = (at_draw[most] - at_draw[fewest]).groupby("drawn").agg(["mean", "sem", "count"])
    for table in (means := means.join(luck).reset_index(), gains := gains.reset_index()):
        table["drawn"] = table["drawn"].astype(str).replace("0", "all")
    tables = frame[["task", "drawn", "deals", "draw", "z"]].groupby(["task", "drawn", "deals"])["z"]
    by_table = tables.agg(["mean", "std"]).reset_index().round(4)
    by_table["drawn"] = by_table["drawn"].astype(str).replace("0", "all")
    text = (
        "# One deal of the rows to folds, and five\n\nA correction is searched on posteriors of maps that did"
        " not see the row. With several deals of the rows to folds, the mean is taken."
        f" {settings['draws']} draws of each number of rows from {len(settings['tasks'])} tables,"
        f" {settings['seeds']} seeds of the deals, `calibrated`, on test rows."
        f" {machine('numpy', 'scipy', seconds=time.perf_counter() - start)}.\n\n"
        "Means; `z by luck of folds` is the standard deviation of z over seeds, the rows being the same:\n\n"
        f"{markdown(means.round(4))}\n\nz with {most} deals less z with {fewest}, over tables and draws:\n\n"
        f"{markdown(gains.round(4))}\n\nTable by table, mean and standard deviation over draws and seeds:\n\n"
        f"{markdown(by_table)}\n"
    )
    (RESULTS / "fold_deals.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
