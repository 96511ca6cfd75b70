"""Compares the integer program with the descent on rows of real tables, up to the size it can prove.

Run it from the repository root:

    python experiments/milp_referee.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. Each problem is solved by
HiGHS alone, from the probabilities; the descent does not help it. "proved" is the program's own proof
that no choice is better. Writes experiments/results/milp_referee.csv and .md.
"""

import argparse
import time
from pathlib import Path

import highspy
import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, rounded, settings_of

from debias.corrections.families import Family, ensemble, weights
from debias.search.descent.coordinate_descent import descend
from debias.search.milp.integer_program import IntegerProgram
from debias.search.objective import Objective
from debias.search.problem import build_problem

DIGITS = {"z": 6, "lower bound": 6, "z of the descent": 6, "seconds to build": 1, "seconds": 1}


def draw(path: Path, n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels of some rows."""
    probabilities, y = read(path)
    drawn = np.random.default_rng(seed).choice(len(y), min(n_rows, len(y)), replace=False)
    return probabilities[drawn], y[drawn]


def measure(path: Path, n_rows: int, family: Family, settings: dict) -> dict:
    """Solve one problem both ways."""
    probabilities, y = draw(path, n_rows, settings["seed"])
    objective = Objective(**settings["objective"])
    best = descend(build_problem(probabilities, y, family, objective)).best
    started = time.perf_counter()
    program = IntegerProgram(probabilities, y, family, objective)
    built = time.perf_counter() - started
    result = program.solve(settings["time_limit"], simplest=False)
    return {
        "rows": len(y),
        "classes": probabilities.shape[1],
        "corrections": len(family),
        "status": "proved" if result.status == "optimal" else result.status,
        "z": np.nan if result.objective is None else result.objective,
        "lower bound": result.lower_bound,
        "z of the descent": best.objective,
        "seconds to build": built,
        "seconds": result.seconds,
    }


def main() -> None:
    """Measure every problem and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    folder = parser.parse_args().folder
    settings = settings_of(__file__)
    families = {
        "ensemble": ensemble(settings["weights_in_ensemble"]),
        "weights": weights(settings["weights_alone"]),
    }
    measured = []
    for name, tasks in settings["rows"].items():
        for task, sizes in tasks.items():
            for n_rows in sizes:
                path = folder / f"{task}_shot1_seed0" / "opt.txt"
                row = {"task": task, "family": name, **measure(path, n_rows, families[name], settings)}
                print(row, flush=True)
                measured.append(row)
                if row["status"] != "proved":
                    break  # more rows would take longer
    table = pd.DataFrame(measured)
    table.to_csv(RESULTS / "milp_referee.csv", index=False, float_format="%.6f")
    proved = table[table["status"] == "proved"]
    agree = int((abs(proved["z"] - proved["z of the descent"]) < 1e-9).sum())
    (RESULTS / "milp_referee.md").write_text(f"""# The integer program as a referee

Settings: `experiments/milp_referee.toml`. One solve of at most {settings["time_limit"]:.0f} s each on
{machine()}, HiGHS {highspy.Highs().version()}.
Lower z is better. The number of rows grows until the time limit is too short for a proof.
The descent found {agree} of {len(proved)} proved optima.

{markdown(rounded(table, DIGITS))}
""")


if __name__ == "__main__":
    main()
