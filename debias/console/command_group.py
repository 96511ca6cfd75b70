"""Errors of the commands: one clear line on stderr, exit code 2, never a traceback.

Interrupted by Ctrl-C, a command says what is kept and exits with 130.
"""

import errno
import sys
import warnings
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from debias.console.option_names import with_options
from debias.errors import DebiasError

BAD_INPUT = 2
INTERRUPTED = 130

_UsageError: Any = typer.BadParameter.__base__  # typer brings its own click or uses another, by version


class Interrupted(Exception):
    """The user stopped a command; the message says what is kept."""


class OneLineErrors(TyperGroup):
    """A group of commands that reports every expected error in one line.

    Attributes
    ----------
    program : str
        Name of the program.
    kept : str
        What is kept after Ctrl-C, where the command itself does not say.
    """

    program = "debias"
    kept = "nothing was written"

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
            except (KeyboardInterrupt, Interrupted) as error:
                say(f"{self.program}: interrupted: {str(error) or self.kept}.")
                raise typer.Exit(INTERRUPTED) from error
            except (DebiasError, OSError, _UsageError) as error:
                if isinstance(error, OSError) and error.errno == errno.EPIPE:
                    raise
                if ctx.params.get("debug"):
                    raise
                options = _options(self.get_command(ctx, ctx.invoked_subcommand or ""))
                path = " ".join(filter(None, (self.program, ctx.invoked_subcommand)))
                say(f"{self.program}: error: {with_options(_describe(error, path), options)}")
                raise typer.Exit(BAD_INPUT) from error


def say(message: str) -> None:
    """Write one line to stderr.

    Parameters
    ----------
    message : str
        Line breaks in it become spaces.
    """
    print(" ".join(message.split()), file=sys.stderr)


def _options(command: Any) -> dict[str, str]:
    """Return the options of a command by the names of their parameters."""
    parameters = [] if command is None else command.params
    return {one.name: one.opts[0] for one in parameters if one.opts[0].startswith("--")}


def _describe(error: BaseException, path: str) -> str:
    """Return what an error says; a wrong command line also names where help is."""
    if isinstance(error, _UsageError):
        return f"{error.format_message()} Try: {path} --help"
    if isinstance(error, OSError) and not isinstance(error, DebiasError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    notes = [note.replace("the same call", "the same command") for note in getattr(error, "__notes__", [])]
    return ". ".join([str(error).removesuffix("."), *notes]) + "." if notes else str(error)


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
