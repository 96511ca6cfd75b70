"""Reruns the papers' claim on letter options: the tasks asked as A, B, C, ..., before and after correction.

Run it from the repository root; it resumes where it stopped:

    python experiments/letters.py FOLDER [--data ../shared/data] [--collect N] [--read]

FOLDER is that of main_table.py, whose tables are the word options. Each task lists its options below its
instruction, one letter each (`Task.with_letters`). Rows and solved examples are those of the word options.
Writes experiments/results/letters.csv and .md.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
from claims.judging import figures, fit, rows_of
from claims.papers import LETTERS, relative
from claims.tables_of_tasks import Asked, Collected, claim_tasks, collect_all, without
from common import RESULTS, machine, markdown, settings_of

UNCORRECTED = "uncorrected"


def measure(collected: Collected, asked: Asked, options: str, settings: dict) -> list[dict]:
    """Fit every method on the opt table of one prompt; return figures of the test table."""
    opt, test = map(rows_of, collected.read(asked))
    predicted = {UNCORRECTED: test.X.argmax(axis=1)}
    for key in settings["methods"]:
        predicted[key] = fit(key, opt, settings["n_starts"], settings["seed"]).predict(test.X)
    task = asked.task.removesuffix("-letters")
    known = {"task": task, "shots": str(asked.shots), "seed": asked.seed, "options": options}
    return [
        known | {"test rows": len(test.y), "method": name} | figures(test, said)
        for name, said in predicted.items()
    ]


def over_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of tasks by method, words beside letters, with the relative change of letters."""
    means = (
        table.groupby(["options", "method", "task"], sort=False)[["accuracy", "cobias", "worst"]]
        .mean()
        .groupby(level=[0, 1], sort=False)
        .mean()
    )
    lines = []
    for name in table["method"].drop_duplicates():
        line = {"method": name}
        for options in ("words", "letters"):
            one = means.loc[(options, name)]
            pair = f"{100 * one['accuracy']:.1f} / {100 * one['cobias']:.1f}"
            line[f"{options}: accuracy / COBias"] = pair
            line[f"{options}: worst class"] = f"{100 * one['worst']:.1f}"
        for column, words in (("accuracy", "accuracy"), ("cobias", "COBias")):
            before, after = (means.loc[("letters", one), column] for one in (UNCORRECTED, name))
            line[f"letters: {words}, relative change, %"] = relative(before, after)
        lines.append(line)
    return pd.DataFrame(lines)


def by_prompt(table: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy / COBias of each prompt, uncorrected and with the ensemble, words and letters."""
    lines = []
    for (task, shots, seed), own in table.groupby(["task", "shots", "seed"], sort=False):
        line = {"task": task, "shots": shots, "seed": seed, "test rows": own["test rows"].iloc[0]}
        for options in ("words", "letters"):
            for name in (UNCORRECTED, "ensemble", "auto"):
                one = own[(own["options"] == options) & (own["method"] == name)]
                pair = [f"{100 * value:.1f}" for value in one[["accuracy", "cobias"]].to_numpy()[0]]
                line[f"{options}: {name}"] = " / ".join(pair)
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    """Collect what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="folder with rte, ddi and pubmedqa")
    parser.add_argument("--tasks", nargs="*", help="collect these only")
    parser.add_argument("--collect", type=int, help="only collect, the first so many prompts of each task")
    parser.add_argument("--read", action="store_true", help="measure the tables that are there")
    given, settings = parser.parse_args(), settings_of(__file__)
    main_settings = settings_of(str(Path(__file__).with_name("main_table.py")))["collected"]
    words = claim_tasks(settings["tasks"], given.data, given.folder)
    tasks = {
        f"{name}-letters": task.with_letters(settings["words"].get(name)) for name, task in words.items()
    }
    collected = Collected(given.folder, main_settings, words | tasks)
    names = [name for name in words if given.tasks is None or name in given.tasks]
    order = settings["order"]
    if not given.read:
        prompts = [
            Asked(f"{name}-letters", shots, seed) for shots, seed in order[: given.collect] for name in names
        ]
        collect_all(collected, prompts)
    if given.collect is not None:
        return
    started, lines, missing = time.perf_counter(), [], []
    for shots, seed in order:
        for name in settings["tasks"]:
            pair = (Asked(name, shots, seed), Asked(f"{name}-letters", shots, seed))
            if not all(collected.are_there(one) for one in pair):
                missing.append(pair[0])
                continue
            for asked, options in zip(pair, ("words", "letters"), strict=True):
                lines += measure(collected, asked, options, settings)
            pd.DataFrame(lines).to_csv(RESULTS / "letters.csv", index=False, float_format="%.6f")
    table = pd.DataFrame(lines)
    page = f"""# Letters in place of words as options

{machine("torch", "transformers", "numpy", seconds=time.perf_counter() - started)}.
Settings: `experiments/letters.toml`. SmolLM2-135M-Instruct, float32. The papers report, of
{LETTERS["where"]}: accuracy {LETTERS["accuracy"]} %, COBias {LETTERS["cobias"]} %, relative to the
uncorrected model.

Mean over {table["task"].nunique()} tasks (prompts of a task are averaged first), in points:

{markdown(over_tasks(table))}

Accuracy / COBias by prompt:

{markdown(by_prompt(table))}

Not run: {without(missing)}.
"""
    (RESULTS / "letters.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
