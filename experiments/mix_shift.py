"""Measures what each method keeps when the classes come in another mix than on the rows it was fitted on.

Run it from the repository root; it resumes where it stopped (some minutes on one core):

    python experiments/mix_shift.py ../shared/data/probabilities [--tiny]

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format, or is that of
main_table.py. All rows of a table are pooled; some are redrawn to fit on, the others are the population. New
rows are drawn from it within classes, at five mixes. A guarantee is made once, at the mix of the table, and
every statement of it is compared with the population at each mix. Writes experiments/results/mix_shift.csv
and .md.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from claims.judging import Rows, class_accuracies, figures, fit, one_shot_pairs, redraw
from claims.resuming import Kept
from common import machine, markdown, settings_of

from debias.guarantees.guarantee import Guarantee
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.objective import confusion_counts


def shifted(name: str, mix: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
    """Return the shares of the classes in a mix; classes without rows stay without."""
    present = mix > 0
    if name == "even":
        return present / present.sum()
    if name == "reversed":
        new, order = np.zeros_like(mix), np.flatnonzero(present)[np.argsort(mix[present], kind="stable")]
        new[order] = mix[order[::-1]]
        return new
    if name.endswith("class half"):
        known = np.where(present, accuracies, np.nan)
        chosen = np.nanargmin(known) if name.startswith("weakest") else np.nanargmax(known)
        new = np.where(np.arange(len(mix)) == chosen, 0.0, mix)
        new = new / new.sum() / 2
        new[chosen] = 0.5
        return new
    return mix


def draw_at(population: Rows, mix: np.ndarray, size: int, rng: np.random.Generator) -> Rows:
    """Draw rows with replacement, the class of each by the mix."""
    classes = rng.choice(len(mix), size, p=mix)
    pools = [np.flatnonzero(population.y == k) for k in range(len(mix))]
    return population.take(np.array([rng.choice(pools[k]) for k in classes]))


def measure(whole: Rows, draw: int, settings: dict) -> list[dict]:
    """Fit on one redraw; return figures of every method at every mix."""
    seed = [settings["seed"], draw]
    opt, population = redraw(whole, min(settings["most_rows"], len(whole.y) // 3), seed)
    mix = np.bincount(population.y, minlength=whole.n_classes) / len(population.y)
    plain = class_accuracies(population, population.X.argmax(axis=1))
    rng = np.random.default_rng([*seed, 1])
    held_out = draw_at(population, mix, settings["n_held_out"], rng)
    fitted = {key: fit(key, opt, settings["n_starts"], settings["seed"]) for key in settings["methods"]}
    lines = []
    for name in settings["mixes"]:
        shares = shifted(name, mix, plain)
        new = draw_at(population, shares, settings["n_new"], rng)
        lines.append({"mix": name, "method": "uncorrected"} | figures(new, new.X.argmax(axis=1)))
        for key, one in fitted.items():
            line = {"mix": name, "method": key} | figures(new, one.predict(new.X))
            lines.append(line | guaranteed(one, held_out, population, shares, settings))
        for key in settings["adapting"]:
            one = fit(key, new, settings["n_starts"], settings["seed"])
            lines.append(
                {"mix": name, "method": f"{key}, fitted on the new rows"} | figures(new, one.predict(new.X))
            )
    return lines


def guaranteed(one: object, held_out: Rows, population: Rows, shares: np.ndarray, settings: dict) -> dict:
    """Tell which statements of a guarantee hold in the population at a mix."""
    counts = confusion_counts(held_out.y, one.predict(held_out.X), held_out.n_classes)
    found = (
        Guarantee(  # as `certify` makes it, which finds the very probabilities of fitted rows among others
            classes=tuple(map(str, range(held_out.n_classes))),
            n=tuple(counts.support.tolist()),
            correct=tuple(counts.correct.tolist()),
            confidence=settings["confidence"],
        )
    )
    true = class_accuracies(population, one.predict(population.X))
    present = shares > 0
    low, high = found.accuracy(shares.tolist())
    accuracy = float(shares[present] @ true[present])
    return {
        "classes hold": bool(
            (found.low <= true + 1e-12)[present].all() and (true <= found.high + 1e-12)[present].all()
        ),
        "cobias holds": bool(cobias_of_accuracies(true[present]) <= found.cobias_at_most + 1e-12),
        "accuracy holds": bool(low - 1e-12 <= accuracy <= high + 1e-12),
        "width": high - low,
    }


def kept_figures(table: pd.DataFrame, name: str, settings: dict) -> pd.DataFrame:
    """Return means of a figure, methods by mixes."""
    wide = table.pivot_table(index="method", columns="mix", values=name, sort=False)[settings["mixes"]]
    worst = wide.max(axis=1) if name == "cobias" else wide.min(axis=1)
    first = wide[settings["mixes"][0]]
    wide["largest loss"] = (worst - first) if name == "cobias" else (first - worst)
    return wide.map(lambda value: f"{100 * value:.1f}")


def guarantees(table: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Return how often each statement of a guarantee held, by mix."""
    own = table[table["width"].notna()]
    columns = ["classes hold", "cobias holds", "accuracy holds", "width"]
    means = (
        own.assign(**{c: own[c].astype(float) for c in columns}).groupby("mix", sort=False)[columns].mean()
    )
    means = (100 * means.loc[settings["mixes"]]).round(1)
    means.columns = ["all classes, %", "COBias, %", "accuracy, %", "width of the accuracy's interval, points"]
    means.insert(0, "guarantees", own.groupby("mix", sort=False).size().loc[settings["mixes"]])
    return means


def main() -> None:
    """Measure every redraw, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true", help="one table, to see that it runs; writes nothing")
    given, settings = parser.parse_args(), settings_of(__file__)
    settings |= settings["tiny"] if given.tiny else {}
    pairs = one_shot_pairs(given.folder, settings["tasks"])
    kept = Kept("mix_shift", ["table", "draw"], keep=not given.tiny)
    for name, (opt, test) in pairs.items():
        for draw in range(settings["n_redraws"]):
            kept.measure((name, draw), measure, opt + test, draw, settings)
    table = kept.table()
    sections = {"accuracy": "Accuracy", "cobias": "COBias", "worst": "Worst class accuracy"}
    page = f"""# Another mix of classes

{machine("numpy", "scikit-learn", seconds=kept.seconds, commits=kept.commits)}. Settings:
`experiments/mix_shift.toml`. Means over {len(pairs)} tables of {settings["n_redraws"]} redraws, in points.
"Half" is a mix in which that class, by uncorrected accuracy, makes up half of the rows.

"""
    page += "\n\n".join(
        f"## {title}\n\n{markdown(kept_figures(table, name, settings))}" for name, title in sections.items()
    )
    page += f"""

## Guarantees

Made once, from {settings["n_held_out"]:,} held-out rows at the mix of the table, with
{100 * settings["confidence"]:g} % confidence. Share of guarantees whose statement is true of the population:

{markdown(guarantees(table, settings))}
"""
    kept.write(page)


if __name__ == "__main__":
    main()
