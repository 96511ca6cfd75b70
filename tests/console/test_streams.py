"""What a program writes: no control character, any code page, and quietly when its reader has gone."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import typer

from debias.console.command_group import make_program
from debias.console.screen import print_lines, print_table
from debias.errors import TableError
from debias.pages.environment import page_environment
from debias.pages.markdown import escape
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT

HOSTILE = ["a\x1b[31mred\x1b]0;title\x07", "b\u202egnp.exe", "c\x9b2J", "d\ud800"]
STEERING = "\x1b\x07\x9b\u202e\ud800"
PROGRAM = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from debias.console.command_group import make_program
from debias.console.process.program_start import start
from debias.console.screen import print_lines

def lines(n: int) -> None:
    print_lines(["\\N{{MINUS SIGN}}0.5 points, \\N{{CJK UNIFIED IDEOGRAPH-4E2D}}"] * n)

def wait() -> None:
    print("ready", flush=True)
    time.sleep(20)

app = make_program("cook", (lines, wait), summary="-", start="-", kept="the dough is kept")
if __name__ == "__main__":
    start("cook", "__main__")
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "cook.py").write_text(PROGRAM)
    return [sys.executable, str(tmp_path / "cook.py")]


def test_control_characters_reach_no_terminal_and_no_page(capsys):
    print_table(HOSTILE[0], HOSTILE, [HOSTILE])
    print_lines(HOSTILE, bullet="- ")
    table = " ".join(HOSTILE)
    shown = [capsys.readouterr().out, escape(table), str(TableError(table, fix=table, file=table))]
    shown.append(page_environment("debias").from_string("{{ text }}").render(text=table))
    for one in shown:
        assert not set(STEERING) & set(one)
        assert "x1b[31mred" in one.replace("\\\\", "\\").replace("\\[", "[")
        assert "u202e" in one


def test_files_with_hostile_names_and_texts_are_reported_without_them(tmp_path):
    classes, rng = HOSTILE[:3], np.random.default_rng(0)
    P = rng.dirichlet(np.ones(3), size=40)
    labels = [classes[k] for k in P.argmax(axis=1)]
    name = tmp_path / "n\x1b[5m.parquet"
    ProbabilityTable(P, labels, classes=classes, texts=[f"{k} \x1b[2J" for k in range(40)]).write(name)
    done = subprocess.run(
        [sys.executable, "-m", "debias.cli", "report", str(name), "--correction", "none\x07.json"],
        capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "none\\x07.json" in done.stderr
    assert not set(STEERING) & set(done.stdout + done.stderr)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437"])
def test_a_code_page_without_a_minus_sign_gets_ascii(program, encoding):
    done = subprocess.run(
        [*program, "lines", "1"], capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding}
    )
    assert (done.returncode, done.stdout.strip()) == (0, b"-0.5 points, \\u4e2d"), done.stderr


def test_a_reader_that_has_gone_is_no_error(program):
    running = subprocess.Popen([*program, "lines", "20000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout.readline()
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait() == 1
    running.stderr.close()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&-"])
def test_closed_streams_are_no_error(program, closed):
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *program, "lines", "3"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">&-" in closed.split() else "\u22120.5 points, \u4e2d\n" * 3)


def test_output_that_cannot_be_written_is_one_line(program):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*program, "lines", "20000"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1 and b"space" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_command_alike(program, number):
    running = subprocess.Popen(
        [*program, "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # the tests may run in the background
    )
    assert running.stdout.readline() == "ready\n"
    running.send_signal(number)
    _, said = running.communicate(timeout=20)
    assert (running.returncode, said) == (130, "cook: interrupted: the dough is kept.\n")


def test_what_is_ignored_stays_ignored(program):
    running = subprocess.Popen(
        ["nohup", *program, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=20)
    assert running.returncode == 130


def test_ctrl_c_while_commands_are_imported_shows_no_traceback(tmp_path):
    (tmp_path / "slow.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(20)\n")
    code = "from debias.console.process.program_start import start; start('cook', 'slow')"
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert (running.returncode, said) == (130, "cook: interrupted: nothing was written.\n")


@pytest.mark.parametrize("package", ["debias", "iterit"])
def test_what_understands_ctrl_c_imports_nothing_heavy(package):
    code = (
        f"import sys, {package}.cli.__main__\n"
        "assert not {'typer', 'rich', 'numpy', 'torch'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_programs_are_made_without_starting(capsys):
    assert isinstance(make_program("cook", (), summary="-", start="-"), typer.Typer)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
