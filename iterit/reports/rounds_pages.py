"""Writes a report on rounds as Markdown and as one HTML page, with the same tables, headings and findings."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from debias.console.number_formats import counted, percent, plain
from iterit.reports.gains import gains_section
from iterit.reports.large_agreement import agreement_sections
from iterit.reports.rounds_mix import sparkline
from iterit.reports.rounds_pictures import pictures_of
from iterit.reports.section_page import Section, SectionPage, decimal, whole
from iterit.rounds.bounds.bounded_window import upper_limit

if TYPE_CHECKING:
    from iterit.reports.rounds_tables import RoundsTables

_MOST_SOURCES = 20
LONGER = 1.5
"""A finding names picked answers that are this many times as long as all answers."""

Columns = dict[str, tuple[str, Callable[[float], str]]]
"""Columns of a table that are shown, with their headings and the way their numbers are written."""


_ROUNDS: Columns = {
    "n_scored": ("rows scored", whole),
    "n_top": ("hardest", whole),
    "n_stale": ("oldest scores", whole),
    "n_above": ("IFD too high before", whole),
    "n_widened": ("beyond the window", whole),
    "bound": ("bound of a move", decimal(3, sign=True)),
    "n_checked": ("scored only to check", whole),
    "n_check_top": ("of the check sample among the hardest", whole),
    "n_missed": ("of these missed by the bound", whole),
    "missed_at_most": ("share missed, upper limit", percent),
    "n_candidates": ("candidates", whole),
    "n_picked": ("picked", whole),
    "n_completed": ("picked outside the bounds", whole),
    "overlap": ("also picked last time", percent),
    "n_new": ("never picked before", whole),
    "ifd": ("mean IFD of the picks", decimal(3)),
    "loss": ("training loss", decimal(3)),
    "held_out_loss": ("held-out loss", decimal(3)),
}
_SCORES: Columns = {
    "n_again": ("rows scored again", whole),
    "mean_move": ("mean change", decimal(3, sign=True)),
    "median_size": ("median absolute change", decimal(3)),
    "share_up": ("increased", percent),
    "rank_correlation": ("rank correlation", decimal(3)),
    "n_rose": ("rose to the bound or above", whole),
    "n_fell": ("fell below the bound", whole),
    "newly_hard": ("hard rows that were not hard before", percent),
}
_LENGTHS: Columns = {
    "n_rows": ("rows", whole),
    "mean": ("mean words", decimal(1)),
    "median": ("median", whole),
    "low": ("10th percentile", whole),
    "high": ("90th percentile", whole),
    "tokens": ("mean tokens, prompt included", decimal(1)),
}
_STEPS: Columns = {
    "n_steps": ("steps", whole),
    "mean_size": ("mean size of the projected gradient", decimal(3)),
    "largest": ("largest", decimal(3)),
    "first_rate": ("first learning rate", plain),
    "last_rate": ("last", plain),
}
_COSTS: Columns = {
    "seconds": ("seconds", decimal(1)),
    "share": ("share of the run", percent),
    "tokens": ("tokens", whole),
    "tokens_per_second": ("tokens per second", whole),
    "teraflop": ("teraflop, estimated", decimal(1)),
    "cost": ("cost", decimal(2)),
}


def _steps_section(report: "RoundsTables") -> Section:
    """Write what the steps of a run without gradients did."""
    facts = report.kept.facts
    share = float(str(facts.get("share_not_touched", 0)))
    note = (
        "Trained with forward passes only. A step is 16 bytes (a seed, a projected gradient and a learning "
        f"rate); the list of steps and the base model together are the trained model. {percent(share)} of "
        "the weights are not touched."
    )
    return _section("Steps without gradients", note, report.steps.set_index("round"), _STEPS)


def sections_of(report: "RoundsTables") -> list[Section]:
    """Return the tables of a report in the order of its pages."""
    sources = report.sources
    head = sources.head(_MOST_SOURCES)
    n_omitted = len(sources) - len(head)
    omitted = f" The {n_omitted} smallest sources are omitted." if n_omitted else ""
    names = ["source", "all", *(f"round {name}" for name in sources.columns[1:])]
    counts = [[str(name), *map(whole, row)] for name, row in zip(head.index, head.to_numpy(), strict=True)]
    return [
        _section("Rounds", _window_note(report), report.rounds, _ROUNDS),
        *([_changes_section(report)] if len(report.numbers) > 1 else []),
        *agreement_sections(report),
        _section("Length of answers", "Words of picked answers and of all.", report.lengths, _LENGTHS),
        Section("Sources", f"Number of records by source.{omitted}", names, counts),
        _mix_section(report),
        *([gains_section(report.gains)] if report.gains is not None else []),
        *([_examples_section(report)] if len(report.examples) else []),
        *([_steps_section(report)] if len(report.steps) else []),
        _section(
            "Time and cost",
            "Of the first process. Training includes evaluation and checkpoints.",
            report.costs,
            _COSTS,
        ),
    ]


def _changes_section(report: "RoundsTables") -> Section:
    """Write how scores moved from round to round."""
    return _section(
        "Changes of scores",
        "IFD of rescored rows, compared with their previous scores. Hard rows have the highest IFD "
        f"below the bound ({report.settings.max_ifd:g}); there are as many of them as picks.",
        report.scores.iloc[1:],
        _SCORES,
    )


def _mix_section(report: "RoundsTables") -> Section:
    """Write how the mix of sources and lengths moved."""
    rounds = [str(number) for number in report.numbers]
    rows = []
    for key, row in report.mix.iterrows():
        kind, group = key if isinstance(key, tuple) else ("", key)
        moved = 100 * (row[rounds[-1]] - row["all"])
        shares = [percent(float(row[name])) for name in ("all", *rounds)]
        drawn = sparkline([float(row[name]) for name in ("all", *rounds)])
        name = f"{kind} {group}" if kind == "source" else str(group)
        rows.append([name, *shares, decimal(1, sign=True)(float(moved)), drawn])
    header = ["group", "all", *(f"round {name}" for name in rounds), "last round less all, points", "course"]
    note = (
        "Share of the picks by source, and by the length of the answer: quarters of all records. The course"
        " begins with the share of all records."
    )
    return Section("How the mix moved", note, header, rows)


def _examples_section(report: "RoundsTables") -> Section:
    """Write picks beside rows of the same length that were left out."""
    rows, settings = [], report.settings
    for example in report.examples.to_dict("records"):
        measures = [
            decimal(3)(example["ifd"]),
            decimal(2)(example["diversity"]),
            decimal(3)(example["score"]),
        ]
        kind = "picked" if example["is_picked"] else "not picked"
        numbers = [whole(example["row"]), whole(example["words"])]
        rows.append(
            [str(example["round"]), kind, *numbers, *measures, example["question"], example["answer"]]
        )
    note = (
        "Some picks of each round. Below each is a scored record that was not picked, with an answer as "
        f"close in length as possible. The score of the mode, {settings.mode}, decides: for a pick, "
        "at the time it was picked; for a record that was not picked, after all picks, as if it came next. A "
        "dash means that the record could not be picked, or that its score was not computed. Texts are "
        "truncated."
    )
    limits = {"quotas": settings.quotas, "floors": settings.floors, "lengths": settings.match_length}
    if named := [name for name, used in limits.items() if used]:
        note += (
            f" Limits ({', '.join(named)}) come before the score: a record that was not picked may have a"
            " higher one."
        )
    header = ["round", "kind", "record", "words", "IFD", "diversity", "score", "question", "answer"]
    return Section("Picked and not picked", note, header, rows, n_texts=2)


def headline(report: "RoundsTables") -> str:
    """Summarise the run in a sentence."""
    rounds, costs = report.rounds, report.costs
    seconds = costs.groupby("part")["seconds"].sum()
    last = rounds.iloc[-1]
    return (
        f"{counted(len(rounds), 'round')} of {counted(int(last['n_picked']), 'pick')} from"
        f" {counted(len(report.kept.state.rows), 'record')},"
        f" {int(last['n_distinct']):,} different picks in total;"
        f" scoring took {percent(float(seconds['scoring'] / max(seconds.sum(), 1e-12)))} of"
        f" {seconds.sum():,.0f} seconds."
    )


def _window_note(report: "RoundsTables") -> str:
    """Say which records a later round scores."""
    rules = report.settings
    if rules.window == "published":
        return "Round 0 scores all records; later rounds score those that were hardest in round 0."
    if rules.window == "bounded":
        return (
            "Round 0 scores all records, and so do later rounds until enough moves of scores are known. Then"
            f" a round scores the records that could be among its {rules.window_size:,} hardest, if scores"
            f" move as before (with {percent(rules.confidence)} confidence, at most"
            f" {percent(rules.missed_share)} of the hardest are missed), and a check sample, which says how"
            " many were missed."
        )
    return (
        "Round 0 scores all records; later rounds score the hardest by their newest scores, with"
        f" {percent(report.settings.stale_share)} for the records with the oldest scores, and"
        f" {percent(report.settings.above_share)} for those whose IFD was too high to be picked."
    )


def findings(report: "RoundsTables") -> list[str]:
    """Say what a reader must know, the unwelcome first."""
    said = []
    lengths, rounds = report.lengths, report.rounds
    longest = lengths["mean"].iloc[1:].max() / max(lengths["mean"].iloc[0], 1e-12)
    if longest > LONGER:
        said.append(
            f"Picked answers are up to {longest:.1f} times as long as all answers: the sum of n-gram weights"
            " favours long answers. The modes length_neutral and length_debiased favour them less."
        )
    if n_completed := int(rounds["n_completed"].sum()):
        said.append(f"{counted(n_completed, 'pick')} outside the bounds were needed to complete the rounds.")
    if n_widened := int(rounds["n_widened"].sum()):
        said.append(
            f"{counted(n_widened, 'row')} beyond the windows were scored, because the windows contained too "
            "few candidates."
        )
    said += _of_bounds(report) + _of_proxy(report)
    if len(rounds) > 1:
        newly = report.scores["newly_hard"].iloc[1:].mean()
        said.append(f"In later rounds {percent(float(newly))} of the hard rows were not hard before.")
    if report.gains is None:
        said.append(
            "Whether these picks teach more than random records of the same lengths was not measured: iterit"
            " audit measures it."
        )
    if n_refused := report.number("n_refused"):
        said.append(f"{counted(n_refused, 'row')} of the files were refused and are not used.")
    unscored = report.kept.state.newest().loc[report.kept.state.rows]
    counts = unscored.loc[unscored["ifd"].isna(), "status"].value_counts()
    said.extend(f"{counted(n, 'record')} without a score: {status}." for status, n in counts.items())
    return said


def _of_bounds(report: "RoundsTables") -> list[str]:
    """Say how many of the hardest rows the window ``bounded`` missed."""
    rounds = report.rounds
    if "bound" not in rounds or not (bounded := rounds["bound"].notna()).any():
        return []
    n_top, n_missed = (int(rounds.loc[bounded, name].sum()) for name in ("n_check_top", "n_missed"))
    share = percent(upper_limit(n_missed, n_top, report.settings.confidence))
    n_all = len(report.kept.state.rows) * int(bounded.sum())
    return [
        f"The bounds saved {percent(1 - float(rounds.loc[bounded, 'n_scored'].sum()) / n_all)} of the scores"
        f" of {counted(int(bounded.sum()), 'round')}. Of {counted(n_top, 'record')} of the check samples that"
        f" were among the hardest, they missed {n_missed:,}: with {percent(report.settings.confidence)}"
        f" confidence at most {share} of the hardest."
    ]


def _of_proxy(report: "RoundsTables") -> list[str]:
    """Say which model scored round 0 in place of the one that was trained, and how they agree."""
    facts = report.kept.facts
    if not report.kept.state.by_proxy:
        return []
    names = [f"proxy_rank_correlation{end}" for end in ("", "_low", "_high")]
    found, low, high = (float(str(facts.get(name, "nan"))) for name in names)
    return [
        f"A proxy, {facts.get('proxy', 'unknown')}, scored round 0: its rank correlation with the model is"
        f" {decimal(2)(found)} ({decimal(2)(low)} to {decimal(2)(high)}) on"
        f" {counted(report.number('proxy_sample'), 'record')}. Its scores are not compared with later ones."
    ]


def page_of(report: "RoundsTables") -> SectionPage:
    """Return a report as a page, to be written as Markdown or HTML."""
    return SectionPage(
        report.title,
        headline(report),
        findings(report),
        sections_of(report),
        _settings(report),
        lambda: pictures_of(report),
    )


def _section(heading: str, note: str, table: pd.DataFrame, columns: Columns) -> Section:
    """Write the numbers of a table."""
    known = {name: column for name, column in columns.items() if name in table}
    names = [str(name) for name in table.index.names]
    rows = []
    for key, row in table.iterrows():
        keys = [str(part) for part in key] if isinstance(key, tuple) else [str(key)]
        rows.append([*keys, *(write(float(row[name])) for name, (_, write) in known.items())])
    return Section(heading, note, [*names, *(words for words, _ in known.values())], rows)


def _settings(report: "RoundsTables") -> list[list[str]]:
    """Write facts and settings."""
    every: Mapping[str, object] = {**report.kept.facts, **report.kept.settings}
    return [[name, plain(value)] for name, value in every.items() if name != "arguments"]
