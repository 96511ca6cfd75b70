"""A report as one HTML page that loads nothing: it holds its styles and plots.

All text is escaped by the template engine; plots take their colours from the page, so that they
are readable on a light and on a dark one.
"""

from markupsafe import Markup

from debias.console.notebooks.inline_svg import inline_svg
from debias.console.number_formats import (
    METRIC_NAMES,
    SCORE_NAMES,
    exact_percent,
    percent,
    plain,
    signed,
    signed_span,
    span,
)
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.bases.quadratic_maps import QuadraticMap
from debias.guarantees.guarantee import HEADER, NOT_THE_SAME, guarantee_cells
from debias.pages.citation import MESSAGE, citation
from debias.pages.environment import page_environment
from debias.reports import plots
from debias.reports.advice.confusions import largest_confusions, shades
from debias.reports.advice.near_tie_rows import NEAR_TIES, near_tie_rows
from debias.reports.advice.plain_methods import HEADER as HEADER_OF_PLAIN
from debias.reports.advice.plain_methods import comparison_rows
from debias.reports.figures import WIDEST_MATRIX, Figures
from debias.reports.findings import NOT_SOCIAL_BIAS, describe_interval

MOST_MOVES = 30
"""Rows of the table of moves."""


def render_html(report: Figures) -> str:
    """Return a report as one self-contained page.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> from debias.reports.correction_report import Report
    >>> page = render_html(Report(["a", "<b>"], ["a", "a"], ["a", "<b>"]))
    >>> page.startswith("<!doctype html>"), "<b>" in page, "&lt;b&gt;" in page
    (True, False, True)
    """
    environment = page_environment("debias")
    environment.filters |= {
        "percent": percent,
        "signed": signed,
        "plain": plain,
        "count": "{:,}".format,
        "exact": exact_percent,
    }
    environment.filters["bound"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    template = environment.get_template("report.html.jinja")
    return template.render(
        report=report,
        metric_names=METRIC_NAMES,
        guarantee_header=HEADER,
        guarantee_rows=[] if report.guarantee is None else guarantee_cells(report.guarantee),
        not_the_same=NOT_THE_SAME,
        score_names=SCORE_NAMES,
        not_social_bias=NOT_SOCIAL_BIAS,
        interval=describe_interval,
        span=span,
        signed_span=signed_span,
        accuracy_plot=_accuracy_plot(report),
        base_plot=_base_plot(report),
        base_is_curved=isinstance(report.base, QuadraticMap),
        cards=_cards(report),
        comparison_header=HEADER_OF_PLAIN,
        comparison_rows=[] if report.comparison is None else comparison_rows(report.comparison),
        examples=[] if report.examples is None else report.examples,
        heat_maps={side: shades(counts) for side, counts in report.confusions.items()},
        largest=largest_confusions(report.confusions),
        near_ties_header=NEAR_TIES,
        near_ties=near_tie_rows(report.near_ties),
        cite=MESSAGE,
        bibtex=citation(),
        moves=report.move_outcomes.head(MOST_MOVES),
        show_matrix=len(report.classes) <= WIDEST_MATRIX,
    )


def _accuracy_plot(report: Figures) -> Markup:
    """Return the plot of class accuracies; the table below it holds the same numbers."""
    changes = "; ".join(
        f"{name} {percent(row['before'])} before, {percent(row['after'])} after"
        for name, row in report.by_class.iterrows()
    )
    return inline_svg(plots.accuracy_plot(report.by_class), "accuracies", f"Accuracy by class: {changes}.")


def _base_plot(report: Figures) -> Markup | None:
    """Return the picture of a learnt map; the sentences beside it name its largest entries.

    There is none of a map that only multiplies each class, such as batch calibration: it moves no evidence.
    """
    if not isinstance(report.base, (LinearMap, QuadraticMap)) or len(report.classes) > WIDEST_MATRIX:
        return None
    if not report.base.moved_evidence().any():
        return None
    said = "How evidence for each class is moved to or from every other class."
    if isinstance(report.base, QuadraticMap):
        said = said[:-1] + ", in an otherwise average row."
    return inline_svg(plots.matrix_plot(report.base.moved_evidence(), report.classes), "base", said)


def _cards(report: Figures) -> list[dict[str, object]]:
    """Return name, correction, sentence and plot of every class that has a correction."""
    cards = []
    labels = report.rows["label"].to_numpy()
    for k, (name, correction) in enumerate(zip(report.classes, report.corrections, strict=True)):
        if correction is None:
            continue
        own = others = None
        if report.probabilities is not None:
            values, is_own = report.probabilities[:, k], labels == name
            own, others = values[is_own], values[~is_own]
        figure = plots.correction_plot(correction, own, others)
        description = f"Correction of {name}, {correction.name}: corrected value over probability."
        cards.append(
            {
                "name": name,
                "correction": correction.name,
                "is_identity": correction.is_identity,
                "sentence": report.sentences[k],
                "plot": inline_svg(figure, f"class{k}", description),
            }
        )
    return cards
