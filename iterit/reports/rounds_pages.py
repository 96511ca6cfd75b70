"""A report on rounds as Markdown and as one HTML page: the same tables, headings and findings."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from debias.pages.environment import page_environment
from debias.pages.markdown import escape, markdown_table

if TYPE_CHECKING:
    from iterit.reports.rounds_tables import RoundsTables

_MOST_SOURCES = 20
LONGER = 1.5
"""Picked answers that are this many times as long as all answers are named."""


@dataclass(frozen=True)
class Section:
    """A table of a report.

    Parameters
    ----------
    heading, note : str
    header : sequence of str
    rows : sequence of sequence of str
    """

    heading: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def whole(value: float) -> str:
    """Write a count.

    Examples
    --------
    >>> whole(1200), whole(float("nan"))
    ('1,200', '–')
    """
    return "–" if math.isnan(value) else f"{round(value):,}"


def decimal(digits: int, sign: bool = False) -> Callable[[float], str]:
    """Return what writes a number with so many decimals.

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


def percent(share: float) -> str:
    """Write a share on a scale of 0 to 100.

    Examples
    --------
    >>> percent(0.256)
    '25.6 %'
    """
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


_ROUNDS: dict[str, tuple[str, Callable[[float], str]]] = {
    "n_scored": ("rows scored", whole),
    "n_top": ("the hardest", whole),
    "n_stale": ("oldest scores", whole),
    "n_above": ("too hard before", whole),
    "n_widened": ("beyond the window", whole),
    "n_candidates": ("might be picked", whole),
    "n_picked": ("picked", whole),
    "n_completed": ("to complete the number", whole),
    "overlap": ("picked last time, too", percent),
    "n_new": ("never picked before", whole),
    "ifd": ("mean IFD of the picks", decimal(3)),
    "loss": ("training loss", decimal(3)),
}
_SCORES: dict[str, tuple[str, Callable[[float], str]]] = {
    "n_again": ("rows scored again", whole),
    "mean_move": ("mean move", decimal(3, sign=True)),
    "median_size": ("median size of a move", decimal(3)),
    "share_up": ("moved up", percent),
    "rank_correlation": ("rank corr.", decimal(3)),
    "n_rose": ("rose to the bound", whole),
    "n_fell": ("fell below it", whole),
    "newly_hard": ("hard rows that were not hard before", percent),
}
_LENGTHS: dict[str, tuple[str, Callable[[float], str]]] = {
    "n_rows": ("rows", whole),
    "mean": ("mean words", decimal(1)),
    "median": ("median", whole),
    "low": ("10th percentile", whole),
    "high": ("90th percentile", whole),
    "tokens": ("mean tokens with prompt", decimal(1)),
}
_COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "seconds": ("seconds", decimal(1)),
    "share": ("of the run", percent),
    "tokens": ("tokens", whole),
    "tokens_per_second": ("tokens per second", whole),
    "teraflop": ("teraflop, estimated", decimal(1)),
    "cost": ("cost", decimal(2)),
}


def sections_of(report: "RoundsTables") -> list[Section]:
    """Return the tables of a report in the order of its pages."""
    bound = f"{report.kept.settings['max_ifd']:g}"
    sources = report.sources
    head = sources.head(_MOST_SOURCES)
    left = f" The {len(sources) - len(head)} smallest are left out." if len(sources) > len(head) else ""
    return [
        _section("Rounds", _window_note(report.kept.settings), report.rounds, _ROUNDS),
        _section(
            "How far scores moved",
            f"IFD of rows scored again, against their score before; the bound is {bound}. Hard rows: the"
            " highest IFD below it, as many as are picked.",
            report.scores.iloc[1:],
            _SCORES,
        ),
        _section("Length of answers", "Words of picked answers, and of all.", report.lengths, _LENGTHS),
        Section(
            "Sources",
            f"Records by where they come from.{left}",
            ["source", "all", *(f"round {name}" for name in sources.columns[1:])],
            [
                [str(name), *(whole(n) for n in row)]
                for name, row in zip(head.index, head.to_numpy(), strict=True)
            ],
        ),
        _section(
            "Time and cost",
            "Of the first process. Training counts evaluation and checkpoints, too.",
            report.costs,
            _COSTS,
        ),
    ]


def headline(report: "RoundsTables") -> str:
    """Say in a sentence what the run did."""
    rounds, costs = report.rounds, report.costs
    seconds = costs.groupby("part")["seconds"].sum()
    last = rounds.iloc[-1]
    return (
        f"{len(rounds)} {'round' if len(rounds) == 1 else 'rounds'} of {int(last['n_picked']):,} picks out of"
        f" {len(report.kept.state.rows):,} records, {int(last['n_distinct']):,} different ones in all;"
        f" {percent(float(seconds['scoring'] / max(seconds.sum(), 1e-12)))} of"
        f" {seconds.sum():,.0f} seconds went into scoring."
    )


def _window_note(settings: Mapping[str, Any]) -> str:
    """Say which records a later round scores."""
    if settings["window"] == "published":
        return "Round 0 scores all records; later ones those that were the hardest then."
    return (
        "Round 0 scores all records; later ones the hardest by their newest scores, with"
        f" {percent(settings['stale_share'])} for those with the oldest scores, and"
        f" {percent(settings['above_share'])} for those that were too hard to be picked."
    )


def findings(report: "RoundsTables") -> list[str]:
    """Say what a reader must know, the unwelcome first."""
    said = []
    lengths, rounds = report.lengths, report.rounds
    longest = lengths["mean"].iloc[1:].max() / max(lengths["mean"].iloc[0], 1e-12)
    if longest > LONGER:
        said.append(
            f"Picked answers are up to {longest:.1f} times as long as all answers: with the sum of n-gram"
            " weights, length counts for much. The modes length_neutral and length_debiased count it less."
        )
    if rounds["n_completed"].sum():
        said.append(
            f"{int(rounds['n_completed'].sum()):,} picks complete the number without being within the bounds."
        )
    if rounds["n_widened"].sum():
        said.append(
            f"{int(rounds['n_widened'].sum()):,} rows were scored beyond the window, which held too few that"
            " may be picked."
        )
    if len(rounds) > 1:
        newly = report.scores["newly_hard"].iloc[1:].mean()
        said.append(f"In a later round {percent(float(newly))} of the hard rows were not hard before.")
    refused = int(report.kept.facts.get("n_refused", 0))
    if refused:
        said.append(f"{refused:,} rows of the files were refused and take no part.")
    unscored = report.kept.state.newest().loc[report.kept.state.rows]
    counts = unscored.loc[unscored["ifd"].isna(), "status"].value_counts()
    said.extend(f"{n:,} records have no score: {status}." for status, n in counts.items())
    return said


def render_markdown(report: "RoundsTables") -> str:
    """Return a report as Markdown."""
    parts = [f"# {escape(report.title)}", escape(headline(report))]
    if said := findings(report):
        parts.append("\n".join(f"- {escape(one)}" for one in said))
    for section in sections_of(report):
        parts += [
            f"## {escape(section.heading)}",
            escape(section.note),
            markdown_table(section.header, section.rows),
        ]
    settings = Section("Settings", "", ["setting", "value"], _settings(report))
    parts += ["## Settings", markdown_table(settings.header, settings.rows, n_names=2)]
    return "\n\n".join(parts) + "\n"


def render_html(report: "RoundsTables") -> str:
    """Return a report as one HTML page that loads nothing."""
    environment = page_environment("iterit")
    return environment.get_template("rounds.html.jinja").render(
        title=report.title,
        headline=headline(report),
        findings=findings(report),
        sections=sections_of(report),
        settings=_settings(report),
    )


def _section(
    heading: str, note: str, table: pd.DataFrame, columns: dict[str, tuple[str, Callable[[float], str]]]
) -> Section:
    """Write a table's numbers."""
    known = {name: column for name, column in columns.items() if name in table}
    names = [str(name) for name in table.index.names]
    rows = []
    for key, row in table.iterrows():
        keys = [str(part) for part in key] if isinstance(key, tuple) else [str(key)]
        rows.append([*keys, *(write(float(row[name])) for name, (_, write) in known.items())])
    return Section(heading, note, [*names, *(words for words, _ in known.values())], rows)


def _settings(report: "RoundsTables") -> list[list[str]]:
    """Write settings and facts."""
    return [[name, _plain(value)] for name, value in {**report.kept.facts, **report.kept.settings}.items()]


def _plain(value: Any) -> str:
    """Write any setting."""
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
