"""Reruns the FuRud claim that ten labelled rows are enough, with every label counted.

Run it from the repository root; it resumes where it stopped (some minutes on one core):

    python experiments/ten_labels.py ../shared/data/probabilities [--tiny]

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format, made with one solved
example each, or is that of main_table.py. The published protocol anneals on ten rows for every objective of
its grid, and takes the one that does best on a dev split, 5 % of all opt rows: those are labels, too, as is
the solved example. Beside it: ten rows and one fixed objective, and as many labels as the published protocol
really spends, all of them fitted on. Figures are of all test rows. Writes experiments/results/ten_labels.csv
and .md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from claims.judging import Rows, figures, fit, one_shot_pairs, redraw, sign_flip
from claims.resuming import Kept
from common import machine, markdown, predict, settings_of

from debias.corrections.families import memberships
from debias.estimators.tuning.tuning_settings import published_objectives
from debias.search.descent.annealing import anneal
from debias.search.problem import build_problem

PUBLISHED = "FuRud, ten rows, published protocol"


def published_choice(ten: Rows, dev: Rows, seed: int) -> tuple[int, ...]:
    """Anneal on ten rows for every published objective; choose by dev accuracy, then by dev COBias."""
    objectives, family = published_objectives(), memberships()
    problem = build_problem(ten.X, ten.y, family, objectives[0])
    best: tuple[tuple[float, float], tuple[int, ...]] | None = None
    for objective in objectives:
        choice = anneal(replace(problem, objective=objective), random_state=seed).best.choice
        on_dev = figures(dev, predict(dev.X, family, choice))
        key = (on_dev["accuracy"], -on_dev["cobias"])
        if best is None or key > best[0]:
            best = (key, choice)
    assert best is not None
    return best[1]


def measure(pair: tuple[Rows, Rows], draw: int, settings: dict) -> list[dict]:
    """Fit all protocols on one draw; return their figures on the test rows."""
    opt, test = pair
    n, shown = settings["n_labels"], settings["n_demonstrations"]
    n_dev = round(settings["dev_share"] * len(opt.y))
    ten, others = redraw(opt, n, [settings["seed"], draw])
    dev = others.take(np.random.default_rng([settings["seed"], draw, 1]).permutation(len(others.y))[:n_dev])
    choice = published_choice(ten, dev, settings["seed"])
    chosen = predict(test.X, memberships(), choice)
    found = [
        ("uncorrected", shown, test.X.argmax(axis=1)),
        ("batch calibration, no labels", shown, fit("batch", ten + dev, 1).predict(test.X)),
        (PUBLISHED, shown + n + n_dev, chosen),
    ]
    for rows, words in ((ten, "ten rows"), (ten + dev, "as many labels as published")):
        for key in settings["methods"]:
            fitted = fit(key, rows, settings["n_starts"], settings["seed"])
            found.append((f"{key}, {words}", shown + len(rows.y), fitted.predict(test.X)))
    return [{"method": name, "labels": count} | figures(test, said) for name, count, said in found]


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean figures by protocol, and p of z against the published one and against doing nothing."""
    order = table["method"].drop_duplicates().to_list()
    means = table.groupby(["method", "table"])[["labels", "z", "accuracy", "cobias", "worst"]].mean()
    plain = table[table["method"] == "uncorrected"].set_index(["table", "draw"])["z"]
    lines = []
    for name in order:
        own = means.loc[name]
        line = {
            "protocol": name,
            "labels, all told": f"{own['labels'].min():,.0f} to {own['labels'].max():,.0f}",
        }
        line |= {c: f"{100 * own[c].mean():.1f}" for c in ("accuracy", "cobias", "worst")}
        line["z"] = f"{own['z'].mean():.3f}"
        drawn = table[table["method"] == name].set_index(["table", "draw"])["z"]
        line["worse than doing nothing, %"] = f"{100 * (drawn > plain + 1e-9).mean():.0f}"
        away = own["z"] - means.loc[PUBLISHED]["z"].loc[own.index]
        line["p against published"] = "" if name == PUBLISHED else f"{sign_flip(away.to_list()):.3f}"
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    """Measure every draw, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true", help="one table, to see that it runs; writes nothing")
    given, settings = parser.parse_args(), settings_of(__file__)
    settings |= settings["tiny"] if given.tiny else {}
    pairs = one_shot_pairs(given.folder, settings["tasks"])
    kept = Kept("ten_labels", ["table", "draw"], keep=not given.tiny)
    for name, pair in pairs.items():
        for draw in range(settings["n_draws"]):
            kept.measure((name, draw), measure, pair, draw, settings)
    table = kept.table()
    page = f"""# Ten labels, every label counted

{machine("numpy", "scikit-learn", seconds=kept.seconds, commits=kept.commits)}. Settings:
`experiments/ten_labels.toml`. Means over {len(pairs)} tables of {settings["n_draws"]} draws each, on all
test rows, in points; z has its own unit, lower is better. Labels are those fitted on, those of the dev split
and those of the solved example in the prompt. p is of z, exact over tables: with six of them at least .031.

{markdown(compared(table))}
"""
    kept.write(page)


if __name__ == "__main__":
    main()
