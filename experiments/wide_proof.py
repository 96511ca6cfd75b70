"""Proves the optimum of each table with the wide family, beside the ensemble of 48 corrections.

Run it from the repository root:

    python experiments/wide_proof.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Seconds include the
ranking, the descent, the tables and the proof, but not compiling (once per machine). Accuracy,
COBias and worst class are those of the test rows. Writes experiments/results/wide_proof.csv and
.md, a row at a time.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, predict, read, rounded, settings_of

from debias.corrections.families import Family, family_of
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import build_problem
from debias.search.proof.exact_search import ExactSearch
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve


def families_of(settings: dict) -> dict[str, Family]:
    """Return the families that are compared, by name."""
    return {
        name: family_of(name.partition(",")[0], settings["n_weights"], monotone)
        for name, monotone in settings["families"].items()
    }


def prove(folder: Path, family: Family, pmi: float, search: str, settings: dict) -> dict:
    """Prove the optimum of one table; say what it took, and what the choice is worth on the test rows."""
    probabilities, y = read(folder / "opt.txt")
    started, cpu = time.perf_counter(), time.process_time()
    problem = build_problem(probabilities, y, family, Objective(pmi=pmi, **settings["objective"]))
    limit = settings["seconds"] if search == "exact" else None
    how = SearchSettings(search, settings["n_starts"], limit, settings["n_jobs"])
    result = solve(problem, how, settings["seed"])
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    certificate = result.certificate
    probabilities, y = read(folder / "test.txt")
    predicted = predict(probabilities, family, result.best.choice)
    counts = confusion_counts(y, predicted, problem.n_classes)
    accuracies = counts.correct[counts.support > 0] / counts.support[counts.support > 0]
    gaps = np.abs(accuracies[:, None] - accuracies)[np.triu_indices(len(accuracies), 1)]
    return {
        "classes": problem.n_classes,
        "rows": problem.n_samples,
        "corrections": len(family),
        "choices": f"{ExactSearch(problem).tables.n_choices:.1e}",
        "search": search,
        "z": certificate.objective,
        "status": certificate.status,
        "radius": certificate.radius,
        "gap": certificate.gap,
        "evaluated": certificate.n_evaluations,
        "seconds": seconds,
        "CPU seconds": cpu,
        "test accuracy": counts.correct.sum() / len(y),
        "test COBias": gaps.mean(),
        "test worst class": accuracies.min(),
    }


def write(rows: list[dict], settings: dict) -> None:
    """Write what was measured so far."""
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "wide_proof.csv", index=False, float_format="%.9f")
    digits = {"seconds": 1, "CPU seconds": 1, "gap": 6, "pmi weight": 1}
    text = f"""# Proofs with the wide family

Settings: `experiments/wide_proof.toml`; error = cobias = 1. {settings["n_jobs"]} threads on {machine()}.
Choices that act alike are counted once. Seconds cover ranking, descent, tables and proof; an exact
search, run where the default proved no optimum, stops after {settings["seconds"]} seconds. Where the CPU
seconds are well below twice the seconds, other programs used the machine.

{markdown(rounded(table, digits))}
"""
    (RESULTS / "wide_proof.md").write_text(text)


def main() -> None:
    """Prove every table with every family and write the results as they come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt and test.txt")
    folder = parser.parse_args().folder
    settings = settings_of(__file__)
    families = families_of(settings)
    for name in ("ensemble", "wide"):  # compiles
        prove(folder / f"{settings['tasks'][0]}_shot1_seed0", families[name], 0.2, "exact", settings)
    rows: list[dict] = []
    for task in settings["tasks"]:
        for name, family in families.items():
            for pmi in settings["pmi"]:
                for search in settings["searches"]:
                    found = prove(folder / f"{task}_shot1_seed0", family, pmi, search, settings)
                    rows.append({"task": task, "family": name, "pmi weight": pmi, **found})
                    write(rows, settings)
                    if found["status"] == "optimal":
                        break


if __name__ == "__main__":
    main()
