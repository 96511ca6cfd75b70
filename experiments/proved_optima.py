"""Proves the optimum of each table with the full ensemble of 48 corrections.

Run it from the repository root:

    python experiments/proved_optima.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. Every proof starts from
scratch: its seconds include the descent, the tables of the search and the branch and bound, but not
compiling (once per machine). The optima are confirmed by evaluating every choice literally where
there are few, by complete enumeration, and on sub-samples by the integer program of HiGHS.
Writes experiments/results/proved_optima.csv and .md, and proved_optima_referee.csv.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, predict, read, settings_of

from debias.corrections.families import Family, ensemble
from debias.search.milp.integer_program import IntegerProgram
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import build_problem
from debias.search.proof.exact_search import ExactSearch
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve


def prove(task: str, folder: Path, pmi: float, settings: dict) -> dict:
    """Prove the optimum of one table."""
    probabilities, y = read(folder / f"{task}_shot1_seed0" / "opt.txt")
    family = ensemble(settings["n_weights"])
    objective = Objective(pmi=pmi, **settings["objective"])
    started = time.perf_counter()
    problem = build_problem(probabilities, y, family, objective)
    built = time.perf_counter()
    result = solve(
        problem,
        SearchSettings(settings["search"], settings["n_starts"], n_jobs=settings["n_jobs"]),
        settings["seed"],
    )
    seconds = time.perf_counter() - started
    certificate = result.certificate
    row = {
        "task": task,
        "classes": problem.n_classes,
        "rows": problem.n_samples,
        "pmi weight": pmi,
        "z": certificate.objective,
        "status": certificate.status,
        "gap": certificate.gap,
        "ids": " ".join(str(family[index].id) for index in result.best.choice),
        "different choices": ExactSearch(problem).tables.n_choices,
        "evaluated": certificate.n_evaluations,
        "seconds": seconds,
        "of which ranking": built - started,
    }
    if len(family) ** problem.n_classes <= settings["most_literal"]:
        row["every choice, literally"] = literally(probabilities, y, family, objective)
    if pmi == settings["pmi"][0] and task not in settings["not_enumerated"]:
        whole = ExactSearch(problem).run(prune=False, n_threads=settings["n_jobs"])
        row["every choice, enumerated"] = whole.best.objective
        row["enumeration seconds"] = whole.certificate.seconds
    return row


def literally(probabilities: np.ndarray, y: np.ndarray, family: Family, objective: Objective) -> float:
    """Return the lowest z of all choices, each applied to the probabilities from scratch."""
    n_classes = probabilities.shape[1]
    values = [family.values(column) for column in probabilities.T]
    least = np.inf
    for choice in itertools.product(range(len(family)), repeat=n_classes):
        corrected = np.stack([values[k][r] for k, r in enumerate(choice)], axis=1)
        empty = ~corrected.any(axis=1)
        predicted = np.where(empty[:, None], probabilities, corrected).argmax(axis=1)
        least = min(least, objective(*confusion_counts(y, predicted, n_classes)))
    return least


def referee(task: str, folder: Path, settings: dict) -> dict:
    """Solve a sub-sample by the integer program and by the exact search."""
    probabilities, y = read(folder / f"{task}_shot1_seed0" / "opt.txt")
    size = settings["referee"][task]
    rng = np.random.default_rng(settings["seed"])
    rows = rng.choice(len(y), size["rows"], replace=False)
    probabilities, y = probabilities[rows], y[rows]
    everything = ensemble(settings["n_weights"])
    family = Family([everything[index] for index in range(0, len(everything), size["every"])])
    objective = Objective(**settings["objective"], pmi=0.0)
    solved = IntegerProgram(probabilities, y, family, objective).solve(settings["referee_seconds"])
    found = ExactSearch(build_problem(probabilities, y, family, objective)).run().best
    z = objective(*confusion_counts(y, predict(probabilities, family, found.choice), probabilities.shape[1]))
    return {
        "task": task,
        "rows": len(y),
        "corrections": len(family),
        "program": solved.status,
        "z of the program": solved.objective,
        "z of the search": z,
        "difference": abs(solved.objective - z),
    }


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Write z with six decimals, seconds with two, and an empty cell for what was not computed."""
    text = table.astype(object).where(table.notna(), "")
    for name in table.columns:
        digits = ".2f" if "seconds" in name or "ranking" in name else ".6f"
        if table[name].dtype == float and name != "pmi weight":
            text[name] = [format(value, digits) if value != "" else "" for value in text[name]]
    return text


def main() -> None:
    """Prove every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    folder = parser.parse_args().folder
    settings = settings_of(__file__)
    for pmi in settings["pmi"]:
        prove(settings["tasks"][0], folder, pmi, settings)  # compiles
    table = pd.DataFrame(
        [prove(t, folder, pmi, settings) for t in settings["tasks"] for pmi in settings["pmi"]]
    )
    checks = pd.DataFrame([referee(task, folder, settings) for task in settings["referee"]])
    table.to_csv(RESULTS / "proved_optima.csv", index=False, float_format="%.9f")
    checks.to_csv(RESULTS / "proved_optima_referee.csv", index=False, float_format="%.9f")
    text = f"""# Proved optima

Settings: `experiments/proved_optima.toml`; error = cobias = 1, {settings["n_weights"]} weights and 19
memberships, one identity. {settings["n_jobs"]} threads on {machine()}.
Seconds cover ranking, descent, tables and proof.

{markdown(as_text(table))}

## Sub-samples by the integer program (HiGHS), pmi weight 0

{markdown(as_text(checks))}
"""
    (RESULTS / "proved_optima.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
