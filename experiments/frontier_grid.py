"""Compares the frontier of each table with what the published schedule reaches over its whole grid.

Run it from the repository root:

    python experiments/frontier_grid.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. The published grid has 304
settings: error weight, COBias weight, PMI weight and number of weight steps; each is annealed
with the 3 / 6 schedule. Every point is compared with the frontier of accuracy and COBias over the
same corrections: complete where all choices were enumerated, otherwise traced from the choices that
the search evaluated.
Writes experiments/results/frontier_grid.csv and .md and a plot per table.
"""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, rounded, settings_of

from debias.corrections.families import ensemble
from debias.estimators.fitted.fitted_correction import Frontier
from debias.metrics.scores import cobias_from_accuracies
from debias.search.constraints import Constrained
from debias.search.descent.annealing import anneal
from debias.search.descent.pareto_local_search import pareto_local_search
from debias.search.objective import Objective
from debias.search.pareto import ParetoFronts, fronts_of
from debias.search.problem import Problem, build_problem
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve


def objectives_of(grid: dict) -> list[Objective]:
    """Return the objectives of the grid, once where only COBias counts, whatever its weight."""
    objectives = [
        Objective(*weights) for weights in itertools.product(grid["error"], grid["cobias"], grid["pmi"])
    ]
    alone = [objective for objective in objectives if not objective.error and not objective.pmi]
    return [objective for objective in objectives if objective not in alone[1:]]


def point(problem: Problem, choice: object) -> tuple[float, float]:
    """Return accuracy and COBias of a choice on the rows of the problem."""
    counts = problem.counts(choice)
    return counts.correct.sum() / problem.n_samples, cobias_from_accuracies(counts.correct / counts.support)


def anneal_grid(problem: Problem, grid: dict, seed: int) -> list[tuple[float, float]]:
    """Anneal once for every setting; return accuracy and COBias of each answer."""
    answers = []
    for objective in objectives_of(grid):
        setting = replace(problem, objective=objective)
        answers.append(point(problem, anneal(setting, random_state=seed).best.choice))
    return answers


def outside(frontier: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return which points no row of the frontier equals or beats in both."""
    reached = (frontier[None, :, 0] >= points[:, None, 0] - 1e-12) & (
        frontier[None, :, 1] <= points[:, None, 1] + 1e-12
    )
    return ~reached.any(axis=1)


def bounded(problem: Problem, fronts: ParetoFronts, points: np.ndarray, settings: dict) -> ParetoFronts:
    """Look for the highest accuracy within the COBias of every point that a traced frontier misses."""
    reach = np.minimum.accumulate(fronts.cobias[::-1])[::-1]
    missed = [p for p in points if reach[round(p[0] * problem.n_samples)] > p[1] + 1e-12]
    found = []
    for cobias in sorted({float(p[1]) for p in missed}):
        within = replace(problem, objective=Constrained(max_cobias=cobias))
        found.append(
            solve(within, SearchSettings("exact", time_limit=settings["bounded_limit"], n_jobs=2)).best
        )
    return fronts_of(problem, [problem.candidate(candidate.choice) for candidate in found])


def measure(task: str, folder: Path, settings: dict) -> list[dict]:
    """Compare one table and draw it."""
    probabilities, y = read(folder / f"{task}_shot1_seed0" / "opt.txt")
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    rows: list[dict] = []
    first: tuple | None = None
    for n_weights in settings["n_weights"]:
        problem = build_problem(probabilities, y, ensemble(n_weights), Objective(pmi=0.0))
        points = np.array(anneal_grid(problem, settings["grid"], settings["seed"]))
        if first is None or outside(first[0], points).any():
            # Only the first family's frontier is needed, unless a point of a finer scale escapes it.
            method = (
                "enumerate" if len(ensemble(n_weights)) ** problem.n_classes <= settings["most"] else "auto"
            )
            how = SearchSettings(method, time_limit=settings["time_limit"], n_jobs=settings["n_jobs"])
            result = solve(problem, how)
            fronts = result.pareto
            if not result.frontier_complete:
                fronts = fronts.joined(pareto_local_search(problem, fronts, settings["most_traced"]).fronts)
                fronts = fronts.joined(bounded(problem, fronts, points, settings))
            frontier = Frontier.of(problem, fronts, result.frontier_complete, ensemble(n_weights))
            frame = frontier.to_frame(range(problem.n_classes), range(problem.n_classes))
            mine, complete, of = frame[["accuracy", "cobias"]].to_numpy(), result.frontier_complete, n_weights
            line = {"lw": 1, "ls": "--"} if first else {"lw": 2}
            axes.step(100 * mine[:, 1], 100 * mine[:, 0], where="post", label=f"frontier, {of} steps", **line)
            if first is None:
                first = mine, complete, of
                identity = point(problem, problem.identity_choice)
                axes.plot(100 * identity[1], 100 * identity[0], "k*", ms=11, label="uncorrected", zorder=5)
        else:
            mine, complete, of = first
        axes.plot(
            100 * points[:, 1], 100 * points[:, 0], ".", ms=5, alpha=0.6, label=f"schedule, {n_weights} steps"
        )
        escaped = outside(mine, points)
        strictly = ~outside(mine - np.array([1e-9, -1e-9]), points)
        rows.append(
            {
                "task": task,
                "steps of the schedule": n_weights,
                "settings": len(points),
                "frontier of": f"{of} steps, {'complete' if complete else 'traced'}",
                "frontier rows": len(mine),
                "outside": int(escaped.sum()),
                "beaten": int(strictly.sum()),
            }
        )
        print(rows[-1], flush=True)
    axes.set(
        xlabel="COBias, points (lower is more even)",
        ylabel="accuracy, %",
        title=f"{task}: {len(y):,} opt rows",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(RESULTS / f"frontier_{task}.png", dpi=110)
    plt.close(figure)
    return rows


def main() -> None:
    """Measure every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    parser.add_argument("--tasks", help="only these, separated by commas; the others' rows are kept")
    given = parser.parse_args()
    settings = settings_of(__file__)
    tasks = given.tasks.split(",") if given.tasks else settings["tasks"]
    table = pd.DataFrame([row for task in tasks for row in measure(task, given.folder, settings)])
    if given.tasks:
        known = pd.read_csv(RESULTS / "frontier_grid.csv")
        table = pd.concat([known[~known["task"].isin(tasks)], table])
        table = table.sort_values("task", key=lambda names: names.map(settings["tasks"].index), kind="stable")
    table.to_csv(RESULTS / "frontier_grid.csv", index=False)
    plots = "\n\n".join(f"![frontier of {task}](frontier_{task}.png)" for task in settings["tasks"])
    text = f"""# Frontiers against the published grid

Settings: `experiments/frontier_grid.toml`. Accuracy and COBias on the opt rows. `outside`: points of the
schedule that no row of the frontier equals or beats in both; `beaten`: points that one beats in both.
{machine()}.

{markdown(rounded(table))}

{plots}
"""
    (RESULTS / "frontier_grid.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
