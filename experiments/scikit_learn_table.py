"""Tries tools of scikit-learn with labels of five kinds, on arrays and frames: right or refused.

Run it from the repository root:

    python experiments/scikit_learn_table.py

The referee is the same tool on an array whose columns are 0 .. K-1, with these integers as labels:
nothing there can be read in two ways. A case is right where its accuracy on new rows is the
referee's, refused where an error of this project ends it, warned where a ColumnOrderWarning names the
right order of columns, and else misaligned. Writes
experiments/results/scikit_learn_table.csv and .md.
"""

import functools
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, settings_of
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from debias.errors import ColumnOrderWarning, DebiasError
from debias.estimators.debiasers import WeightDebiaser


def debiaser() -> WeightDebiaser:
    """Return a debiaser that is quick."""
    return WeightDebiaser(n_weights=8, n_starts=1, shrink=False)


def pairs() -> list[tuple[str, BaseEstimator]]:
    """Return two debiasers with names."""
    return [("few", WeightDebiaser(n_weights=5, n_starts=1, shrink=False)), ("many", debiaser())]


TOOLS: dict[str, Callable[[], BaseEstimator]] = {
    "fit": debiaser,
    "cross_val_score": debiaser,
    "GridSearchCV": lambda: GridSearchCV(debiaser(), {"n_weights": [5, 8]}, cv=3, error_score="raise"),
    "CalibratedClassifierCV": lambda: CalibratedClassifierCV(debiaser(), cv=3),
    "BaggingClassifier": lambda: BaggingClassifier(debiaser(), n_estimators=3, random_state=0),
    "VotingClassifier": lambda: VotingClassifier(pairs(), voting="soft"),
    "StackingClassifier": lambda: StackingClassifier([("base", debiaser())], LogisticRegression(), cv=3),
    "Pipeline": lambda: make_pipeline(FunctionTransformer(), debiaser()),
}
LABELS = {
    "strings": np.array(["Business", "Sports", "Technology", "World"], dtype=object),
    "integers": np.arange(4),
    "integers from 1": np.arange(1, 5),
    "truth values": np.array([False, True]),
    "categories": np.array(["Business", "Sports", "Technology", "World"], dtype=object),
}
INPUTS = ("array", "array, other order", "frame", "frame, other order")


def rows(settings: dict, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of a model that favours its last classes, and labels."""
    rng = np.random.default_rng(settings["seed"])
    y = rng.integers(n_classes, size=settings["n_rows"] + settings["n_test"])
    scores = rng.normal(size=(len(y), n_classes)) + settings["strength"] * np.eye(n_classes)[y]
    values = np.exp(scores + 0.7 * np.arange(n_classes))
    return values / values.sum(axis=1, keepdims=True), y


def score(tool: str, X: object, y: object, settings: dict) -> float:
    """Return the accuracy on new rows of a tool that is fitted on the first ones."""
    first, last = slice(settings["n_rows"]), slice(settings["n_rows"], None)
    take = (lambda part: X.iloc[part]) if isinstance(X, pd.DataFrame) else (lambda part: X[part])
    if tool == "cross_val_score":
        return float(cross_val_score(debiaser(), X, y, cv=3, error_score="raise").mean())
    fitted = TOOLS[tool]().fit(take(first), y[first])
    return float((np.asarray(fitted.predict(take(last))) == np.asarray(y[last])).mean())


@functools.cache
def referee_score(tool: str, n_classes: int) -> float:
    """Return the accuracy of a tool where labels and columns are 0 .. K-1; it is never warned."""
    settings = settings_of(__file__)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ColumnOrderWarning)
        return score(tool, *rows(settings, n_classes), settings)


def given(kind: str, form: str, values: np.ndarray, y: np.ndarray, order: list[int]) -> tuple:
    """Return input and labels as a user would have them."""
    names = LABELS[kind]
    labels = pd.Series(names[y])
    labels = labels.astype("category") if kind == "categories" else labels.to_numpy()
    columns = np.argsort(np.argsort(order[: len(names)])) if "other order" in form else np.arange(len(names))
    if form.startswith("array"):
        return values[:, columns], labels
    return pd.DataFrame(values[:, columns], columns=names[columns]), labels


def outcome(tool: str, kind: str, form: str, settings: dict) -> dict:
    """Try one case, and compare it with the referee."""
    values, y = rows(settings, len(LABELS[kind]))
    referee = referee_score(tool, len(LABELS[kind]))
    case = {"tool": tool, "labels": kind, "input": form, "referee": referee}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            accuracy = score(tool, *given(kind, form, values, y, settings["order"]), settings)
        except DebiasError as error:
            return case | {"accuracy": np.nan, "outcome": "refused", "message": str(error)}
    said = [str(one.message) for one in caught if issubclass(one.category, ColumnOrderWarning)]
    found = "right" if abs(accuracy - referee) <= settings["margin"] else "misaligned"
    if said:
        found = "warned" if found == "misaligned" else "right, yet warned"
    return case | {"accuracy": accuracy, "outcome": found, "message": said[0] if said else ""}


def main() -> None:
    """Try all cases and write the results."""
    settings = settings_of(__file__)
    table = pd.DataFrame(
        [outcome(tool, kind, form, settings) for tool in TOOLS for kind in LABELS for form in INPUTS]
    )
    table.to_csv(RESULTS / "scikit_learn_table.csv", index=False, float_format="%.4f")
    counts = table.groupby(["input", "outcome"]).size().unstack(fill_value=0).loc[list(INPUTS)]
    parts = []
    for form in INPUTS:
        part = table[table["input"] == form].pivot(index="tool", columns="labels", values="outcome")
        parts.append(f"## {form.capitalize()}\n\n{markdown(part.loc[list(TOOLS), list(LABELS)])}")
    sections = "\n\n".join(parts)
    messages = "\n".join(f"- {text}" for text in sorted(set(table["message"]) - {""}, key=len)[:6])
    text = f"""# Labels and columns in the tools of scikit-learn

Settings: `experiments/scikit_learn_table.toml`. {machine("scikit-learn")}.

The referee is the same tool on an array with the columns and labels 0 .. K-1. "Right": its accuracy on
{settings["n_test"]} new rows, within {settings["margin"]}. "Refused": an error that says what to change.
"Warned": ColumnOrderWarning names another order. An array of columns in another order than the sorted
labels is a mistake of the user, put here to see whether it is noticed; BaggingClassifier, which drops
the names of a frame, makes it of one. The error names the order that is right, for `classes=`.

{markdown(counts)}

Misaligned without a word: {int((table["outcome"] == "misaligned").sum())} of {len(table)} cases.

{sections}

## What is said

{messages}
"""
    (RESULTS / "scikit_learn_table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
