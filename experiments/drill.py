"""Harms running commands in every way that machines do, and counts what is lost, duplicated or wrong.

Run:

    python experiments/drill.py [--quick] [--only DRILL]

Every command first runs undisturbed. Then, each time in a new folder, it is harmed (see the files of
drills/), run again, and its result compared byte by byte with the undisturbed one. What it kept must not be
asked again or kept twice, and its error stream must hold no traceback. Small disks and read-only machines
need the rights of root: without them those drills are skipped, with a reason. Writes, after each drill,
experiments/results/drill.csv, with one row a trial, and drill.md; ends with 1 where there is a fault.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from common import RESULTS, machine, markdown, settings_of
from drills.companions import server_gone, two_processes
from drills.damage import damaged_stores
from drills.disks import full_disks, read_only_folders
from drills.kills import killed
from drills.outcomes import Skipped, Trial, list_of, table_of
from drills.processes import import_everything
from drills.signals import stopped, stopped_while_it_starts
from drills.surroundings import closed_pipes, nothing_writable
from drills.workshop import Workshop

SETTINGS = settings_of(__file__)
DRILLS: dict[str, Callable[[Workshop, np.random.Generator], Iterator[Trial]]] = {
    "kills": killed,
    "signals": stopped,
    "starts": stopped_while_it_starts,
    "full disks": full_disks,
    "read-only folders": read_only_folders,
    "damaged stores": damaged_stores,
    "two processes": two_processes,
    "server gone": server_gone,
    "closed pipes": closed_pipes,
    "read-only machine": nothing_writable,
}


def drilled(
    workshop: Workshop, only: str, note: Callable[[list[Trial], list[str]], None]
) -> tuple[list[Trial], list[str]]:
    """Do the drills; return their trials, and which were skipped and why. Each time, `note` what is there."""
    trials: list[Trial] = []
    skipped: list[str] = []
    for number, (name, drill) in enumerate(DRILLS.items()):
        if only not in name:
            continue
        began = time.monotonic()
        try:
            for trial in drill(workshop, np.random.default_rng(SETTINGS["seed"])):
                trials.append(trial)
                if not trial.is_sound:
                    print(trial, flush=True)
        except Skipped as reason:
            skipped.append(f"{name}: {reason}.")
        print(f"{name}: {len(trials)} trials so far, {time.monotonic() - began:.0f} seconds", flush=True)
        note(trials, skipped + [f"{later}: not reached." for later in list(DRILLS)[number + 1 :]])
    return trials, skipped


def report(trials: list[Trial], skipped: list[str], seconds: float) -> str:
    """Return the report in Markdown."""
    faults = [one for one in trials if not one.is_sound]
    n_kills = sum(one.drill.startswith("kill -9") for one in trials)
    lines = [
        "# Drills",
        "",
        f"{len(trials)} trials, {n_kills} of them kills, `python experiments/drill.py`; {machine('torch')};"
        f" {seconds / 60:.0f} minutes. A trial was struck when the harm came before the command had ended.",
        "What the columns count is in docs/promises.md.",
        "",
        markdown(table_of(trials)),
        "",
        *(f"Skipped: {one}" for one in skipped),
        *(f"- {one.drill}, {one.command}, {one.when}: {one.wrong or one.said}" for one in faults),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Drill, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few trials of each kind, as the tests do")
    parser.add_argument("--only", default="", help="the drills whose name has this in it")
    options = parser.parse_args()
    settings = SETTINGS | (SETTINGS["quick"] if options.quick else {})
    began = time.monotonic()

    def note(trials: list[Trial], skipped: list[str]) -> None:
        if not options.quick and not options.only:
            list_of(trials).to_csv(RESULTS / "drill.csv", index=False)
            (RESULTS / "drill.md").write_text(report(trials, skipped, time.monotonic() - began))

    import_everything()
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        workshop = Workshop(Path(folder) / "work", settings)
        workshop.start_server()
        try:
            trials, skipped = drilled(workshop, options.only, note)
        finally:
            workshop.stop_server()
            tempfile.tempdir = None
    print(report(trials, skipped, time.monotonic() - began))
    return int(not all(one.is_sound for one in trials))


if __name__ == "__main__":
    sys.exit(main())
