"""Measures what products of log-probabilities gain beside the affine map, on rows that no fit saw.

Run it from the repository root (about three minutes on two cores):

    python experiments/curved_base.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Both bases are fitted
with everything else alike: within the opt rows by cross-validation, and on all of them for the test rows.
Intervals are of a paired bootstrap of rows. Writes experiments/results/curved_base.csv and curved_base.md.
"""

import argparse
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from common import FIGURES, RESULTS, figures, machine, markdown, read, rounded, settings_of
from sklearn.model_selection import StratifiedKFold

from debias.errors import FewRowsWarning
from debias.estimators.calibrated import CalibratedDebiaser

HELD_OUT, TEST = "cross-validated", "test"


class Predicted(NamedTuple):
    """What both bases predict for the same rows of a table."""

    truth: np.ndarray
    by_base: dict[str, np.ndarray]
    kinds: dict[str, str]


def predicted(folder: Path, task: str, settings: dict) -> dict[str, Predicted]:
    """Return the predictions of every base on one table, for rows of folds and for test rows."""
    (X, y), (X_test, y_test) = (
        read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test")
    )
    found = {HELD_OUT: Predicted(y, {}, {}), TEST: Predicted(y_test, {}, {})}
    folds = StratifiedKFold(settings["folds"], shuffle=True, random_state=settings["seed"])
    for base in settings["bases"]:
        debiaser = CalibratedDebiaser(base=base, random_state=settings["seed"])
        held_out, kinds = np.empty(len(y), dtype=np.int64), []
        for train, test in folds.split(X, y):
            held_out[test] = debiaser.fit(X[train], y[train]).predict(X[test])
            kinds.append(debiaser.base_.kind)
        found[HELD_OUT].by_base[base] = held_out
        found[HELD_OUT].kinds[base] = ", ".join(sorted(set(kinds)))
        found[TEST].by_base[base] = debiaser.fit(X, y).predict(X_test)
        found[TEST].kinds[base] = debiaser.base_.kind
    return found


def gains(tables: list[Predicted], bases: list[str], n_resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean difference of the second base from the first over tables, with 95 % intervals."""
    random = np.random.default_rng(seed)

    def means(draws: list[np.ndarray]) -> np.ndarray:
        per_table = []
        for table, rows in zip(tables, draws, strict=True):
            n_classes = int(table.truth.max()) + 1
            values = [
                list(figures(table.truth[rows], table.by_base[base][rows], n_classes).values())
                for base in bases
            ]
            per_table.append(np.subtract(values[1], values[0]))
        return np.mean(per_table, axis=0)

    gain = means([np.arange(len(table.truth)) for table in tables])
    drawn = [
        means([random.integers(0, len(table.truth), len(table.truth)) for table in tables])
        for _ in range(n_resamples)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    written = [f"{a:+.4f} ({b:+.4f} to {c:+.4f})" for a, b, c in zip(gain, low, high, strict=True)]
    return pd.DataFrame([written], columns=FIGURES)


def main() -> None:
    """Measure both bases on every table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder, settings, start = parser.parse_args().folder, settings_of(__file__), time.perf_counter()
    warnings.simplefilter("ignore", FewRowsWarning)
    by_task = {task: predicted(folder, task, settings) for task in settings["tasks"]}
    lines, differences = [], []
    for rows in (HELD_OUT, TEST):
        tables = [by_task[task][rows] for task in settings["tasks"]]
        for task, table in zip(settings["tasks"], tables, strict=True):
            for base, columns in table.by_base.items():
                own = figures(table.truth, columns, int(table.truth.max()) + 1)
                lines.append({"rows": rows, "task": task, "base": base, "fitted": table.kinds[base]} | own)
        gained = gains(tables, settings["bases"], settings["n_resamples"], settings["seed"])
        differences.append(gained.assign(rows=rows)[["rows", *FIGURES]])
    frame = pd.DataFrame(lines)
    rounded(frame).to_csv(RESULTS / "curved_base.csv", index=False)
    means = frame.groupby(["rows", "base"])[FIGURES].mean().round(4).reset_index()
    seconds = time.perf_counter() - start
    text = (
        "# What products of log-probabilities gain beside the affine map\n\n`quadratic` is the affine map"
        " where products make held-out labels more likely by no more than a standard error: `fitted`"
        f" says which it was. Means over {len(by_task)} tables, on rows that no fit saw: {settings['folds']}"
        f" folds of the opt rows, and test rows. {machine('numpy', 'scipy', seconds=seconds)}.\n\n"
        f"{markdown(means)}\n\nDifference, quadratic less affine, 95 % intervals of a paired bootstrap:\n\n"
        f"{markdown(pd.concat(differences))}\n\nTable by table:\n\n{markdown(frame.round(4))}\n"
    )
    (RESULTS / "curved_base.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
