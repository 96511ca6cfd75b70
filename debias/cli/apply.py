"""``debias apply``: the predictions of a saved correction on other rows."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.options.table_options import TABLE_HELP, CorrectionFile, TableOptions
from debias.console.output_files import FRAME_FORMATS, check_output, write_frame
from debias.console.screen import print_lines


def apply(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Labels are not needed.")],
    *,
    correction: CorrectionFile = Path("correction.json"),
    out: Annotated[Path, typer.Option(help="Predictions, one row each: .parquet, .csv or .jsonl.")] = Path(
        "predictions.parquet"
    ),
    reading: TableOptions,
) -> None:
    """Predict the rows of a table with a correction.

    Columns and classes are matched by name. Columns written: id, text and label where the table has
    them, uncorrected, prediction, and p_CLASS, the corrected values divided by their sum.

    Example: debias apply test.parquet --correction correction.json --out predictions.csv
    """
    check_output(out, FRAME_FORMATS, (table, correction))
    from debias.estimators.debiasers import load
    from debias.estimators.prediction import predict_table

    debiaser = load(correction)
    predicted = predict_table(debiaser, reading.read(table))
    write_frame(predicted, out)
    changed = int((predicted["prediction"] != predicted["uncorrected"]).sum())
    print_lines(
        [f"Wrote {out}: {len(predicted):,} predictions, {changed:,} of them changed by the correction."]
    )
