"""The ``iterit`` command: score instruction records, select, train round by round, report.

Only what parses the command line is imported here; each command imports what it needs.
"""

from typing import Annotated

import typer

from debias.console.command_group import OneLineErrors
from iterit.cli.report import report
from iterit.cli.score import score
from iterit.cli.select import select
from iterit.cli.train import train


class IteritCommands(OneLineErrors):
    """The commands of this program."""

    program = "iterit"
    kept = "what was scored and saved is kept; the same command goes on"


app = typer.Typer(
    cls=IteritCommands,
    help="Pick the instructions that teach a model most now, train on them, score again.\n\n"
    "A record is hard when its question helps the model little with its answer (IFD); picks are hard and "
    "add n-grams to what is already picked.",
    epilog="Start with: iterit select your.jsonl --model demo --ratio 0.05",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from debias.version import __version__

        typer.echo(f"iterit {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (before the command's name).")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for command in (score, select, train, report):
    app.command()(command)
