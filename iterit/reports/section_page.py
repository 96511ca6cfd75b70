"""Holds a page of sections, each a table with a heading and a note, and writes it as Markdown or HTML."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from debias.errors import ParameterError
from debias.files.atomic_file import atomic_path
from debias.pages.citation import MESSAGE, citation
from debias.pages.environment import page_environment
from debias.pages.markdown import escape, markdown_table


class Section(NamedTuple):
    """A table of a report, with a heading and a note; the last `n_texts` columns hold texts of records."""

    heading: str
    note: str
    header: list[str]
    rows: list[list[str]]
    n_texts: int = 0


class Picture(NamedTuple):
    """A picture of a section: an SVG element with its alternative text, and a caption."""

    svg: str
    caption: str


def no_pictures() -> dict[str, list[Picture]]:
    """Return no pictures, for pages of tables alone."""
    return {}


def whole(value: float) -> str:
    """Write a count.

    Examples
    --------
    >>> whole(1200), whole(float("nan"))
    ('1,200', '–')
    """
    return "–" if math.isnan(value) else f"{round(value):,}"


def decimal(digits: int, sign: bool = False) -> Callable[[float], str]:
    """Return a function that writes a number with this number of decimals.

    Examples
    --------
    >>> decimal(2)(0.125), decimal(3, sign=True)(-0.5), decimal(1)(float("nan"))
    ('0.12', '−0.500', '–')
    """

    def write(value: float) -> str:
        if math.isnan(value):
            return "–"
        return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")

    return write


class SectionPage(NamedTuple):
    """A report as it is shown: the same content as Markdown and as one HTML page.

    Attributes
    ----------
    title, headline : str
    findings : list of str
        What a reader must know, a sentence each.
    sections : list of Section
    settings : list of [str, str]
        Names and values.
    pictures : callable
        Makes the pictures by the heading of their section, for HTML.
    """

    title: str
    headline: str
    findings: list[str]
    sections: list[Section]
    settings: list[list[str]]
    pictures: Callable[[], Mapping[str, list[Picture]]] = no_pictures

    def to_markdown(self) -> str:
        """Return the page as Markdown."""
        parts = [f"# {escape(self.title)}", escape(self.headline)]
        if self.findings:
            parts.append("\n".join(f"- {escape(one)}" for one in self.findings))
        for section in self.sections:
            parts += [
                f"## {escape(section.heading)}",
                escape(section.note),
                markdown_table(section.header, section.rows),
            ]
        parts += ["## Settings", markdown_table(["setting", "value"], self.settings, n_names=2)]
        return "\n\n".join(parts) + "\n"

    def to_html(self) -> str:
        """Return the page as one self-contained HTML page.

        Raises
        ------
        MissingDependencyError
            It has pictures, and matplotlib is not installed.
        """
        template = page_environment("iterit").get_template("section_page.html.jinja")
        said = self._asdict() | {"pictures": self.pictures(), "cite": MESSAGE, "bibtex": citation()}
        return template.render(said)

    def write(self, path: str | Path) -> Path:
        """Write the page as .html or .md, by the suffix, whole or not at all.

        Raises
        ------
        ParameterError
            The suffix is another one.
        """
        target = Path(path)
        forms = {".html": self.to_html, ".md": self.to_markdown}
        if target.suffix.lower() not in forms:
            allowed = "a name that ends in .html or .md"
            raise ParameterError(parameter="path", received=str(path), allowed=allowed)
        with atomic_path(target) as temporary:
            temporary.write_text(forms[target.suffix.lower()](), encoding="utf-8")
        return target
