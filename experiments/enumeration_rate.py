"""Compares the evaluations per second of the enumeration with the bandwidth of the machine's memory.

Run it from the repository root, with nothing else running:

    python experiments/enumeration_rate.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. An evaluation reads one bit
per sample of the tables, padded to whole words. The limit is the bandwidth of a copy divided by
those bytes: once for a copy through main memory, and once for a block as large as the tables of one
row of the enumeration, which stay in the nearest caches. Writes
experiments/results/enumeration_rate.csv and .md.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, rounded, settings_of

from debias.corrections.families import ensemble
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.enumeration import enumerate_choices, new_state
from debias.search.proof.exact_search import ExactSearch, Known


def bandwidth(n_bytes: int, seconds: float = 0.5) -> float:
    """Return the bytes per second that a copy reads."""
    source = np.ones(max(1, n_bytes // 8))
    target = np.empty_like(source)
    np.copyto(target, source)  # touches every page once
    n_copies = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        np.copyto(target, source)
        n_copies += 1
    return n_copies * source.nbytes / (time.perf_counter() - started)


def measure(task: str, folder: Path, settings: dict) -> dict:
    """Time the enumeration of some parts on one thread, several times."""
    problem = build_problem(
        *read(folder / f"{task}_shot1_seed0" / "opt.txt"), ensemble(settings["n_weights"]), Objective(pmi=0.0)
    )
    search = ExactSearch(problem)
    tables, state = search.tables, new_state(search.tables)
    found = Known(search, problem.candidate(problem.identity_choice)).found()
    found.reached.fill(-np.inf)  # nothing is kept for the frontier: counting only
    prefix = np.zeros(max(0, problem.n_classes - 3), dtype=np.int64)
    enumerate_choices(tables, search.terms, state, found, prefix, False)
    rates = []
    for _ in range(settings["turns"]):
        started = time.perf_counter()
        count = 0
        while time.perf_counter() - started < settings["seconds"]:
            count += enumerate_choices(tables, search.terms, state, found, prefix, False)[0]
        rates.append(count / (time.perf_counter() - started))
    rate = median(rates)
    per_evaluation = 8 * len(tables.wins.valid)
    row_block = per_evaluation * tables.holds.shape[2]
    memory, cache = bandwidth(settings["large"]), bandwidth(row_block)
    return {
        "task": task,
        "rows": problem.n_samples,
        "bytes per evaluation": per_evaluation,
        "evaluations/s": rate,
        "GB/s read": rate * per_evaluation / 1e9,
        "memory copy, GB/s": memory / 1e9,
        "cache copy, GB/s": cache / 1e9,
        "rate / limit of memory": rate * per_evaluation / memory,
        "rate / limit of the cache": rate * per_evaluation / cache,
    }


def main() -> None:
    """Measure every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    folder = parser.parse_args().folder
    settings = settings_of(__file__)
    table = pd.DataFrame([measure(task, folder, settings) for task in settings["tasks"]])
    table.to_csv(RESULTS / "enumeration_rate.csv", index=False, float_format="%.4f")
    text = f"""# Enumeration against the bandwidth of the machine

Settings: `experiments/enumeration_rate.toml`. One thread on {machine()}; medians of {settings["turns"]} runs.

{markdown(rounded(table))}

What limits the rate: one row of the enumeration reads tables of some ten kilobytes again and again. They stay
in the caches, so the rate can exceed what main memory could feed. It stays below the limit of the cache, for
each word needs an AND, a population count and an addition; the words that do not fill a block of eight are
counted two at a time; and an evaluation also takes N (N - 1) / 2 gaps between class accuracies, which read
nothing from the tables. Where a table has few rows, these gaps are most of an evaluation.
"""
    (RESULTS / "enumeration_rate.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
