"""Ctrl-C ends a program in a line wherever it comes: in parsing, in a class that is made, in a destructor."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from typer.testing import CliRunner

from debias.console.command_group import make_program
from debias.console.program_start import stopped_like_ctrl_c


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


class Fragile:
    """Python prints what is raised when such an object goes, and goes on."""

    def __del__(self):
        raise KeyboardInterrupt


def test_ctrl_c_that_is_swallowed_is_told_again(capsys):
    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), stopped_like_ctrl_c():
        one = Fragile()
        del one
        for _ in range(500):
            time.sleep(0.01)
    assert sys.unraisablehook is before
    assert "Traceback" not in capsys.readouterr().err


def test_other_things_that_are_swallowed_are_told_as_ever(monkeypatch):
    found = []
    monkeypatch.setattr(sys, "unraisablehook", found.append)
    with stopped_like_ctrl_c():
        one = type("Broken", (), {"__del__": lambda self: 1 / 0})()
        del one
    assert [one.exc_type for one in found] == [ZeroDivisionError]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("where", ["import", "class"])
def test_a_signal_while_modules_are_imported_ends_in_a_line(tmp_path, name, where):
    stop = f"import os, signal\nos.kill(os.getpid(), signal.{name})\n" + "for _ in range(10**8): pass\n"
    body = {
        "import": stop,
        "class": "class Slow:\n    def __set_name__(self, owner, name):\n"
        + textwrap.indent(stop, " " * 8)
        + "class Owner:\n    part = Slow()\n",
    }[where]
    (tmp_path / "commands.py").write_text(body)
    script = "from debias.console.program_start import start; start('tool', 'commands')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "tool: interrupted: nothing was written.\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_after_the_end_does_not_change_how_it_ended(tmp_path):
    ends_late = "import atexit, time\natexit.register(time.sleep, 60)\n"
    body = ends_late + "def app(prog_name):\n    print('done', flush=True)\n"
    (tmp_path / "commands.py").write_text(body)
    script = "from debias.console.program_start import start; start('tool', 'commands')"
    running = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert running.stdout.readline() == "done\n"
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (0, "")
