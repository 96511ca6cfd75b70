"""``debias compare``: corrections beside baselines, fitted and tested on the same rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.fit import CobiasWeight, ErrorWeight, PmiWeight, Smoothing, Starts, WeightSteps
from debias.cli.table_options import TABLE_HELP, Classes, Format, Jobs, Normalise, Seed, read_table
from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table

if TYPE_CHECKING:
    import pandas as pd


def compare(
    opt: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Rows to fit on.")],
    test: Annotated[Path, typer.Option(help="Table of other labelled rows to measure on.")],
    out: Annotated[Path | None, typer.Option(help="Write the table as .csv or .md as well.")] = None,
    error: ErrorWeight = 1.0,
    cobias: CobiasWeight = 1.0,
    pmi: PmiWeight = 0.2,
    smoothing: Smoothing = 4000.0,
    n_weights: WeightSteps = 30,
    n_starts: Starts = 32,
    seed: Seed = 0,
    jobs: Jobs = -1,
    level: Annotated[float, typer.Option(help="Confidence level of the intervals.")] = 0.95,
    n_resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 1000,
    classes: Classes = None,
    format: Format = None,
    normalise: Normalise = False,
) -> None:
    """Compare the three corrections with baselines on held-out rows.

    Baselines: the uncorrected model, the majority class, batch calibration without labels, logistic
    regression on the same labels, and the published search. Tables that share rows are refused.

    Example: debias compare opt.parquet --test test.parquet --out comparison.md
    """
    if out is not None:
        check_output(out, (".csv", ".md"), (opt, test))
    from rich.console import Console

    from debias.reports import comparison
    from debias.search.objective import Objective

    methods = comparison.default_methods(
        Objective(error=error, cobias=cobias, pmi=pmi, smoothing=smoothing), n_weights, n_starts, jobs, seed
    )
    fitted, measured = (read_table(path, classes, format, normalise) for path in (opt, test))
    with Console(stderr=True).status("comparing") as status:
        frame = comparison.compare(
            fitted,
            measured,
            methods,
            level=level,
            n_resamples=n_resamples,
            seed=seed,
            on_method=lambda name: status.update(f"fitting: {name}"),
        )
    header, rows = comparison.formatted(frame)
    title = (
        f"Fitted on {opt.name} ({len(fitted):,} rows), measured on {test.name} ({len(measured):,} rows); "
        f"0 to 100, {100 * level:g} % intervals"
    )
    print_table(title, header, rows)
    lines = comparison.remarks(frame)
    print_lines(lines)
    if out is not None:
        _write(out, frame, title, lines)
        print_lines([f"Wrote {out}."])


def _write(path: Path, frame: "pd.DataFrame", title: str, lines: list[str]) -> None:
    """Write the comparison: all digits as CSV, or for people as Markdown."""
    from debias.atomic_file import atomic_path
    from debias.pages.markdown import escape, markdown_table
    from debias.reports.comparison import formatted

    page = frame.to_csv()
    if path.suffix.lower() == ".md":
        page = "\n\n".join([escape(title), markdown_table(*formatted(frame)), *map(escape, lines)]) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
