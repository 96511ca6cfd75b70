"""Harms running commands in every way that machines do, and counts what is lost, duplicated or wrong.

Run:

    python experiments/drill.py [--quick] [--only DRILL] [--rest]

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
from common import RESULTS, commit, machine, markdown, settings_of
from drills.companions import server_gone, two_processes
from drills.damage import damaged_stores
from drills.disks import full_disks, read_only_folders
from drills.kills import killed
from drills.outcomes import Skipped, Trial, list_of, read_trials, table_of
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


def drilled(workshop: Workshop, parts: list[str], note: Callable[[list[Trial], list[str]], None]) -> None:
    """Do some parts of the drills; `note` after each what is there: trials, and what was skipped."""
    trials: list[Trial] = []
    skipped: list[str] = []
    for name in parts:
        began = time.monotonic()
        try:
            for trial in DRILLS[name](workshop, np.random.default_rng(SETTINGS["seed"])):
                trial.part, trial.commit = name, commit()
                trials.append(trial)
                if not trial.is_sound:
                    print(trial, flush=True)
        except Skipped as reason:
            skipped.append(f"{name}: {reason}.")
        print(f"{name}: {len(trials)} trials so far, {time.monotonic() - began:.0f} seconds", flush=True)
        note(trials, skipped)


def report(trials: list[Trial], skipped: list[str], seconds: float) -> str:
    """Return the report in Markdown."""
    faults = [one for one in trials if not one.is_sound]
    n_kills = sum(one.drill.startswith("kill -9") for one in trials)
    missing = [name for name in DRILLS if not any(text.startswith(f"{name}:") for text in skipped)]
    missing = [name for name in missing if name not in {one.part for one in trials}]
    commits: dict[str, str] = {one.part: one.commit for one in trials}
    lines = [
        "# Drills",
        "",
        f"{len(trials)} trials, {n_kills} of them kills, `python experiments/drill.py`; {machine('torch')};"
        f" {seconds / 60:.0f} minutes in the last call. A trial was struck when the harm came before the"
        " command had ended.",
        "What the columns count is in docs/promises.md. Commits: "
        + ", ".join(f"{part} {of}" for part, of in commits.items())
        + ".",
        "",
        markdown(table_of(trials)),
        "",
        *(f"Skipped: {one}" for one in skipped),
        *(f"Not run: {name}." for name in missing),
        *(f"- {one.drill}, {one.command}, {one.when}: {one.wrong or one.said}" for one in faults),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Drill, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few trials of each kind, as the tests do")
    parser.add_argument(
        "--only", default="", help="the drills whose name has this in it; the results of others stay"
    )
    parser.add_argument("--rest", action="store_true", help="the drills that drill.csv has no trial of")
    options = parser.parse_args()
    settings = SETTINGS | (SETTINGS["quick"] if options.quick else {})
    began = time.monotonic()
    kept = read_trials(RESULTS / "drill.csv") if options.only or options.rest else []
    parts = [name for name in DRILLS if options.only in name]
    parts = [name for name in parts if not (options.rest and name in {one.part for one in kept})]
    kept = [] if options.quick else [one for one in kept if one.part not in parts]
    there: tuple[list[Trial], list[str]] = kept, []

    def note(trials: list[Trial], skipped: list[str]) -> None:
        nonlocal there
        order = [*DRILLS]
        there = sorted(kept + trials, key=lambda one: order.index(one.part)), skipped
        if not options.quick:
            list_of(there[0]).to_csv(RESULTS / "drill.csv", index=False)
            (RESULTS / "drill.md").write_text(report(*there, time.monotonic() - began))

    import_everything()
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        workshop = Workshop(Path(folder) / "work", settings)
        workshop.start_server()
        try:
            drilled(workshop, parts, note)
        finally:
            workshop.stop_server()
            tempfile.tempdir = None
    print(report(*there, time.monotonic() - began))
    return int(not all(one.is_sound for one in there[0]))


if __name__ == "__main__":
    sys.exit(main())
