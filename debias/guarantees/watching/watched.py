"""The judgement on new rows: a verdict, the checks that lead to it, and sentences that say so."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import pandas as pd

from debias.console.number_formats import at_least, at_most, counted, exact_percent, listed, percent
from debias.guarantees.watching.origin_facts import ChangedFact

Verdict = Literal["holds", "mix shifted", "expired"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Against = Literal["mix", "correction"]
"""What a check speaks against: the class mix, or all that was fitted."""

EXIT_CODES: dict[Verdict, int] = {"holds": 0, "mix shifted": 4, "expired": 5}
"""What `debias watch` exits with."""

HEADER = ("check", "class", "shift, points", "p", "corrected p", "found")
"""Names of the columns of :meth:`Watched.cells`."""
_MEANING: dict[Verdict, str] = {
    "holds": "Holds: no check found that these rows differ from those that the correction was fitted on.",
    "mix shifted": "Mix shifted: these rows differ from those that the correction was fitted on, but a "
    "different mix of the same classes would explain it. If nothing else has changed, class "
    "accuracies and COBias still hold, and only the accuracy differs; labels for some rows "
    "would show whether this is so.",
    "expired": "Expired: these rows differ from those that the correction was fitted on by more than the "
    "class mix, so nothing that was measured or guaranteed before is known to hold. Collect "
    "labels and fit again.",
}


@dataclass(frozen=True)
class Check:
    """One comparison of new rows with those of the fit, or with held-out ones.

    Attributes
    ----------
    name : str
        What was compared.
    against : {"mix", "correction"}
        What it speaks against, if it finds a difference.
    shift : float
        How far apart both are, as a fraction.
    p_value, corrected : float
        Of a difference so large by chance: alone, and corrected for the number of checks.
    found : bool
        Whether there is a difference.
    class_name : str or None
        Of which class, where it is of one.
    """

    name: str
    against: Against
    shift: float
    p_value: float
    corrected: float = 1.0
    found: bool = False
    class_name: str | None = None


@dataclass(frozen=True)
class ClassWatch:
    """What is known of one class on new rows; None where it is not known.

    Attributes
    ----------
    class_name : str
    fitted_share, share : float
        On the rows of the comparison, and on new rows as their predictions tell (or their labels).
    share_low, share_high : float or None
        Which shares the predictions allow.
    guaranteed : float or None
        Class accuracy that the file guarantees.
    n, correct : int or None
        Labelled new rows, and those predicted correctly.
    accuracy_low, accuracy_high : float or None
        Exact bounds from these; those of all classes hold at once.
    """

    class_name: str
    fitted_share: float
    share: float
    share_low: float | None = None
    share_high: float | None = None
    guaranteed: float | None = None
    n: int | None = None
    correct: int | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None


@dataclass(frozen=True)
class Watched:
    """The judgement on new rows.

    Attributes
    ----------
    n_rows, n_labelled, n_reference : int
        New rows, those with a label, and rows of the fit that they are compared with.
    confidence : float
        If nothing has changed, the verdict is "holds" with this probability or a higher one.
    least_shift : float
        Shifts below it are never found, however many rows show them.
    checks : tuple of Check
    classes : tuple of ClassWatch
        In the order of the columns.
    changed : tuple of ChangedFact
        Facts of the origin that are other ones than when it was fitted.
    held_out : bool
        Whether predictions are compared with held-out rows of ``certify``, or those of the uncorrected model
        with the fitted rows.
    accuracy : float or None
        Share of the labelled rows that is predicted correctly.
    notes : tuple of str
        Sentences on what limits the judgement.
    """

    n_rows: int
    n_labelled: int
    n_reference: int
    confidence: float
    least_shift: float
    checks: tuple[Check, ...]
    classes: tuple[ClassWatch, ...]
    changed: tuple[ChangedFact, ...] = ()
    held_out: bool = False
    accuracy: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """``"holds"``, ``"mix shifted"`` (class accuracies still hold) or ``"expired"``."""
        found = {check.against for check in self.checks if check.found}
        if "correction" in found or any(one.ends for one in self.changed):
            return "expired"
        return "mix shifted" if found else "holds"

    @property
    def exit_code(self) -> int:
        """0 holds, 4 mix shifted, 5 expired."""
        return EXIT_CODES[self.verdict]

    def to_frame(self) -> pd.DataFrame:
        """Return a row per check."""
        return pd.DataFrame([asdict(check) for check in self.checks])

    def to_dict(self) -> dict[str, object]:
        """Return the judgement as plain data, for JSON."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "n_rows": self.n_rows,
            "n_labelled": self.n_labelled,
            "n_reference": self.n_reference,
            "confidence": self.confidence,
            "least_shift": self.least_shift,
            "accuracy": self.accuracy,
            "checks": [asdict(check) for check in self.checks],
            "classes": [asdict(one) for one in self.classes],
            "changed": [one._asdict() for one in self.changed],
            "held_out": self.held_out,
            "sentences": self.sentences(),
        }

    def cells(self) -> list[list[str]]:
        """Return a row per check as text, those that found something first; columns are :data:`HEADER`."""
        ordered = sorted(self.checks, key=lambda check: (not check.found, check.corrected))
        return [
            [
                check.name,
                check.class_name or "",
                percent(max(check.shift, 0.0), unit=False),
                f"{check.p_value:.2g}",
                f"{check.corrected:.2g}",
                "yes" if check.found else "",
            ]
            for check in ordered
        ]

    def sentences(self) -> list[str]:
        """Say the verdict, why, and what limits it."""
        said = [_MEANING[self.verdict]]
        said += [
            f"The {one.name} changed from {one.fitted} to {one.now}"
            + ("." if one.ends else ", which alone does not make the correction expire.")
            for one in self.changed
        ]
        said += self._on_checks()
        said += self._on_mix()
        said += self._on_accuracy()
        return [*said, *self.notes, self._on_errors()]

    def _on_checks(self) -> list[str]:
        """Name what was found, once for all classes."""
        said = []
        for name in dict.fromkeys(check.name for check in self.checks if check.found):
            same = [check for check in self.checks if check.found and check.name == name]
            most = max(same, key=lambda check: check.shift)
            classes = [check.class_name for check in same if check.class_name]
            of = f" ({listed(classes)})" if classes else ""
            said.append(
                f"Found: {name}{of}, by {percent(most.shift, unit=False)} points"
                f"{' at most' if len(same) > 1 else ''}, corrected p {min(c.corrected for c in same):.2g}."
            )
        return said

    def _on_mix(self) -> list[str]:
        """Say which shares the predictions allow, of the classes that changed most."""
        if self.verdict != "mix shifted":
            return []
        most = sorted(self.classes, key=lambda one: -abs(one.share - one.fitted_share))[:3]
        parts = []
        for one in most:
            span = ""
            if one.share_low is not None and one.share_high is not None:
                span = f", between {percent(one.share_low, unit=False)} and {percent(one.share_high)}"
            parts.append(f"{one.class_name} {percent(one.share)} ({percent(one.fitted_share)} before{span})")
        return [f"The class mix that explains them best: {'; '.join(parts)}."]

    def _on_accuracy(self) -> list[str]:
        """Compare what labelled rows show with what is guaranteed."""
        if self.accuracy is None:
            return []
        said = [f"On {counted(self.n_labelled, 'labelled row')}, accuracy is {percent(self.accuracy)}."]
        judged = [one for one in self.classes if one.guaranteed is not None and one.n]
        broken = [one for one in judged if (one.accuracy_high or 0.0) < (one.guaranteed or 0.0)]
        kept = [one for one in judged if (one.accuracy_low or 0.0) >= (one.guaranteed or 0.0)]
        for one in broken:
            assert one.guaranteed is not None and one.accuracy_high is not None
            said.append(
                f"At least {at_least(one.guaranteed)} % of {one.class_name} was guaranteed to be classified "
                f"correctly; here it is at most {at_most(one.accuracy_high)} %."
            )
        open_ones = len(judged) - len(broken) - len(kept)
        if judged and not broken:
            said.append(
                f"The guarantee is met for {counted(len(kept), 'class')}"
                + (f"; for {open_ones} more, there are too few labels to tell." if open_ones else ".")
            )
        return said

    def _on_errors(self) -> str:
        """Say how often a verdict is wrong."""
        wrong = exact_percent(self.confidence, complement=True)
        return (
            f"{counted(len(self.checks), 'check')} of {counted(self.n_rows, 'row')} against "
            f"{self.n_reference:,}: if nothing has changed, at most {wrong} % of such runs report a change. "
            f"Shifts below {percent(self.least_shift, unit=False)} points are not counted."
        )


def with_corrected(
    checks: Sequence[Check], corrected: Sequence[float], level: float, least_shift: float
) -> tuple[Check, ...]:
    """Return checks with their corrected p-values, and whether each found something."""
    return tuple(
        Check(
            one.name,
            one.against,
            one.shift,
            one.p_value,
            float(p_value),
            bool(p_value <= level and one.shift >= least_shift),
            one.class_name,
        )
        for one, p_value in zip(checks, corrected, strict=True)
    )
