"""A report as Markdown: for a terminal, a pull request or a paper's appendix."""

from debias.console.number_formats import METRIC_NAMES, SCORE_NAMES, exact_percent, percent, plain
from debias.guarantees.guarantee import HEADER, NOT_THE_SAME, guarantee_cells
from debias.pages.citation import MESSAGE, citation
from debias.pages.markdown import escape, markdown_table
from debias.reports.advice.confusions import largest_confusions
from debias.reports.advice.near_tie_rows import NEAR_TIES, near_tie_rows
from debias.reports.advice.plain_methods import HEADER as HEADER_OF_PLAIN
from debias.reports.advice.plain_methods import comparison_rows
from debias.reports.figures import WIDEST_MATRIX, Figures
from debias.reports.findings import NOT_SOCIAL_BIAS, describe_interval

MOST_MOVES = 20
"""Rows of the table of moves."""

_SIGNS = {"warning": "**Warning:** ", "worse": "**Worse:** ", "unclear": "Unclear: ", "better": "Better: "}


def render_markdown(report: Figures) -> str:
    """Return a report as Markdown.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        The page.

    Examples
    --------
    >>> from debias.reports.correction_report import Report
    >>> print(render_markdown(Report(["a", "b"], ["a", "a"], ["a", "b"])).splitlines()[0])
    # Class accuracies before and after correction
    """
    lines = [f"- {_SIGNS.get(one.kind, '')}{escape(one.text)}" for one in report.remarks]
    parts = [
        f"# {escape(report.title)}",
        f"**{escape(report.recommendation.sentence)}**",
        *map(escape, report.recommendation.beside),
        *(["\n".join(lines)] if lines else []),
        NOT_SOCIAL_BIAS,
        "## Overall",
        _overall(report),
        f"All values are on a scale of 0 to 100, with {exact_percent(report.level)} % intervals; COBias is "
        "the mean gap between two class accuracies, lower is better.",
        "## By class",
        _by_class(report),
        *_guarantee(report),
        *_comparison(report),
        *_sentences(report),
        *_moves(report),
        *_examples(report),
        *_scores(report),
        *_near_ties(report),
        *_settings(report),
        "## How to cite",
        escape(MESSAGE),
        "\n".join(f"    {line}" for line in citation().splitlines()),
    ]
    return "\n\n".join(parts) + "\n"


def _overall(report: Figures) -> str:
    """Return the overall metrics."""
    rows = [
        [
            METRIC_NAMES[str(m)],
            *(describe_interval(r, s) for s in ("before", "after", "difference")),
            r["verdict"],
        ]
        for m, r in report.overall.iterrows()
    ]
    return markdown_table(["metric", "before", "after", "difference", "verdict"], rows)


def _by_class(report: Figures) -> str:
    """Return accuracies, corrections and moved rows per class."""
    header = ["class", "correction", "rows", "accuracy before", "after", "moved in", "of these right"]
    rows = [
        [
            name,
            r["correction"] or "–",
            f"{r['support']:,}",
            describe_interval(r, "before"),
            describe_interval(r, "after"),
            f"{r['moved_in']:,}",
            f"{r['gained']:,}",
            f"{r['moved_out']:,}",
            f"{r['lost']:,}",
        ]
        for name, r in report.by_class.iterrows()
    ]
    return markdown_table([*header, "moved out", "of these right before"], rows, n_names=2)


def _guarantee(report: Figures) -> list[str]:
    """Return what holds on new rows, where it is known."""
    if report.guarantee is None:
        return []
    return [
        "## Guaranteed on new rows",
        markdown_table(list(HEADER), guarantee_cells(report.guarantee)),
        "\n".join(f"- {escape(sentence)}" for sentence in report.guarantee.sentences()),
        NOT_THE_SAME,
    ]


def _comparison(report: Figures) -> list[str]:
    """Return the correction beside plain methods, where they were compared."""
    if report.comparison is None:
        return []
    return [
        "## Compared with plain methods",
        escape(" ".join(report.comparison.verdict)),
        "In brackets: the difference from this correction, with its interval.",
        markdown_table(HEADER_OF_PLAIN, comparison_rows(report.comparison)),
        "\n".join(f"- {escape(note)}" for note in report.comparison.notes),
    ]


def _examples(report: Figures) -> list[str]:
    """Return rows that moved, where their texts may be shown."""
    if report.examples is None or not len(report.examples):
        return []
    names = list(report.examples.columns)
    rows = report.examples.to_numpy().tolist()
    return [
        f"Rows drawn at random from those that moved, up to {report.examples_of_each} of each outcome.",
        markdown_table(names, rows, n_names=len(names)),
    ]


def _near_ties(report: Figures) -> list[str]:
    """Return choices that are nearly as good on the fitted rows, where there are any."""
    rows = near_tie_rows(report.near_ties)
    if report.near_ties is None or len(rows) < 2:
        return []
    within = f"{report.near_ties.attrs['within']:g}"
    return [
        f"Near-ties: other choices whose objective is within {within} of the best on the fitted rows, and "
        "what they reach there. With few labels, any of them may be better on new rows.",
        markdown_table(NEAR_TIES, rows),
    ]


def _sentences(report: Figures) -> list[str]:
    """Return a sentence per class, where they are known."""
    known = [*report.base_sentences, *(sentence for sentence in report.sentences if sentence)]
    if not known:
        return []
    return [
        "## Why",
        "The numbers in these sentences refer to the rows that the correction was fitted on.",
        "\n".join(f"- {escape(sentence)}" for sentence in known),
    ]


def _moves(report: Figures) -> list[str]:
    """Return the most frequent moves between classes."""
    moves = report.move_outcomes
    if moves.empty:
        return []
    rows = [[*pair, *(f"{n:,}" for n in row)] for pair, row in moves.head(MOST_MOVES).iterrows()]  # type: ignore[misc]
    header = ["from", "to", "rows", "became right", "became wrong", "stayed wrong"]
    left = len(moves) - len(rows)
    return [
        "## Moved predictions",
        markdown_table(header, rows, n_names=2),
        *([f"And {left} more."] if left else []),
    ]


def _scores(report: Figures) -> list[str]:
    """Return precision, recall and F1 per class, and the confusion matrices where they are not too wide."""
    columns: list[tuple[str, str]] = [*report.scores.columns.to_flat_index()]
    header = [f"{SCORE_NAMES[metric]} {side}" for metric, side in columns]
    rows = [[name, *(percent(value, unit=False) for value in row)] for name, row in report.scores.iterrows()]
    parts = [
        "## For researchers",
        *([f"Model: {escape(report.model)}."] if report.model else []),
        markdown_table(["class", *header], rows),
    ]
    if len(report.classes) > WIDEST_MATRIX:
        largest = largest_confusions(report.confusions)
        cells = [[*pair, *(f"{n:,}" for n in row)] for pair, row in largest.iterrows()]  # type: ignore[misc]
        names = ["label", "predicted", "before", "after", "rows of the label"]
        return [*parts, "The largest confusions:", markdown_table(names, cells, n_names=2)]
    for side, counts in report.confusions.items():
        cells = [[name, *(f"{n:,}" for n in row)] for name, row in counts.iterrows()]
        parts += [
            f"Confusion matrix {side}: rows by label (left) and prediction (top).",
            markdown_table(["label", *report.classes], cells),
        ]
    return parts


def _settings(report: Figures) -> list[str]:
    """Return settings and provenance."""
    parts = []
    for section, entries in report.settings.items():
        rows = [[name, plain(value)] for name, value in entries.items()]
        parts += [f"## {escape(section)}", markdown_table(["setting", "value"], rows, n_names=2)]
    return parts
