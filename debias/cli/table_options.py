"""What several commands share: options that say how a table is read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from debias.tables.table import ProbabilityTable

TABLE_HELP = (
    "Table of class probabilities: Parquet, CSV, published text format, or samples of lm-evaluation-harness."
)

Classes = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME,...",
        help="Class names in column order, for files that hold none (the published text format).",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="parquet, csv, text or lm-eval; told by the file when left out."),
]
Normalise = Annotated[bool, typer.Option("--normalise", help="Divide each row by its sum.")]
Jobs = Annotated[int, typer.Option(help="Threads; -1 for all cores. The answer is the same.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")]


def read_table(
    path: Path, classes: str | None = None, format: str | None = None, normalise: bool = False
) -> "ProbabilityTable":
    """Read a table as the options say.

    Parameters
    ----------
    path : Path
        The file.
    classes : str, optional
        Class names, separated by commas.
    format : str, optional
        One of the formats of :mod:`debias.tables.formats`.
    normalise : bool, default=False
        Divide each row by its sum.

    Returns
    -------
    ProbabilityTable
        The table.

    Raises
    ------
    TableError, ParameterError
        The file cannot be read.
    """
    from debias.tables.table import ProbabilityTable

    options: dict[str, Any] = {}
    if classes is not None:
        options["classes"] = [name.strip() for name in classes.split(",")]
    return ProbabilityTable.read(path, format, normalise=normalise, **options)
