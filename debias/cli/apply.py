"""``debias apply``: the predictions of a saved correction on other rows."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.options.table_options import TABLE_HELP, CorrectionFile, TableOptions
from debias.console.frame_files import FRAME_FORMATS, write_frames
from debias.console.output_files import check_output
from debias.console.screen import print_lines
from debias.errors import ParameterError, param

if TYPE_CHECKING:
    import pandas as pd


def apply(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Labels are not needed.")],
    *,
    correction: CorrectionFile = Path("correction.json"),
    out: Annotated[
        Path, typer.Option(help="Where to write the predictions: .parquet, .csv or .jsonl.")
    ] = Path("predictions.parquet"),
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe",
            help="In a .csv file, prefix texts that look like formulas with an apostrophe.",
        ),
    ] = False,
    reading: TableOptions,
) -> None:
    """Predict the rows of a table with a correction.

    Columns and classes are matched by name. The output has the columns id, text and label (if the table
    has them), uncorrected, prediction, and p_CLASS: the corrected values divided by their sum. Tables
    written by debias collect may have any number of rows, and so may Parquet files with one column per
    class and no others but id, label, text and label_mass: they are read in batches. Other tables are
    read as a whole.

    Example: debias apply test.parquet --correction correction.json --out predictions.csv
    """
    check_output(out, FRAME_FORMATS, (table, correction))
    if spreadsheet_safe and out.suffix.lower() != ".csv":
        raise ParameterError(
            f"{param('spreadsheet_safe', True)} is for .csv files",
            parameter="spreadsheet_safe",
            received=str(out),
            fix=f"omit it, or choose another {param('out')}",
        )
    from debias.estimators.prediction import Mixes, describe_other_mixes, predict_table
    from debias.estimators.tuning.methods import load

    debiaser = load(correction)
    mixes: list[Mixes] = []
    n_changed: list[int] = []

    def predict() -> Iterator["pd.DataFrame"]:
        mixes.clear()
        n_changed.clear()
        for rows in reading.read_batches(table):
            predicted = predict_table(debiaser, rows)
            mixes.append(Mixes.of(debiaser, rows))
            n_changed.append(int((predicted["prediction"] != predicted["uncorrected"]).sum()))
            yield predicted

    write_frames(predict, out, spreadsheet_safe)
    mix = functools.reduce(Mixes.plus, mixes)
    n_rows, changed = int(mix.predicted.sum()), sum(n_changed)
    print_lines([f"Wrote {out}: {n_rows:,} predictions, {changed:,} of them changed by the correction."])
    print_lines(describe_other_mixes(debiaser, mix))
