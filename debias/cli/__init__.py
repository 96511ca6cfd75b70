"""The ``debias`` command: from texts to an even classifier and its report, file by file.

Only what parses the command line is imported here; each command imports what it needs.
"""

from typing import Annotated

import typer

from debias.cli.apply import apply, report
from debias.cli.bench_engine import bench_engine
from debias.cli.collect import collect
from debias.cli.compare import compare
from debias.cli.demo_command import demo
from debias.cli.fit import fit
from debias.cli.frontier import frontier
from debias.cli.list_options import SpelledLists
from debias.console.command_group import OneLineErrors

app = typer.Typer(
    cls=OneLineErrors,
    help="Even out the class accuracies of a prompted language model, after the fact.\n\n"
    "Collect class probabilities once, fit one small correction per class on labelled rows, apply it "
    "anywhere. It evens class accuracies; it does not remove social bias.",
    epilog="Start with: debias demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from debias.version import __version__

        typer.echo(f"debias {__version__}")
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


app.command(cls=SpelledLists)(collect)
for command in (fit, frontier, apply, report, compare, bench_engine, demo):
    app.command()(command)
