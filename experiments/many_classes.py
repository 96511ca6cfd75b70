"""Measures memory and time to a certificate of radius 1 or 2 with many classes.

Run it from the repository root:

    python experiments/many_classes.py

Class probabilities are random: the softmax of normal logits with a bias per class and a bonus for the
true class. Every size runs in its own process; its peak memory is reported next to the size of one byte
per class, correction and sample.
Writes experiments/results/many_classes.csv and .md.
"""

import multiprocessing
import time

import pandas as pd
from common import RESULTS, machine, markdown, most_memory, random_table, rounded, settings_of

from debias.corrections.families import ensemble
from debias.search.descent.iterated_local_search import iterated_local_search
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.radius import look_around


def measure(size: dict, settings: dict) -> dict:
    """Search and certify one size."""
    warm = build_problem(*random_table(12, 240, 1), ensemble(4), Objective())
    look_around(warm, iterated_local_search(warm, 1).best, 2)  # compiles
    probabilities, y = random_table(size["classes"], size["rows"], settings["seed"])
    before = most_memory()
    started = time.perf_counter()
    problem = build_problem(probabilities, y, ensemble(settings["n_weights"]), Objective())
    ranked = time.perf_counter()
    found = iterated_local_search(problem, settings["n_starts"], settings["seed"], settings["n_jobs"])
    searched = time.perf_counter()
    around = look_around(problem, found.best, size["radius"], n_threads=settings["n_jobs"])
    certified = time.perf_counter()
    return {
        "classes": size["classes"],
        "rows": size["rows"],
        "z uncorrected": problem.evaluate(problem.identity_choice),
        "z": around.best.objective,
        "radius": around.radius,
        "seconds ranking": ranked - started,
        "seconds search": searched - ranked,
        "seconds certificate": certified - searched,
        "seconds in all": certified - started,
        "peak MB above the start": 1024 * (most_memory() - before),
        "MB of N x R x M bytes": problem.n_classes * problem.n_corrections * problem.n_samples / 1e6,
    }


def main() -> None:
    """Measure every size in a process of its own and write the results."""
    settings = settings_of(__file__)
    rows = []
    for size in settings["sizes"]:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, (size, settings)))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "many_classes.csv", index=False, float_format="%.6f")
    text = f"""# Many classes

Settings: `experiments/many_classes.toml`; 48 corrections, error = cobias = 1, pmi = .2.
{settings["n_jobs"]} threads on {machine()}.

{markdown(rounded(table))}
"""
    (RESULTS / "many_classes.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
