"""Gains of picks over random records of the same lengths: read from an audit, as a table and as a picture."""

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from debias.console.notebooks.drawing import AFTER, BEFORE, PHONE_TEXT, PHONE_WIDTH, QUIET, blank, name_ticks
from debias.console.notebooks.inline_svg import inline_svg
from debias.console.number_formats import exact_percent
from debias.errors import ParameterError
from iterit.reports.section_page import Picture, Section, decimal, whole

WAYS = {
    "untrained": "untrained model", "picks": "picks", "random": "random, same lengths",
    "more random": "more random records, same cost",
}  # fmt: skip
HEADING = "Against random records of the same lengths"
FILE = "gains.csv"
_NUMBERS = ("gain", "low", "high", "n_seeds")
_WORDS = {"way": set(WAYS), "by": {"token", "record"}, "verdict": {"better", "unclear", "worse"}}
_COLOURS = {"better": AFTER, "worse": BEFORE, "unclear": QUIET}


def read_gains(path: str | Path) -> pd.DataFrame:
    """Read the gains of an audit.

    Parameters
    ----------
    path : str or Path
        The folder that ``iterit audit --tables`` wrote, or its file of gains.

    Returns
    -------
    DataFrame
        As :attr:`iterit.training.audits.picks_audit.AuditResult.gains`.

    Raises
    ------
    ParameterError
        There is no such file, or it holds something else.

    Examples
    --------
    >>> read_gains("no/such/audit")
    Traceback (most recent call last):
    debias.errors.ParameterError: audit must be a folder that `iterit audit --tables` wrote, with gains.csv,
    got 'no/such/audit'.
    """
    file = Path(path) / FILE if Path(path).suffix.lower() != ".csv" else Path(path)
    allowed = f"a folder that `iterit audit --tables` wrote, with {FILE}"
    if not file.is_file():
        raise ParameterError(parameter="audit", allowed=allowed, received=str(path))
    try:
        gains = pd.read_csv(file)
        gains["picks"] = gains["picks"].astype(str)
        for name in _NUMBERS:
            gains[name] = gains[name].astype("float64")
        wrong = [name for name, words in _WORDS.items() if not gains[name].isin(words).all()]
    except (ValueError, LookupError, TypeError, OSError, UnicodeError) as error:
        raise ParameterError(parameter="audit", allowed=allowed, received=str(path)) from error
    if wrong or not len(gains):
        raise ParameterError(parameter="audit", allowed=allowed, received=str(path))
    return gains


def found_gains(folder: Path) -> pd.DataFrame | None:
    """Return the gains that an audit left in the folder of a run, if there are any.

    Examples
    --------
    >>> found_gains(Path("no/such/run")) is None
    True
    """
    files = [folder / FILE, *sorted(folder.glob(f"*/{FILE}"))]
    file = next((one for one in files if one.is_file()), None)
    return None if file is None else read_gains(file)


def gains_section(gains: pd.DataFrame, confidence: float | None = None) -> Section:
    """Return how much lower losses are than after random draws, as a table.

    Parameters
    ----------
    gains : DataFrame
    confidence : float, optional
        Of the intervals, where it is known.
    """
    write = decimal(4, sign=True)
    rows = [
        [
            f"{row['picks']}: {WAYS[row['way']]}", f"by {row['by']}", write(row["gain"]),
            interval(row, write), row["verdict"], whole(row["n_seeds"]),
        ]
        for row in gains.to_dict("records")
    ]  # fmt: skip
    level = "interval" if confidence is None else f"{exact_percent(confidence)} % interval"
    return Section(
        HEADING,
        "Nats by which the loss on held-out answers is lower than after training on random records with"
        " the same histogram of answer tokens and turns; the interval covers other held-out records and,"
        " with several seeds, other draws. By token, long answers weigh more; by record, all answers weigh"
        " the same.",
        ["trained on", "measure", "gain", level, "verdict", "seeds"],
        rows,
    )


def interval(row: Mapping[Hashable, Any], write: Callable[[float], str]) -> str:
    """Write the ends of an interval, a dash where there is none."""
    return f"{write(row['low'])} to {write(row['high'])}" if row["low"] == row["low"] else "–"


def gains_picture(gains: pd.DataFrame) -> Picture:
    """Return the gains with their intervals as a picture.

    Parameters
    ----------
    gains : DataFrame

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    names = [f"{row['picks']}: {WAYS[row['way']]}, by {row['by']}" for row in gains.to_dict("records")]
    figure, axes = blank(PHONE_WIDTH, 1.1 + 0.45 * len(gains), PHONE_TEXT)
    axes.axvline(0, color=QUIET, linewidth=1.2, linestyle="--")
    for at, row in enumerate(gains.to_dict("records")):
        colour = _COLOURS[row["verdict"]]
        axes.hlines(at, row["low"], row["high"], color=colour, linewidth=2)
        axes.plot([row["gain"]], [at], "o", color=colour, markersize=7)
    name_ticks(axes.yaxis, _short(gains), longest=26)
    axes.set_ylim(len(gains) - 0.5, -0.5)
    axes.set_xlabel("lower held-out loss, nats")
    axes.locator_params(axis="x", nbins=3)
    said = "; ".join(
        f"{name}: {row['gain']:+.4f}, {row['verdict']}"
        for name, row in zip(names, gains.to_dict("records"), strict=True)
    )
    svg = inline_svg(figure, "gains", f"Gain over random records of the same lengths. {said}.")
    caption = "Gain with its interval; right of the dashed line, the picks teach more than chance."
    return Picture(svg, caption)


def _short(gains: pd.DataFrame) -> list[str]:
    """Return a short name for each gain; those of several groups of picks begin with the group."""
    several = gains["picks"].nunique() > 1
    names = []
    for row in gains.to_dict("records"):
        end = f"{row['way']}, by {row['by']}"
        group = str(row["picks"])
        names.append(f"{group if len(group) <= 8 else group[:7] + '…'}: {end}" if several else end)
    return names
