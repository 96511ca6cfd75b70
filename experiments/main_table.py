"""Reruns the papers' main claim: accuracy and COBias before and after, on tables that this project collects.

Run it from the repository root; it resumes where it stopped:

    python experiments/main_table.py FOLDER [--data ../shared/data] [--more TASK.toml] [--collect N] [--read]

FOLDER keeps the tables. Without --data, the tasks are those of the StaICC wheel. --more takes task files of
your own, such as DBpedia or Banking77 with their sources. --collect N only collects the first N prompts of
the order in main_table.toml, of the tasks named with --tasks; --read measures the tables that are there, and
asks the model for content-free inputs alone. Every row of `debias compare` whose needs are met is fitted on
the opt rows and measured on the test rows. Writes experiments/results/main_table.csv and .md.
"""

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from claims.measured import read_measured, write_measured
from claims.papers import HEADLINES, relative
from claims.tables_of_tasks import Asked, Collected, claim_tasks, collect_all, without
from common import RESULTS, machine, markdown, settings_of

from debias.inference.prompted_model import PromptedModel
from debias.reports.comparison import Comparison, MethodSettings, compare_tables
from debias.reports.comparison.compared_methods import OURS, choose_methods
from debias.reports.comparison.measurement import MeasuredTable

UNCORRECTED = "uncorrected"
METRICS = ("accuracy", "cobias", "balanced_accuracy", "worst_class_accuracy")


def wanted(settings: dict, tasks: Sequence[str], first: int | None = None) -> list[Asked]:
    """Return the prompts in the order of their collection."""
    order = settings["order"][:first]
    return [Asked(task, shots, seed) for shots, seed in order for task in tasks]


def measured(collected: Collected, asked: Asked, settings: dict) -> MeasuredTable:
    """Fit every row on the opt table of a prompt and let it predict the test table, unless that was done."""
    kept = collected.path(asked, "test").with_suffix(".json")
    kept = kept.parent / "measured" / kept.name
    if not kept.exists():
        opt, test = collected.read(asked)
        model = PromptedModel.of_table(collected.engine, collected.tasks[asked.task], opt)
        chosen = MethodSettings(
            n_starts=settings["n_starts"], n_jobs=settings["n_jobs"], seed=settings["seed"], model=model
        )
        keys = [method.key for method in choose_methods() if method.key not in settings["omitted"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = compare_tables([(opt, test)], keys, names=[asked.words], settings=chosen)
        write_measured(kept, found.tables[0])
    return read_measured(kept)


def compared(tables: Sequence[MeasuredTable], settings: dict) -> Comparison:
    """Return the comparison of all that was measured."""
    against = next(name for name in OURS if name in tables[0].predictions())
    return Comparison(
        tuple(tables), against, MethodSettings(), 0.95, settings["n_resamples"], settings["seed"], {}
    )


def lines_of(asked: Asked, table: MeasuredTable, settings: dict) -> pd.DataFrame:
    """Return the figures of one prompt, a line per method."""
    frame = compared([table], settings).to_frame().drop(columns="table").reset_index()
    about_it = {"task": asked.task, "shots": str(asked.shots), "seed": asked.seed}
    rows = {"opt rows": table.n_opt, "test rows": len(table.truth)}
    return frame.assign(**about_it, **rows)


def spread(values: pd.Series) -> str:
    """Write a mean in points with its standard deviation."""
    deviation = f" ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.1f}{deviation}"


def over_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """Return means and deviations over tasks, of each method: a task's prompts are averaged first."""
    own = table.groupby(["method", "task"], sort=False)[list(METRICS)].mean()
    order = table["method"].drop_duplicates()
    lines = []
    for name in order:
        line = {"method": name, **{metric: spread(own.loc[name][metric]) for metric in METRICS}}
        line["labels"] = f"{table.loc[table['method'] == name, 'labels_used'].mean():.0f}"
        lines.append(line)
    return pd.DataFrame(lines)


def by_task(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Return accuracy / COBias by task and shots, mean and deviation over seeds, before and after."""
    lines = []
    for (task, shots), own in table.groupby(["task", "shots"], sort=False):
        seeds = own["seed"].nunique()
        line = {"task": task, "shots": shots, "seeds": seeds, "test rows": own["test rows"].iloc[0]}
        for name in methods:
            one = own[own["method"] == name]
            line[name] = f"{spread(one['accuracy'])} / {spread(one['cobias'])}"
        lines.append(line)
    return pd.DataFrame(lines)


def beside_papers(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Return the relative change of the means over tasks, beside the papers' figures for their models."""
    means = table.groupby(["method", "task"])[["accuracy", "cobias"]].mean().groupby(level=0).mean()
    lines = []
    for name in methods:
        changes = [relative(means.loc[UNCORRECTED, c], means.loc[name, c]) for c in ("accuracy", "cobias")]
        paper = HEADLINES.get(name, {"accuracy": "", "cobias": "", "where": ""})
        lines.append(
            {
                "method": name,
                "accuracy, here": changes[0],
                "COBias, here": changes[1],
                "accuracy, paper": paper["accuracy"],
                "COBias, paper": paper["cobias"],
                "paper": paper["where"],
            }
        )
    return pd.DataFrame(lines)


def write(
    table: pd.DataFrame, sentences: Sequence[str], missing: Sequence[Asked], seconds: float, settings: dict
) -> None:
    """Write the page."""
    shown = ("weight (DNIP)", "fuzzy (FuRud)", "ensemble (DCS)", "log-bias", "calibrated", "auto")
    tasks = ", ".join(table["task"].drop_duplicates())
    prompts = len(table[["task", "shots", "seed"]].drop_duplicates())
    absent = without(missing)
    apart = "; PubMedQA is fitted on the 500 items outside its published test set"
    leak = apart if "pubmedqa" in set(table["task"]) else ""
    page = f"""# The papers' main table, on tables collected by this project

{machine("torch", "transformers", "scikit-learn", "numpy", seconds=seconds)} of fits.
Settings: `experiments/main_table.toml`. SmolLM2-135M-Instruct (135 million parameters; the papers' models
have 7 billion and more), float32, {prompts} prompts of {tasks}. Opt and test rows share no text{leak}.
Numbers of rows are small, see below: read no single cell without its deviation.

{" ".join(sentences)}

## Before and after

Accuracy / COBias in points; mean ± standard deviation over seeds, where there are several.

{markdown(by_task(table, [UNCORRECTED, *shown]))}

## Every row of `debias compare`

In points, mean ± standard deviation over tasks (prompts of a task are averaged first).

{markdown(over_tasks(table))}

## Relative change, beside the papers' figures for their models

Change of the mean over tasks, relative to the uncorrected model, in per cent. The papers' models and
probabilities are not available here, so their figures are quoted, not rerun.

{markdown(beside_papers(table, shown))}

## Not run

Prompts: {absent}. Omitted rows: {", ".join(settings["omitted"])} (it embeds every text again, as much work as
collecting them).
"""
    (RESULTS / "main_table.md").write_text(page, encoding="utf-8")
    print(page)


def main() -> None:
    """Collect what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="folder with rte, ddi and pubmedqa")
    parser.add_argument("--more", nargs="*", default=[], help="task files of your own")
    parser.add_argument("--tasks", nargs="*", help="collect these only")
    parser.add_argument("--collect", type=int, help="only collect, the first so many prompts of each task")
    parser.add_argument("--read", action="store_true", help="measure the tables that are there")
    given, settings = parser.parse_args(), settings_of(__file__)
    given.folder.mkdir(exist_ok=True)
    tasks = claim_tasks([*settings["tasks"], *given.more], given.data, given.folder)
    collected = Collected(given.folder, settings["collected"], tasks)
    if not given.read:
        names = [name for name in tasks if given.tasks is None or name in given.tasks]
        collect_all(collected, wanted(settings, names, given.collect))
    if given.collect is not None:
        return
    started = time.perf_counter()
    found: list[pd.DataFrame] = []
    tables = []
    all_asked = wanted(settings, list(dict.fromkeys([*settings["tasks"], *tasks])))
    for asked in [one for one in all_asked if collected.are_there(one)]:
        tables.append(measured(collected, asked, settings))
        found.append(lines_of(asked, tables[-1], settings))
        table = pd.concat(found)
        table.to_csv(RESULTS / "main_table.csv", index=False, float_format="%.6f")
        print(f"{asked.words}: {time.perf_counter() - started:.0f} s so far", flush=True)
    missing = [one for one in all_asked if not collected.are_there(one) and (one.shots != 0 or one.seed == 0)]
    seconds = float(table["fit_seconds"].sum())
    write(table, compared(tables, settings).verdict, missing, seconds, settings)


if __name__ == "__main__":
    main()
