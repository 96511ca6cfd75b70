"""Says in one to three sentences what a comparison shows: who wins on which axis, and what to use.

Every sentence is about the test rows, and follows from the figures alone; a difference whose paired interval
holds 0 is called none that the rows can show.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from debias.console.number_formats import HIGHER_IS_BETTER, counted, listed, percent, signed, signed_span
from debias.reports.comparison.compared_methods import OURS

AXES = {
    "accuracy": "highest accuracy",
    "cobias": "lowest COBias",
    "worst_class_accuracy": "highest worst class accuracy",
}
_SAME = 1e-12
"""Figures closer than this differ by rounding only."""


def verdict(
    figures: pd.DataFrame,
    class_accuracies: pd.DataFrame,
    against: str,
    tables: Mapping[str, pd.DataFrame] | None = None,
    same: Sequence[str] = (),
) -> list[str]:
    """Return the sentences.

    Parameters
    ----------
    figures : DataFrame
        Indexed by method: the columns of :data:`AXES`, their ``_difference`` from the chosen method with
        ``_low`` and ``_high``, group, and optionally never_predicted. NaN where a method was not measured.
    class_accuracies : DataFrame
        Indexed by method, with a column for each class, or for each table and class.
    against : str
        The chosen method.
    tables : mapping of str to DataFrame, optional
        The figures of each table, where `figures` are means over several.
    same : sequence of str
        Methods that give every row the same class as the chosen one, so nothing speaks for them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> figures = pd.DataFrame(
    ...     {
    ...         "accuracy": [0.8, 0.7],
    ...         "cobias": [0.1, 0.2],
    ...         "worst_class_accuracy": [0.7, 0.5],
    ...         "group": ["plain", "ours"],
    ...     },
    ...     index=["logistic regression", "ensemble (DCS)"],
    ... )
    >>> for axis in AXES:
    ...     difference = figures[axis] - figures.loc["ensemble (DCS)", axis]
    ...     figures[f"{axis}_difference"] = difference
    ...     figures[f"{axis}_difference_low"] = difference - 0.05
    ...     figures[f"{axis}_difference_high"] = difference + 0.05
    >>> accuracies = pd.DataFrame({"yes": [0.9, 0.9], "no": [0.7, 0.5]}, index=figures.index)
    >>> for sentence in verdict(figures, accuracies, "ensemble (DCS)"):
    ...     print(sentence)
    On these rows, highest accuracy: logistic regression (80.0, +10.0 points against ensemble (DCS), interval
    +5.0 to +15.0); lowest COBias: logistic regression (10.0, −10.0 points against ensemble (DCS), interval
    −15.0 to −5.0); highest worst class accuracy: logistic regression (70.0, +20.0 points against ensemble
    (DCS), interval +15.0 to +25.0).
    Every class is classified at least as accurately with logistic regression as with ensemble (DCS): use
    logistic regression.
    """
    measured = figures[figures["accuracy"].notna()]
    rivals = measured[measured["group"] != "reader"]
    if not len(rivals):
        return ["No method that uses only the probabilities was measured."]
    ours = our_method(rivals, against)
    where = "On these rows" if tables is None else f"On average over {len(tables)} tables"
    clauses = [_leader(rivals, axis, words, against) for axis, words in AXES.items()]
    sentences = [f"{where}, {'; '.join(clauses)}."]
    sentences.append(_advice(rivals, class_accuracies, ours, tables, same))
    readers = measured[measured["group"] == "reader"]
    if len(readers):
        sentences.append(_more_than_probabilities(readers, measured, class_accuracies, ours))
    return sentences


def our_method(figures: pd.DataFrame, against: str) -> str | None:
    """Return the method of this project that advice is about: the chosen one, else the recommended one.

    Parameters
    ----------
    figures : DataFrame
        Of the methods that were measured.
    against : str

    Returns
    -------
    str or None
        None where none of this project was measured.
    """
    own = figures.index[figures["group"] == "ours"].tolist()
    return next((name for name in (against, *OURS, *own) if name in own), None)


def beaten_by(figures: pd.DataFrame, name: str) -> list[str]:
    """Return the methods at least as good in accuracy and COBias as one, and better in one of them.

    Parameters
    ----------
    figures : DataFrame
        With accuracy and cobias, NaN where a method was not measured.
    name : str

    Returns
    -------
    list of str
        By falling accuracy.

    Examples
    --------
    >>> figures = pd.DataFrame({"accuracy": [0.6, 0.7], "cobias": [0.3, 0.2]}, index=["a", "b"])
    >>> beaten_by(figures, "a"), beaten_by(figures, "b")
    (['b'], [])
    """
    gains = figures[["accuracy", "cobias"]] * [1, -1]
    gains = gains - gains.loc[name]
    better = (gains >= -_SAME).all(axis=1) & (gains > _SAME).any(axis=1)
    return figures[better].sort_values("accuracy", ascending=False, kind="stable").index.tolist()


def _leader(figures: pd.DataFrame, axis: str, words: str, against: str) -> str:
    """Say who is best on an axis, and by how much."""
    worth = figures[axis] * (1 if HIGHER_IS_BETTER[axis] else -1)
    best = worth >= worth.max() - _SAME
    leaders = figures.index[best].tolist()
    shown = _points(figures, leaders[0], axis)
    if against not in figures.index:
        return f"{words}: {listed(leaders)} ({shown})"
    leader = against if against in leaders else leaders[0]
    equals = [name for name in leaders if name != leader]
    away = ""
    if leader != against:
        row = figures.loc[[leader]].iloc[0]
        away = f", {_difference(row, axis)} against {against}{_interval(row, axis)}"
    clause = f"{words}: {leader} ({shown}{away})"
    if "never_predicted" in figures and figures["never_predicted"].to_dict()[leader] > 0:
        clause += (
            f", which never predicts {counted(int(figures['never_predicted'].to_dict()[leader]), 'class')}"
        )
    if equals:
        return f"{clause}, equalled by {listed(equals)}"
    if best.all() or away:
        return clause
    follower = str(worth[~best].idxmax())
    row = figures.loc[[follower]].iloc[0]
    behind = f"{_points(figures, follower, axis)}, {_difference(row, axis)}{_interval(row, axis)}"
    return f"{clause}, then {follower} ({behind})"


def _points(figures: pd.DataFrame, name: str, axis: str) -> str:
    """Return a figure on a scale of 0 to 100."""
    return percent(float(figures[axis].to_dict()[name]), unit=False)


def _difference(row: pd.Series, axis: str) -> str:
    return f"{signed(row[f'{axis}_difference'])} points"


def _interval(row: pd.Series, axis: str) -> str:
    low, high = row[f"{axis}_difference_low"], row[f"{axis}_difference_high"]
    if low <= 0 <= high:
        return f", a difference that these rows cannot confirm: interval {signed_span(low, high)}"
    return f", interval {signed_span(low, high)}"


def _at_least_as_right(class_accuracies: pd.DataFrame, name: str, ours: str) -> bool:
    """Whether a method gets every class, of every table, at least as right as ours."""
    mine, theirs = (class_accuracies.loc[one].to_numpy(dtype=np.float64) for one in (ours, name))
    present = ~np.isnan(mine)  # a class without rows has no accuracy
    return bool((theirs[present] >= mine[present] - _SAME).all())


def _advice(
    figures: pd.DataFrame,
    class_accuracies: pd.DataFrame,
    ours: str | None,
    tables: Mapping[str, pd.DataFrame] | None,
    same: Sequence[str],
) -> str:
    """Say whether a plain method should be used, or which methods beat ours in accuracy and COBias."""
    if ours is None:
        unbeaten = [name for name in figures.index if not beaten_by(figures, name)]
        return f"Beaten by no other row in accuracy and COBias together: {listed(unbeaten)}."
    plain = [
        name
        for name in figures.index[figures["group"] != "ours"]
        if name not in same and _at_least_as_right(class_accuracies, name, ours)
    ]
    if plain:
        best = class_accuracies.loc[plain].mean(axis=1).idxmax()
        of = "" if tables is None else " of every table"
        return f"Every class{of} is classified at least as accurately with {best} as with {ours}: use {best}."
    if tables is not None:
        on = {name: beaten_by(frame[frame["group"] != "reader"], ours) for name, frame in tables.items()}
        lost = [f"{name} (by {listed(by, most=3)})" for name, by in on.items() if by]
        told = f": {listed(lost, most=3)}" if lost else ""
        return (
            f"In accuracy and COBias together, {ours} is beaten on {len(lost)} of {len(tables)} tables{told}."
        )
    by = beaten_by(figures, ours)
    if by:
        return f"In accuracy and COBias together, {ours} is beaten by {listed(by, most=3)}."
    if same:
        return f"Every row gets the same class with {listed(list(same), most=3)} as with {ours}."
    return f"In accuracy and COBias together, {ours} is beaten by no row that uses only the probabilities."


def _more_than_probabilities(
    readers: pd.DataFrame, measured: pd.DataFrame, class_accuracies: pd.DataFrame, ours: str | None
) -> str:
    """Say what the same labels reach for a method that reads more than probabilities."""
    best = str(readers["accuracy"].idxmax())
    reached = (
        f"With the same labels, {best}, which needs {readers['needs'].to_dict()[best]}, reaches accuracy "
        f"{_points(readers, best, 'accuracy')} and COBias {_points(readers, best, 'cobias')}"
    )
    if ours is None:
        return f"{reached}."
    beside = f"{ours}: {_points(measured, ours, 'accuracy')} and {_points(measured, ours, 'cobias')}"
    if _at_least_as_right(class_accuracies, best, ours):
        return f"{reached} ({beside}) and is at least as accurate for every class: use it if you can."
    return f"{reached} ({beside})."
