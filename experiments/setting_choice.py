"""Compares rules that choose the weights of the objective and the scale, on test rows.

Run it from the repository root:

    python experiments/setting_choice.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Each rule
chooses one of the 304 published settings on the opt rows alone; the debiaser of that setting is
fitted on all opt rows and measured on the test rows. The published protocol anneals every
setting on 95 % of the opt rows and keeps what it found there. Writes
experiments/results/setting_choice.csv and .md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, settings_of

from debias.corrections.decision_rule import correct, decide
from debias.estimators.debiasers import EnsembleDebiaser
from debias.estimators.tuning.cross_validation import cross_validate
from debias.estimators.tuning.folds import make_folds
from debias.estimators.tuning.selection_rules import RULES, order_by
from debias.estimators.tuning.tuning_settings import (
    PUBLISHED_N_WEIGHTS,
    Setting,
    combine,
    published_objectives,
)
from debias.metrics.scores import cobias, worst_class_accuracy
from debias.search.descent.annealing import anneal
from debias.search.descent.coordinate_descent import descend
from debias.search.descent.multi_objective import search_together
from debias.search.problem import Problem, build_problem

SETTINGS = combine(published_objectives(), PUBLISHED_N_WEIGHTS, "ensemble")
UNCORRECTED, PUBLISHED = "uncorrected", "published protocol, annealed"


def figures(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the figures of predictions."""
    return {
        "accuracy": (predicted == y).mean(),
        "COBias": cobias(y, predicted),
        "worst class": worst_class_accuracy(y, predicted),
    }


def problems(probabilities: np.ndarray, y: np.ndarray) -> dict[int, Problem]:
    """Return the search problems by number of weight steps."""
    return {
        setting.n_weights: build_problem(probabilities, y, setting.corrections(), setting.objective)
        for setting in SETTINGS[:: len(SETTINGS) // len(PUBLISHED_N_WEIGHTS)]
    }


def published_protocol(
    opt: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], seed: int
) -> tuple[list[dict], int]:
    """Anneal every setting on 95 % of the opt rows; choose by dev accuracy, then dev COBias."""
    ((train, dev),) = make_folds(opt[1], range(opt[0].shape[1]), "holdout", seed)
    by_scale = problems(opt[0][train], opt[1][train])
    best, n_evaluations = None, 0
    for setting in SETTINGS:
        found = anneal(replace(by_scale[setting.n_weights], objective=setting.objective), random_state=seed)
        n_evaluations += found.n_evaluations
        corrections = [setting.corrections()[index] for index in found.best.choice]
        on_dev = figures(opt[1][dev], decide(correct(opt[0][dev], corrections), opt[0][dev]))
        key = (on_dev["accuracy"], -on_dev["COBias"])
        if best is None or key > best[0]:
            best = (key, setting, corrections)
    _, setting, corrections = best
    measured = figures(test[1], decide(correct(test[0], corrections), test[0]))
    return [{"chosen by": PUBLISHED, "setting": str(setting), **measured}], n_evaluations


def refitted(
    setting: Setting, opt: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], options: dict
) -> dict[str, float]:
    """Fit one setting on all opt rows and measure it."""
    debiaser = EnsembleDebiaser(
        n_weights=setting.n_weights,
        objective=setting.objective,
        n_starts=options["n_starts"],
        n_jobs=options["n_jobs"],
    )
    return figures(test[1], debiaser.fit(*opt).predict(test[0]))


def count_alone(probabilities: np.ndarray, y: np.ndarray, options: dict) -> dict[str, float]:
    """Search some settings separately; count the evaluations and compare the answers."""
    problem = problems(probabilities, y)[30]
    together = search_together(problem, published_objectives(), options["n_starts"], options["seed"]).best
    chosen = np.random.default_rng(options["seed"]).choice(len(together), options["n_alone"], replace=False)
    gaps, counts = [], []
    for index in chosen:
        alone = replace(problem, objective=published_objectives()[index])
        found = descend(alone, options["n_starts"], options["seed"], options["n_jobs"])
        gaps.append(found.best.objective - together[index].objective)
        counts.append(found.n_evaluations)
    return {
        "each alone, about": float(np.mean(counts)) * len(SETTINGS) * options["folds"],
        "alone worse": int((np.array(gaps) > 1e-9).sum()),
        "alone better": int((np.array(gaps) < -1e-9).sum()),
    }


def measure(task: str, folder: Path, options: dict) -> tuple[list[dict], dict]:
    """Choose by every rule on one table, and count the evaluations."""
    opt, test = (read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test"))
    rows = [{"chosen by": UNCORRECTED, "setting": "", **figures(test[1], test[0].argmax(axis=1))}]
    published, n_annealed = published_protocol(opt, test, options["seed"])
    rows += published
    cost = {"task": task, "annealed": n_annealed}
    fits: dict[str, dict] = {}
    for cv, where in (("holdout", "5 % held out"), (options["folds"], f"{options['folds']} folds")):
        folds = make_folds(opt[1], range(opt[0].shape[1]), cv, options["seed"])
        found = cross_validate(*opt, SETTINGS, folds, options["n_starts"], options["seed"], options["n_jobs"])
        cost["together"] = found.n_evaluations
        for rule in RULES:
            if rule == "one-standard-error" and len(folds) < 2:
                continue
            setting = SETTINGS[order_by(rule, found.results)[0]]
            if str(setting) not in fits:
                fits[str(setting)] = refitted(setting, opt, test, options)
            rows.append({"chosen by": f"{rule}, {where}", "setting": str(setting), **fits[str(setting)]})
    print(pd.DataFrame(rows).to_string(), flush=True)
    return [{"task": task, **row} for row in rows], {**cost, **count_alone(*opt, options)}


def main() -> None:
    """Measure every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt and test.txt")
    folder = parser.parse_args().folder
    options = settings_of(__file__)
    measured = [measure(task, folder, options) for task in options["tasks"]]
    table = pd.DataFrame([row for rows, _ in measured for row in rows])
    costs = pd.DataFrame([cost for _, cost in measured]).set_index("task")
    table.to_csv(RESULTS / "setting_choice.csv", index=False, float_format="%.6f")
    costs.to_csv(RESULTS / "setting_choice_evaluations.csv", float_format="%.0f")
    (RESULTS / "setting_choice.md").write_text(page(table, costs, options))


def page(table: pd.DataFrame, costs: pd.DataFrame, options: dict) -> str:
    """Return the results in Markdown."""
    order = list(dict.fromkeys(table["chosen by"]))
    table["pair"] = [f"{a:.3f} / {b:.3f}" for a, b in zip(table["accuracy"], table["COBias"], strict=True)]
    pairs = table.pivot(index="chosen by", columns="task", values="pair").loc[order, options["tasks"]]
    means = table.groupby("chosen by")[["accuracy", "COBias", "worst class"]].mean().loc[order]
    means.insert(2, "accuracy - COBias", means["accuracy"] - means["COBias"])
    chosen = table.assign(setting=table["setting"].str.removeprefix("ensemble with "))
    chosen = chosen.pivot(index="chosen by", columns="task", values="setting")
    chosen = chosen.loc[order[1:], options["tasks"]]
    counts = costs[["together", "each alone, about", "annealed", "alone worse", "alone better"]]
    folds, alone, starts = options["folds"], options["n_alone"], options["n_starts"]
    return f"""# Rules that choose the weights of the objective

Settings: `experiments/setting_choice.toml`. 304 published settings (76 objectives, scales of 30, 50,
70 and 90 weights, ensemble) are chosen on the opt rows alone, fitted on all of them and measured on
the test rows. The published protocol anneals each setting on 95 % of the opt rows, chooses by the
accuracy on the other 5 %, then by COBias, and does not refit. {machine()}.

## Accuracy / COBias on the test rows

{markdown(pairs)}

## Means over the tables

{markdown(means.map("{:.3f}".format))}

The default of `EnsembleDebiaserCV` is accuracy-minus-cobias on {folds} folds. It and
one-standard-error lead in accuracy minus COBias because they maximize it; also compare the worst class,
which they do not. Where most rows belong to one class (ddi), the uncorrected model may be best.

## Evaluated choices

- together: all settings in shared searches, on {folds} folds.
- each alone, about: descents of {starts} starts, the mean of {alone} random objectives
  (scale of 30, all opt rows) times all settings and folds: a low estimate, as larger scales need more.
- annealed: every setting once, on the 95 / 5 split.
- alone worse, better: how many of the {alone} objectives end higher, or lower, in a separate search than
  in the shared one.

{markdown(counts.map("{:,.0f}".format))}

## Chosen settings

{markdown(chosen)}
"""


if __name__ == "__main__":
    main()
