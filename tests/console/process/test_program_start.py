"""Ctrl-C ends a program in a line wherever it comes: in parsing, in an import, in a class that is made."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from debias.console.command_group import make_program

ROOT = Path(__file__).resolve().parents[3]


def work(how: str = "wrapped") -> None:
    """Do something, and fail."""
    if how == "wrapped":
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error
    raise RuntimeError("a fault of ours")


def rest() -> None:
    """Do nothing."""


APP = make_program("tool", [work, rest], summary="A tool.", start="tool work", kept="nothing was kept")


def test_what_others_made_of_ctrl_c_is_an_interruption():
    done = CliRunner().invoke(APP, ["work"])
    assert done.exit_code == 130
    assert done.stderr == "tool: interrupted: nothing was kept.\n"


def test_a_fault_is_none():
    done = CliRunner().invoke(APP, ["work", "--how", "fault"])
    assert done.exit_code == 1 and isinstance(done.exception, RuntimeError)
    assert "interrupted" not in done.stderr


def test_ctrl_c_while_words_are_parsed_ends_in_a_line(monkeypatch):
    def version(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.metadata.version", version)
    done = CliRunner().invoke(APP, ["--version"])
    assert done.exit_code == 130
    assert done.stderr == "tool: interrupted: nothing was written.\n"


def hears():
    """Let a process hear what its parent may ignore, as under nohup."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def ended(folder, body, *words):
    """Run a program of one module; return its exit code and what it said."""
    (folder / "commands.py").write_text(body)
    script = "from debias.console.process.program_start import start; start('tool', 'commands')"
    (folder / "tool.py").write_text(script)
    done = subprocess.run(
        [sys.executable, *(words or ("-c", script))], capture_output=True, text=True, timeout=120,
        check=False, cwd=folder, env=os.environ | {"PYTHONPATH": f"{folder}:{ROOT}"}, preexec_fn=hears,
    )  # fmt: skip
    return done.returncode, done.stderr


WAITS = "def app(prog_name):\n    import time\n    time.sleep(60)\n"
INTERRUPTED = (130, "tool: interrupted: nothing was written.\n")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("where", ["import", "class"])
def test_a_signal_while_modules_are_imported_ends_in_a_line(tmp_path, name, where):
    stop = f"import os, signal\nos.kill(os.getpid(), signal.{name})\n" + "for _ in range(10**6): pass\n"
    body = {
        "import": stop,
        "class": "class Slow:\n    def __set_name__(self, owner, name):\n"
        + textwrap.indent(stop, " " * 8)
        + "class Owner:\n    part = Slow()\n",
    }[where]
    assert ended(tmp_path, body + WAITS) == INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_import_is_not_stopped_half_way_by_one_signal(tmp_path, name):
    body = (
        f"import os, signal, sys, time\nos.kill(os.getpid(), signal.{name})\ntime.sleep(0.2)\n"
        "print('imported', file=sys.stderr)\n"
    )
    assert ended(tmp_path, body + WAITS) == (130, "imported\n" + INTERRUPTED[1])


def test_a_second_ctrl_c_stops_an_import(tmp_path):
    twice = "for _ in range(2):\n    os.kill(os.getpid(), signal.SIGINT)\n"
    body = f"import os, signal, time\n{twice}time.sleep(60)\n"
    assert ended(tmp_path, body) == INTERRUPTED


def test_a_stopped_program_that_ignores_ctrl_c_ends(tmp_path):
    body = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    assert ended(tmp_path, body + WAITS) == INTERRUPTED


@pytest.mark.parametrize("words", [("-m", "tool"), ("tool.py",), ()])
def test_ctrl_c_in_code_made_from_text_ends_in_the_same_exit_code(tmp_path, words):
    """As dataclasses and named tuples make code; Python itself would end the process by the signal."""
    body = (
        "def app(prog_name):\n"
        "    exec('import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)')\n"
    )
    assert ended(tmp_path, body, *words) == INTERRUPTED


@pytest.mark.parametrize("late", ["atexit.register(time.sleep, 60)", "KEPT = Late()"])
def test_ctrl_c_after_the_end_does_not_change_how_it_ended(tmp_path, late):
    """The second kind ends when Python has taken its handlers away: then Ctrl-C is not heard."""
    body = (
        "import atexit, os, time\n"
        "class Late:\n"
        "    def __del__(self, sleep=time.sleep):\n"
        "        sleep(4)\n"
        f"{late}\n"
        "def app(prog_name):\n    print('done', flush=True)\n"
    )
    (tmp_path / "commands.py").write_text(body)
    script = "from debias.console.process.program_start import start; start('tool', 'commands')"
    running = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert running.stdout.readline() == "done\n"
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (0, "")
