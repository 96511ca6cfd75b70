"""The figures of a report as tables on the screen."""

from typing import TYPE_CHECKING

from debias.console.screen import print_table

if TYPE_CHECKING:
    from debias.reports.correction_report import Report


def print_overall(report: "Report", title: str) -> None:
    """Print the overall figures of a report with their intervals.

    Parameters
    ----------
    report : Report
        The report.
    title : str
        What it shows.
    """
    from debias.console.number_formats import METRIC_NAMES
    from debias.reports.findings import describe_interval

    sides = ("before", "after", "difference")
    rows = [
        [METRIC_NAMES[str(metric)], *(describe_interval(row, side) for side in sides), row["verdict"]]
        for metric, row in report.overall.iterrows()
    ]
    print_table(title, ["0 to 100", *sides, ""], rows)


def print_by_class(report: "Report", title: str) -> None:
    """Print class accuracies of a report with their intervals.

    Parameters
    ----------
    report : Report
        The report.
    title : str
        What it shows.
    """
    from debias.reports.findings import describe_interval

    rows = [
        [
            name,
            row["correction"] or "–",
            f"{row['support']:,}",
            *(describe_interval(row, side) for side in ("before", "after", "difference")),
        ]
        for name, row in report.by_class.iterrows()
    ]
    header = ["class", "correction", "rows", "right before, %", "right after, %", "difference"]
    print_table(title, header, rows, n_names=2)
