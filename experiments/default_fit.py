"""Measures the default fit on real tables: what it chooses, what that is worth on test rows, time, memory.

Run it from the repository root (a few minutes on two cores):

    python experiments/default_fit.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Every fit is a
process of its own, so that its peak memory is its own; compiling is not counted in its time. Writes
experiments/results/default_fit.csv and default_fit.md.
"""

import argparse
import csv
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
from common import (
    FIGURES,
    RESULTS,
    figures,
    machine,
    markdown,
    most_memory,
    read,
    rounded,
    settings_of,
)

from debias import Objective
from debias.errors import FewRowsWarning
from debias.estimators.tuning.debiaser import Debiaser

DEFAULT = "auto"
BALANCED = "auto, balanced_error=1"


def fit(folder: Path, task: str, method: str, settings: dict) -> dict:
    """Fit one method on one table, a second time for its time."""
    (X, y), (X_test, y_test) = (
        read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test")
    )
    is_balanced = method == BALANCED
    debiaser = Debiaser(
        method=DEFAULT if is_balanced else method,
        objective=Objective(balanced_error=1.0) if is_balanced else None,
        n_jobs=settings["n_jobs"],
        random_state=settings["seed"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewRowsWarning)
        debiaser.fit(X[:400], y[:400])  # compiles
        started = time.perf_counter()
        debiaser.fit(X, y)
        seconds = time.perf_counter() - started
    row = {"task": task, "method": method, "chosen": debiaser.method_}
    row |= figures(y_test, debiaser.predict(X_test), X.shape[1])
    return row | {"seconds": seconds, "GiB": most_memory()}


def main() -> None:
    """Fit everything in processes of its own, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("TASK", "METHOD"), help="fit one, print a row of CSV")
    given, settings = parser.parse_args(), settings_of(__file__)
    if given.one:
        pd.DataFrame([fit(given.folder, *given.one, settings)]).to_csv(sys.stdout, index=False)
        return
    rows = []
    for task in settings["tasks"]:
        for method in [DEFAULT, *settings["others"], BALANCED]:
            command = [sys.executable, __file__, str(given.folder), "--one", task, method]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            header, row = done.stdout.strip().splitlines()
            rows.append(next(csv.DictReader([header, row])))
            print(*rows[-1].values(), flush=True)
    table = pd.DataFrame(rows).astype(dict.fromkeys([*FIGURES, "seconds", "GiB"], float))
    table.to_csv(RESULTS / "default_fit.csv", index=False, float_format="%.6f")
    means = table.groupby("method", sort=False)[FIGURES].mean()
    default, balanced = (table[table["method"] == one].set_index("task") for one in (DEFAULT, BALANCED))
    digits = dict.fromkeys(FIGURES, 3) | {"seconds": 1, "GiB": 2}
    beaten = [
        f"{task} by {', '.join(better)}"
        for task, own in default.iterrows()
        if (
            better := [
                row["method"]
                for _, row in table[(table["task"] == task) & (table["method"] != BALANCED)].iterrows()
                if row["accuracy"] >= own["accuracy"]
                and row["cobias"] <= own["cobias"]
                and (row["accuracy"], row["cobias"]) != (own["accuracy"], own["cobias"])
            ]
        )
    ]
    page = [
        "# The default fit on real tables",
        "",
        f"Fitted on the opt rows, measured on the test rows. {machine('numpy', 'numba', 'scikit-learn')}. "
        f"{settings['n_jobs']} threads.",
        "",
        "Means over the tables:",
        "",
        markdown(rounded(means, dict.fromkeys(FIGURES, 3))),
        "",
        "The default, table by table:",
        "",
        markdown(rounded(default.drop(columns="method"), digits)),
        "",
        "The same with `balanced_error=1`, which weighs all classes alike; z is still that of the default:",
        "",
        markdown(rounded(balanced.drop(columns="method"), digits)),
        "",
        f"Beaten in both accuracy and COBias by another method here: {'; '.join(beaten) or 'nowhere'}.",
    ]
    (RESULTS / "default_fit.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    print("\n".join(page))


if __name__ == "__main__":
    main()
