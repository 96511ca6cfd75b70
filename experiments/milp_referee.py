"""The integer program against the descent on rows of real tables: whether they agree, and up to what size.

Run it from the repository root:

    python experiments/milp_referee.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. Each problem is solved by
HiGHS alone, from the probabilities; the descent never helps it. "proved" is the program's own proof
that no choice is better. Writes experiments/results/milp_referee.csv and .md.
"""

import argparse
import os
import platform
import time
import tomllib
from pathlib import Path

import highspy
import numpy as np
import pandas as pd

from debias.corrections.families import Family, ensemble, weights
from debias.search.descent.coordinate_descent import descend
from debias.search.milp.integer_program import IntegerProgram
from debias.search.objective import Objective
from debias.search.problem import build_problem

HERE = Path(__file__).parent


def draw(path: Path, n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels of some rows."""
    rows = np.loadtxt(path)
    drawn = rows[np.random.default_rng(seed).choice(len(rows), min(n_rows, len(rows)), replace=False)]
    return np.ascontiguousarray(drawn[:, 3:]), drawn[:, 1].astype(np.int64)


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
    settings = tomllib.loads((HERE / "milp_referee.toml").read_text())
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
                    break  # more rows would not be quicker
    table = pd.DataFrame(measured)
    results = HERE / "results"
    table.to_csv(results / "milp_referee.csv", index=False, float_format="%.6f")
    proved = table[table["status"] == "proved"]
    agree = int((abs(proved["z"] - proved["z of the descent"]) < 1e-9).sum())
    (results / "milp_referee.md").write_text(f"""# The integer program as a referee

Settings: `experiments/milp_referee.toml`. One solve of at most {settings["time_limit"]:.0f} s each on
{platform.machine()}, {os.cpu_count()} cores,
HiGHS {highspy.Highs().version()}, Python {platform.python_version()}.
Lower z is better. Rows grow until the time is not enough for a proof.
Of {len(proved)} proved optima, the descent had found {agree}.

{markdown(table)}
""")


def markdown(table: pd.DataFrame) -> str:
    """Write a DataFrame as a Markdown table."""

    def cell(name: str, value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        return f"{value:.1f}" if "seconds" in name else f"{value:.6f}"

    lines = [list(table.columns), ["---"] * len(table.columns)]
    lines += [[cell(name, row[name]) for name in table.columns] for row in table.to_dict("records")]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    main()
