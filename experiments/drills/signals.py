"""Ctrl-C, SIGTERM and SIGHUP at every stage: one line, exit code 130, and the rerun gives the same result."""

import signal
import time
from collections.abc import Iterator

import numpy as np

from drills.outcomes import Trial
from drills.processes import from_the_start
from drills.workshop import Workshop

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
INTERRUPTED = 130


def stopped(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Send signals at moments that are spread evenly over each command, from its start to its end."""
    for name, count in workshop.settings["signals"].items():
        for number, said in NAMES.items():
            workshop.result(name)
            for place in range(count):
                share = (place + float(random.uniform())) / count
                yield _stopped_at(workshop, name, number, said, share * workshop.seconds[name])


def _stopped_at(workshop: Workshop, name: str, number: int, said: str, moment: float) -> Trial:
    job = workshop.jobs[name]
    place = workshop.place(job)
    started = workshop.start(job, place)
    started.ends_within(moment)
    trial = Trial(f"{said} at every stage", name, f"{moment:.2f} s", struck=not started.has_ended())
    started.send(number)
    ended = started.wait()
    trial.read(ended.err)
    if ended.code not in (0, INTERRUPTED):
        trial.wrong.append(f"exit code {ended.code}: {ended.err[-300:]}")
    if ended.code == INTERRUPTED and not trial.said.startswith(f"{job.program}: interrupted: "):
        trial.wrong.append(f"exit code 130, and {trial.said!r}")
    _, wrong, trial.lost, trial.duplicated = workshop.finish(job, place)
    trial.wrong += wrong
    return trial


def stopped_while_it_starts(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Send Ctrl-C to processes from the start, while they import libraries."""
    for name in workshop.settings["starts"]:
        job = workshop.jobs[name]
        workshop.result(name)
        for _ in range(workshop.settings["moments_of_a_start"]):
            place, moment = workshop.place(job), float(random.uniform(0.5, 6.0))
            started = from_the_start(job.program, job.words, place)
            time.sleep(moment)
            trial = Trial("Ctrl-C while it starts", name, f"{moment:.2f} s", struck=not started.has_ended())
            started.send(signal.SIGINT)
            ended = started.wait()
            trial.read(ended.err)
            if ended.code not in (0, INTERRUPTED):
                trial.wrong.append(f"exit code {ended.code}: {ended.err[-300:]}")
            trial.wrong += workshop.finish(job, place)[1]
            yield trial
