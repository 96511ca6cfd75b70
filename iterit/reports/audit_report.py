"""Reports an audit of picks: tables, Markdown and one HTML page."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from debias.console.number_formats import counted, exact_percent, percent, plain
from iterit.reports.audit_verdict import findings_of, verdict_of
from iterit.reports.gains import HEADING, WAYS, gains_picture, gains_section, interval
from iterit.reports.section_page import Picture, Section, SectionPage, decimal, whole
from iterit.training.audits.picks_audit import AuditResult


class AuditReport:
    """An audit in tables and on pages.

    Parameters
    ----------
    result : AuditResult
    planted, planted_scores : DataFrame, optional
        From :mod:`iterit.training.audits.planted_picks`.
    n_unknown : dict of str to int, optional
        Picks that were not in the pool.
    task, task_probabilities : DataFrame, optional
        From :mod:`iterit.training.audits.task_measure`.
    title : str

    Examples
    --------
    >>> report = AuditReport(result)  # doctest: +SKIP
    >>> report.write("audit.html")  # doctest: +SKIP
    """

    def __init__(
        self,
        result: AuditResult,
        planted: pd.DataFrame | None = None,
        planted_scores: pd.DataFrame | None = None,
        n_unknown: dict[str, int] | None = None,
        task: pd.DataFrame | None = None,
        task_probabilities: pd.DataFrame | None = None,
        title: str = "Do the picks beat chance?",
    ) -> None:
        self.result, self.planted, self.planted_scores = result, planted, planted_scores
        self.task, self.task_probabilities = task, task_probabilities
        self.n_unknown, self.title = n_unknown, title

    @property
    def headline(self) -> str:
        """The verdict on the first picks, or how many of several beat chance."""
        names = list(dict.fromkeys(self.result.gains["picks"]))
        if len(names) == 1:
            return verdict_of(self.result, names[0])
        own = self.result.gains[self.result.gains["way"] == "picks"]
        beat = [name for name in names if (own[own["picks"] == name]["verdict"] == "better").all()]
        words = ", ".join(beat) if beat else "none"
        return (
            f"{len(beat)} of {counted(len(names), 'group')} of picks beat random records of the same lengths"
            f" by token and by record: {words}."
        )

    @property
    def findings(self) -> list[str]:
        """What a reader must know, in sentences."""
        found = findings_of(self.result, self.planted, self.n_unknown, self.task)
        return found[1:] if len(set(self.result.gains["picks"])) == 1 else found

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return all tables by name."""
        result = self.result
        every = {
            "gains": result.gains, "losses": result.losses, "description": result.description,
            "sources": result.sources, "scripts": result.scripts, "costs": result.costs,
            "datamodel": result.datamodel, "planted": self.planted, "planted_scores": self.planted_scores,
            "task": self.task, "task_probabilities": self.task_probabilities,
        }  # fmt: skip
        return {name: frame for name, frame in every.items() if frame is not None and len(frame)}

    def sections(self) -> list[Section]:
        """Return the tables with headings and notes, for pages."""
        made = [gains_section(self.result.gains, self.result.settings.confidence)]
        if self.task is not None:
            made.append(_task(self.task, self.result.settings.confidence))
        made += [self._losses(), self._description()]
        for heading, table in (("Sources", self.result.sources), ("Scripts of answers", self.result.scripts)):
            if len(table) > 1:
                made.append(_shares(heading, table))
        if self.planted is not None:
            made.append(self._planted(self.planted))
        if self.planted_scores is not None:
            made.append(_planted_scores(self.planted_scores))
        if len(self.result.datamodel):
            made.append(self._datamodel())
        return [*made, self._costs()]

    def settings(self) -> list[list[str]]:
        """Return settings and facts, as pages show them."""
        told = ("overlap", "n_unusable")  # among the findings
        facts = {name: value for name, value in self.result.facts.items() if name not in told}
        every: Mapping[str, object] = {**facts, **vars(self.result.settings)}
        return [[name, plain(value)] for name, value in every.items()]

    def page(self) -> SectionPage:
        """Return the audit as a page."""
        return SectionPage(
            self.title, self.headline, self.findings, self.sections(), self.settings(), self._pictures
        )

    def _pictures(self) -> dict[str, list[Picture]]:
        return {HEADING: [gains_picture(self.result.gains)]}

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        return self.page().to_markdown()

    def to_html(self) -> str:
        """Return the report as one self-contained page."""
        return self.page().to_html()

    def write(self, path: str | Path) -> Path:
        """Write the report as .html or .md, by the suffix.

        Raises
        ------
        ParameterError
            The suffix is another one.
        """
        return self.page().write(path)

    def _losses(self) -> Section:
        """Return mean losses of each way."""
        table = self.result.losses[self.result.losses["way"] != "subset"]
        rows = []
        for (name, way), own in table.groupby(["picks", "way"], sort=False):
            label = f"{name}: {WAYS[str(way)]}" if name else WAYS[str(way)]
            cells = [own["n_rows"].mean(), own["answer_tokens"].mean()]
            rows.append(
                [
                    label,
                    *map(whole, cells),
                    *(decimal(4)(own[column].mean()) for column in ("by_token", "by_record")),
                ]
            )
        return Section(
            "Losses", "Means over seeds.",
            ["trained on", "records", "answer tokens", "loss by token", "loss by record"], rows,
        )  # fmt: skip

    def _description(self) -> Section:
        """Return lengths, coverage and copies."""
        columns = {
            "n_records": ("records", whole), "answer_tokens": ("answer tokens", whole),
            "mean_tokens": ("mean", decimal(1)), "median_tokens": ("median", decimal(1)),
            "mean_turns": ("answers per record", decimal(2)), "coverage": ("n-grams covered", percent),
            "n_copies": ("copies", whole),
        }  # fmt: skip
        rows = [
            [str(name), *(write(float(row[column])) for column, (_, write) in columns.items())]
            for name, row in self.result.description.iterrows()
        ]
        return Section(
            "What was picked",
            "N-grams covered: the share of the n-grams in at least two answers of the pool that the records"
            " have. Copies: exact and near duplicates of other records of the group.",
            ["records", *(heading for heading, _ in columns.values())],
            rows,
        )

    def _planted(self, planted: pd.DataFrame) -> Section:
        """Return shares of planted records."""
        rows = [
            [str(name), whole(row["n_records"]), *(percent(float(row[kind])) for kind in planted.columns[1:])]
            for name, row in planted.iterrows()
        ]
        note = (
            "Records of known worth were planted in a copy of the pool. Good picks include few with a wrong "
            "answer."
        )
        return Section("Planted records", note, ["picks", "records", *map(str, planted.columns[1:])], rows)

    def _datamodel(self) -> Section:
        """Return how well scores predict what subsets teach."""
        write = decimal(3, sign=True)
        rows = [
            [
                row["score"],
                row["measure"],
                write(row["correlation"]),
                interval(row, write),
            ]
            for row in self.result.datamodel.to_dict("records")
        ]
        n_subsets = self.result.datamodel["n_subsets"].iloc[0]
        return Section(
            "Do scores predict what is learnt?",
            "Rank correlation, over random subsets, between the sum of the scores and how much training on "
            f"the subset lowered the held-out loss ({n_subsets} subsets; linear datamodel score).",
            ["score", "loss", "correlation", "interval"],
            rows,
        )

    def _costs(self) -> Section:
        """Return what selection and training cost."""
        rows = [
            [
                f"{row['part']}{': ' if row['picks'] else ''}{row['picks']}",
                *(whole(float(row[name])) for name in ("forwards", "tokens", "forward_tokens")),
                decimal(1)(float(row["seconds"])),
            ]
            for row in self.result.costs.to_dict("records")
        ]
        return Section(
            "Cost",
            "A trained token counts as three tokens of forward passes. Seconds are for this machine, from "
            "the rates measured here.",
            ["part", "passes of a record", "tokens", "forward tokens", "seconds"],
            rows,
        )


def _task(table: pd.DataFrame, confidence: float) -> Section:
    """Return accuracy, COBias and the worst class of a task."""
    write = decimal(1, sign=True)
    rows = [
        [
            row["picks"], row["figure"],
            *(decimal(1)(100 * row[name]) for name in ("untrained", "trained", "random")),
            write(100 * row["gain"]), interval({k: 100 * row[k] for k in ("low", "high")}, write),
            row["verdict"],
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    first = table.iloc[0]
    note = (
        f"{first['n_rows']:,} rows of {first['task']}, classified by each trained model, in percentage "
        f"points; means over {counted(int(first['n_seeds']), 'seed')}. A gain is positive if picks are "
        f"better, which for COBias means lower. {exact_percent(confidence)} % intervals cover other rows and "
        "other draws."
    )
    header = ["picks", "figure", "untrained", "picks", "random, same lengths", "gain", "interval", "verdict"]
    return Section(f"Accuracy on {first['task']}", note, header, rows)


def _shares(heading: str, table: pd.DataFrame) -> Section:
    """Return shares within groups."""
    rows = [
        [str(name), *map(percent, map(float, row))]
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return Section(heading, "Share of records.", [heading.split()[0].lower(), *map(str, table.columns)], rows)


def _planted_scores(table: pd.DataFrame) -> Section:
    """Return how hard planted records are."""
    rows = [
        [
            str(name), whole(row["n_records"]), decimal(3)(row["median_ifd"]),
            percent(float(row["at_least_one"])), decimal(3)(row["mean_loss"]),
        ]
        for name, row in table.iterrows()
    ]  # fmt: skip
    note = "A swapped answer should have an IFD of 1 or more, which the usual bound excludes."
    return Section(
        "Scores of planted records", note,
        ["kind", "records", "median IFD", "IFD of 1 or more", "mean loss"], rows,
    )  # fmt: skip
