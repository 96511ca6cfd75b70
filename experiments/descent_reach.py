"""Counts how often, over 100 seeds, the descent reaches the proved optimum, and times it.

Run it from the repository root:

    python experiments/descent_reach.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. The optimum of each table is
proved first, in this run. A search makes 32 descents, each from its own start, and continues from the
best. Writes experiments/results/descent_reach.csv and .md.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import pandas as pd
from common import RESULTS, machine, markdown, read, rounded, settings_of

from debias.corrections.families import ensemble
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective
from debias.search.problem import TOLERANCE, build_problem
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve


def measure(task: str, folder: Path, pmi: float, settings: dict) -> dict:
    """Descend from every seed and compare with the proved optimum."""
    problem = build_problem(
        *read(folder / f"{task}_shot1_seed0" / "opt.txt"), ensemble(settings["n_weights"]), Objective(pmi=pmi)
    )
    proof = solve(problem, SearchSettings("exact", n_jobs=2)).certificate
    assert proof.status == "optimal"
    reached, single, seconds = 0, 0, []
    for seed in range(settings["seeds"]):
        started = time.perf_counter()
        result = descend(problem, settings["n_starts"], seed)
        seconds.append(time.perf_counter() - started)
        reached += result.best.objective <= proof.objective + TOLERANCE
        single += sum(met.objective <= proof.objective + TOLERANCE for met in result.met[1:])
    share = single / (settings["seeds"] * settings["n_starts"])
    return {
        "task": task,
        "pmi weight": pmi,
        "z, proved": f"{proof.objective:.6f}",
        "seeds that reach it": f"{reached} of {settings['seeds']}",
        "starts that reach it, %": 100 * share,
        "seconds of a search": median(seconds),
        "seconds until reached, expected": f"{median(seconds) * settings['seeds'] / reached:.2f}"
        if reached
        else "-",
    }


def main() -> None:
    """Measure every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    folder = parser.parse_args().folder
    settings = settings_of(__file__)
    table = pd.DataFrame()
    for task in settings["tasks"]:
        for pmi in settings["pmi"]:
            row = measure(task, folder, pmi, settings)
            print(row, flush=True)
            table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
    table.to_csv(RESULTS / "descent_reach.csv", index=False, float_format="%.6f")
    text = f"""# How often the descent reaches the proved optimum

Settings: `experiments/descent_reach.toml`; error = cobias = 1. One thread on {machine()}; medians.
A search makes {settings["n_starts"]} descents and continues from the best. Expected seconds until reached:
those of a search divided by the share of seeds that reach it.

{markdown(rounded(table))}
"""
    (RESULTS / "descent_reach.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
