"""``debias compare``: corrections beside baselines, fitted and tested on the same rows."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.options.fit_options import N_WEIGHTS, SearchOptions, WeightOptions, WeightSteps, make_goal
from debias.cli.options.table_options import TABLE_HELP, Level, Resamples, Seed, TableOptions
from debias.console.command_group import Interrupted
from debias.console.option_groups import Only
from debias.console.output_files import check_output, write_text
from debias.console.screen import print_lines, print_table
from debias.errors import InterruptedWarning

if TYPE_CHECKING:
    import pandas as pd


def compare(
    opt: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Rows to fit on.")],
    *,
    test: Annotated[Path, typer.Option(help="Table of other labelled rows to measure on.")],
    out: Annotated[Path | None, typer.Option(help="Write the table as .csv or .md as well.")] = None,
    weights: WeightOptions,
    n_weights: WeightSteps = N_WEIGHTS,
    search: Annotated[SearchOptions, Only("n_starts", "n_jobs")],
    seed: Seed = 0,
    level: Level = 0.95,
    n_resamples: Resamples = 1000,
    reading: TableOptions,
) -> None:
    """Compare the three corrections with baselines on held-out rows.

    Baselines: the uncorrected model, the majority class, batch calibration without labels, logistic
    regression on the same labels, and the published search. Tables that share rows are refused. Ctrl-C
    keeps what was measured, and the file says what is missing.

    Example: debias compare opt.parquet --test test.parquet --out comparison.md
    """
    if out is not None:
        check_output(out, (".csv", ".md"), (opt, test))
    from rich.console import Console

    from debias.reports import comparison

    methods = comparison.default_methods(make_goal(weights), n_weights, search.n_starts, search.n_jobs, seed)
    fitted, measured = reading.read(opt), reading.read(test)
    with (
        Console(stderr=True).status("comparing") as status,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", InterruptedWarning)  # said below
        frame = comparison.compare(
            fitted,
            measured,
            methods,
            level=level,
            n_resamples=n_resamples,
            seed=seed,
            on_method=lambda name: status.update(f"fitting: {name}"),
        )
    missing = comparison.describe_missing(frame)
    header, rows = comparison.formatted(frame)
    title = (
        f"Fitted on {opt.name} ({len(fitted):,} rows), measured on {test.name} ({len(measured):,} rows); "
        f"0 to 100, {100 * level:g} % intervals"
    )
    print_table(title, header, rows)
    lines = [missing] if missing else comparison.remarks(frame)
    print_lines(lines)
    if out is not None:
        is_csv = out.suffix.lower() == ".csv"
        write_text(comparison.with_missing(frame).to_csv() if is_csv else _page(frame, title, lines), out)
        print_lines([f"Wrote {out}."])
    if missing:
        kept = "is kept above" if out is None else f"is kept in {out}"
        raise Interrupted(f"what was measured {kept}; {missing.removesuffix('.')}")


def _page(frame: "pd.DataFrame", title: str, lines: list[str]) -> str:
    """Return the comparison as Markdown."""
    from debias.pages.markdown import escape, markdown_table
    from debias.reports.comparison import formatted

    return "\n\n".join([escape(title), markdown_table(*formatted(frame)), *map(escape, lines)]) + "\n"
