"""Compares the descent with the published annealing schedule: objective, speed, test figures.

Run it from the repository root:

    python experiments/search_quality.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. The searches are
interleaved in this process. The published schedule is timed twice: with each proposal evaluated
literally, by applying the corrections of all classes to all rows, as the published scripts do; and on
the ranks that the descent uses. Writes experiments/results/search_quality.csv and .md.
"""

import argparse
import itertools
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, predict, read, rounded, settings_of

from debias.corrections.families import ensemble
from debias.metrics.scores import cobias
from debias.search.descent.annealing import anneal
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import build_problem
from debias.search.result import SearchResult

LITERAL, RANKS, DESCENT = "annealing 3/6, literal", "annealing 3/6, on ranks", "descent"
EVERY = "every choice, literal"


def measure(task: str, folder: Path, settings: dict) -> list[dict]:
    """Run the searches on one table, interleaved."""
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
    if problem.n_classes == 2:  # few enough to evaluate them all

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
    settings = settings_of(__file__)
    table = pd.DataFrame([row for task in settings["tasks"] for row in measure(task, folder, settings)])
    rate = table.pivot(index="task", columns="search", values="evaluations/s").loc[settings["tasks"]]
    ratios = pd.DataFrame(
        {
            "descent / literal annealing": rate[DESCENT] / rate[LITERAL],
            "descent / annealing on ranks": rate[DESCENT] / rate[RANKS],
        }
    )
    table.to_csv(RESULTS / "search_quality.csv", index=False, float_format="%.6f")
    text = f"""# Search quality

Settings: `experiments/search_quality.toml`; {settings["n_jobs"]} threads for the descent. Lower z
is better; every z is evaluated literally, from the probabilities. Seconds are medians of
{settings["turns"]} interleaved runs on {machine()}.
They exclude ranking the corrected values and compiling (once per machine).

{markdown(rounded(table))}

## Evaluations per second, as ratios within the same run

{markdown(rounded(ratios.reset_index()))}
"""
    (RESULTS / "search_quality.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
