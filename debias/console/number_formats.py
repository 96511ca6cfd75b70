"""Numbers as reports write them: fractions as per cent, differences as percentage points."""

import math
from decimal import Decimal

METRIC_NAMES = {
    "accuracy": "Accuracy",
    "cobias": "COBias",
    "worst_class_accuracy": "Worst class accuracy",
    "macro_f1": "Macro F1",
}
"""Names of the metrics for a reader."""

SCORE_NAMES = {"precision": "precision", "recall": "recall", "f1": "F1"}
"""Names of the scores of a class for a reader."""

HIGHER_IS_BETTER = {"accuracy": True, "cobias": False, "worst_class_accuracy": True, "macro_f1": True}
"""Whether a higher value of a metric is better."""


def percent(fraction: float, unit: bool = True) -> str:
    """Write a fraction on a scale of 0 to 100.

    Parameters
    ----------
    fraction : float
        In [0, 1]; NaN becomes a dash.
    unit : bool, default=True
        Whether to write the unit.

    Returns
    -------
    str
        One decimal.

    Examples
    --------
    >>> percent(0.6475), percent(0.1, unit=False), percent(float("nan"))
    ('64.8 %', '10.0', '–')
    """
    if math.isnan(fraction):
        return "–"
    return f"{_rounded(fraction):.1f}{' %' if unit else ''}"


def exact_percent(fraction: float, complement: bool = False) -> str:
    """Write a confidence on a scale of 0 to 100 with all its digits: rounded, it would promise more.

    Parameters
    ----------
    fraction : float
        From 0 to 1.
    complement : bool, default=False
        Whether to write what is left up to 100.

    Examples
    --------
    >>> exact_percent(0.95), exact_percent(0.9999999), exact_percent(0.9999, complement=True)
    ('95', '99.99999', '0.01')
    """
    share = Decimal(repr(float(fraction)))
    shown = f"{100 * (1 - share if complement else share):f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def at_least(fraction: float) -> str:
    """Write a lower bound on a scale of 0 to 100, never above it.

    Examples
    --------
    >>> at_least(0.6978), at_most(0.1589)
    ('69.7', '15.9')
    """
    return percent(math.floor(fraction * 1000) / 1000, unit=False)


def at_most(fraction: float) -> str:
    """Write an upper bound on a scale of 0 to 100, never below it.

    Examples
    --------
    >>> at_most(0.15901)
    '16.0'
    """
    return percent(math.ceil(fraction * 1000) / 1000, unit=False)


def span(low: float, high: float) -> str:
    """Write an interval of fractions on a scale of 0 to 100.

    Examples
    --------
    >>> span(0.61, 0.6875)
    '61.0–68.8'
    """
    return "–" if math.isnan(low) else f"{percent(low, unit=False)}–{percent(high, unit=False)}"


def signed(difference: float) -> str:
    """Write a difference of fractions in percentage points, with its sign.

    Examples
    --------
    >>> signed(0.123), signed(-0.3), signed(0.0)
    ('+12.3', '−30.0', '0.0')
    """
    if math.isnan(difference):
        return "–"
    points = _rounded(difference)
    return f"{'+' if points > 0 else '−' if points < 0 else ''}{abs(points):.1f}"


def signed_span(low: float, high: float) -> str:
    """Write an interval of differences in percentage points.

    Examples
    --------
    >>> signed_span(-0.02, 0.01)
    '−2.0 to +1.0'
    """
    return "–" if math.isnan(low) else f"{signed(low)} to {signed(high)}"


def fixed(value: float, digits: int) -> str:
    """Write a number with a fixed number of digits, and never as minus zero.

    Examples
    --------
    >>> fixed(-0.00001, 4), fixed(-0.5, 2)
    ('0.0000', '-0.50')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}"


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row"), counted(2, "class")
    ('1 row', '1,200 rows', '2 classes')
    """
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def listed(names: list[str], word: str = "and", most: int = 6) -> str:
    """Join names to a phrase.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"], "or"), listed(["a", "b", "c"], most=2)
    ('a', 'a, b or c', 'a, b and 1 more')
    """
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def plain(value: object) -> str:
    """Write any setting as one line of text.

    Examples
    --------
    >>> plain(0.25), plain({"a": 1}), plain(None), plain(1200)
    ('0.25', 'a: 1', 'none', '1,200')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(entry)}" for key, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(plain(entry) for entry in value) or "none"
    return str(value)


def _rounded(fraction: float) -> float:
    """Round to one decimal of a per cent, a half up, and never to minus zero."""
    return math.floor(abs(fraction) * 1000 + 0.5 + 1e-9) / 10 * (-1 if fraction < 0 else 1) + 0.0
