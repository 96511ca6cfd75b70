"""Measures, with few labels, how shrinkage changes figures on test rows.

Run it from the repository root (about half an hour on two cores):

    python experiments/few_labels.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Labelled rows are
drawn from the opt rows; a draw may miss a class. All figures are of all test rows. Writes
experiments/results/few_labels.csv and few_labels.md. Whether intervals hold: few_label_intervals.py.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, predict, read, settings_of
from joblib import Parallel, delayed

from debias.corrections.families import Family, ensemble
from debias.estimators.few_labels.shrinkage import Choosing, cross_validate_choice, shrink_choice
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.descent.coordinate_descent import descend
from debias.search.descent.regularization_path import shrink
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import build_problem

UNCORRECTED, BEST = "uncorrected", "best on the rows"
BEST_CHECKED = f"{BEST}, cross-validated"
ONE_ERROR, SMOOTH = "one standard error", "smoothed"
SMOOTH_ONE_ERROR = "smoothed, one standard error"
DEFAULT = "smoothed, one standard error, cross-validated"
METHODS = [UNCORRECTED, BEST, BEST_CHECKED, ONE_ERROR, SMOOTH, SMOOTH_ONE_ERROR, DEFAULT]
Rows = tuple[np.ndarray, np.ndarray]


def draw(rows: Rows, size: int, seed: int) -> Rows:
    """Draw labelled rows of at least two classes."""
    rng = np.random.default_rng([seed, size])
    while True:
        taken = rng.choice(len(rows[1]), size, replace=False)
        if len(np.unique(rows[1][taken])) > 1:
            return rows[0][taken], rows[1][taken]


def draw_thinned(rows: Rows, size: int, n_of_class: int, seed: int) -> Rows:
    """Draw many rows, but few of one class."""
    rng = np.random.default_rng(seed)
    k = rng.integers(rows[0].shape[1])
    own, others = np.flatnonzero(rows[1] == k), np.flatnonzero(rows[1] != k)
    taken = [rng.choice(own, n_of_class, replace=False), rng.choice(others, size - n_of_class, replace=False)]
    return rows[0][np.concatenate(taken)], rows[1][np.concatenate(taken)]


def simulate(size: int, settings: dict, seed: list[int]) -> Rows:
    """Return rows of a model that is equally accurate on each class."""
    rng = np.random.default_rng(seed)
    n_classes = settings["n_classes"]
    y = rng.permutation(np.arange(size) % n_classes)
    logits = rng.normal(size=(size, n_classes)) + settings["separation"] * np.eye(n_classes)[y]
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True), y


def measure(kind: str, task: str, size: int, seed: int, opt: Rows, test: Rows, settings: dict) -> list:
    """Choose by every method; return figures on the test rows."""
    family, objective = ensemble(settings["n_weights"]), Objective(**settings["objective"])
    problem = build_problem(*opt, family, objective)
    identity = problem.candidate(problem.identity_choice)
    best = descend(problem, settings["n_starts"], seed).best
    best = best if best.beats(identity) else identity
    plain = shrink(*opt, family, objective, best, n_copies=1, random_state=seed)
    choosing = Choosing(family, objective, "descent", seed=seed)
    few = shrink_choice(choosing, problem, *opt, best)
    alone = cross_validate_choice(choosing, *opt, shrunk=False)
    shrunk = few.shrinkage
    chosen = {
        UNCORRECTED: identity.choice,
        BEST: best.choice,
        BEST_CHECKED: best.choice if alone.improves else identity.choice,
        ONE_ERROR: plain.choice,
        SMOOTH: min(shrunk.path, key=lambda step: step.candidate.objective).candidate.choice,
        SMOOTH_ONE_ERROR: shrunk.choice,
        DEFAULT: few.choice.choice,
    }
    about = {"kind": kind, "task": task, "labels": size, "draw": seed}
    figures = []
    for method, choice in chosen.items():
        row = about | {"method": method, "changed": sum(np.array(choice) != family.identity)}
        figures.append(row | judge(predict(test[0], family, choice), test[1], objective, family, choice))
    return figures


def judge(
    predicted: np.ndarray, y: np.ndarray, objective: Objective, family: Family, choice: tuple[int, ...]
) -> dict:
    """Return the figures of predictions."""
    counts = confusion_counts(y, predicted, len(choice))
    even = cobias_of_accuracies(counts.correct / counts.support)
    return {"accuracy": (predicted == y).mean(), "COBias": float(even), "z": objective(*counts)}


def jobs(folder: Path, settings: dict) -> Iterator[tuple]:
    """Yield the arguments of every measurement."""
    thin, even = settings["thinned"], settings["even"]
    for task in settings["tasks"]:
        opt, test = (read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test"))
        for seed in range(settings["n_draws"]):
            for size in settings["sizes"]:
                yield "real", task, size, seed, draw(opt, size, seed), test, settings
            few = draw_thinned(opt, thin["size"], thin["rows_of_class"], seed)
            yield "thinned", task, thin["size"], seed, few, test, settings
    for seed in range(settings["n_draws"]):
        test = simulate(even["n_test"], even, [seed, 0])
        for size in even["sizes"]:
            yield "even", "simulated", size, seed, simulate(size, even, [seed, size]), test, settings


def wide(table: pd.DataFrame, kind: str, value: str, digits: str) -> str:
    """Return the means of a column as Markdown: methods by number of labels."""
    own = table[table.kind == kind]
    means = own.pivot_table(index="method", columns="labels", values=value, sort=False).loc[METHODS]
    return markdown(means.map(digits.format))


def by_task(table: pd.DataFrame, settings: dict) -> str:
    """Return z of the best and of the default by task."""
    own = table[(table.kind == "real") & table.method.isin([UNCORRECTED, BEST, DEFAULT])]
    means = own.pivot_table(index=["task", "method"], columns="labels", values="z", sort=False)
    means = means.loc[[(task, m) for task in settings["tasks"] for m in (UNCORRECTED, BEST, DEFAULT)]]
    means.index = pd.Index([", ".join(names) for names in means.index], name="task, method")
    return markdown(means.map("{:.3f}".format))


def main() -> None:
    """Measure everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt and test.txt")
    folder = parser.parse_args().folder
    settings = settings_of(__file__)
    found = Parallel(settings["n_jobs"])(delayed(measure)(*job) for job in jobs(folder, settings))
    table = pd.DataFrame([row for figures in found for row in figures])
    key = ["kind", "task", "labels", "draw"]
    plain = table[table.method == UNCORRECTED].set_index(key).z
    uncorrected = plain.loc[list(zip(*table[key].to_numpy().T, strict=True))].to_numpy()
    table["worse"] = table.z.to_numpy() > uncorrected + 1e-9
    table.to_csv(RESULTS / "few_labels.csv", index=False, float_format="%.6f")
    text = write(table, settings)
    (RESULTS / "few_labels.md").write_text(text)
    print(text)


def write(table: pd.DataFrame, settings: dict) -> str:
    """Return the report."""
    sections = {"z": "{:.3f}", "accuracy": "{:.3f}", "COBias": "{:.3f}", "worse": "{:.1%}"}
    titles = {"worse": "Share of draws whose z is worse than that of the uncorrected model"}
    real = "\n\n".join(
        f"### {titles.get(value, value)}\n\n{wide(table, 'real', value, digits)}"
        for value, digits in sections.items()
    )
    thin, even = settings["thinned"], settings["even"]
    thinned = table[table.kind == "thinned"].groupby("method", sort=False)[list(sections)].mean()
    return f"""# Few labels

Settings: `experiments/few_labels.toml`: {settings["n_draws"]} draws of labelled rows per size and task,
ensemble of {settings["n_weights"]} weights and 19 memberships, objective {settings["objective"]}.
All figures are means over tasks and draws on all test rows; lower z is better. {machine()}.

- {BEST}: the lowest objective on the labelled rows.
- cross-validated: only if it beats the uncorrected model by cross-validation on the labelled rows.
- one standard error: the fewest changed classes within one standard error of the best.
- smoothed: the lowest objective on noisy copies of the rows.
- **{DEFAULT}**: the default, `shrink`.

## Six tables

{real}

### z by task

{by_task(table, settings)}

## Many rows, but {thin["rows_of_class"]} of one class

{thin["size"]} labelled rows, {thin["rows_of_class"]} of them of one class drawn at random.

{markdown(thinned.map("{:.3f}".format))}

## A model that needs no correction

Simulated: {even["n_classes"]} classes with equal accuracy. First z, then the share of draws that are worse.

{wide(table, "even", "z", "{:.3f}")}

{wide(table, "even", "worse", "{:.0%}")}
"""


if __name__ == "__main__":
    main()
