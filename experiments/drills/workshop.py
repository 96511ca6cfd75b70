"""The workshop: what all drills share, and the undisturbed result of every command."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drills.jobs import Job, differences, jobs, make_inputs
from drills.processes import ROOT, Ended, Started, forked
from drills.watching import LOG, Watch, lost_and_duplicated

MADE = {
    "fit": ("c.json", "c.json"),
    "score": ("scores.parquet", "s.parquet"),
    "train": ("run", "finished"),
}
"""What commands make that others read: its name there, and among the inputs."""

SERVE = """
import sys, time
sys.path.insert(0, {root!r})
from tests.support.toy_server import ToyServer, serving
with serving(ToyServer(delay={delay!r}, many=False), port={port}):
    time.sleep(100_000)
"""


@dataclass
class Workshop:
    """A folder with inputs and undisturbed results, and a server.

    Parameters
    ----------
    folder : Path
    settings : dict
        Of drill.toml.
    """

    folder: Path
    settings: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.inputs, self.results = self.folder / "inputs", self.folder / "whole"
        self.inputs.mkdir(parents=True)
        make_inputs(self.inputs, *(self.settings[name] for name in ("records", "texts", "rows")))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.jobs = jobs(f"http://127.0.0.1:{self.port}/v1")
        self._numbers = itertools.count()

    def start_server(self) -> None:
        """Start the toy server, and wait until it answers."""
        code = SERVE.format(root=str(ROOT), delay=self.settings["server_delay"], port=self.port)
        self.server = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("the toy server did not start")

    def stop_server(self) -> None:
        """Stop the server as a power cut does."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None

    def result(self, name: str) -> Path:
        """Return the folder in which a command ran undisturbed; it is run at the first call.

        With the setting `controls` it is run twice: a result that is not always the same proves nothing.
        """
        place = self.results / name
        if place.exists():
            return place
        job = self.jobs[name]
        for needed, (made, kept) in MADE.items():
            if kept in job.inputs and not (self.inputs / kept).exists():
                source = self.result(needed) / made
                (shutil.copytree if source.is_dir() else shutil.copy)(source, self.inputs / kept)
        again = self.results / f"{name} again"
        for folder in [again, place] if self.settings["controls"] else [place]:
            ended = self.start(job, job.prepare(self.inputs, folder)).wait(1200)
            if ended.code:
                raise RuntimeError(f"{name} failed undisturbed: {ended.err[-3000:]}{ended.out[-500:]}")
            self.seconds[name] = ended.seconds
        if again.exists() and (unlike := differences(job, again, place)):
            raise RuntimeError(f"two undisturbed runs of {name} differ: {unlike}")
        return place

    def place(self, job: Job, root: Path | None = None) -> Path:
        """Return a new folder with the inputs of a command."""
        return job.prepare(self.inputs, (root or self.folder) / f"trial-{next(self._numbers)}")

    def start(self, job: Job, place: Path, before: Callable[[], object] = lambda: None) -> Started:
        """Start a command in a fork that is watched."""
        watch = Watch(place / LOG, self.settings["pause"], self.settings["chunk"])

        def prepare() -> None:
            watch()
            before()

        return forked(job.program, job.words, place, prepare)

    def finish(self, job: Job, place: Path) -> tuple[Ended, list[str], int, int]:
        """Rerun a command to its end; return how it ended, what is wrong, lost and duplicated."""
        ended = self.start(job, place).wait()
        wrong = [f"the rerun ended with {ended.code}: {ended.err[-300:]}"] if ended.code else []
        wrong += differences(job, place, self.result(job.name))
        return ended, wrong, *lost_and_duplicated(place / LOG)


def as_nobody() -> None:
    """Give this process no rights but those of any user."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
