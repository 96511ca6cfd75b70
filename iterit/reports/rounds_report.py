"""Reports a run of rounds: tables, Markdown and one HTML page."""

from pathlib import Path

from iterit.reports.rounds_pages import page_of, sections_of
from iterit.reports.rounds_tables import RoundsTables
from iterit.reports.section_page import Section


class RoundsReport(RoundsTables):
    """A run of rounds in tables and on pages.

    See :class:`iterit.reports.rounds_tables.RoundsTables` for parameters, tables and errors.

    Examples
    --------
    >>> report = RoundsReport.from_folder("iterit-run")  # doctest: +SKIP
    >>> report.rounds[["n_scored", "overlap", "loss"]]  # doctest: +SKIP
    >>> report.write("report.html")  # doctest: +SKIP
    """

    def sections(self) -> list[Section]:
        """Return the tables with headings and notes, for pages."""
        return sections_of(self)

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        return page_of(self).to_markdown()

    def to_html(self) -> str:
        """Return the report as one self-contained page."""
        return page_of(self).to_html()

    def write(self, path: str | Path) -> Path:
        """Write the report as .html or .md, by the suffix.

        Raises
        ------
        ParameterError
            The suffix is another one.
        """
        return page_of(self).write(path)
