"""``iterit report``: what a run of rounds picked, how scores moved, what it cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines, print_table

if TYPE_CHECKING:
    from iterit.reports.rounds_report import RoundsReport


def report(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run, which may still be training, or a checkpoint.")
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="Where to write the report: .html (one self-contained page) or .md.")
    ] = Path("report.html"),
    audit: Annotated[
        Path | None,
        typer.Option(
            help="Folder of tables written by `iterit audit --tables`; by default one in the folder of the "
            "run."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Rounds of picked instructions",
    price_per_hour: Annotated[
        float | None, typer.Option(help="Price of the machine per hour; adds the cost of each part.")
    ] = None,
) -> None:
    """Report on a run: picks and their overlap, score changes, lengths, sources, loss, time and cost.

    Example: iterit report iterit-run --out report.html
    """
    check_output(out, (".html", ".md"))
    from iterit.reports.rounds_report import RoundsReport

    made = RoundsReport.from_folder(run, title=title, price_per_hour=price_per_hour, audit=audit)
    write_or_rescue(out, made.write)
    print_report(made)
    print_lines([f"Wrote {out}."])


def print_report(report: "RoundsReport") -> None:
    """Print the headline, findings and tables of a report on rounds."""
    from iterit.reports.rounds_pages import findings, headline

    for section in report.sections():
        if section.rows and not section.n_texts:  # texts are for pages
            print_table(section.heading, section.header, section.rows)
    print_lines([*findings(report), headline(report)])
