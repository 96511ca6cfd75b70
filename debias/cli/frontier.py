"""``debias frontier``: every trade-off of accuracy and evenness that a table allows, to choose from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.options.fit_options import (
    N_WEIGHTS,
    FamilyMethod,
    FamilyMethodOption,
    SearchOptions,
    WeightOptions,
    WeightSteps,
    make_debiaser,
    make_goal,
)
from debias.cli.options.table_options import TABLE_HELP, Seed, TableOptions, labels_of
from debias.console.command_group import Interrupted
from debias.console.frame_files import write_frame
from debias.console.option_groups import Only
from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError, param
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from debias.reports.tradeoffs import Tradeoffs

PICKED = Path("picked.json")


@dataclass(frozen=True)
class FrontierFiles(Settings):
    """What is written, and which row is picked."""

    plot: Path | None = setting(None, "Write a plot to this .png or .svg file.")
    out: Path | None = setting(None, "Write all rows to this .csv file.")
    pick: int | None = setting(None, "Write the correction in this row.", metavar="ROW", least=0)
    correction: Path | None = setting(None, "Where to write the picked correction; picked.json by default.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.correction is not None and self.pick is None:
            raise ParameterError(
                f"{param('correction')} needs {param('pick')}",
                parameter="correction",
                received=str(self.correction),
                fix=f"add {param('pick', 'ROW')}",
            )

    @property
    def picked(self) -> Path:
        """Where the picked correction is written."""
        return self.correction or PICKED

    def check(self, inputs: tuple[Path, ...]) -> None:
        """Refuse files that could not be written."""
        for parameter, path, suffix in (
            ("plot", self.plot, (".png", ".svg")),
            ("out", self.out, (".csv",)),
            ("correction", None if self.pick is None else self.picked, (".json",)),
        ):
            if path is not None:
                check_output(path, suffix, inputs, parameter)


def frontier(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Must have labels; used for fitting.")],
    *,
    test: Annotated[
        Path | None,
        typer.Option(help="Table of other labelled rows on which to evaluate each choice as well."),
    ] = None,
    method: FamilyMethodOption = FamilyMethod.ensemble,
    n_weights: WeightSteps = N_WEIGHTS,
    complete: Annotated[
        bool, typer.Option("--complete", help="Evaluate every choice, so that no trade-off is missed.")
    ] = False,
    files: FrontierFiles,
    search: Annotated[SearchOptions, Only("time_limit", "n_starts", "n_jobs")],
    seed: Seed = 0,
    reading: TableOptions,
) -> None:
    """Show all trade-offs between accuracy and COBias that no other choice beats in both.

    Pick the row that suits you. A row picked by its test figures is fitted to the test table.

    Example: debias frontier opt.parquet --plot frontier.png

    Then: debias frontier opt.parquet --pick 12 --correction picked.json
    """
    files.check((table,) if test is None else (table, test))
    from debias.guarantees.watching.watcher import remember
    from debias.reports.tradeoffs import check_test, tradeoffs_of

    rows = reading.read(table)
    labels = labels_of(rows)
    measured = None if test is None else reading.read(test)
    if measured is not None:
        check_test(rows, measured)
    how = replace(search, search="enumerate" if complete else "auto")
    debiaser = make_debiaser(method, make_goal(WeightOptions()), how, n_weights, seed)
    remember(debiaser.fit(rows.probabilities, labels), rows)
    picked = None if files.pick is None else debiaser.pick(files.pick)
    tradeoffs = tradeoffs_of(debiaser, measured)
    title = f"{table.name}: {len(rows):,} labelled rows used for fitting"
    if test is not None and measured is not None:
        title += f"; measured on {test.name}: {len(measured):,} rows, too"
    if files.plot is not None:  # files first: who reads the output may go
        from debias.reports.frontier_plot import write_frontier_plot

        write_or_rescue(files.plot, lambda path: write_frontier_plot(tradeoffs, path, files.pick))
    if files.out is not None:
        write_frame(tradeoffs.to_frame(), files.out)
    if picked is not None:
        write_or_rescue(files.picked, picked.save)
    print_frontier(tradeoffs, title, files.pick)
    print_lines(describe(tradeoffs, files.out, files.pick))
    print_lines([f"Wrote {path}." for path in (files.plot, files.out) if path is not None])
    if picked is not None:
        use = f"Wrote {files.picked}. Use it: debias apply --correction {files.picked}"
        print_lines(["", picked.summary(), use])
    if debiaser.interrupted_:
        raise Interrupted("showing the trade-offs found so far")


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
    marks = dict(tradeoffs.marks)
    if pick is not None:
        marks[pick] = ", ".join(filter(None, [marks.get(pick), "picked"]))
    lines = [
        ["–", mark, *(percent(figures[metric], unit=False) for metric in metrics), "–"]
        for mark, row, figures in (
            ("uncorrected", tradeoffs.uncorrected_row, tradeoffs.uncorrected),
            ("default", tradeoffs.chosen_row, tradeoffs.chosen),
        )
        if row is None
    ]
    for row in tradeoffs.shown([] if pick is None else [pick]):
        at = tradeoffs.rows.iloc[row]
        values = [percent(at[metric], unit=False) for metric in metrics]
        lines.append([str(row), marks.get(row, ""), *values, str(int(at["n_changed"]))])
    print_table(title, [*header[: len(metrics) + 2], "changed"], lines, n_names=2)


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
        said = [f"Complete: every choice was evaluated, and there are only these {counted(n_rows, 'row')}."]
    else:
        said = [
            f"Not complete: the search found {counted(n_rows, 'row')}, and better ones may exist. --complete "
            "evaluates every choice."
        ]
    if n_rows == 1 and tradeoffs.uncorrected_row is not None:
        none = "No choice" if tradeoffs.complete else "None of the choices found"
        said.append(f"{none} is more accurate or more even than the uncorrected model.")
    elif n_rows == 1:
        said.append("One choice is the best in both accuracy and COBias: there is no trade-off.")
    if tradeoffs.dominating_row is not None:
        said.append(
            f"Row {tradeoffs.dominating_row} dominates most: among the rows that are more accurate and more "
            "even than the uncorrected model, it has the largest product of the two gains."
        )
    elif n_rows > 1:
        said.append("No row is both more accurate and more even than the uncorrected model.")
    if tradeoffs.chosen_row is None:
        said.append(
            "The choice of the default objective is not one of the rows, because it also weighs "
            "mutual information."
        )
    n_useless = int((tradeoffs.rows["accuracy"] < tradeoffs.chance).sum())
    n_shown = len(tradeoffs.shown([] if pick is None else [pick]))
    if n_shown < n_rows:
        verb = "is" if n_useless == 1 else "are"
        useless = f", {n_useless:,} {verb} less accurate than guessing" if n_useless else ""
        full = f"all are in {out}" if out is not None else "--out frontier.csv writes all"
        said.append(f"{n_shown} of {n_rows:,} rows are shown{useless}; {full}.")
    return said
