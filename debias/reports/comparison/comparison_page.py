"""Shows a comparison to people: sections of figures for a terminal, for Markdown, and as one HTML page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from debias.console.number_formats import (
    METRIC_NAMES,
    exact_percent,
    fixed,
    percent,
    signed,
    signed_span,
    span,
)
from debias.pages.environment import page_environment
from debias.pages.markdown import escape, markdown_table
from debias.reports.comparison.comparison import Comparison
from debias.reports.comparison.comparison_figures import METRICS

NAMES = METRIC_NAMES | {"balanced_accuracy": "Balanced accuracy", "z": "z"}
_SHORT = {
    "accuracy": "acc.",
    "balanced_accuracy": "bal.",
    "macro_f1": "F1",
    "cobias": "COBias",
    "worst_class_accuracy": "worst",
    "z": "z",
}
_WIDEST = 14
"""Most classes that are columns."""
_LEGEND = (
    "All figures except z are on a scale of 0 to 100. COBias is the mean gap between two class accuracies, "
    "and z is the objective per row; lower is better for both. Seconds are the time of the fit."
)


class Section(NamedTuple):
    """A titled table of cells.

    Attributes
    ----------
    title : str
    header : list of str
    rows : list of list of str
    lines : list of str
        Sentences before the table.
    of_classes : bool, default=False
        Whether the table has a column or a row for each class.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    lines: list[str]
    of_classes: bool = False


def sections(comparison: Comparison, brief: bool = False) -> list[Section]:
    """Return the tables of a comparison: means first, then figures, differences and classes of each table.

    Parameters
    ----------
    comparison : Comparison
    brief : bool, default=False
        As narrow as a terminal: no intervals of single figures, fewer differences, no classes.

    Returns
    -------
    list of Section
    """
    found = []
    n = len(comparison.tables)
    if comparison.mean is not None:
        cells = _figures(comparison.mean, brief, "_deviation")
        found.append(Section(f"Mean of {n} tables, with deviation", *cells, []))
        found += _differences(comparison, comparison.mean, f"Mean of {n} tables", brief)
    for table, (name, frame) in zip(comparison.tables, comparison.frames.items(), strict=True):
        title = f"{name}: fitted on {table.n_opt:,} rows, measured on {len(table.truth):,}"
        said = comparison.verdicts[name] if n > 1 else []
        found.append(Section(title, *_figures(frame, brief), said))
        found += _differences(comparison, frame, name, brief)
        if not brief:
            found.append(_class_accuracies(table.class_accuracies(), name))
    return found


def _figures(frame: pd.DataFrame, brief: bool, second: str = "") -> tuple[list[str], list[list[str]]]:
    """Return header and cells of the metrics, each with its interval, or with what `second` ends in."""
    names = _SHORT if brief else NAMES
    metrics = [metric for metric in METRICS if not (brief and second and metric == "macro_f1")]
    columns = {"labels" if brief else "labels used": "labels_used", "needs": "needs"}
    columns |= {names[metric]: metric for metric in metrics}
    columns |= {
        "never" if brief else "never predicted": "never_predicted",
        "s" if brief else "seconds": "fit_seconds",
    }
    if brief and second:  # deviations take the room of what each table says
        columns = {title: column for title, column in columns.items() if column in ("labels_used", *metrics)}
    rows = []
    for method, row in frame.iterrows():
        cells = [str(method)]
        for column in columns.values():
            if column in METRICS:
                cells.append(_cell(row, column, brief, second))
            elif column == "fit_seconds":
                cells.append("–" if pd.isna(row[column]) else f"{row[column]:.1f}")
            else:
                cells.append(str(row[column]) if column == "needs" else _count(row[column]))
        rows.append(cells)
    return ["method", *columns], rows


def _count(number: Any) -> str:
    return "–" if pd.isna(number) else f"{number:,}"


def _cell(row: pd.Series, metric: str, brief: bool, second: str) -> str:
    """Return a figure with its deviation or its interval."""
    value = row[metric]
    if pd.isna(value):
        return "–"
    is_share = metric != "z"

    def shown(number: float) -> str:
        return percent(number, unit=False) if is_share else fixed(number, 3)

    if second and f"{metric}{second}" in row:
        return f"{shown(value)} ± {shown(row[f'{metric}{second}'])}"
    if brief or f"{metric}_low" not in row:
        return shown(value)
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    between = span(low, high) if is_share else f"{fixed(low, 3)} to {fixed(high, 3)}"
    return f"{shown(value)} ({between})"


def _differences(comparison: Comparison, frame: pd.DataFrame, name: str, brief: bool) -> list[Section]:
    """Return the paired differences from the chosen method with intervals, where there are any."""
    if frame["accuracy_difference"].isna().all():
        return []
    metrics = ("accuracy", "cobias", "worst_class_accuracy") if brief else METRICS
    rows = []
    for method, row in frame.drop(index=comparison.against, errors="ignore").iterrows():
        cells = []
        for metric in metrics:
            value, low, high = (
                row.get(f"{metric}_difference{end}", float("nan")) for end in ("", "_low", "_high")
            )
            if pd.isna(value):
                cells.append("–")
            elif metric == "z":
                cells.append(f"{_signed(value)} ({_signed(low)} to {_signed(high)})")
            else:
                cells.append(f"{signed(value)} ({signed_span(low, high)})")
        rows.append([str(method), *cells])
    level = exact_percent(comparison.level)
    title = f"{name}: difference from {comparison.against}, in points, {level} % intervals"
    return [Section(title, ["method", *(NAMES[metric] for metric in metrics)], rows, [])]


def _class_accuracies(accuracies: pd.DataFrame, name: str) -> Section:
    """Return the class accuracies: a column for each class, or where that is too wide, a row."""
    corner = "method"
    if accuracies.shape[1] > _WIDEST:
        accuracies, corner = accuracies.T, "class"
    rows = [[str(first), *(percent(a, unit=False) for a in row)] for first, row in accuracies.iterrows()]
    return Section(f"{name}: class accuracies", [corner, *map(str, accuracies.columns)], rows, [], True)


def _signed(number: float) -> str:
    """Write a difference of z with its sign."""
    shown = fixed(number, 3).replace("-", "−")
    return shown if number < 0.0005 else f"+{shown}"


def comparison_markdown(comparison: Comparison, title: str, lines: Sequence[str] = ()) -> str:
    """Return a comparison as Markdown.

    Parameters
    ----------
    comparison : Comparison
    title : str
    lines : sequence of str
        Said after the verdict.

    Returns
    -------
    str
        The page.
    """
    parts = [f"# {escape(title)}", escape(" ".join(comparison.verdict))]
    for section in sections(comparison):
        parts += [f"## {escape(section.title)}", *map(escape, section.lines)]
        parts.append(markdown_table(section.header, section.rows))
    said = [*lines, *comparison.notes, _LEGEND]
    return "\n\n".join([*parts, "\n".join(f"- {escape(line)}" for line in said)]) + "\n"


def comparison_html(comparison: Comparison, title: str, lines: Sequence[str] = ()) -> str:
    """Return a comparison as one HTML page that loads nothing.

    Parameters
    ----------
    comparison : Comparison
    title : str
    lines : sequence of str
        Said after the verdict.

    Returns
    -------
    str
        The page.
    """
    template = page_environment("debias").get_template("comparison.html.jinja")
    return template.render(
        title=title,
        sentences=comparison.verdict,
        sections=sections(comparison),
        lines=[*lines, *comparison.notes, _LEGEND],
    )
