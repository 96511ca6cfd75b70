"""Runs a command of ours in a process of its own, which may be harmed while it runs.

A fork of this process, which has imported everything, begins in a moment; a process from the start
takes as long as for a user. Both end with what the command wrote, and its exit code.
"""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[2]

IMPORTED = (
    "accelerate", "filelock", "pandas", "peft", "sklearn.linear_model", "transformers.trainer",
    "debias.cli", "debias.cli.compare", "debias.cli.fit", "debias.cli.frontier",
    "debias.cli.model_commands.collect", "debias.estimators.tuning.debiaser",
    "debias.inference.collection.collection", "debias.inference.engine_settings",
    "debias.inference.openai.openai_engine", "debias.inference.transformers.transformers_engine",
    "debias.reports.comparison.comparison", "debias.reports.correction_report", "iterit.cli",
    "iterit.cli.train", "iterit.selection.selection", "iterit.training.setup.trainer_setup",
)  # fmt: skip
"""What the commands import."""


class Ended(NamedTuple):
    """How a process ended: its exit code (minus the signal that killed it), and what it wrote."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class Started:
    """A process that runs."""

    pid: int
    folder: Path
    began: float
    _ended: int | None = field(default=None)

    def send(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if not self.has_ended():
            os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Tell whether the process has ended."""
        if self._ended is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._ended = status
        return self._ended is not None

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end for some seconds at most."""
        deadline = time.monotonic() + seconds
        while not self.has_ended():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def wait(self, seconds: float = 1200.0) -> Ended:
        """Return how the process ended; one that takes too long is killed, and raises."""
        if not self.ends_within(seconds):
            self.send(signal.SIGKILL)
            self.ends_within(10)
            raise TimeoutError(f"a command took more than {seconds:.0f} seconds: {self.texts()[1][-2000:]}")
        assert self._ended is not None
        code = os.waitstatus_to_exitcode(self._ended)
        return Ended(code, *self.texts(), time.monotonic() - self.began)

    def texts(self) -> tuple[str, str]:
        """Return what was written to standard output and to the error stream."""
        out, err = ((self.folder / name).read_text(errors="replace") for name in ("out", "err"))
        return out, err


def forked(
    program: str, words: Sequence[str], folder: Path, prepare: Callable[[], object] = lambda: None
) -> Started:
    """Start a command in a fork of this process.

    Parameters
    ----------
    program : str
        debias or iterit.
    words : sequence of str
        The command and its options.
    folder : Path
        Where it runs.
    prepare : callable, optional
        Called in the new process, before the command.
    """
    streams = Path(tempfile.mkdtemp(prefix="drill-streams-"))
    is_ready, ready = os.pipe()
    child = os.fork()
    if child:
        os.close(ready)
        os.read(is_ready, 1)  # harm that comes before the command begins is not done to the command
        os.close(is_ready)
        return Started(child, streams, time.monotonic())
    try:
        _become(program, words, folder, streams, lambda: (prepare(), os.close(is_ready), os.close(ready)))
    finally:
        os._exit(97)


def _become(
    program: str, words: Sequence[str], folder: Path, streams: Path, prepare: Callable[[], object]
) -> NoReturn:
    """Run a command in this process, which ends with it."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(streams / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(folder)
    sys.argv = [program, *words]
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGPIPE else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        prepare()
        from debias.console.process.program_start import start

        start(program, f"{program}.cli")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def from_the_start(
    program: str,
    words: Sequence[str],
    folder: Path,
    *,
    environment: dict[str, str] | None = None,
    before: Sequence[str] = (),
    stdout: int | None = None,
    stderr: int | None = None,
) -> Started:
    """Start a command as a user does.

    Parameters
    ----------
    program, words, folder
        See :func:`forked`.
    environment : dict, optional
        Variables to change; an empty text removes one.
    before : sequence of str, optional
        The words of a command that starts this one, such as nohup.
    stdout, stderr : int, optional
        What the streams are; files by default.
    """
    streams = Path(tempfile.mkdtemp(prefix="drill-streams-"))
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})
    with (streams / "out").open("wb") as out, (streams / "err").open("wb") as err:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", f"{program}.cli", *words],
            cwd=folder,
            env={name: value for name, value in variables.items() if value},
            stdin=subprocess.DEVNULL,
            stdout=out if stdout is None else stdout,
            stderr=err if stderr is None else stderr,
            preexec_fn=_hears_signals,
        )
    process.returncode = 0  # this object never waits: Started does
    return Started(process.pid, streams, time.monotonic())


def _hears_signals() -> None:
    """Make a process hear what its parent may ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def import_everything() -> None:
    """Import what the commands import, so that forks begin at once; start no thread."""
    for name in IMPORTED:
        importlib.import_module(name)
    importlib.import_module("transformers").utils.logging.disable_progress_bar()
