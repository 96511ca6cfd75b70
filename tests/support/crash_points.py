"""Kill a collection before each of its writes to the disk in turn, and after it, and resume it.

A process of its own: ``python -m tests.support.crash_points FOLDER batch|singly``. Its last line is
"points N" when every file came out as it would have without a kill. Points are calls of the system by
Python, and statements of SQLite; with ``calls`` as a third word they are the calls of the system by
SQLite itself, killed by strace.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from debias.inference.collection.collection import collect
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine, read_log, times_asked

EVENTS = ("fsync", "replace", "unlink", "mkdir", "ftruncate", "pwrite", "rename")
CALLS = "pwrite64,fsync,fdatasync,ftruncate,unlink,rename"
CALLS_APART = 3  # each of these takes a start of Python
N_ROWS, CHUNK = 10, 6


def in_child(work) -> int:
    """Run something in a child process; return its exit status."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitpid(child, 0)[1]


def kill_at(point: int, after: bool) -> None:
    """Let this process die at its n-th event, before or after it happened."""
    count = 0

    def watched(function):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            mine = count
            if mine == point and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if mine == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    class Watched(sqlite3.Connection):
        execute = watched(sqlite3.Connection.execute)
        executemany = watched(sqlite3.Connection.executemany)
        __exit__ = watched(sqlite3.Connection.__exit__)

    for name in EVENTS:
        setattr(os, name, watched(getattr(os, name)))
    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Watched, **options)


def killed_by_strace(point: int, out: Path, log: Path, singly: bool) -> bool:
    """Collect in a process that dies before its n-th write by the system; whether it died."""
    code = "from tests.support.crash_points import *; start(Path({!r}), Path({!r}), {!r})"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", f"--trace={CALLS}",
         f"--inject={CALLS}:signal=KILL:when={point}",
         sys.executable, "-c", code.format(str(out), str(log), singly)],
        check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode != 0


def start(out: Path, log: Path, singly: bool) -> None:
    """Collect."""
    texts, labels = [*TEXTS[:N_ROWS], TEXTS[3], TEXTS[8]], [*LABELS[:N_ROWS], LABELS[3], LABELS[8]]
    engine = PlainEngine(log, singly=singly)
    collect(engine, TASK, texts, labels, out=out, chunk_size=CHUNK, progress=False)


def check(out: Path, log: Path, expected: bytes, killed_lines: int, singly: bool) -> None:
    """The table is the same, and nothing was asked twice but what was under way."""
    assert out.read_bytes() == expected, "another table"
    assert {path.name for path in out.parent.iterdir()} == {out.name, f"{out.name}.run", log.name}
    left = [path.name for path in (out.parent / f"{out.name}.run").iterdir()]
    assert not [name for name in left if name.startswith(".")], left
    lines = read_log(log)[:killed_lines]
    under_way = set(lines[-1][1]) if lines and lines[-1][0] == "asked" else set()
    asked = times_asked(log)
    assert len(asked) == N_ROWS
    assert all(times == 1 or (times == 2 and name in under_way) for name, times in asked.items()), asked


def main(folder: Path, singly: bool, calls: bool = False) -> None:
    """Go through all points."""
    whole = folder / "whole"
    whole.mkdir()
    assert in_child(lambda: start(whole / "t.parquet", whole / "log", singly)) == 0
    expected, point, survived = (whole / "t.parquet").read_bytes(), 0, 0
    while survived < (1 if calls else 2):
        point += CALLS_APART if calls else 1
        survived = 0
        for after in (False,) if calls else (False, True):
            place = folder / f"{point}-{after}"
            place.mkdir()
            out, log = place / "t.parquet", place / "log"

            def crashing(out=out, log=log, after=after, point=point) -> None:
                kill_at(point, after)
                start(out, log, singly)

            if calls:
                survived += not killed_by_strace(point, out, log, singly)
            else:
                survived += in_child(crashing) == 0
            killed_lines = len(read_log(log))
            assert in_child(lambda out=out, log=log: start(out, log, singly)) == 0, place
            check(out, log, expected, killed_lines, singly)
    print(f"points {point - 1}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "singly", sys.argv[3:] == ["calls"])
