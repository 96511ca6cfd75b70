"""The figures of a report as tables on the screen."""

from typing import TYPE_CHECKING

from debias.console.command_group import say
from debias.console.screen import print_lines, print_table

if TYPE_CHECKING:
    from debias.reports.correction_report import Report

_SIDES = ("before", "after", "difference")


def print_report(report: "Report", by_class: str, overall: str) -> None:
    """Print class accuracies and overall figures with their intervals, and warnings on stderr.

    Parameters
    ----------
    report : Report
    by_class, overall : str
        Titles of the two tables.
    """
    from debias.console.number_formats import METRIC_NAMES
    from debias.reports.findings import describe_interval

    rows = [
        [
            name,
            row["correction"] or "–",
            f"{row['support']:,}",
            *(describe_interval(row, side) for side in _SIDES),
        ]
        for name, row in report.by_class.iterrows()
    ]
    header = ["class", "correction", "rows", "correct before, %", "correct after, %", "difference"]
    print_table(by_class, header, rows, n_names=2)
    rows = [
        [METRIC_NAMES[str(metric)], *(describe_interval(row, side) for side in _SIDES), row["verdict"]]
        for metric, row in report.overall.iterrows()
    ]
    print_table(overall, ["0 to 100", *_SIDES, ""], rows)
    if report.guarantee is not None:
        print_lines([*report.guarantee.sentences(), ""])
    for finding in report.findings:
        if finding.kind == "warning":
            say(f"warning: {finding.text}")
