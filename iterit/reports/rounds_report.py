"""Reports a run of rounds: tables, Markdown and one HTML page."""

from pathlib import Path

from debias.errors import ParameterError
from debias.files.atomic_file import atomic_path
from iterit.reports.rounds_pages import Section, render_html, render_markdown, sections_of
from iterit.reports.rounds_tables import RoundsTables


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
        return render_markdown(self)

    def to_html(self) -> str:
        """Return the report as one self-contained page."""
        return render_html(self)

    def write(self, path: str | Path) -> Path:
        """Write the report as .html or .md, by the suffix.

        Raises
        ------
        ParameterError
            The suffix is another one.
        """
        target = Path(path)
        pages = {".html": self.to_html, ".md": self.to_markdown}
        if target.suffix.lower() not in pages:
            allowed = "a name that ends in .html or .md"
            raise ParameterError(parameter="path", received=str(path), allowed=allowed)
        with atomic_path(target) as temporary:
            temporary.write_text(pages[target.suffix.lower()](), encoding="utf-8")
        return target
