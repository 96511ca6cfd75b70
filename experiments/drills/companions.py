"""Others at the same time: a second process on the same run, and a server that goes away."""

import time
from collections.abc import Iterator

import numpy as np

from drills.jobs import differences
from drills.outcomes import Trial
from drills.watching import LOG, lost_and_duplicated
from drills.workshop import Workshop


def two_processes(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Start a command twice in one folder; one may be refused, and the result is whole."""
    for name in workshop.settings["two_processes"]:
        job, whole = workshop.jobs[name], workshop.result(name)
        for _ in range(workshop.settings["pairs"]):
            place, wait = workshop.place(job), float(random.uniform(0, 0.9)) * workshop.seconds[name]
            first = workshop.start(job, place)
            first.ends_within(wait)
            trial = Trial("two processes on one run", name, f"{wait:.2f} s apart", not first.has_ended())
            ends = [workshop.start(job, place).wait(), first.wait()]
            for ended in ends:
                trial.read(ended.err)
                if ended.code not in (0, 2):
                    trial.wrong.append(f"exit code {ended.code}: {ended.err[-1000:]}")
            if all(ended.code for ended in ends):
                trial.wrong.append("both were refused")
            trial.wrong += differences(job, place, whole)
            if job.work != "scores":  # which two processes may make at the same time
                trial.lost, trial.duplicated = lost_and_duplicated(place / LOG)
            yield trial


def server_gone(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Kill the server in the middle of a collection, and start it again after a while."""
    job = workshop.jobs["collect from a server"]
    whole = workshop.result(job.name)
    for seconds in workshop.settings["server_gone"]:
        place = workshop.place(job)
        started = workshop.start(job, place)
        while not (place / LOG).exists() or "kept" not in (place / LOG).read_text():
            if started.ends_within(0.01):
                break
        trial = Trial("server gone", job.name, f"for {seconds} seconds", struck=not started.has_ended())
        workshop.stop_server()
        time.sleep(seconds)
        workshop.start_server()
        ended = started.wait(400)
        trial.read(ended.err)
        if ended.code:
            trial.wrong.append(f"exit code {ended.code}: {ended.err[-500:]}")
        trial.wrong += differences(job, place, whole)
        trial.lost, trial.duplicated = lost_and_duplicated(place / LOG)
        yield trial
