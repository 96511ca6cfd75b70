"""Errors of the commands: one clear line on stderr, exit code 2, never a traceback.

Interrupted by Ctrl-C, a command says what is kept and exits with 130.
"""

import errno
import sys
import warnings
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from debias.errors import DebiasError

BAD_INPUT = 2
INTERRUPTED = 130

_UsageError: Any = typer.BadParameter.__base__  # typer brings its own click or uses another, by version


class OneLineErrors(TyperGroup):
    """A group of commands that reports every expected error in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Parameters
        ----------
        ctx : typer.Context
            The command line, parsed.

        Returns
        -------
        Any
            What the command returns.

        Raises
        ------
        typer.Exit
            With the code 2 after bad input and 130 after Ctrl-C.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt as error:
                say("iterit: interrupted: what was scored and saved is kept; the same command goes on.")
                raise typer.Exit(INTERRUPTED) from error
            except (DebiasError, OSError, _UsageError) as error:
                if ctx.params.get("debug") or (isinstance(error, OSError) and error.errno == errno.EPIPE):
                    raise
                say(f"iterit: error: {_describe(error, ctx.invoked_subcommand)}")
                raise typer.Exit(BAD_INPUT) from error


def say(message: str) -> None:
    """Write one line to stderr.

    Parameters
    ----------
    message : str
        Line breaks in it become spaces.
    """
    print(" ".join(message.split()), file=sys.stderr)


def _describe(error: BaseException, command: str | None) -> str:
    """Return what an error says; a wrong command line also names where help is."""
    if isinstance(error, _UsageError):
        path = f"iterit {command}" if command else "iterit"
        return f"{error.format_message()} Try: {path} --help"  # type: ignore[attr-defined]
    if isinstance(error, OSError) and not isinstance(error, DebiasError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return str(error)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Write a warning as one line."""
    say(f"warning: {message}")
