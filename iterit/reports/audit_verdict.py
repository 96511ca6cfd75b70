"""Says in plain words what an audit of picks found, the unwelcome first."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from debias.console.number_formats import counted, exact_percent, percent
from iterit.selection.length_matching import TOLERANCE
from iterit.training.audits.picks_audit import AuditResult

OVERLAP = 0.2
"""A finding names random draws that share this much with the picks."""
COPIES = 0.02
"""A finding names picks with this share of copies."""

_BETTER, _UNCLEAR, _WORSE = "better", "unclear", "worse"


def verdict_of(result: AuditResult, name: str) -> str:
    """Return whether some picks beat chance at equal length, in one or two sentences.

    Parameters
    ----------
    result : AuditResult
    name : str
        Of the picks.

    Returns
    -------
    str
        True in every case: "beat" is said only where both intervals, by token and by record, are above 0.
    """
    gains = result.gains[(result.gains["picks"] == name) & (result.gains["way"] == "picks")]
    by = {str(row["by"]): row for row in gains.to_dict("records")}
    token, record = by["token"], by["record"]
    said = {token["verdict"], record["verdict"]}
    figures = (
        f"the loss on held-out answers is {_amount(token)} per token and {_amount(record)} per record"
        f" (nats, {exact_percent(result.settings.confidence)} % intervals,"
        f" {counted(int(token['n_seeds']), 'seed')})"
    )
    if said == {_BETTER}:
        return f"{name} beats random records of the same lengths: {figures}."
    if said == {_WORSE}:
        return f"{name} is worse than random records of the same lengths: {figures}."
    if said == {_UNCLEAR}:
        return (
            f"No difference was found between {name} and random records of the same lengths: {figures}."
            " Random records are cheaper."
        )
    if said == {_BETTER, _WORSE}:
        return f"{name} is better by one measure and worse by the other: {figures}. It does not beat chance."
    better = token if token["verdict"] != _UNCLEAR else record
    other = "record" if better is token else "token"
    word = "better" if better["verdict"] == _BETTER else "worse"
    return (
        f"{name} is {word} than random records of the same lengths by {better['by']}, and by {other} the"
        f" difference is unclear: {figures}. It does not beat chance on both."
    )


def _amount(row: Mapping[Hashable, Any]) -> str:
    word = "lower" if row["gain"] >= 0 else "higher"
    low, high = (row["low"], row["high"]) if row["gain"] >= 0 else (-row["high"], -row["low"])
    return f"{abs(row['gain']):.4f} {word} ({_signed(low)} to {_signed(high)})"


def _signed(value: float) -> str:
    return f"{value:.4f}".replace("-", "−")


def findings_of(
    result: AuditResult,
    planted: pd.DataFrame | None = None,
    n_unknown: dict[str, int] | None = None,
    task: pd.DataFrame | None = None,
) -> list[str]:
    """Return a verdict for each group of picks, and what a reader must know beside it.

    Parameters
    ----------
    result : AuditResult
    planted : DataFrame, optional
        From :func:`iterit.training.audits.planted_picks.planted_shares`.
    n_unknown : dict of str to int, optional
        Picks that were not in the pool, by the name of the picks.
    task : DataFrame, optional
        From :func:`iterit.training.audits.task_measure.task_gains`.
    """
    names = list(dict.fromkeys(result.gains["picks"]))
    said = [verdict_of(result, name) for name in names]
    for name in names:
        said += [_more_random(result, name), _unequal(result, name)]
        if (overlap := result.facts["overlap"][name]) > OVERLAP:  # type: ignore[index]
            said.append(
                f"{percent(overlap)} of the random records for {name} are picks themselves: few records of "
                "these lengths are not, so a difference is hard to see."
            )
        copies = result.description.loc[name, "n_copies"] / result.description.loc[name, "n_records"]
        if copies > COPIES:
            said.append(f"{percent(float(copies))} of {name} are copies of other picks, exact or near.")
        if n_short := result.facts["n_unusable"][name]:  # type: ignore[index]
            said.append(
                f"{counted(n_short, 'pick')} of {name} have no answer that fits the context, and "
                "were excluded."
            )
        if n_unknown and n_unknown.get(name):
            said.append(
                f"{counted(n_unknown[name], 'pick')} of {name} are not in the pool and were excluded."
            )
    if task is not None:
        said += [_task(own) for _, own in task.groupby("picks", sort=False)]
    if planted is not None:
        said += _planted(planted)
    return [one for one in said if one]


def _more_random(result: AuditResult, name: str) -> str:
    """Say what the cost of selection would have bought."""
    gains = result.gains[(result.gains["picks"] == name)]
    more = {str(row["by"]): row for row in gains[gains["way"] == "more random"].to_dict("records")}
    if not more:
        return ""
    own = {str(row["by"]): row for row in gains[gains["way"] == "picks"].to_dict("records")}
    beaten = [by for by in own if more[by]["gain"] > own[by]["gain"]]
    losses = result.losses[(result.losses["picks"] == name)]
    trained = losses.groupby("way")["n_rows"].mean()
    times = trained["more random"] / trained["picks"]
    n_seeds = counted(int(more["token"]["n_seeds"]), "seed")
    spent = f"spent on {times:.1f} times as many random records ({n_seeds}), the cost of selection"
    if trained["more random"] == result.facts.get("n_candidates"):  # more of them cannot be bought
        spent = f"training on all records ({n_seeds}), for no more than the cost of selection,"
    if len(beaten) == 2:
        return f"For {name}, {spent} lowers the loss further than the picks do, by token and by record."
    if not beaten:
        return f"For {name}, {spent} lowers the loss less than the picks do, by token and by record."
    other = "record" if beaten[0] == "token" else "token"
    return (
        f"For {name}, {spent} lowers the loss further by {beaten[0]}, and less by {other}, than the picks do."
    )


def _unequal(result: AuditResult, name: str) -> str:
    """Say where random records have not as many answer tokens as the picks: no swap came nearer."""
    tokens = result.losses[result.losses["picks"] == name].groupby("way")["answer_tokens"].sum()
    more = float(tokens["random"] / tokens["picks"]) - 1
    if abs(more) <= TOLERANCE:
        return ""
    word = "more" if more > 0 else "fewer"
    return (
        f"The random records for {name} have {percent(abs(more))} {word} answer tokens than the picks, so"
        " part of a difference may be due to length."
    )


def _task(own: pd.DataFrame) -> str:
    """Say what the picks did to a task, beside random records of the same lengths."""
    name, parts = own["picks"].iloc[0], []
    for row in own.to_dict("records"):
        interval = f"({_points(row['low'])} to {_points(row['high'])})"
        if row["verdict"] == _UNCLEAR:
            parts.append(f"no difference in {row['figure']} was found {interval}")
        else:
            amount = f"{_points(abs(row['gain']))} points {row['verdict']}"
            parts.append(f"{row['figure']} is {amount} {interval}")
    return (
        f"On {own['task'].iloc[0]}, after training {name} instead of random records of the same lengths:"
        f" {'; '.join(parts)}."
    )


def _points(share: float) -> str:
    return f"{100 * share:.1f}".replace("-", "−")


def _planted(planted: pd.DataFrame) -> list[str]:
    """Say how many picks have a wrong answer, and what chance would give."""
    said = []
    for kind in ("swapped answer", "wrong sum"):
        own = planted[kind].iloc[1:].sort_values(kind="stable")
        words = ", ".join(f"{percent(float(share))} of {name}" for name, share in own.items())
        said.append(
            f"In the planted pool, {kind}s make up {words}; by chance it would be "
            f"{percent(planted[kind].iloc[0])}."
        )
    return said
