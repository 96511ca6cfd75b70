"""``debias watch``: whether a correction is still right for new rows, as an exit code for monitors."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.options.table_options import TABLE_HELP, CorrectionFile, TableOptions
from debias.cli.printing.watch_tables import print_watched
from debias.console.output_files import check_output, write_text
from debias.console.screen import print_lines


def watch(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} New rows; labels are used if present.")],
    *,
    correction: CorrectionFile = Path("correction.json"),
    labels_from: Annotated[
        Path | None,
        typer.Option(help="File with `id` and `label` of a random sample of these rows."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="Probability that no check finds a shift if nothing has changed.")
    ] = 0.95,
    least_shift: Annotated[
        float, typer.Option(help="Smaller shifts are never reported, however many rows show them.")
    ] = 0.02,
    out: Annotated[
        list[Path] | None, typer.Option(help="Write the result as .json or .html; may be repeated.")
    ] = None,
    reading: TableOptions,
) -> None:
    """Check on new rows whether a correction still holds.

    New rows are compared with those that the correction was fitted on, and with the held-out rows of
    `debias certify`. Exit codes: 0, it holds; 4, only the class mix has changed, so class
    accuracies still hold; 5, it has expired; 2, bad input.

    Example: debias watch new.parquet --correction correction.json --out watch.html

    Every day: debias watch today.parquet --confidence 0.999 --out watch.json
    """
    outputs = [] if out is None else out
    inputs = tuple(path for path in (table, correction, labels_from) if path is not None)
    for path in outputs:
        check_output(path, (".json", ".html"), inputs)
    from debias.estimators.tuning.methods import load
    from debias.guarantees.watching.watcher import watch as watch_rows
    from debias.tables.labels.late_labels import late_labels

    debiaser, rows = load(correction), reading.read(table)
    labels = None if labels_from is None else late_labels(rows, labels_from)
    watched = watch_rows(debiaser, rows, labels, confidence=confidence, least_shift=least_shift)
    for path in outputs:
        from debias.reports.watch_page import watch_html, watch_json

        is_json = path.suffix.lower() == ".json"
        write_text(watch_json(watched) if is_json else watch_html(watched, table.name), path)
    print_watched(watched, table.name)
    print_lines([f"Wrote {path}." for path in outputs])
    raise typer.Exit(watched.exit_code)
