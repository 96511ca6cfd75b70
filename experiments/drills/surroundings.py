"""Streams that are closed, and machines where nothing but the work folder can be written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from drills.jobs import differences
from drills.outcomes import Skipped, Trial
from drills.processes import from_the_start
from drills.workshop import Workshop


def closed_pipes(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Run commands whose output nobody reads: a pipe whose reader has gone, and streams that are closed."""
    for name in workshop.settings["writers"]:
        job, whole = workshop.jobs[name], workshop.result(name)
        for kind in ("reader gone", "both closed"):
            place = workshop.place(job)

            def close(kind: str = kind) -> None:
                if kind == "reader gone":
                    ours, theirs = os.pipe()
                    os.close(ours)
                    os.dup2(theirs, 1)
                    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  the old one remembers a file
                else:
                    sys.stdout = sys.stdin = None  # as Python does where a stream is closed
                    os.close(1)
                    os.close(0)

            ended = workshop.start(job, place, close).wait()
            trial = Trial("closed output pipe", name, kind)
            trial.read(ended.err)
            if ended.code not in (0, 1, 2):
                trial.wrong.append(f"exit code {ended.code}: {ended.err[-1000:]}")
            trial.wrong += differences(job, place, whole)
            yield trial


def nothing_writable(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Run commands on a machine that is read-only but for the work folder: home and site-packages, too.

    Raises
    ------
    Skipped
        Mounting is not allowed here.
    """
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--mount", "true"], capture_output=True).returncode:
        raise Skipped("a mount of one's own is not allowed here")
    for name in workshop.settings["read_only_machine"]:
        job = workshop.jobs[name]
        whole, place = workshop.place(job), workshop.place(job)
        # Undisturbed, and from the start, too: a fork saves more often, so that its batches are others.
        if from_the_start(job.program, job.words, whole).wait(1800).code:
            raise RuntimeError(f"{name} failed undisturbed")
        script = (
            f'mount --bind "{workshop.folder}" "{workshop.folder}" && mount -o remount,ro,bind / && '
            "for one in /tmp /dev/shm; do mountpoint -q $one && mount -o remount,ro,bind $one; done; "
            f'cd "{place}" && exec "$@"'  # it began in the folder of the mount that is read-only now
        )
        started = from_the_start(
            job.program,
            job.words,
            place,
            environment={"HOME": "/nonexistent", "NUMBA_CACHE_DIR": "", "TMPDIR": "", "XDG_CACHE_HOME": ""},
            before=[unshare, "--mount", "sh", "-c", script, "sh"],
        )
        ended = started.wait(1800)
        trial = Trial("unwritable home and site-packages", name, "from the start")
        trial.read(ended.err)
        if ended.code:
            trial.wrong.append(f"exit code {ended.code}: {ended.err[-1500:]}")
        trial.wrong += differences(job, place, whole)
        yield trial
