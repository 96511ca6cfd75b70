"""The figures of a report in words, the unwelcome ones first: worse is called worse.

A difference counts as clear when its interval does not cover zero.
"""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from debias.console.number_formats import (
    HIGHER_IS_BETTER,
    METRIC_NAMES,
    exact_percent,
    listed,
    percent,
    signed,
    signed_span,
    span,
)
from debias.metrics.class_mix import describe_never_predicted

FEW_ROWS = 30
"""Classes with fewer rows are named: one row moves their accuracy by more than three points."""

NOT_SOCIAL_BIAS = (
    "The corrections even out how often each class is classified correctly. They do not measure or remove "
    "social bias, and they do not touch the model."
)

MOST_OPTIMISTIC = 11
"""Rows of a class up to which simulated intervals of level 0.95 hold less often than 87 %."""

Kind = Literal["warning", "worse", "unclear", "better", "note"]


@dataclass(frozen=True)
class Finding:
    """One fact that a reader of the report must know.

    Attributes
    ----------
    kind : {"warning", "worse", "unclear", "better", "note"}
        A warning is about the report itself, the others are about the result.
    text : str
        One or two sentences.
    metric : str, optional
        The overall metric that it is about: pages show that as a figure, so they omit the sentence.
    """

    kind: Kind
    text: str
    metric: str | None = None


def verdict(metric: str, row: pd.Series) -> Kind:
    """Tell whether a metric became clearly better or worse.

    Parameters
    ----------
    metric : str
        One of the overall metrics, or class_accuracy.
    row : Series
        With difference_low and difference_high.

    Returns
    -------
    {"better", "worse", "unclear"}
        Unclear when the interval of the difference covers zero.

    Examples
    --------
    >>> verdict("cobias", pd.Series({"difference_low": -0.2, "difference_high": -0.1}))
    'better'
    >>> verdict("accuracy", pd.Series({"difference_low": -0.2, "difference_high": 0.0}))
    'unclear'
    """
    if not (row["difference_low"] > 0 or row["difference_high"] < 0):
        return "unclear"
    return "better" if (row["difference_low"] > 0) == HIGHER_IS_BETTER.get(metric, True) else "worse"


def headline(overall: pd.DataFrame) -> str:
    """Say in one sentence what became of evenness and of accuracy.

    Parameters
    ----------
    overall : DataFrame
        As :attr:`debias.reports.correction_report.Report.overall`.

    Returns
    -------
    str
        The sentence.
    """
    verdicts, values = overall["verdict"].to_dict(), overall[["before", "after"]].to_dict("index")
    evenness = {
        "better": "The classes are more even",
        "worse": "The classes are LESS even than before",
        "unclear": "Evenness did not clearly change",
    }[verdicts["cobias"]]
    accuracy = {
        "better": "accuracy rose",
        "worse": "accuracy FELL",
        "unclear": "accuracy did not clearly change",
    }[verdicts["accuracy"]]
    cobias, share = values["cobias"], values["accuracy"]
    return (
        f"{evenness} (COBias {percent(cobias['before'], unit=False)} to "
        f"{percent(cobias['after'], unit=False)} points); {accuracy} "
        f"({percent(share['before'])} to {percent(share['after'])})."
    )


def describe_results(overall: pd.DataFrame, by_class: pd.DataFrame, level: float) -> list[Finding]:
    """Put the overall figures and the clear changes of classes into words.

    Parameters
    ----------
    overall, by_class : DataFrame
        As the attributes of :class:`debias.reports.correction_report.Report`.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    list of Finding
        Worse before unclear before better.
    """
    if not by_class["moved_out"].any():
        return [Finding("unclear", "No prediction changed on these rows: all figures stay as they were.")]
    found = [_describe_metric(metric, row, level) for metric, row in overall.iterrows()]
    for kind, words in (("worse", "clearly fewer"), ("better", "clearly more")):
        rows = by_class[by_class["verdict"] == kind]
        if len(rows):
            changes = [
                f"{name} ({percent(r['before'])} to {percent(r['after'])})" for name, r in rows.iterrows()
            ]
            found.append(Finding(kind, f"{words.capitalize()} rows classified correctly: {listed(changes)}."))  # type: ignore[arg-type]
    order: list[Kind] = ["worse", "unclear", "better"]
    return sorted(found, key=lambda finding: order.index(finding.kind))


def _describe_metric(metric: object, row: pd.Series, level: float) -> Finding:
    """Put one overall metric into words."""
    name, kind = METRIC_NAMES[str(metric)], row["verdict"]
    sides = f"{percent(row['before'])} before, {percent(row['after'])} after"
    if metric == "cobias":
        sides = f"{percent(row['before'], False)} points before, {percent(row['after'], False)} after"
    interval = signed_span(row["difference_low"], row["difference_high"])
    difference = f"{signed(row['difference'])} points, {exact_percent(level)} % interval {interval}"
    words = {
        "better": "better",
        "worse": "WORSE",
        "unclear": "no clear change, the interval of the difference covers zero",
    }[kind]
    return Finding(kind, f"{name}: {sides} ({difference}): {words}.", str(metric))


def describe_rows(by_class: pd.DataFrame, overall: pd.DataFrame) -> list[Finding]:
    """Say what limits the figures: absent, small and never predicted classes, and the majority answer.

    Parameters
    ----------
    by_class, overall : DataFrame
        As the attributes of :class:`debias.reports.correction_report.Report`.

    Returns
    -------
    list of Finding
        Warnings.
    """
    found = []
    support = by_class["support"]
    absent = [str(name) for name in support.index[support == 0]]
    if absent:
        found.append(
            Finding(
                "warning",
                f"No row of {listed(absent, 'or')}: nothing is known about "
                f"{'it' if len(absent) == 1 else 'them'}, and no figure includes such a class.",
            )
        )
    small = [f"{name} ({n})" for name, n in support.items() if 0 < n < FEW_ROWS]
    if small:
        fewest = int(support[support > 0].min())
        found.append(
            Finding(
                "warning",
                f"Fewer than {FEW_ROWS} rows of {listed(small)}: one row moves a class accuracy by up to "
                f"{percent(1 / fewest, unit=False)} points, so read the intervals.{_too_few(fewest)}",
            )
        )
    sides = (by_class[f"predicted_{side}"].to_numpy() for side in ("before", "after"))
    said = describe_never_predicted([str(name) for name in by_class.index], *sides)
    if said:
        found.append(Finding("warning", said))
    return found + _majority(support, overall)


def _too_few(fewest: int) -> str:
    """Say that so few rows of a class show too little for an interval to hold as often as it should."""
    if fewest > MOST_OPTIMISTIC:
        return ""
    return (
        " With so few, the intervals of COBias, of the worst class and of such a class hold less often than "
        "they say: changes that no row shows are not in them."
    )


def _majority(support: pd.Series, overall: pd.DataFrame) -> list[Finding]:
    """Warn when always giving the most frequent answer would be correct as often."""
    share = float(support.max() / support.sum())
    after = float(overall["after"].to_dict()["accuracy"])
    if after > share:
        return []
    text = (
        f"Always answering {support.idxmax()} would be correct for {percent(share)} of these rows, no "
        f"less than the corrected {percent(after)}: accuracy alone says little here."
    )
    return [Finding("warning", text)]


def describe_interval(row: pd.Series, side: str) -> str:
    """Write a value with its interval, as tables show it.

    Parameters
    ----------
    row : Series
        With the fields `side`, `side`_low and `side`_high.
    side : {"before", "after", "difference"}
        Which value.

    Returns
    -------
    str
        On a scale of 0 to 100, without unit.

    Examples
    --------
    >>> describe_interval(pd.Series({"after": 0.5, "after_low": 0.4, "after_high": 0.6}), "after")
    '50.0 (40.0–60.0)'
    """
    low, high = row[f"{side}_low"], row[f"{side}_high"]
    if side == "difference":
        value, between = signed(row[side]), signed_span(low, high)
    else:
        value, between = percent(row[side], unit=False), span(low, high)
    return value if between == "–" else f"{value} ({between})"
