"""One line for who decides: use the correction, use it only if ..., or do not use it, and why.

It follows from the figures of the report, from what is guaranteed, and from a plain method that is better.
Figures are of the rows of the report; a difference counts where its interval does not cover zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from debias.console.number_formats import at_least, counted, exact_percent, listed, percent
from debias.guarantees.guarantee import Guarantee

Answer = Literal["Use it", "Use it only if", "Do not use it"]
_KINDS = {"Use it": "better", "Use it only if": "warning", "Do not use it": "worse"}
_EVENNESS = ("cobias", "worst_class_accuracy")


class Rival(NamedTuple):
    """A plain method that is better than the correction on the same rows, or does the same.

    Attributes
    ----------
    name : str
    because : str
        In what it is better, as a clause.
    is_clear : bool, default=True
        Whether it is better by more than chance.
    is_same : bool, default=False
        Whether it is not better: it gives every row the same class.
    """

    name: str
    because: str
    is_clear: bool = True
    is_same: bool = False


@dataclass(frozen=True)
class Recommendation:
    """Whether to use a correction.

    Attributes
    ----------
    answer : {"Use it", "Use it only if", "Do not use it"}
    because : str
        The rest of the sentence.
    beside : tuple of str
        Sentences on what holds beside it.
    """

    answer: Answer
    because: str
    beside: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Answer and reason in a sentence."""
        joint = " " if self.answer == "Use it only if" else ", because "
        return f"{self.answer}{joint}{self.because}."

    @property
    def kind(self) -> str:
        """The colour on a page: better, warning or worse."""
        return _KINDS[self.answer]


def recommend(
    overall: pd.DataFrame,
    by_class: pd.DataFrame,
    *,
    blockers: Sequence[str] = (),
    guarantee: Guarantee | None = None,
    rival: Rival | None = None,
) -> Recommendation:
    """Say whether to use a correction.

    Parameters
    ----------
    overall, by_class : DataFrame
        As the attributes of :class:`debias.reports.correction_report.Report`.
    blockers : sequence of str
        Clauses on why the figures decide nothing: rows that were fitted on, bounds that are not kept.
    guarantee : Guarantee, optional
        What holds on new rows.
    rival : Rival, optional
        A plain method that is better, or does the same.

    Returns
    -------
    Recommendation

    Examples
    --------
    >>> from debias.reports.correction_report import Report
    >>> truth = ["yes"] * 50 + ["no"] * 50
    >>> report = Report(truth, ["yes"] * 90 + ["no"] * 10, ["yes"] * 50 + ["no"] * 50)
    >>> print(recommend(report.overall, report.by_class).sentence)
    Use it, because COBias falls from 80.0 to 0.0 points, the accuracy of the worst class rises from 20.0 to
    100.0 % and accuracy rises from 60.0 to 100.0 %.
    >>> print(recommend(report.overall, report.by_class, blockers=["it was fitted on these rows"]).sentence)
    Do not use it, because it was fitted on these rows.
    """
    n_rows = int(by_class["support"].sum())
    if blockers:
        return Recommendation("Do not use it", listed(list(blockers)))
    these = "this row" if n_rows == 1 else f"these {counted(n_rows, 'row')}"
    if not by_class["moved_out"].any():
        return Recommendation("Do not use it", f"it changes no prediction of {these}")
    if rival is not None and rival.is_clear and not rival.is_same:
        because = f"{rival.name} {rival.because} on the same rows: use that"
        return Recommendation("Do not use it", because)
    if _is_worse_everywhere(by_class):
        because = "the model without it is at least as accurate for every class on these rows"
        return Recommendation("Do not use it", because)
    verdicts = {str(metric): str(one) for metric, one in overall["verdict"].items()}
    decisive = ("cobias", "worst_class_accuracy", "accuracy")
    gains = [metric for metric in decisive if verdicts[metric] == "better"]
    losses = [metric for metric in decisive if verdicts[metric] == "worse"]
    beside = _beside(by_class, guarantee, rival)
    unseen = _unseen(by_class)
    if gains and losses:
        return Recommendation("Use it only if", _trade(overall, gains, losses, unseen), beside)
    if gains:
        why = _clauses(overall, gains) + _unclear(verdicts)
        return (
            Recommendation("Use it only if", f"{unseen}: {why}", beside)
            if unseen
            else Recommendation("Use it", why, beside)
        )
    if losses:
        return Recommendation("Do not use it", _clauses(overall, losses), beside)
    why = (
        f"{these} {'shows' if n_rows == 1 else 'show'} no clear change in COBias, in the worst class or in "
        "accuracy; "
        "more labelled rows may show one"
    )
    return Recommendation("Do not use it", why, beside)


def _clauses(overall: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Say how metrics moved."""
    return listed([_clause(overall, metric) for metric in metrics])


def _clause(overall: pd.DataFrame, metric: str) -> str:
    before, after = (float(overall[side].to_dict()[metric]) for side in ("before", "after"))
    verb = "rises" if after > before else "falls"
    name = {
        "cobias": "COBias",
        "worst_class_accuracy": "the accuracy of the worst class",
        "accuracy": "accuracy",
    }[metric]
    unit = "points" if metric == "cobias" else "%"
    return f"{name} {verb} from {percent(before, unit=False)} to {percent(after, unit=False)} {unit}"


def _is_worse_everywhere(by_class: pd.DataFrame) -> bool:
    """Tell whether no class gains and one loses: then classes are even only where all are as bad."""
    seen = by_class[by_class["support"] > 0]
    return bool((seen["after"] <= seen["before"]).all() and (seen["after"] < seen["before"]).any())


def _unseen(by_class: pd.DataFrame) -> str:
    """Say which classes must not matter: those without a row, and those that are no longer predicted."""
    absent = by_class["support"] == 0
    lost = ~absent & (by_class["predicted_after"] == 0) & (by_class["predicted_before"] > 0)
    said = []
    for which, why in (
        (absent, "no row of {them} is here"),
        (lost, "no row is predicted as {them} any more"),
    ):
        names = [str(name) for name in by_class.index[which]]
        verb, them = ("does", "it") if len(names) == 1 else ("do", "any of them" if which is lost else "them")
        if names:
            said.append(f"{listed(names)} {verb} not matter, since {why.format(them=them)}")
    return ", and ".join(said)


def _trade(overall: pd.DataFrame, gains: list[str], losses: list[str], unseen: str) -> str:
    """Say what is to be weighed against what."""
    wanted = "even classes matter" if set(gains) & set(_EVENNESS) else "accuracy matters"
    if "accuracy" in losses:
        than = "accuracy"
    elif "accuracy" in gains:
        than = "even classes"
    else:
        wanted, than = "one kind of evenness matters", "the other"
    and_unseen = f", and {unseen}" if unseen else ""
    return (
        f"{wanted} more than {than}{and_unseen}: {_clauses(overall, gains)}, but {_clauses(overall, losses)}"
    )


def _unclear(verdicts: dict[str, str]) -> str:
    """Say that accuracy, or evenness, did not clearly change."""
    if verdicts["accuracy"] == "unclear":
        return "; accuracy does not clearly change"
    if all(verdicts[metric] == "unclear" for metric in _EVENNESS):
        return "; evenness does not clearly change"
    return ""


def _beside(by_class: pd.DataFrame, guarantee: Guarantee | None, rival: Rival | None) -> tuple[str, ...]:
    """Say how far the guarantee reaches, and which plain method does as well."""
    said = []
    if guarantee is not None:
        least = at_least(guarantee.worst_class_at_least)
        worst = float(by_class["before"].min())
        sentence = (
            f"On new rows, every class is classified correctly at least {least} % of the time, with "
            f"{exact_percent(guarantee.confidence)} % confidence"
        )
        if guarantee.worst_class_at_least <= worst:
            sentence += (
                f"; that is not yet more than the {percent(worst)} that the worst class reaches here without "
                "the correction, and more held-out rows could show more"
            )
        said.append(f"{sentence}.")
    if rival is not None:
        name = f"{rival.name[:1].upper()}{rival.name[1:]}"
        does = f"{rival.because} on the same rows, though by no more than chance could explain: it is a plain"
        same = f"{name}, a plain method, {rival.because}: on these rows, either will do."
        said.append(same if rival.is_same else f"{name} {does} method that would do as well.")
    return tuple(said)
