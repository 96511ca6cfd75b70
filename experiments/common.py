"""Code that the experiments share: settings, tables, prompts, data, the machine in words, Markdown."""

import gzip
import json
import os
import platform
import resource
import subprocess
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import Family
from debias.inference.texts.demonstrations import draw_demonstrations
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import load_task
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.objective import Objective, confusion_counts

STARTED = time.perf_counter()
RESULTS = Path(__file__).resolve().parent / "results"
FIGURES = ["accuracy", "cobias", "balanced accuracy", "worst class", "z"]
"""What :func:`figures` returns."""
DIGITS = {"z": 6, "z uncorrected": 6, "seconds": 2}


def settings_of(script: str) -> dict[str, Any]:
    """Read the settings beside a script, given its ``__file__``."""
    return tomllib.loads(Path(script).with_suffix(".toml").read_text(encoding="utf-8"))


def machine(*packages: str, seconds: float | None = None, commits: str | None = None) -> str:
    """Name the processor, its cores, Python, versions of packages, the commit, and the seconds it took.

    The seconds are those since the script was started, and the commit is the present one, unless others
    are given.
    """
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        model = next(named, model)
    cores = f"{os.cpu_count()} cores"
    if "torch" in packages:
        import torch

        cores += f", {torch.get_num_threads()} threads"
    versions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    took = time.perf_counter() - STARTED if seconds is None else seconds
    return f"{model}, {cores}; {', '.join(versions)}; commit {commits or commit()}; {took:,.0f} s"


def commit() -> str:
    """Return the commit that a script ran on, with a plus sign where the code differs from it."""

    def asked(*words: str) -> str:
        command = ["git", *words]
        return subprocess.run(
            command, cwd=RESULTS.parents[1], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        code = ("debias", "iterit", "data", "experiments", ":!experiments/results")
        return asked("rev-parse", "--short=10", "HEAD") + (
            "+" if asked("status", "--porcelain", *code) else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return f"unknown, debias-iterit {version('debias-iterit')}"


def markdown(table: pd.DataFrame) -> str:
    """Write a table with its cells as they are; a named index becomes the first column."""
    if table.index.name is not None:
        table = table.reset_index()
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def rounded(table: pd.DataFrame, digits: dict[str, int] | None = None) -> pd.DataFrame:
    """Round the floats of a table for reading: to the digits of their column, else to about three."""
    digits = DIGITS | (digits or {})

    def cell(name: str, value: object) -> object:
        if not isinstance(value, float):
            return value
        return format(value, f",.{digits.get(name, 0 if abs(value) >= 10 else 3)}f")

    columns = {name: [cell(name, value) for value in table[name]] for name in table.columns}
    return pd.DataFrame(columns, index=table.index, dtype=object)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities and labels of a table in the published text format."""
    rows = np.loadtxt(path)
    return np.ascontiguousarray(rows[:, 3:]), rows[:, 1].astype(np.int64)


def predict(probabilities: np.ndarray, family: Family, choice: tuple[int, ...]) -> np.ndarray:
    """Apply a choice from scratch, as a deployed correction does; return predicted columns."""
    return decide(correct(probabilities, [family[index] for index in choice]), probabilities)


def make_prompts(
    name: str, count: int, settings: dict[str, Any], data: Path | None = None
) -> tuple[list[str], tuple[str, ...]]:
    """Return prompts of a task's rows with drawn demonstrations, and its labels with their space."""
    task, shots, seed = load_task(name), settings["shots"], settings["seed"]
    split = load_split(task, settings["split"], limit=count + shots, seed=seed, data=data)
    shown, rows = draw_demonstrations(task, split.texts, split.labels, shots, seed=seed)
    return [task.prompt(split.texts[row], shown) for row in rows[:count]], task.continuations


def read_responses(path: Path) -> list[str]:
    """Return the responses of an Alpaca file: JSON lines, gzipped."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["output"] for line in lines]


def some_complexity(n: int, settings: dict[str, Any]) -> np.ndarray:
    """Return seeded uniform numbers in place of IFD."""
    random = np.random.default_rng(settings["seed"])
    return random.uniform(settings["lowest"], settings["highest"], size=n)


def random_table(n_classes: int, n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random class probabilities and labels; each class has a bias, and a bonus on its own rows."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_rows - n_classes)])
    logits = 1.5 * rng.normal(size=(n_rows, n_classes)) + 2 * rng.normal(size=n_classes)
    logits[np.arange(n_rows), y] += 2.5
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(axis=1, keepdims=True), y


def most_memory() -> float:
    """Return the peak memory of this process, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def figures(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> dict[str, float]:
    """Return what predictions of test rows are worth."""
    counts = confusion_counts(y, predicted, n_classes)
    present = counts.support > 0
    accuracies = counts.correct[present] / counts.support[present]
    values = [
        (predicted == y).mean(),
        cobias_of_accuracies(accuracies),
        accuracies.mean(),
        accuracies.min(),
        Objective()(*counts[:3]),
    ]
    return dict(zip(FIGURES, map(float, values), strict=True))
