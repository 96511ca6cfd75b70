"""Reruns the papers' claim on letter options: the tasks asked as A, B, C, ..., before and after correction.

Run it from the repository root; it resumes where it stopped:

    python experiments/letters.py FOLDER [--data ../shared/data] [--collect N] [--read]

FOLDER is that of main_table.py, whose tables are the word options. Each task lists its options below its
instruction, one letter each (`Task.with_letters`). Writes experiments/results/letters.csv and .md.
"""

import argparse
import time
from pathlib import Path

from claims.tables_of_tasks import Asked, Collected, claim_tasks
from common import settings_of


def main() -> None:
    """Collect what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="folder with rte, ddi and pubmedqa")
    parser.add_argument("--collect", type=int, help="only collect, the first so many prompts of each task")
    parser.add_argument("--read", action="store_true", help="measure the tables that are there")
    given, settings = parser.parse_args(), settings_of(__file__)
    words = claim_tasks(settings["tasks"], given.data, given.folder)
    tasks = {
        f"{name}-letters": task.with_letters(settings["words"].get(name)) for name, task in words.items()
    }
    rows = settings_of(str(Path(__file__).with_name("main_table.py")))["collected"]
    collected = Collected(given.folder, rows, tasks)
    for shots, seed in settings["order"][: given.collect]:
        for name in [] if given.read else tasks:
            started = time.perf_counter()
            collected.collect(Asked(name, shots, seed))
            print(f"{name} {shots} {seed}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
