"""A store of answers, of scores, or a checkpoint, cut or changed after a kill: never a wrong result.

The command either makes again what is damaged, or refuses in one line and touches nothing.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drills.outcomes import Trial
from drills.watching import LOG
from drills.workshop import Workshop

KINDS = ("one bit", "eight bytes", "cut", "emptied", "page of zeros")


def damaged_stores(workshop: Workshop, random: np.random.Generator) -> Iterator[Trial]:
    """Kill a command in its middle, damage a file that it keeps its work in, and run it again."""
    for name, count in workshop.settings["damages"].items():
        job, whole = workshop.jobs[name], workshop.result(name)
        for number in range(count):
            place = workshop.place(job)
            started = workshop.start(job, place)
            _wait_for_work(place / LOG, started)
            started.send(signal.SIGKILL)
            started.wait()
            files = [path for path in sorted((place / job.place).rglob("*")) if _holds_work(path)]
            kind = KINDS[number % len(KINDS)]
            if not files:
                continue
            path = files[int(random.integers(len(files)))]
            content = damaged(path.read_bytes(), kind, random)
            path.write_bytes(content)
            trial = Trial("damaged store", name, f"{kind} of {path.relative_to(place)}")
            ended = workshop.start(job, place).wait()
            trial.read(ended.err)
            if ended.code == 2:
                if path.exists() and path.read_bytes() != content and not path.name.endswith("-shm"):
                    trial.wrong.append("the file was refused, and changed")
            elif ended.code:
                trial.wrong.append(f"exit code {ended.code}: {ended.err[-1000:]}")
            else:
                from drills.jobs import differences

                trial.wrong += differences(job, place, whole)
            yield trial


def _wait_for_work(log: Path, started: object) -> None:
    """Wait until something was kept twice over, or the command ended."""
    while not started.ends_within(0.01):  # type: ignore[attr-defined]
        lines = log.read_text().splitlines() if log.exists() else []
        if sum(line.split()[0] in ("kept", "saved") for line in lines) >= 2:
            return


def _holds_work(path: Path) -> bool:
    """Tell whether a file is one that a rerun reads its work from."""
    return path.is_file() and path.stat().st_size > 0 and path.suffix != ".md" and path.name != "lock"


def damaged(content: bytes, kind: str, random: np.random.Generator) -> bytes:
    """Return content with a damage of some kind."""
    data = bytearray(content)
    at = int(random.integers(len(data)))
    match kind:
        case "one bit":
            data[at] ^= 1 << int(random.integers(8))
        case "eight bytes":
            for place in random.integers(len(data), size=8):
                data[int(place)] ^= 0xFF
        case "cut":
            del data[at:]
        case "emptied":
            data.clear()
        case _:
            data[at : at + 4096] = bytes(len(data[at : at + 4096]))
    return bytes(data)
