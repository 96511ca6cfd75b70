"""``debias apply`` and ``debias report``: a saved correction on other rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.report_tables import print_by_class, print_overall
from debias.cli.table_options import TABLE_HELP, Classes, Format, Normalise, Seed, read_table
from debias.console.command_group import say
from debias.console.output_files import check_output
from debias.console.screen import print_lines

if TYPE_CHECKING:
    import pandas as pd

CorrectionFile = Annotated[Path, typer.Option(help="Correction that `debias fit` wrote.")]

PREDICTION_FORMATS = (".parquet", ".csv", ".jsonl")


def apply(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Labels are not needed.")],
    correction: CorrectionFile = Path("correction.json"),
    out: Annotated[Path, typer.Option(help="Predictions, one row each: .parquet, .csv or .jsonl.")] = Path(
        "predictions.parquet"
    ),
    classes: Classes = None,
    format: Format = None,
    normalise: Normalise = False,
) -> None:
    """Predict the rows of a table with a correction.

    Columns and classes are matched by name. Columns written: id, text and label where the table has
    them, uncorrected, prediction, and p_CLASS, the corrected values divided by their sum.

    Example: debias apply test.parquet --correction correction.json --out predictions.csv
    """
    check_output(out, PREDICTION_FORMATS, (table, correction))
    from debias.estimators.debiasers import load
    from debias.estimators.prediction import predict_table

    debiaser = load(correction)
    predicted = predict_table(debiaser, read_table(table, classes, format, normalise))
    write_frame(predicted, out)
    changed = int((predicted["prediction"] != predicted["uncorrected"]).sum())
    print_lines(
        [f"Wrote {out}: {len(predicted):,} predictions, {changed:,} of them changed by the correction."]
    )


def report(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} With labels.")],
    correction: CorrectionFile = Path("correction.json"),
    out: Annotated[Path, typer.Option(help="The report: .html (one page that loads nothing) or .md.")] = Path(
        "report.html"
    ),
    fitted_on: Annotated[
        Path | None,
        typer.Option(help="Table the correction was fitted on: the report then warns of shared rows."),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = (
        "Class accuracies before and after correction"
    ),
    level: Annotated[float, typer.Option(help="Confidence level of the intervals.")] = 0.95,
    n_resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 1000,
    seed: Seed = 0,
    classes: Classes = None,
    format: Format = None,
    normalise: Normalise = False,
) -> None:
    """Report what a correction does on labelled rows it has not seen.

    Example: debias report test.parquet --correction correction.json --out report.html
    """
    check_output(out, (".html", ".md"), (table, correction))
    from debias.estimators.debiasers import load
    from debias.reports.correction_report import Report

    debiaser = load(correction)
    made = Report.from_debiaser(
        debiaser,
        read_table(table, classes, format, normalise),
        fitted_on=None if fitted_on is None else read_table(fitted_on, classes, format, normalise),
        title=title,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
    )
    made.write(out)
    print_by_class(made, f"{table.name}: class accuracies")
    print_overall(made, f"{table.name}: overall")
    for finding in made.findings:
        if finding.kind == "warning":
            say(f"warning: {finding.text}")
    print_lines([made.headline, f"Wrote {out}."])


def write_frame(frame: "pd.DataFrame", path: Path) -> None:
    """Write a DataFrame in the format that the suffix names, whole or not at all.

    Parameters
    ----------
    frame : DataFrame
        Its index is not written.
    path : Path
        Ends in .parquet, .csv or .jsonl.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    from debias.atomic_file import atomic_path

    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(temporary, index=False)
        elif path.suffix.lower() == ".jsonl":
            frame.to_json(temporary, orient="records", lines=True, force_ascii=False)
        else:
            frame.to_csv(temporary, index=False)
