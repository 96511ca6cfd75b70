"""Measures whether mixtures of choices are more even on held-out rows than single choices are.

Run it from the repository root (about five minutes on one core):

    python experiments/mixtures.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. A mixture predicts a row
by one of a few choices, picked by a hash of its text; class accuracies are then means, so the least COBias
over all mixtures that are as accurate as the best single choice is a linear program. Columns are generated:
the program's prices make one class worth more than another, and an oracle looks for the choice that is right
most, so weighted. By weak duality the program's value is above the optimum by no more than the oracle finds
to gain: a proof where it tries every choice, else an estimate. Writes experiments/results/mixtures.csv and
mixtures.md.
"""

import argparse
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, predict, read, settings_of
from scipy.optimize import linprog

from debias.corrections.families import Family, ensemble
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective
from debias.search.problem import build_problem

Choice = tuple[int, ...]


class Table(NamedTuple):
    """Labelled rows, with every class's probability corrected in every way."""

    X: np.ndarray
    y: np.ndarray
    family: Family
    corrected: np.ndarray
    """Of shape (n_classes, n_corrections, n_rows); a trace of the probability decides between equals."""

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, family: Family) -> "Table":
        """Correct every class's probability in every way."""
        corrected = np.array([[one(p) + 1e-9 * p for one in family] for p in X.T])
        return cls(X, y, family, corrected)

    def accuracies(self, choice: Choice) -> np.ndarray:
        """Return the class accuracies of a choice, applied as a deployed correction is."""
        predicted = predict(self.X, self.family, choice)
        return np.array([(predicted[self.y == k] == k).mean() for k in range(self.X.shape[1])])


class Mixed(NamedTuple):
    """The best mixture of some choices, and the price of each class's accuracy."""

    value: float
    weights: np.ndarray
    prices: np.ndarray
    constant: float


def mix(accuracies: np.ndarray, shares: np.ndarray) -> Mixed:
    """Minimise COBias over mixtures of choices that are no less accurate than the first of them."""
    n_choices, n_classes = accuracies.shape
    pairs = list(combinations(range(n_classes), 2))
    gaps = np.array([accuracies[:, i] - accuracies[:, j] for i, j in pairs])
    error, nothing = 1 - accuracies @ shares, np.zeros((1, len(pairs)))
    bounds = np.block([[gaps, -np.eye(len(pairs))], [-gaps, -np.eye(len(pairs))], [error[None], nothing]])
    limits = np.append(np.zeros(2 * len(pairs)), error[0])
    costs = np.concatenate([np.zeros(n_choices), np.full(len(pairs), 1 / len(pairs))])
    total = np.concatenate([np.ones(n_choices), np.zeros(len(pairs))])[None]
    found = linprog(costs, bounds, limits, total, [1.0], method="highs")
    up, down = np.split(found.ineqlin.marginals[:-1], 2)
    of_error = -float(found.ineqlin.marginals[-1])
    prices = of_error * shares
    for (i, j), price in zip(pairs, up - down, strict=True):
        prices[i] += price
        prices[j] -= price
    return Mixed(found.fun, found.x[:n_choices], prices, of_error - float(found.eqlin.marginals[0]))


def oracle(table: Table, prices: np.ndarray, settings: dict) -> Choice:
    """Return the choice whose class accuracies are worth most: of all, or as far as descents find."""
    worth = (prices / np.bincount(table.y))[table.y]
    n_classes, n_corrections, _ = table.corrected.shape
    last = n_classes - 1

    def values(k: int, choice: list[int]) -> np.ndarray:
        others = np.array([table.corrected[j, choice[j]] for j in range(n_classes)])
        others[k] = -np.inf
        wins = table.corrected[k] > others.max(axis=0)
        return np.where(wins, table.y == k, others.argmax(axis=0) == table.y) @ worth

    best, chosen = -np.inf, [0] * n_classes
    if n_classes <= settings["enumerated"]:
        for first in product(range(n_corrections), repeat=last):
            found = values(last, [*first, 0])
            if found.max() > best:
                best, chosen = found.max(), [*first, int(found.argmax())]
        return tuple(chosen)
    rng = np.random.default_rng(settings["seed"])
    for _ in range(settings["n_oracle_starts"]):
        choice, before = list(rng.integers(n_corrections, size=n_classes)), -np.inf
        while True:
            for k in rng.permutation(n_classes):
                found = values(k, choice)
                choice[k] = int(found.argmax())
            if found.max() <= before + 1e-12:
                break
            before = found.max()
        if before > best:
            best, chosen = before, [int(index) for index in choice]
    return tuple(chosen)


def compare(opt: Table, test: Table, seed: int, settings: dict) -> dict:
    """Fit the best single choice and the best mixture on the opt rows; return figures of both sides."""
    problem = build_problem(opt.X, opt.y, opt.family, Objective(pmi=0.0))
    single = descend(problem, settings["n_starts"], seed).best.choice
    shares = np.bincount(opt.y) / len(opt.y)
    choices, gap = [tuple(one) for one in (single, problem.identity_choice)], np.inf
    accuracies = [opt.accuracies(choice) for choice in choices]
    while True:
        mixed = mix(np.array(accuracies), shares)
        column = oracle(opt, mixed.prices, settings)
        accuracy = opt.accuracies(column)
        gap = min(gap, float(mixed.prices @ accuracy - mixed.constant))
        if gap < 1e-6 or column in choices or len(choices) == settings["most_columns"]:
            break
        choices.append(column)
        accuracies.append(accuracy)
    used = np.flatnonzero(mixed.weights > 1e-9)
    numbers = {"choices mixed": len(used), "columns": len(choices), "gap": max(gap, 0.0)}
    for side, table in {"opt": opt, "test": test}.items():
        mix_of_rows = np.bincount(table.y, minlength=len(shares)) / len(table.y)
        parts = np.array([table.accuracies(choices[position]) for position in used])
        sides = {"single": table.accuracies(single), "mixture": mixed.weights[used] @ parts}
        for name, own in sides.items():
            numbers |= {f"{side} accuracy, {name}": float(own @ mix_of_rows)}
            numbers |= {f"{side} COBias, {name}": float(cobias_of_accuracies(own))}
    return numbers


def main() -> None:
    """Measure every split of every table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt and test.txt")
    folder, settings = parser.parse_args().folder, settings_of(__file__)
    family, rows = ensemble(settings["n_weights"]), []
    for task in settings["tasks"]:
        sides = [read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test")]
        X, y = (np.concatenate(parts) for parts in zip(*sides, strict=True))
        for split in range(settings["n_splits"]):
            order = np.random.default_rng([settings["seed"], split]).permutation(len(y))
            taken, rest = np.split(order, [min(len(y) // 2, settings["most_opt_rows"])])
            opt, test = (Table.of(X[part], y[part], family) for part in (taken, rest[: len(taken)]))
            rows.append({"task": task, "split": split} | compare(opt, test, split, settings))
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    for side in ("opt", "test"):
        for metric in ("accuracy", "COBias"):
            more = table[f"{side} {metric}, mixture"] - table[f"{side} {metric}, single"]
            table[f"{side} {metric}, difference"] = more
    table.to_csv(RESULTS / "mixtures.csv", index=False, float_format="%.6f")
    text = write(table, settings)
    (RESULTS / "mixtures.md").write_text(text)
    print(text)


def write(table: pd.DataFrame, settings: dict) -> str:
    """Return the report, with its verdict."""
    shown = table.drop(columns="split").groupby("task", sort=False).mean()
    points = shown[[name for name in shown if "," in name]] * 100.0
    whole = (
        shown[["choices mixed", "columns"]].join(100 * shown["gap"]).rename(columns={"gap": "gap, points"})
    )
    rng = np.random.default_rng(settings["seed"])
    said = []
    for metric in ("accuracy", "COBias"):
        by_task = points[f"test {metric}, difference"].to_numpy()
        means = rng.choice(by_task, (settings["n_resamples"], len(by_task))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        said.append(f"{metric} {by_task.mean():+.1f} points ({low:+.1f} to {high:+.1f})")
    return f"""# Mixtures of choices

Settings: `experiments/mixtures.toml`: {settings["n_splits"]} splits of each table, at most
{settings["most_opt_rows"]:,} opt rows and as many held-out rows; ensemble of
{settings["n_weights"]} weights and 19 memberships. The single choice minimises error + COBias; the mixture
minimises COBias, and is as accurate on the opt rows. Means over splits, in points. The gap is how far its
COBias on the opt rows may be above the least of all such mixtures: proved for tables of up to
{settings["enumerated"]} classes, for others as far as descents find. {machine()}.

On held-out rows, mixture less single choice, mean over tables (95 % interval over tables):
{"; ".join(said)}.

{markdown(whole.map("{:.2f}".format))}

## Opt rows

{markdown(points[[name for name in points if name.startswith("opt")]].map("{:.1f}".format))}

## Held-out rows

{markdown(points[[name for name in points if name.startswith("test")]].map("{:.1f}".format))}
"""


if __name__ == "__main__":
    main()
