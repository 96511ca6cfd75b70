"""Reruns the papers' main claim: accuracy and COBias before and after, on tables that this project collects.

Run it from the repository root; it resumes where it stopped:

    python experiments/main_table.py FOLDER [--data ../shared/data] [--more TASK.toml] [--collect N] [--read]

FOLDER keeps the tables. Without --data, the tasks are those of the StaICC wheel. --more takes task files of
your own, such as DBpedia or Banking77 with their sources. --collect N only collects the first N prompts of
the order in main_table.toml; --read measures the tables that are there, without a model. Every row of
`debias compare` is fitted on the opt rows and measured on the test rows. Writes
experiments/results/main_table.csv and .md.
"""

import argparse
import time
from pathlib import Path

from claims.tables_of_tasks import Asked, Collected, claim_tasks
from common import settings_of


def wanted(settings: dict, tasks: list[str], first: int | None = None) -> list[Asked]:
    """Return the prompts in the order of their collection."""
    order = settings["order"][:first]
    return [Asked(task, shots, seed) for shots, seed in order for task in tasks]


def main() -> None:
    """Collect what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="folder with rte, ddi and pubmedqa")
    parser.add_argument("--more", nargs="*", default=[], help="task files of your own")
    parser.add_argument("--collect", type=int, help="only collect, the first so many prompts of each task")
    parser.add_argument("--read", action="store_true", help="measure the tables that are there")
    given, settings = parser.parse_args(), settings_of(__file__)
    tasks = claim_tasks([*settings["tasks"], *given.more], given.data, given.folder)
    collected = Collected(given.folder, settings["collected"], tasks)
    all_asked = wanted(settings, list(tasks), given.collect)
    for asked in [] if given.read else all_asked:
        started = time.perf_counter()
        collected.collect(asked)
        print(f"{asked.words}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
