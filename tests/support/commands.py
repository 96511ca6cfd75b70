"""Commands run as people type them: in this process, or in one of their own."""

import os
import subprocess
import sys

from typer.testing import CliRunner

from debias.cli import app
from tests.support.paths import ROOT


def run(*arguments, application=app):
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


def works(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def refused(*arguments):
    """Run a command that must fail; return its one line."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("debias: error: ")
    return lines[0]


def process(*arguments, module="debias.cli", **options):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        **options,
    )
