"""Commands run as people type them: in this process, or in one of their own."""

import os
import re
import subprocess
import sys

from typer.testing import CliRunner

from debias.cli import app
from debias.errors import DebiasError
from debias.search.solve import COMPILES
from tests.support.paths import ROOT


def run(*arguments, application=app):
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


def run_iterit(*words):
    """Run a command of iterit; return its exit code, its output and its errors."""
    from iterit.cli import app as iterit_app

    done = run(*words, application=iterit_app)
    return done.exit_code, done.stdout, done.stderr


def works(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def refused(*arguments, application=app):
    """Run a command that must fail; return its one line."""
    return refusal(*arguments, application=application)[1]


def refusal(*arguments, application=app):
    """Run a command that must fail; return the error, whose fields can be checked, and its one line."""
    result = run(*arguments, application=application)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if line != f"debias: {COMPILES}"]
    assert len(lines) == 1, lines
    assert re.match("(debias|iterit): error: ", lines[0])
    error = result.exception
    while error is not None and not isinstance(error, (DebiasError, OSError)):
        error = error.__cause__ or error.__context__
    return error, lines[0]


def process(*arguments, module="debias.cli", **options):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        **options,
    )
