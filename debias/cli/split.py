"""``debias split``: one table of labelled rows becomes one to fit on and one to test on."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.options.table_options import TABLE_HELP, Seed, TableOptions, labels_of
from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError, param

SUFFIXES = (".parquet", ".csv")


def split(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Must have labels.")],
    *,
    test_size: Annotated[
        str,
        typer.Option(metavar="SHARE|N", help="Share or number of distinct texts to test on."),
    ] = "0.5",
    opt_out: Annotated[Path, typer.Option(help="Where to write the rows to fit on.")] = Path("opt.parquet"),
    test_out: Annotated[Path, typer.Option(help="Where to write the rows to test on.")] = Path(
        "test.parquet"
    ),
    seed: Seed = 0,
    reading: TableOptions,
) -> None:
    """Randomly split a table into rows to fit on and rows to test on.

    The split is stratified by class. Rows whose texts differ only in case and white space stay together,
    so that no text is on both sides. A class with a single text goes to the rows to fit on. Both tables
    are written as .parquet, which keeps everything, or as .csv.

    Example: debias split table.csv

    Then: debias fit opt.parquet, and: debias report test.parquet
    """
    for parameter, path in (("opt_out", opt_out), ("test_out", test_out)):
        check_output(path, SUFFIXES, (table,), parameter)
    if opt_out.resolve() == test_out.resolve():
        raise ParameterError(
            parameter="test_out", allowed=f"a different file from {param('opt_out')}", received=str(test_out)
        )
    rows = reading.read(table, sum_to_one=False)
    labels_of(rows)
    opt, test = rows.split(_size(test_size), seed)
    opt.write(opt_out)
    test.write(test_out)
    counts = [side.label_indices for side in (opt, test)]
    cells = [
        [name, *(f"{int((side == k).sum()):,}" for side in counts)] for k, name in enumerate(rows.classes)
    ]
    print_table(f"{table.name}: {len(rows):,} labelled rows", ["class", "to fit on", "to test on"], cells)
    print_lines([f"Wrote {opt_out} ({len(opt):,} rows) and {test_out} ({len(test):,} rows)."])


def _size(given: str) -> float | int:
    """Return a share or a number."""
    try:
        return int(given) if given.strip().isdecimal() else float(given)
    except ValueError as error:
        allowed = "a share between 0 and 1 or a positive integer"
        raise ParameterError(parameter="test_size", allowed=allowed, received=given) from error
