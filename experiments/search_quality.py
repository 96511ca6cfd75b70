"""Descent against the published annealing schedule: objective, evaluations per second, test figures.

Run it from the repository root:

    python experiments/search_quality.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Both searches
run in turns in this process. The published schedule is timed twice: evaluating a proposal literally,
that is applying the corrections of all classes to all rows, as the published scripts do, and on the
ranks that the descent works on. Writes experiments/results/search_quality.csv and .md.
"""

import argparse
import itertools
import os
import platform
import time
import tomllib
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from debias.corrections.correction import correct, decide
from debias.corrections.families import Family, ensemble
from debias.metrics.scores import cobias
from debias.search.descent.annealing import anneal
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import build_problem
from debias.search.result import SearchResult

HERE = Path(__file__).parent
LITERAL, RANKS, DESCENT = "annealing 3/6, literal", "annealing 3/6, on ranks", "descent"
EVERY = "every choice, literal"


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels."""
    rows = np.loadtxt(path)
    return np.ascontiguousarray(rows[:, 3:]), rows[:, 1].astype(np.int64)


def predict(probabilities: np.ndarray, family: Family, choice: tuple[int, ...]) -> np.ndarray:
    """Apply a choice from scratch: the function that is optimised, and the one that is deployed."""
    return decide(correct(probabilities, [family[index] for index in choice]), probabilities)


def measure(task: str, folder: Path, settings: dict) -> list[dict]:
    """Run the searches in turns on one table."""
    probabilities, y = read(folder / f"{task}_shot1_seed0" / "opt.txt")
    test, y_test = read(folder / f"{task}_shot1_seed0" / "test.txt")
    family, objective = ensemble(settings["n_weights"]), Objective(**settings["objective"])
    problem = build_problem(probabilities, y, family, objective)
    descend(problem, n_starts=1)  # compiles

    def literally(choice: np.ndarray) -> float:
        return objective(*confusion_counts(y, predict(probabilities, family, choice), problem.n_classes))

    seed = settings["seed"]
    searches = {
        LITERAL: lambda: anneal(problem, random_state=seed, evaluate=literally),
        RANKS: lambda: anneal(problem, random_state=seed),
        DESCENT: lambda: descend(problem, settings["n_starts"], seed, settings["n_jobs"]),
    }
    if problem.n_classes == 2:  # few enough to look at all of them

        def enumerate_all() -> SearchResult:
            started = time.perf_counter()
            choices = list(itertools.product(range(len(family)), repeat=2))
            best = min(choices, key=lambda choice: literally(np.array(choice)))
            return SearchResult(problem.candidate(best), len(choices), time.perf_counter() - started)

        searches[EVERY] = enumerate_all
    runs = {name: [] for name in searches}
    for _ in range(settings["turns"]):
        for name, search in searches.items():
            runs[name].append(search())
    rows = []
    for name, results in runs.items():
        best = results[0].best
        predicted = predict(test, family, best.choice)
        rows.append(
            {
                "task": task,
                "classes": problem.n_classes,
                "rows": problem.n_samples,
                "search": name,
                "z uncorrected": literally(problem.identity_choice),
                "z": literally(np.array(best.choice)),
                "ids": " ".join(str(family[index].id) for index in best.choice),
                "evaluations": results[0].n_evaluations,
                "seconds": median(result.seconds for result in results),
                "evaluations/s": median(result.n_evaluations / result.seconds for result in results),
                "test accuracy": (predicted == y_test).mean(),
                "test COBias": cobias(y_test, predicted),
            }
        )
    return rows


def main() -> None:
    """Measure every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt and test.txt")
    folder = parser.parse_args().folder
    settings = tomllib.loads((HERE / "search_quality.toml").read_text())
    table = pd.DataFrame([row for task in settings["tasks"] for row in measure(task, folder, settings)])
    rate = table.pivot(index="task", columns="search", values="evaluations/s").loc[settings["tasks"]]
    ratios = pd.DataFrame(
        {
            "descent / literal annealing": rate[DESCENT] / rate[LITERAL],
            "descent / annealing on ranks": rate[DESCENT] / rate[RANKS],
        }
    )
    results = HERE / "results"
    table.to_csv(results / "search_quality.csv", index=False, float_format="%.6f")
    text = f"""# Search quality

Settings: `experiments/search_quality.toml`; {settings["n_jobs"]} threads for the descent. Lower z
is better; every z is evaluated literally, from the probabilities. Seconds are medians of
{settings["turns"]} turns on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}.
Ranking the corrected values is left out for all three, as is compiling (once per machine).

{markdown(table)}

## Evaluations per second, as ratios within the same run

{markdown(ratios.reset_index())}
"""
    (results / "search_quality.md").write_text(text)
    print(text)


def markdown(table: pd.DataFrame) -> str:
    """Write a DataFrame as a Markdown table."""
    form = {"z": "{:.6f}", "z uncorrected": "{:.6f}", "seconds": "{:.2f}"}

    def cell(name: str, value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        return form.get(name, "{:,.0f}" if abs(value) >= 10 else "{:.3f}").format(value)

    lines = [list(table.columns), ["---"] * len(table.columns)]
    lines += [[cell(name, row[name]) for name in table.columns] for row in table.to_dict("records")]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    main()
