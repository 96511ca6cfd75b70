"""``debias report``: what a saved correction does on labelled rows that it has not seen."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.options.table_options import TABLE_HELP, CorrectionFile, Level, Resamples, Seed, TableOptions
from debias.cli.printing.report_tables import print_report
from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines, print_table


def report(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Must have labels.")],
    *,
    correction: CorrectionFile = Path("correction.json"),
    out: Annotated[
        Path, typer.Option(help="Where to write the report: .html (one self-contained page) or .md.")
    ] = Path("report.html"),
    fitted_on: Annotated[
        Path | None,
        typer.Option(
            help="Table that the correction was fitted on; the report then warns about shared rows."
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also fit plain methods on the rows of --fitted-on, for comparison."),
    ] = False,
    n_examples: Annotated[
        int,
        typer.Option(
            min=0,
            help="Number of example texts to show for each outcome of a changed prediction; none by default.",
        ),
    ] = 0,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = (
        "Class accuracies before and after correction"
    ),
    level: Level = 0.95,
    n_resamples: Resamples = 1000,
    seed: Seed = 0,
    reading: TableOptions,
) -> None:
    """Report what a correction does on labelled rows it has not seen.

    Example: debias report test.parquet --correction correction.json --out report.html
    """
    check_output(out, (".html", ".md"), (table, correction))
    from debias.estimators.tuning.methods import load
    from debias.reports.advice.plain_methods import HEADER, comparison_rows
    from debias.reports.correction_report import Report

    made = Report.from_debiaser(
        load(correction),
        reading.read(table),
        fitted_on=None if fitted_on is None else reading.read(fitted_on),
        compare=compare,
        n_examples=n_examples,
        title=title,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
    )
    write_or_rescue(out, made.write)
    print_report(made, f"{table.name}: class accuracies", f"{table.name}: overall")
    if made.comparison is not None:
        print_table("Compared with plain methods", HEADER, comparison_rows(made.comparison))
        print_lines([*made.comparison.verdict, ""])
    print_lines([made.headline, made.recommendation.sentence, f"Wrote {out}."])
