"""Measures how often guarantees on new rows fail, and how wide they are beside a bootstrap.

Run it from the repository root (about five minutes on two cores):

    python experiments/guarantees.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. Rows of each table, and
simulated rows of more classes, are populations: opt and held-out rows are drawn from them with
replacement, class by class, so that all true figures are known. In each redraw every choice of a small
family is evaluated on the opt rows and the best is taken, so that its gap is proved to be 0. Writes
experiments/results/guarantees.csv and guarantees.md.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, settings_of
from joblib import Parallel, delayed

from debias import EnsembleDebiaser
from debias.corrections.families import weights
from debias.errors import ParameterError
from debias.guarantees.accuracy_bounds import nats_of_choice
from debias.guarantees.guarantee import Guarantee
from debias.guarantees.seen_rows import SeenGuarantee, regret
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.certificate import Certificate
from debias.search.objective import Counts, Objective

HELD_OUT = {
    "every class accuracy": "all classes within their bounds",
    "worst class": "the worst class is at least",
    "COBias": "COBias is at most",
    "accuracy, uniform mix": "accuracy within its bounds",
    "accuracy, any mix": "accuracy within its bounds at a mix drawn at random",
    "best of ten candidates": "the candidate with the highest bound reaches it",
    "candidates in order": "all candidates that passed reach the median of the candidates' worst classes",
}
SEEN = {
    "fitted rows: every class accuracy": "all classes within their bounds",
    "fitted rows: COBias": "COBias is at most",
    "fitted rows: regret": "the loss is at most so far above the best of the family",
}
NOT_CLAIMED = ["bootstrap: every class accuracy", "bootstrap: COBias", "best of ten, each bound alone"]
BATCH = 25
OBJECTIVE = Objective(error=1.0, cobias=1.0, pmi=0.0)


@dataclass(frozen=True)
class Population:
    """Rows of which all is known: whether each choice is right on each row."""

    name: str
    P: np.ndarray
    y: np.ndarray
    choices: np.ndarray
    family_size: int
    identity: int
    right: np.ndarray

    @classmethod
    def of(cls, name: str, P: np.ndarray, y: np.ndarray, n_weights: int) -> "Population":
        """Evaluate every choice on every row."""
        order = np.argsort(y, kind="stable")
        P, y, family = P[order], y[order], weights(n_weights)
        values = np.stack([family.values(column) for column in P.T])  # class, correction, row
        choices = np.array(list(product(range(len(family)), repeat=P.shape[1])))
        right = np.zeros((len(choices), len(y)), dtype=np.float32)
        for at in range(0, len(choices), 512):
            part = choices[at : at + 512]
            corrected = values[np.arange(P.shape[1])[:, None], part.T]
            right[at : at + 512] = corrected.argmax(axis=0) == y  # no weight is 0, so no row falls back
        return cls(name, P, y, choices, len(family), family.identity, right)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.P.shape[1]

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return how often each row is drawn, n times from each class."""
        sizes = np.bincount(self.y)
        drawn = [rng.multinomial(n, np.full(size, 1 / size)) for size in sizes]
        return np.concatenate(drawn).astype(np.float32)


def class_accuracies(right: np.ndarray, y: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return class accuracies of some choices for some draws: shape (draws, choices, classes)."""
    found = []
    for own in (slice(*np.searchsorted(y, [k, k + 1])) for k in range(y[-1] + 1)):
        found.append((right[:, own] @ times[own]) / times[own].sum(axis=0))  # whole numbers: exact
    return np.stack(found, axis=-1).swapaxes(0, 1).astype(np.float64)


def populations(folder: Path, settings: dict) -> Iterator[Population]:
    """Yield the tables, cut to some rows, and simulated rows of more classes."""
    for task, n_weights in settings["tables"].items():
        P, y = read(folder / f"{task}_shot1_seed0" / "opt.txt")
        rows = np.random.default_rng(settings["seed"]).permutation(len(y))[: settings["most_rows"]]
        yield Population.of(task, P[rows], y[rows], n_weights)
    simulation = settings["simulation"]
    for n, n_weights in settings["simulated"].items():
        n_classes, rng = int(n), np.random.default_rng([settings["seed"], int(n)])
        y = np.repeat(np.arange(n_classes), simulation["rows_per_class"])
        logits = rng.normal(size=(len(y), n_classes)) + simulation["separation"] * np.eye(n_classes)[y]
        P = np.exp(logits + np.linspace(0, simulation["bias"], n_classes))
        yield Population.of("simulated", P / P.sum(axis=1, keepdims=True), y, n_weights)


def loss(accuracies: np.ndarray) -> np.ndarray:
    """Return error plus COBias at a uniform mix."""
    return 1 - accuracies.mean(axis=-1) + cobias_of_accuracies(accuracies)


def redraws(population: Population, settings: dict) -> pd.DataFrame:
    """Redraw opt and held-out rows, and tell of each statement whether it failed."""
    every = np.ones((len(population.y), 1), dtype=np.float32)
    truth = class_accuracies(population.right, population.y, every)[0]
    best, found = loss(truth).min(), []
    for at in range(0, settings["n_redraws"], BATCH):
        numbers = range(at, min(at + BATCH, settings["n_redraws"]))
        rngs = [np.random.default_rng([settings["seed"], population.n_classes, one]) for one in numbers]
        sizes = [int(rng.choice(settings["opt_rows"])) for rng in rngs]
        times = np.stack([population.draw(rng, n) for rng, n in zip(rngs, sizes, strict=True)], axis=1)
        batch = class_accuracies(population.right, population.y, times)
        for rng, n_opt, fitted in zip(rngs, sizes, batch, strict=True):
            n = int(rng.choice(settings["held_out_rows"]))
            order = np.argsort(loss(fitted), kind="stable")[: settings["n_candidates"]]
            drawn = population.draw(rng, n)[:, None]
            measured = class_accuracies(population.right[order], population.y, drawn)[0]
            row = {"population": population.name, "classes": population.n_classes}
            row |= {"opt rows": n_opt, "rows": n}
            row |= on_held_out(truth[order], measured, n, rng, settings)
            chosen = int(order[0])
            row |= on_seen(population, truth[chosen], fitted[chosen], chosen, n_opt, best, settings)
            found.append(row)
    return pd.DataFrame(found)


def on_held_out(truth, measured, n: int, rng: np.random.Generator, settings: dict) -> dict:
    """Tell which statements from held-out rows fail, and how wide they are; the first row is the choice."""
    n_classes = truth.shape[1]

    def guarantee(accuracies: np.ndarray, n_candidates: int = 1) -> Guarantee:
        return Guarantee(
            classes=tuple(map(str, range(n_classes))),
            n=(n,) * n_classes,
            correct=tuple(np.rint(accuracies * n).astype(int).tolist()),
            confidence=settings["confidence"],
            n_candidates=n_candidates,
        )

    def outside(value: float, bounds: tuple[float, float]) -> bool:
        return not bounds[0] - 1e-12 <= value <= bounds[1] + 1e-12

    true, own, mix = truth[0], guarantee(measured[0]), rng.dirichlet(np.ones(n_classes))
    alone = [guarantee(one) for one in measured]
    wanted = float(np.median(truth.min(axis=1))) + 1e-9  # half of the candidates do not reach it
    passed = next((k for k, one in enumerate(alone) if one.worst_class_at_least < wanted), len(alone))
    picked = int(np.argmax([one.worst_class_at_least for one in alone]))
    together = guarantee(measured[picked], len(alone))
    tail = (1 - settings["confidence"]) / 2
    resampled = rng.binomial(n, measured[0], size=(settings["n_resamples"], n_classes)) / n
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    most = float(np.quantile(cobias_of_accuracies(resampled), settings["confidence"]))
    cobias = float(cobias_of_accuracies(true))
    return {
        "every class accuracy": bool(((true < own.low) | (true > own.high)).any()),
        "worst class": bool(true.min() < own.worst_class_at_least),
        "COBias": cobias > own.cobias_at_most,
        "accuracy, uniform mix": outside(true.mean(), own.accuracy()),
        "accuracy, any mix": outside(mix @ true, own.accuracy(mix)),
        "best of ten candidates": bool(truth[picked].min() < together.worst_class_at_least),
        "candidates in order": bool((truth[:passed].min(axis=1) < wanted).any()),
        "best of ten, each bound alone": bool(truth[picked].min() < alone[picked].worst_class_at_least),
        "bootstrap: every class accuracy": bool(((true < low) | (true > high)).any()),
        "bootstrap: COBias": cobias > most,
        "width of a class": float((own.high - own.low).mean()),
        "width of a class, bootstrap": float((high - low).mean()),
        "COBias at most": own.cobias_at_most,
        "COBias at most, bootstrap": most,
        "true COBias": cobias,
    }


def on_seen(population, true, fitted, index: int, n: int, best: float, settings: dict) -> dict:
    """Tell which statements from the fitted rows fail, and how wide they are."""
    n_classes, confidence = population.n_classes, settings["confidence"]
    correct = np.rint(fitted * n).astype(int)
    changed = int((population.choices[index] != population.identity).sum())
    seen = SeenGuarantee(
        classes=tuple(map(str, range(n_classes))),
        n=(int(n),) * n_classes,
        correct=tuple(correct.tolist()),
        confidence=confidence,
        nats=nats_of_choice(n_classes, changed, population.family_size),
    )
    low, high = seen.bounds
    z = float(loss(fitted))
    support = np.full(n_classes, n)
    far = regret(
        SimpleNamespace(
            corrections=(None,) * n_classes,
            family_size=population.family_size,
            settings_tried=1,
            n_labels=int(n) * n_classes,
            objective=OBJECTIVE,
            objective_value=z,
            certificate=Certificate("optimal", n_classes, z, z, len(population.choices)),
            counts=lambda: Counts(correct, correct, support),
        ),
        confidence,
    )
    return {
        "fitted rows: every class accuracy": bool(((true < low) | (true > high)).any()),
        "fitted rows: COBias": float(cobias_of_accuracies(true)) > seen.cobias_at_most,
        "fitted rows: regret": float(loss(true)) > best + far.at_most,
        "width of a class, fitted rows": float((high - low).mean()),
        "regret at most": far.at_most,
        "true regret": float(loss(true)) - best,
    }


def annealed(population: Population, settings: dict) -> str:
    """Say what the regret of the published schedule's choice is: nothing is proved of it."""
    debiaser = EnsembleDebiaser(search="annealing-3/6", objective=OBJECTIVE).fit(population.P, population.y)
    try:
        return f"at most {regret(debiaser.fitted_, settings['confidence']).at_most:.3f}"
    except ParameterError as error:
        return f"refused: {error.problem}"


def measure(population: Population, settings: dict) -> tuple[pd.DataFrame, str]:
    """Return the redraws of a population, and what the annealed choice can state."""
    return redraws(population, settings), annealed(population, settings)


def report(table: pd.DataFrame, refused: list[str], settings: dict) -> str:
    """Return the results as Markdown."""
    by = table.groupby(["classes", "population"], sort=True)
    statements = [*HELD_OUT, *SEEN]
    share = 1 - settings["confidence"]
    most = share + 2 * np.sqrt(share * (1 - share) / settings["n_redraws"])
    failed = by[[*statements, *NOT_CLAIMED]].mean()
    worst = failed[statements].max()
    names = pd.Index([f"{name}, {n}" for n, name in failed.index], name="population, classes")

    def shares(columns: list[str]) -> str:
        return markdown(failed[columns].set_axis(names).map("{:.2%}".format).T.rename_axis("statement"))

    widths = table.groupby("rows")[
        ["width of a class", "width of a class, bootstrap", "COBias at most", "COBias at most, bootstrap"]
    ]
    widths_seen = table.groupby("opt rows")[
        ["width of a class, fitted rows", "regret at most", "true regret"]
    ]
    misses = table.groupby("rows")[["every class accuracy", "COBias", *NOT_CLAIMED]].mean()
    kept = int((failed[statements] <= most).to_numpy().sum())
    return f"""# Guarantees on new rows

Settings: `experiments/guarantees.toml`; {settings["n_redraws"]:,} redraws of opt and held-out rows for
each of {len(failed)} populations, confidence {settings["confidence"]:g}. {machine("numpy", "scipy")}.

A statement may fail in {share:.0%} of the redraws; with two standard errors, in {most:.2%}.
{kept} of {failed[statements].size} shares keep that; the largest is {worst.max():.2%} ({worst.idxmax()}).

## How often a statement failed

{shares(statements)}

Intervals that promise less, and what a careless reader would take for a guarantee:

{shares(NOT_CLAIMED)}

By held-out rows of a class, all populations:

{markdown(misses.map("{:.2%}".format).rename_axis("held-out rows"))}

## How wide they are

Means over all populations, as fractions. Bounds of held-out rows hold jointly; the bootstrap's hold for one
class each, or for COBias alone.

{markdown(widths.mean().map("{:.3f}".format).rename_axis("held-out rows"))}

From the fitted rows alone, by opt rows of a class:

{markdown(widths_seen.mean().map("{:.3f}".format).rename_axis("opt rows"))}

The regret of the choice that the published annealing makes on the rows of each of the {len(refused)}
populations: {"; ".join(sorted(set(refused)))}.
"""


def main() -> None:
    """Measure everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    parser.add_argument("--redraws", type=int, help="fewer redraws, to try it; nothing is written")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    settings = settings_of(__file__)
    if arguments.redraws:
        settings["n_redraws"] = arguments.redraws
    done = Parallel(arguments.jobs)(
        delayed(measure)(one, settings) for one in populations(arguments.folder, settings)
    )
    table = pd.concat([rows for rows, _ in done])
    text = report(table, [refusal for _, refusal in done], settings)
    if not arguments.redraws:
        figures = table.groupby(["population", "classes", "opt rows", "rows"]).mean()
        figures.insert(0, "redraws", table.groupby(["population", "classes", "opt rows", "rows"]).size())
        figures.to_csv(RESULTS / "guarantees.csv", float_format="%.5f")
        (RESULTS / "guarantees.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
