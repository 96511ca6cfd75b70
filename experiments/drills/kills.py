"""SIGKILL at a random moment: what was kept is found again, and the result is that of an undisturbed run."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drills.jobs import unfinished
from drills.outcomes import Trial
from drills.watching import LOG, events
from drills.workshop import Workshop

DRILL = "kill -9 at a random moment"


def killed(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Kill every command that keeps its work as often as the settings say."""
    for name, count in workshop.settings["kills"].items():
        yield from kills(workshop, name, count, random)


def kills(workshop: Workshop, name: str, count: int, random: np.random.Generator) -> Iterator[Trial]:
    """Kill a command, and resume it, until there are enough kills and the result is whole.

    A folder is killed up to `most_kills` times before its command may end.
    """
    job, whole = workshop.jobs[name], workshop.result(name)
    done = 0
    while done < count:
        place, here = workshop.place(job), 0
        trials: list[Trial] = []
        while done < count and here < workshop.settings["most_kills"]:
            moment = float(random.uniform(0.05, 1.05)) * workshop.seconds[name]
            started = workshop.start(job, place)
            if started.ends_within(moment):
                break
            started.send(signal.SIGKILL)
            ended = started.wait()
            trial = Trial(DRILL, name, f"{moment:.2f} s")
            trial.read(ended.err)
            trial.said = f"killed; {_kept(place / LOG, job.work)}"
            trial.wrong += unfinished(job, place, whole)
            trials.append(trial)
            done, here = done + 1, here + 1
        ended, wrong, lost, duplicated = workshop.finish(job, place)
        if trials:  # what is wrong in the end is the fault of one of them
            trials[-1].wrong += wrong
            trials[-1].lost, trials[-1].duplicated = lost, duplicated
            foreign = Trial(DRILL, name, "")
            foreign.read(ended.err)
            trials[-1].foreign += foreign.foreign
        yield from trials


def _kept(log: Path, work: str) -> str:
    """Say how much had been kept at a kill."""
    found = events(log)
    if work == "steps":
        saved = [int(names[0]) for word, _, names in found if word == "saved"]
        return f"step {max(saved, default=0)} was saved"
    kept = {name for word, _, names in found if word == "kept" for name in names}
    return f"{len(kept)} {work or 'pieces'} were kept"
