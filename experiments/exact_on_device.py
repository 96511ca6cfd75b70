"""The same proofs by the compiled search and on a GPU: equal answers, and the ratio of the times.

Run it from the repository root, on a machine with a CUDA device and nothing else running:

    python experiments/exact_on_device.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. Both begin with the best
choice of a descent; the times are those of the proof alone, in which all kernels are warm. Writes
experiments/results/exact_on_device.csv and .md.
"""

import argparse
import os
import platform
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from search_quality import markdown, read

from debias.corrections.families import ensemble
from debias.search.descent.coordinate_descent import descend
from debias.search.device import DeviceSearch
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.exact_search import ExactResult, ExactSearch

HERE = Path(__file__).parent


def is_same(one: ExactResult, other: ExactResult, with_fronts: bool) -> bool:
    """Return whether choice and z are equal to the last bit, and the fronts where nothing is pruned."""
    fronts = (getattr(one.fronts, name) for name in ("cobias", "choice"))
    others = (getattr(other.fronts, name) for name in ("cobias", "choice"))
    same_fronts = all(np.array_equal(a, b) for a, b in zip(fronts, others, strict=True))
    proved = one.certificate.status == other.certificate.status == "optimal"
    return proved and one.best == other.best and (same_fronts or not with_fronts)


def measure(task: str, prune: bool, folder: Path, device: str, settings: dict) -> dict:
    """Time one proof both ways."""
    problem = build_problem(
        *read(folder / f"{task}_shot1_seed0" / "opt.txt"), ensemble(settings["n_weights"]), Objective()
    )
    start = descend(problem, settings["n_starts"]).best
    n_threads = os.cpu_count() or 1
    compiled_search, device_search = ExactSearch(problem), DeviceSearch(problem, device)
    for search in (compiled_search, device_search):
        search.estimate(start)  # kernels are warm after it, and classes in order
    compiled = compiled_search.run(start, prune, n_threads=n_threads)
    on_device = device_search.run(start, prune)
    return {
        "task": task,
        "rows": problem.n_samples,
        "choices": compiled.n_choices,
        "search": "pruned" if prune else "complete",
        "counted, compiled": compiled.certificate.n_evaluations,
        "counted on the device": on_device.certificate.n_evaluations,
        f"compiled, {n_threads} threads (s)": compiled.certificate.seconds,
        "device (s)": on_device.certificate.seconds,
        "ratio": compiled.certificate.seconds / on_device.certificate.seconds,
        "same answer": is_same(compiled, on_device, not prune),
    }


def main() -> None:
    """Measure every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    settings = tomllib.loads((HERE / "exact_on_device.toml").read_text())
    runs = [(task, True) for task in settings["tasks"]] + [(task, False) for task in settings["complete"]]
    table = pd.DataFrame(
        [measure(task, prune, arguments.folder, arguments.device, settings) for task, prune in runs]
    )
    results = HERE / "results"
    table.to_csv(results / "exact_on_device.csv", index=False, float_format="%.4f")
    is_cuda = arguments.device.startswith("cuda")
    name = torch.cuda.get_device_name(arguments.device) if is_cuda else arguments.device
    text = f"""# The exact search on a device

Settings: `experiments/exact_on_device.toml`. {name}, torch {torch.__version__}, against the compiled
search on {platform.machine()}, {os.cpu_count()} cores.

{markdown(table)}
"""
    (results / "exact_on_device.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
