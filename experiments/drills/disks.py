"""A full disk at each writer, and a read-only one: one line of ours, and nothing half written."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from drills.jobs import Job, unfinished
from drills.outcomes import Skipped, Trial
from drills.watching import LOG
from drills.workshop import Workshop

BAD_INPUT = 2
SPARE = 4 << 20


@contextmanager
def small_disk(place: Path, n_bytes: int) -> Iterator[Path]:
    """Mount a small disk in memory.

    Raises
    ------
    Skipped
        This is not allowed here.
    """
    place.mkdir(parents=True)
    mount = shutil.which("mount")
    words = ["-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *words], capture_output=True, check=False).returncode:
        raise Skipped("mounting a small disk is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def used(place: Path) -> int:
    """Return the bytes that are in use on the disk of a folder."""
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def full_disks(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Fill the disk so that a command has room for a share of what it writes."""
    for name in workshop.settings["writers"]:
        job, whole = workshop.jobs[name], workshop.result(name)
        need = max(sum(f.stat().st_size for f in _files(whole, job)), 1 << 16)
        for share in workshop.settings["room"]:
            disk = workshop.folder / "disks" / f"{name}-{share}".replace(" ", "-")
            with small_disk(disk, SPARE + 4 * need):
                yield _full(workshop, job, disk, int(share * need))


def _files(folder: Path, job: Job) -> list[Path]:
    """Return what a command has written."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in job.inputs
    ]


def _full(workshop: Workshop, job: Job, disk: Path, room: int) -> Trial:
    place = workshop.place(job, disk)
    log = workshop.folder / f"{disk.name}.log"
    (place / LOG).symlink_to(log)  # what is noted has room elsewhere
    total = os.statvfs(disk)
    free = total.f_bavail * total.f_frsize
    with (disk / "ballast").open("wb") as ballast:
        ballast.write(bytes(max(free - room, 0)))
    started = workshop.start(job, place)
    ended = started.wait()
    trial = Trial("disk full", job.name, f"room for {room:,} bytes", struck=ended.code != 0)
    trial.read(ended.err)
    if ended.code not in (0, BAD_INPUT):
        trial.wrong.append(f"exit code {ended.code}: {ended.err[-1500:]}")
    trial.wrong += unfinished(job, place, workshop.result(job.name))
    (disk / "ballast").unlink()
    trial.wrong += _rescued(workshop, job, place)
    _, wrong, trial.lost, trial.duplicated = workshop.finish(job, place)
    trial.wrong += wrong
    return trial


def _rescued(workshop: Workshop, job: Job, place: Path) -> list[str]:
    """Return which results that were written elsewhere are not whole; whole ones are removed."""
    wrong = []
    import tempfile

    for folder in (place, Path(tempfile.gettempdir())):
        for path in folder.glob("rescued*-*"):
            name = path.name.split("-", 1)[1]
            if name in job.outputs and path.read_bytes() != (workshop.result(job.name) / name).read_bytes():
                wrong.append(f"{path.name} is not whole")
            path.unlink()
    return wrong


def read_only_folders(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Run each command where nothing can be written."""
    for name in workshop.settings["writers"]:
        job = workshop.jobs[name]
        workshop.result(name)
        disk = workshop.folder / "disks" / f"{name}-read-only".replace(" ", "-")
        with small_disk(disk, SPARE):
            place = workshop.place(job, disk)
            log = workshop.folder / f"{disk.name}.log"
            (place / LOG).symlink_to(log)
            before = sorted(path.name for path in place.iterdir())
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            ended = workshop.start(job, place).wait()
            trial = Trial("read-only folder", name, "from the start")
            trial.read(ended.err)
            if ended.code != BAD_INPUT:
                trial.wrong.append(f"exit code {ended.code}: {ended.err[-1500:]}")
            if sorted(path.name for path in place.iterdir()) != before:
                trial.wrong.append("files were left")
            if log.exists() and "kept" in log.read_text():
                trial.wrong.append("work was done before the folder was tried")
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            _rescued(workshop, job, place)
            trial.wrong += workshop.finish(job, place)[1]
            yield trial
