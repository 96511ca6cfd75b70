"""Measures how often `watch` raises a false alarm, and how many rows it needs to notice a shift.

Run it from the repository root (a few minutes on two cores):

    python experiments/watch.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt in the published text format. Rows of each table, and
simulated rows of more classes, are populations: fitted, held-out and new rows are drawn from them
with replacement. A changed prompt and a changed model are simulated on the log-probabilities of
new rows, see the settings. Writes experiments/results/watch.csv and watch.md.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, settings_of
from joblib import Parallel, delayed

from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.debiasers import WeightDebiaser
from debias.guarantees.certification import certify
from debias.guarantees.watching.reference import Reference
from debias.guarantees.watching.watcher import watch
from debias.tables.table import ProbabilityTable

SHIFTS = {
    "none": "nothing",
    "mix": "the class mix",
    "prompt": "the prompt",
    "model": "the model",
    "covariate": "harder rows",
}


@dataclass(frozen=True)
class Population:
    """Rows that everything is drawn from."""

    name: str
    P: np.ndarray
    y: np.ndarray
    mass: np.ndarray
    anew: bool = False

    @classmethod
    def of(cls, name: str, P: np.ndarray, y: np.ndarray, seed: int, anew: bool = False) -> "Population":
        """Invent a label mass, which depends on the class."""
        rng = np.random.default_rng([seed, P.shape[1]])
        P = np.clip(P, 1e-9, None)
        mass = 1 / (1 + np.exp(-rng.normal(1.5 + 0.5 * (y == 0))))
        return cls(name, P / P.sum(axis=1, keepdims=True), y, mass, anew)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.P.shape[1]

    def table(self, rows: np.ndarray) -> ProbabilityTable:
        """Return some rows as a table, repeated ones under new ids."""
        names = [f"class {k}" for k in range(self.n_classes)]
        labels = [names[k] for k in self.y[rows]]
        return ProbabilityTable(self.P[rows], labels, classes=names, label_mass=self.mass[rows])


def populations(folder: Path, settings: dict) -> Iterator[Population]:
    """Yield the tables, one of them twice, and simulated rows of more classes."""
    seed = settings["seed"]
    for task in settings["tables"]:
        yield Population.of(task, *read(folder / f"{task}_shot1_seed0" / "opt.txt"), seed)
    task, simulation = settings["fitted_anew"], settings["simulation"]
    yield Population.of(f"{task} anew", *read(folder / f"{task}_shot1_seed0" / "opt.txt"), seed, anew=True)
    for n_classes in settings["simulated"]:
        rng = np.random.default_rng([seed, n_classes])
        y = np.repeat(np.arange(n_classes), simulation["rows_per_class"])
        logits = rng.normal(size=(len(y), n_classes)) + simulation["separation"] * np.eye(n_classes)[y]
        P = np.exp(logits + np.linspace(0, simulation["bias"], n_classes))
        yield Population.of("simulated", P / P.sum(axis=1, keepdims=True), y, seed)


def shifted(population: Population, shift: str, rng: np.random.Generator, settings: dict) -> Population:
    """Return the population after a change of prompt or model."""
    if shift not in ("prompt", "model"):
        return population
    how, logits = settings[shift], np.log(population.P)
    logits = logits * how.get("scale", 1.0) + rng.normal(0, how["noise"], size=logits.shape)
    logits += rng.normal(0, how.get("bias", 0.0), size=population.n_classes)
    P = np.exp(logits - logits.max(axis=1, keepdims=True))
    mass = np.log(population.mass / (1 - population.mass)) + how.get("mass", 0.0)
    return replace(population, P=P / P.sum(axis=1, keepdims=True), mass=1 / (1 + np.exp(-mass)))


def draw(population: Population, n: int, shift: str, rng: np.random.Generator, settings: dict) -> np.ndarray:
    """Return rows of a population: of another mix, or harder ones, if that is the shift."""
    weights = np.ones(len(population.y))
    if shift == "mix":
        mix = rng.dirichlet(np.full(population.n_classes, settings["mix_concentration"]))
        weights = (mix / np.bincount(population.y))[population.y]
    elif shift == "covariate":
        weights = (1 - population.P.max(axis=1)) ** settings["covariate"]["power"]
    return rng.choice(len(weights), size=n, p=weights / weights.sum())


def fit(table: ProbabilityTable) -> BaseDebiaser:
    """Fit weights quickly."""
    return WeightDebiaser(n_weights=10, search="descent", n_starts=1, shrink=False).fit(
        table.probabilities, table.labels
    )


def redraw(population: Population, debiaser: BaseDebiaser, number: int, settings: dict) -> list[dict]:
    """Draw rows of a fit and held-out rows once, and new rows of each size and shift."""
    rng = np.random.default_rng([settings["seed"], population.n_classes, population.anew, number])
    opt = population.table(rng.choice(len(population.y), settings["reference_rows"]))
    if population.anew:
        debiaser = fit(opt)
    reference = Reference.of(opt.to_numpy(), opt.label_indices)
    reference = reference.with_origin(opt.label_indices, opt.label_mass.to_numpy(), {})
    fitted = replace(debiaser.fitted_, reference=reference, row_digests=None, data_fingerprint="")
    debiaser = WeightDebiaser()._restore(fitted, named=True)
    held_out = population.table(rng.choice(len(population.y), settings["held_out_rows"]))
    certify(debiaser, held_out, confidence=settings["confidence"], keep=True)
    found = []
    for n in settings["rows"]:
        for shift in SHIFTS:
            if shift != "none" and number >= settings["n_shifted"]:
                continue
            other = shifted(population, shift, rng, settings)
            new = other.table(draw(population, n, shift, rng, settings))
            has_labels = bool(rng.random() < settings["labelled"])
            rows = new if has_labels else ProbabilityTable(new.probabilities, label_mass=new.label_mass)
            watched = watch(debiaser, rows, confidence=settings["confidence"])
            by_check = {check.name: False for check in watched.checks}
            by_check |= {check.name: True for check in watched.checks if check.found}
            found.append(
                {
                    "population": f"{population.name}, {population.n_classes}",
                    "shift": shift,
                    "rows": n,
                    "labels": has_labels,
                    "verdict": watched.verdict,
                    **by_check,
                }
            )
    return found


def measure(population: Population, settings: dict) -> pd.DataFrame:
    """Return all redraws of a population."""
    rng = np.random.default_rng(settings["seed"])
    debiaser = fit(population.table(rng.choice(len(population.y), settings["reference_rows"])))
    numbers = range(max(settings["n_redraws"], settings["n_shifted"]))
    return pd.DataFrame([row for n in numbers for row in redraw(population, debiaser, n, settings)])


def percent(table: pd.DataFrame) -> pd.DataFrame:
    """Write fractions as per cent."""
    return table.map(lambda x: "–" if pd.isna(x) else f"{100 * x:.1f}")


def report(table: pd.DataFrame, settings: dict) -> str:
    """Return the results as Markdown."""
    table = table.assign(found=table["verdict"] != "holds", expired=table["verdict"] == "expired")
    none, mix = table[table["shift"] == "none"], table[table["shift"] == "mix"]
    labelled = none["labels"].map({True: "with labels", False: "without"})
    alarms = none.pivot_table(index="population", columns="rows", values="found", aggfunc="mean")
    alarms["all"] = none.groupby("population")["found"].mean()
    by_labels = none.groupby([labelled, "rows"])["found"].mean().unstack().rename_axis("new rows")
    error = np.sqrt(none["found"].mean() * (1 - none["found"].mean()) / len(none))
    changed = table[table["shift"] != "none"]
    kinds = changed.groupby([changed["shift"], changed["labels"], "rows"])
    names = pd.Index(
        [f"{SHIFTS[s]}{', labels' if has else ''}" for s, has in kinds["found"].mean().unstack().index],
        name="what has changed",
    )
    noticed = kinds["found"].mean().unstack().set_axis(names)
    expired = kinds["expired"].mean().unstack().set_axis(names)
    checks = [c for c in table.columns if c not in FIXED]
    many = table[table["rows"] == settings["rows"][3]]
    by_check = (
        many.groupby("shift")[checks].mean().T[list(SHIFTS)].rename(columns=SHIFTS).rename_axis("check")
    )
    share = 1 - settings["confidence"]
    return f"""# Whether a correction is still right: false alarms and power

Settings: `experiments/watch.toml`; {settings["reference_rows"]} fitted and {settings["held_out_rows"]}
held-out rows, {len(none):,} runs without a shift and {len(changed):,} with one,
confidence {settings["confidence"]:g}. {machine("numpy", "scipy")}.

Without a shift {none["found"].mean():.2%} of the runs found something (standard error {error:.2%});
{share:.0%} may.
With another class mix alone, {mix["expired"].mean():.2%} of {len(mix):,} runs were called expired.

## False alarms, %: runs that found something though nothing had changed

By population and classes, and new rows:

{markdown(percent(alarms).rename_axis("population"))}

{markdown(percent(by_labels))}

## Power, %: runs that found something

{markdown(percent(noticed))}

Called expired (for another class mix alone, that is a false alarm):

{markdown(percent(expired))}

## Which checks find it, %, with {settings["rows"][3]:,} new rows

{markdown(percent(by_check))}
"""


FIXED = ("population", "shift", "rows", "labels", "verdict", "found", "expired")


def main() -> None:
    """Measure everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt")
    parser.add_argument("--redraws", type=int, help="fewer redraws, to try it; nothing is written")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    settings = settings_of(__file__)
    if arguments.redraws:
        settings |= {
            "n_redraws": arguments.redraws,
            "n_shifted": min(settings["n_shifted"], arguments.redraws),
        }
    done = Parallel(arguments.jobs)(
        delayed(measure)(one, settings) for one in populations(arguments.folder, settings)
    )
    table = pd.concat(done)
    text = report(table, settings)
    if not arguments.redraws:
        by = table.assign(found=table["verdict"] != "holds", expired=table["verdict"] == "expired")
        grouped = by.groupby(["population", "shift", "labels", "rows"])
        figures = grouped[["found", "expired"]].mean()
        figures.insert(0, "runs", grouped.size())
        figures.to_csv(RESULTS / "watch.csv", float_format="%.4f")
        (RESULTS / "watch.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
