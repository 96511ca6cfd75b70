"""A program of several commands; an expected error is one line on stderr and exit code 2.

Interrupted by Ctrl-C, SIGTERM or SIGHUP, a command says what is kept and exits with 130.
"""

import difflib
import errno
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from debias.console.option_groups import takes_settings
from debias.console.process.program_start import INTERRUPTED, NOTHING_KEPT
from debias.console.process.stop_signals import comes_of_ctrl_c, stopped_like_ctrl_c
from debias.console.several_values import command_class
from debias.console.streams import discard_output, is_closed_pipe, prepare_streams
from debias.errors import DebiasError, DebiasWarning, kept_by, visible

BAD_INPUT = 2
CLOSED_PIPE = 1
OUT_OF_BOUNDS = 3
"""All was written, but bounds that were asked for are not kept."""

_CLOSE = 0.8
_FIXES = {
    (errno.EROFS,): "choose a writable location",
    (errno.EACCES, errno.EPERM): "grant access to it, or choose another location",
    (errno.ENOSPC, errno.EDQUOT): "free some space, or choose another location",
    (errno.EEXIST, errno.ENOTDIR, errno.EISDIR): "choose another name, or remove the existing file",
    (errno.ENOENT,): "check the name, or create the folder first",
}
"""What to do about errors of the system."""

_UsageError: Any = typer.BadParameter.__base__  # typer brings its own click or uses another, by version


class Interrupted(Exception):
    """The user stopped a command; the message says what is kept."""


@contextmanager
def keeping(sentence: str) -> Iterator[None]:
    """Say what is kept if Ctrl-C comes while the context lasts.

    Parameters
    ----------
    sentence : str
        Without its full stop.

    Raises
    ------
    Interrupted
        Ctrl-C came.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(sentence) from error


class Command(NamedTuple):
    """A command; the list of all commands needs its name and its summary only.

    Attributes
    ----------
    name : str
        What the user types.
    summary : str
        What the list of commands says.
    load : callable
        Returns the function, which may be imported only then.

    Examples
    --------
    >>> Command.imported_later("debias.cli.model_commands.bench_engine:bench_engine", "Benchmark it.").name
    'bench-engine'
    """

    name: str
    summary: str
    load: Callable[[], Callable[..., None]]

    @classmethod
    def of(cls, function: Callable[..., None]) -> "Command":
        """Return the command that a function is.

        Parameters
        ----------
        function : callable
        """
        return cls(function.__name__.replace("_", "-"), function.__doc__ or "", lambda: function)

    @classmethod
    def imported_later(cls, place: str, summary: str) -> "Command":
        """Return the command that a function is, without its module.

        Parameters
        ----------
        place : str
            Module and function.
        summary : str
            The first line of its docstring.
        """
        module, _, name = place.partition(":")
        return cls(name.replace("_", "-"), summary, lambda: getattr(importlib.import_module(module), name))


class OneLineErrors(TyperGroup):
    """A group of commands that reports every expected error in one line.

    Attributes
    ----------
    program : str
        Name of the program.
    kept : str
        What is kept after Ctrl-C, where neither the command nor the run itself says so.
    commands_by_name : dict of str to Command
        A command is imported, and its options are made, when it is called.
    """

    program: str
    kept: str
    commands_by_name: dict[str, Command]

    def make_context(self, *words: Any, **more: Any) -> Any:
        """Parse a command line; Ctrl-C ends it in a line, too, where typer would say nothing.

        Parameters
        ----------
        *words, **more
            As for the group of typer.

        Returns
        -------
        typer.Context

        Raises
        ------
        typer.Exit
            With the code 130 after Ctrl-C.
        """
        try:
            return super().make_context(*words, **more)
        except KeyboardInterrupt as error:
            say(f"{self.program}: interrupted: {NOTHING_KEPT}.")
            raise typer.Exit(INTERRUPTED) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the command and the arguments of a command line.

        Parameters
        ----------
        ctx : typer.Context
        args : list of str
            What stands behind the program's name.

        Returns
        -------
        name : str
        command : typer.core.TyperCommand
        rest : list of str
        """
        self.suggest_commands = False  # typer suggests what has little in common with the word
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except _UsageError as error:
            if near := [name for name in self.commands_by_name if _is_close(args[0], name)]:
                message = str(error.message).rstrip(".")
                error.message = f"{message}. Did you mean {' or '.join(map(repr, near))}?"
            raise
        return name, command and self._whole(str(command.name)), rest

    def _whole(self, name: str) -> Any:
        """Return a command with its options."""
        app = _typer(add_completion=False)
        function = self.commands_by_name[name].load()
        app.command(cls=command_class(function))(takes_settings(function))
        command: Any = typer.main.get_command(app)
        for part in [command, *command.params]:
            part.help = _literal(getattr(part, "help", None))
        return command

    def _options(self, ctx: Any) -> dict[str, str]:
        """Return the options of the command that runs, by the parameters that they set."""
        name = ctx.invoked_subcommand or ""
        command = self._whole(name) if name in self.commands_by_name else None
        return {one.name: one.opts[0] for one in command.params} if command else {}

    def _show_warning(self, ctx: Any) -> Callable[..., None]:
        """Return what writes a warning as one line, once, in the words of the command line."""
        before: set[str] = set()

        def show(message: Warning | str, *place: object, **more: object) -> None:
            said = message.render(self._options(ctx)) if isinstance(message, DebiasWarning) else str(message)
            if said not in before:  # a table is checked when it is read, and again when it is fitted
                say(f"warning: {said}")
            before.add(said)

        return show

    def invoke(self, ctx: Any) -> object:
        """Run a command.

        Parameters
        ----------
        ctx : typer.Context
            The command line, parsed.

        Returns
        -------
        object
            What the command returns.

        Raises
        ------
        typer.Exit
            With the code 2 after bad input and 130 after Ctrl-C.
        """
        prepare_streams()
        with warnings.catch_warnings(), stopped_like_ctrl_c():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = self._show_warning(ctx)
            try:
                return super().invoke(ctx)
            except (KeyboardInterrupt, Interrupted) as error:
                run = kept_by(error)
                kept = run.render({}) if run else f"{str(error) or self.kept}."
                say(f"{self.program}: interrupted: {kept}")
                raise typer.Exit(INTERRUPTED) from error
            except (DebiasError, OSError, _UsageError) as error:
                if is_closed_pipe(error):
                    discard_output()
                    raise typer.Exit(CLOSED_PIPE) from error
                if ctx.params.get("debug"):
                    raise
                name, options = ctx.invoked_subcommand or "", self._options(ctx)
                if isinstance(error, _UsageError):
                    path = " ".join(filter(None, (self.program, name)))
                    # typer's words for what a value is not, less the prefix of the library that it asks
                    said = error.format_message().replace(": Value error, ", ": ").strip()
                    stop = "" if said.endswith((".", "?")) else "."
                    sentence = f"{said}{stop} Try: {path} --help"
                elif isinstance(error, DebiasError):
                    run = kept_by(error)
                    sentence = error.render(options) + (f" {run.render(options)}" if run else "")
                else:
                    sentence = _of_system(error)
                say(f"{self.program}: error: {sentence}")
                raise typer.Exit(BAD_INPUT) from error
            except Exception as error:
                if isinstance(error, typer.Exit | typer.Abort) or not comes_of_ctrl_c(error):
                    raise
                say(f"{self.program}: interrupted: {self.kept}.")
                raise typer.Exit(INTERRUPTED) from error


def _is_close(word: str, name: str) -> bool:
    """Tell whether a word is a name with a slip of the hand: a letter too many, missing or misplaced."""
    return sorted(word) == sorted(name) or difflib.SequenceMatcher(None, word, name).ratio() >= _CLOSE


def _of_system(error: OSError) -> str:
    """Return what the system says of a file, and what to do."""
    if not error.filename:
        return str(error)
    fix = next((fix for numbers, fix in _FIXES.items() if error.errno in numbers), None)
    return f"{error.filename}: {error.strerror}{f'; {fix}' if fix else ''}."


def _literal(text: str | None) -> str | None:
    """Return a help text in which brackets, tags and stars are shown, not taken for markup."""
    return None if text is None else re.sub(r"([\[<*])", r"\\\1", text)


def say(message: str) -> None:
    """Write one line to stderr.

    Parameters
    ----------
    message : str
        Line breaks in it become spaces, and control characters escapes.
    """
    with suppress(OSError, ValueError):  # a terminal that has closed
        print(visible(" ".join(message.split())), file=sys.stderr)


def make_program(
    program: str,
    commands: Iterable[Command | Callable[..., None]],
    *,
    summary: str,
    start: str,
    kept: str = NOTHING_KEPT,
) -> typer.Typer:
    """Return a program that has these commands, ``--version`` and ``--debug``.

    Parameters
    ----------
    program : str
        Its name.
    commands : iterable of Command or callable
        Their parameters become options, see :func:`debias.console.option_groups.takes_settings`.
    summary, start : str
        What the program does, and the first command to try, for ``--help``.
    kept : str
        What is kept after Ctrl-C, where neither the command nor the run itself says so.

    Returns
    -------
    typer.Typer
    """
    made = [one if isinstance(one, Command) else Command.of(one) for one in commands]
    facts = {"program": program, "kept": kept, "commands_by_name": {one.name: one for one in made}}
    app = _typer(
        cls=type("Commands", (OneLineErrors,), facts),
        help=summary,
        epilog=f"Start with: {start}",
        no_args_is_help=True,
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            from importlib.metadata import version

            typer.echo(f"{program} {version('debias-iterit')}")
            raise typer.Exit()

    @app.callback()
    def main(
        version: Annotated[
            bool,
            typer.Option(
                "--version", callback=show_version, is_eager=True, help="Show the version and exit."
            ),
        ] = False,
        debug: Annotated[
            bool,
            typer.Option("--debug", help="Show the traceback of an error; goes before the command name."),
        ] = False,
    ) -> None: ...

    for one in made:
        app.command(one.name, help=_literal(one.summary))(lambda: None)
    return app


def _typer(**settings: Any) -> typer.Typer:
    """Return an app whose help is laid out by rich, and whose errors are left to its group."""
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown", **settings)
