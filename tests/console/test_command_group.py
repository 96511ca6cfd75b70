"""What every program of ours shares: help shown as written, completion, exit codes."""

import errno
import os
import subprocess
import sys
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from debias.cli.commands import COMMANDS as debias_commands
from debias.console.command_group import make_program
from iterit.cli.commands import COMMANDS as iterit_commands
from tests.support.commands import run
from tests.support.paths import ROOT
from tests.support.small_tables import skewed_table


def bake(
    cake: Annotated[str, typer.Option(help="A cake of <NAME>, [sweet] or [/salty], 2 * 2.")] = "bread",
) -> None:
    """Bake with pip install "oven[gas]".

    The rest: <NAME> and [bold]not bold[/bold], a * b.
    """


def eat() -> None:
    """Eat [all] of it."""


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--help"], ["Eat [all] of it.", "oven[gas]"]),
        (["bake", "--help"], ["oven[gas]", "<NAME> and [bold]not bold[/bold], a * b."]),
        (["bake", "--help"], ["A cake of <NAME>, [sweet] or [/salty], 2 * 2."]),
    ],
)
def test_help_loses_no_word(words, shown):
    app = make_program("kitchen", (bake, eat), summary="Food.", start="kitchen bake")
    text = CliRunner().invoke(app, words, env={"COLUMNS": "120", "NO_COLOR": "1"}).stdout
    for part in shown:
        assert part in " ".join(text.split())


@pytest.mark.parametrize("commands", [debias_commands, iterit_commands], ids=["debias", "iterit"])
def test_the_list_of_commands_says_what_each_says_itself(commands):
    for one in commands:
        assert one.load().__name__.replace("_", "-") == one.name
        assert (one.load().__doc__ or "").splitlines()[0] == one.summary


@pytest.mark.parametrize("program", ["debias", "iterit"])
def test_help_imports_no_command(program):
    code = (
        f"import sys; from {program}.cli import app; app(['--help'], standalone_mode=False);"
        f"print(sorted(name for name in sys.modules if name.startswith('{program}.cli')))"
    )
    done = process_of_code(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str([f"{program}.cli", f"{program}.cli.commands"])


def process_of_code(code):
    """Run Python code in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("program", ["debias", "iterit"])
def test_options_are_completed(program):
    variable = f"_{program.upper()}_COMPLETE"
    environment = os.environ | {
        variable: "complete_bash",
        "COMP_WORDS": f"{program} report --ou",
        "COMP_CWORD": "2",
        "PYTHONPATH": str(ROOT),
    }
    code = f"import sys; sys.argv[0] = {program!r}; from {program}.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["--out"]


def test_bounds_that_cannot_be_kept_are_code_three(tmp_path):
    table, out = tmp_path / "table.csv", tmp_path / "correction.json"
    skewed_table(n=200).write(table)
    common = ("fit", table, "--out", out, "--method", "weight", "--n-weights", 5, "--jobs", 1)
    kept = run(*common, "--max-cobias", 0.9)
    assert kept.exit_code == 0
    out.unlink()
    missed = run(*common, "--min-accuracy", 1.0)
    assert missed.exit_code == 3
    assert out.exists()
    assert "OUT OF BOUNDS" in missed.stdout


@pytest.mark.parametrize(
    ("word", "near"),
    [("run", None), ("trian", "train"), ("prnue", "prune"), ("selct", "select"), ("main", None), ("x", None)],
)
def test_a_command_is_suggested_where_it_is_close(word, near):
    from iterit.cli import app

    told = CliRunner().invoke(app, [word]).stderr
    assert ("Did you mean" in told) == (near is not None), told
    assert near is None or f"'{near}'" in told


def test_what_the_system_refuses_comes_with_what_to_do():
    def fail() -> None:
        raise OSError(errno.EROFS, "Read-only file system", "ro/table.csv")

    done = CliRunner().invoke(make_program("kitchen", (bake, fail), summary="Food.", start="a"), ["fail"])
    assert done.exit_code == 2
    assert "ro/table.csv: Read-only file system; " in done.stderr
