"""``debias frontier``: every trade-off of accuracy and evenness that a table allows, to choose from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.fit import Method, Starts, TimeLimit, WeightSteps, fit_aloud, make_debiaser
from debias.cli.table_options import TABLE_HELP, Classes, Format, Jobs, Normalise, Seed, read_table
from debias.console.command_group import Interrupted
from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

    from debias.estimators.debiaser import Debiaser
    from debias.reports.tradeoffs import Tradeoffs

PICKED = Path("picked.json")


def frontier(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} With labels, to fit on.")],
    test: Annotated[
        Path | None, typer.Option(help="Table of other labelled rows: shows what each choice reaches there.")
    ] = None,
    method: Annotated[
        Method, typer.Option(help="Weights (DNIP), fuzzy memberships (FuRud), or either per class (DCS).")
    ] = Method.ensemble,
    n_weights: WeightSteps = 30,
    complete: Annotated[
        bool, typer.Option("--complete", help="Evaluate every choice, so that no trade-off is missing.")
    ] = False,
    time_limit: TimeLimit = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot, .png or .svg.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all rows, .csv.")] = None,
    pick: Annotated[
        int | None, typer.Option(min=0, metavar="ROW", help="Write the correction of this row.")
    ] = None,
    correction: Annotated[
        Path | None, typer.Option(help="Where to write the picked correction; picked.json when left out.")
    ] = None,
    n_starts: Starts = 32,
    seed: Seed = 0,
    jobs: Jobs = -1,
    classes: Classes = None,
    format: Format = None,
    normalise: Normalise = False,
) -> None:
    """Show every trade-off of accuracy and COBias that no other choice beats in both.

    Pick the row that suits you; a row picked by its figures on a test table is fitted to that table.

    Example: debias frontier opt.parquet --plot frontier.png

    Then: debias frontier opt.parquet --pick 12 --correction picked.json
    """
    inputs = (table,) if test is None else (table, test)
    for option, path, suffixes in (
        ("--plot", plot, (".png", ".svg")),
        ("--out", out, (".csv",)),
        ("--correction", correction or (None if pick is None else PICKED), (".json",)),
    ):
        if path is not None:
            check_output(path, suffixes, inputs, option)
    if correction is not None and pick is None:
        raise ParameterError("--correction names a file for a picked row; give --pick ROW as well.")
    from debias.reports.tradeoffs import check_test, tradeoffs_of
    from debias.search.objective import Objective

    rows = read_table(table, classes, format, normalise)
    _ = rows.label_indices
    measured = None if test is None else read_table(test, classes, format, normalise)
    if measured is not None:
        check_test(rows, measured)
    debiaser = make_debiaser(
        method,
        Objective(),
        n_weights=n_weights,
        search="enumerate" if complete else "auto",
        time_limit=time_limit,
        n_starts=n_starts,
        seed=seed,
        jobs=jobs,
    )
    interrupted = fit_aloud(debiaser, rows)
    picked = None if pick is None else debiaser.pick(pick)
    tradeoffs = tradeoffs_of(debiaser, measured)
    title = f"{table.name}: {len(rows):,} labelled rows, fitted on"
    if test is not None and measured is not None:
        title += f"; measured on {test.name}: {len(measured):,} rows, too"
    print_frontier(tradeoffs, title, pick)
    print_lines(describe(tradeoffs, out, pick))
    if plot is not None:
        from debias.reports.frontier_plot import write_frontier_plot

        write_frontier_plot(tradeoffs, plot, pick)
        print_lines([f"Wrote {plot}."])
    if out is not None:
        _write(tradeoffs.to_frame(), out)
        print_lines([f"Wrote {out}."])
    if picked is not None:
        _save(picked, correction or PICKED)
    if interrupted:
        raise Interrupted("the trade-offs met so far are shown")


def print_frontier(tradeoffs: "Tradeoffs", title: str, pick: int | None = None) -> None:
    """Print the rows of a frontier, a long one thinned, under the uncorrected model.

    Parameters
    ----------
    tradeoffs : Tradeoffs
        What is printed.
    title : str
        What it shows.
    pick : int, optional
        A row that must be among them.
    """
    from debias.console.number_formats import percent
    from debias.reports.tradeoffs import METRICS

    metrics = [*METRICS, *(f"test_{name}" for name in METRICS[:2] if f"test_{name}" in tradeoffs.rows)]
    header = ["row", "", "accuracy, %", "COBias", "worst class, %", "test accuracy, %", "test COBias"]
    marks = tradeoffs.marks | ({} if pick is None else {pick: _joined(tradeoffs.marks.get(pick), "picked")})
    lines = []
    for mark, row, figures in (
        ("uncorrected", tradeoffs.uncorrected_row, tradeoffs.uncorrected),
        ("default", tradeoffs.chosen_row, tradeoffs.chosen),
    ):
        if row is None:
            lines.append(["–", mark, *(percent(figures[metric], unit=False) for metric in metrics), "–"])
    for row in tradeoffs.shown([] if pick is None else [pick]):
        at = tradeoffs.rows.iloc[row]
        values = [percent(at[metric], unit=False) for metric in metrics]
        lines.append([str(row), marks.get(row, ""), *values, str(int(at["n_changed"]))])
    print_table(title, [*header[: len(metrics) + 2], "changed"], lines, n_names=2)


def _joined(said: str | None, more: str) -> str:
    return f"{said}, {more}" if said else more


def describe(tradeoffs: "Tradeoffs", out: Path | None = None, pick: int | None = None) -> list[str]:
    """Say what the frontier is, and what is not in it or not shown.

    Parameters
    ----------
    tradeoffs : Tradeoffs
        The frontier.
    out : Path, optional
        Where all rows are written.
    pick : int, optional
        A row that is shown.

    Returns
    -------
    list of str
        Sentences.
    """
    from debias.console.number_formats import counted

    n_rows = len(tradeoffs.rows)
    if tradeoffs.complete:
        said = [f"Complete: every choice was evaluated, and these {counted(n_rows, 'row')} are all."]
    else:
        said = [
            f"Not complete: {counted(n_rows, 'row')} of what the search met, and there may be better ones. "
            "--complete evaluates every choice."
        ]
    if n_rows == 1 and tradeoffs.uncorrected_row is not None:
        none = "No choice" if tradeoffs.complete else "No choice that was met"
        said.append(f"{none} is more accurate or more even than the uncorrected model.")
    elif n_rows == 1:
        said.append("One choice is the best in accuracy and in COBias: there is nothing to trade.")
    if tradeoffs.dominating_row is not None:
        said.append(
            f"Row {tradeoffs.dominating_row} dominates most: of the rows that are more accurate and more "
            "even than the uncorrected model, the product of its two gains is the largest."
        )
    elif n_rows > 1:
        said.append("No row is both more accurate and more even than the uncorrected model.")
    if tradeoffs.chosen_row is None:
        said.append("The choice of the default objective is not a row: it weighs mutual information, too.")
    n_useless = int((tradeoffs.rows["accuracy"] < tradeoffs.chance).sum())
    n_shown = len(tradeoffs.shown([] if pick is None else [pick]))
    if n_shown < n_rows:
        useless = f", {n_useless:,} are less accurate than guessing" if n_useless else ""
        full = f"all are in {out}" if out is not None else "--out frontier.csv writes all"
        said.append(f"{n_shown} of {n_rows:,} rows are shown{useless}; {full}.")
    return said


def _save(picked: "Debiaser", path: Path) -> None:
    """Write a picked correction, and say what it is."""
    picked.save(path)
    print_lines(["", picked.summary(), f"Wrote {path}. Use it: debias apply --correction {path}"])


def _write(frame: "pd.DataFrame", path: Path) -> None:
    """Write all rows with all digits."""
    from debias.atomic_file import atomic_path

    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)
