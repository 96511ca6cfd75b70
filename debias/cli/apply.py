"""``debias apply``: the predictions of a saved correction on other rows."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.options.table_options import TABLE_HELP, CorrectionFile, TableOptions
from debias.console.output_files import FRAME_FORMATS, check_output, write_frame
from debias.console.screen import print_lines
from debias.errors import ParameterError, param


def apply(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Labels are not needed.")],
    *,
    correction: CorrectionFile = Path("correction.json"),
    out: Annotated[Path, typer.Option(help="Predictions, one row each: .parquet, .csv or .jsonl.")] = Path(
        "predictions.parquet"
    ),
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe", help="In a .csv, put an apostrophe before texts that begin like a formula."
        ),
    ] = False,
    reading: TableOptions,
) -> None:
    """Predict the rows of a table with a correction.

    Columns and classes are matched by name. Columns written: id, text and label where the table has
    them, uncorrected, prediction, and p_CLASS, the corrected values divided by their sum.

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
    from debias.estimators.prediction import describe_other_mixes, predict_table
    from debias.estimators.tuning.methods import load

    debiaser, rows = load(correction), reading.read(table)
    predicted = predict_table(debiaser, rows)
    write_frame(predicted, out, spreadsheet_safe)
    changed = int((predicted["prediction"] != predicted["uncorrected"]).sum())
    print_lines(
        [f"Wrote {out}: {len(predicted):,} predictions, {changed:,} of them changed by the correction."]
    )
    print_lines(describe_other_mixes(debiaser, rows))
