"""The ``iterit`` command, which so far only says what is to come."""

from typing import Annotated

import typer

COMING = """iterit will pick the instructions that teach a model most:
  score   how hard each record is for the model as it is now
  select  the records that are hard and add to what is already chosen
  train   one round on them, then score again
  report  what was chosen, and why
Nothing of this is in this release; the debias command is."""

app = typer.Typer(
    help="Pick the instructions that teach a model most. To come.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from iterit import __version__

        typer.echo(f"iterit {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Say what is to come."""
    typer.echo(COMING)
