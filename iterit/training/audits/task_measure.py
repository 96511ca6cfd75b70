"""Measures a trained model on a classification task, and compares accuracy and COBias with random draws.

Each row of the task is an instruction whose answer is the label of its class. Intervals cover other rows
and other draws, as those of losses do (:mod:`iterit.training.audits.paired_losses`); a figure that is
no mean of rows (COBias, the worst class) enters by its first-order change with each row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from debias.inference.collection.answer_store import digest
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task, load_task
from iterit.records.instruction_records import Records
from iterit.training.audits.paired_losses import Floats, mean_difference

if TYPE_CHECKING:
    from debias.inference.engine import Engine
    from iterit.templates.template import Template
    from iterit.training.audits.subset_runs import SubsetRun

LABEL = "label"
"""Column of the true class."""


@dataclass(frozen=True)
class TaskRows:
    """Labelled rows of a task, each class of which occurs.

    Parameters
    ----------
    task : Task
    texts : list of str
    classes : list of str
        The true class of each text.

    Raises
    ------
    ParameterError
        A class has no row.
    """

    task: Task
    texts: list[str]
    classes: list[str]

    def __post_init__(self) -> None:
        missing = sorted(set(range(self.task.n_classes)) - set(self.truth.tolist()))
        if missing:
            name = self.task.class_names[missing[0]]
            raise ParameterError(
                f"class {name!r} of task {self.task.name!r} has no row to measure",
                parameter="n_task_rows", received=len(self.texts), fix="measure more rows",
            )  # fmt: skip

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """Number of the class of each text."""
        return np.array([self.task.class_index(one) for one in self.classes], dtype=np.int64)

    @classmethod
    def of_split(
        cls, task: str | Path | Task, n_rows: int, seed: int = 0, data: str | Path | None = None
    ) -> "TaskRows":
        """Draw rows of the test split of a task, or of a file.

        Parameters
        ----------
        task : str, Path or Task
        n_rows : int
            Rows that are drawn at random; all where there are fewer.
        seed : int, default=0
        data : path, optional
            File of labelled rows, in place of the task's own test split.
        """
        found = load_task(task)
        split = load_split(found, "test", n_rows, seed, data=data)
        assert split.labels is not None  # required by default
        return cls(found, split.texts, split.labels)


class TaskMeasure:
    """Asks a model for the probabilities of a task's classes, for the same rows each time.

    Parameters
    ----------
    rows : TaskRows
    template : Template
        That of the runs.

    Attributes
    ----------
    name : str
        Of the task, with a digest of its rows: another measurement has another name.
    """

    def __init__(self, rows: TaskRows, template: "Template") -> None:
        self.task, self.truth = rows.task, rows.truth
        asked = [
            {"question": self.task.prompt(text, []).strip(), "answer": self.task.labels[0]}
            for text in rows.texts
        ]
        self.prompts = [template.turns(one)[0].prompt for one in Records.from_rows(asked)]
        known = digest("\n".join([*self.prompts, *self.task.labels, *map(str, self.truth)])).hex()
        self.name = f"{self.task.name} {known[:16]}"

    def __call__(self, engine: "Engine") -> pd.DataFrame:
        """Return the probabilities of the classes, one row for each text, with the true class."""
        from scipy.special import softmax

        logprobs = engine.label_logprobs(self.prompts, list(self.task.labels))
        probabilities = softmax(np.asarray(logprobs, dtype=np.float64), axis=1)
        table = pd.DataFrame(probabilities, columns=list(self.task.class_names))
        return table.assign(**{LABEL: np.array(self.task.class_names, dtype=object)[self.truth]})


class _Score(NamedTuple):
    """A figure of one trained model, and its first-order change with each row."""

    value: float
    by_row: Floats


def _outcomes(table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the true class of each row, and whether it is classified correctly."""
    names = [name for name in table.columns if name != LABEL]
    truth = pd.Index(names).get_indexer(pd.Index(table[LABEL]))
    found = table[names].to_numpy(dtype=np.float64).argmax(axis=1)
    return truth, (found == truth).astype(np.float64)


def accuracy(truth: npt.NDArray[np.int64], correct: Floats) -> _Score:
    """Return the share of rows that are classified correctly.

    Examples
    --------
    >>> accuracy(np.array([0, 1]), np.array([1.0, 0.0])).value
    0.5
    """
    return _Score(float(correct.mean()), correct - correct.mean())


def cobias(truth: npt.NDArray[np.int64], correct: Floats) -> _Score:
    """Return the mean gap between the accuracies of two classes.

    Sorted by accuracy, class number r of N (from 0) has the weight 2 (2 r + 1 - N) / (N (N - 1)).

    Examples
    --------
    >>> cobias(np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 1.0, 0.0])).value
    0.5
    """
    by_class = _class_accuracies(truth, correct)
    n = len(by_class)
    weights = np.empty(n)
    weights[np.argsort(by_class, kind="stable")] = 2 * (2 * np.arange(n) + 1 - n) / (n * (n - 1))
    return _Score(float(weights @ by_class), _change(truth, correct, weights))


def worst_class(truth: npt.NDArray[np.int64], correct: Floats) -> _Score:
    """Return the least accuracy of a class.

    Examples
    --------
    >>> worst_class(np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 1.0, 0.0])).value
    0.5
    """
    by_class = _class_accuracies(truth, correct)
    weights = np.zeros(len(by_class))
    weights[int(by_class.argmin())] = 1
    return _Score(float(by_class.min()), _change(truth, correct, weights))


def _class_accuracies(truth: npt.NDArray[np.int64], correct: Floats) -> Floats:
    return np.bincount(truth, weights=correct) / np.bincount(truth)


def _change(truth: npt.NDArray[np.int64], correct: Floats, weights: Floats) -> Floats:
    """Return how a weighted sum of class accuracies changes with each row."""
    residuals = correct - _class_accuracies(truth, correct)[truth]
    changes: Floats = weights[truth] * residuals * len(truth) / np.bincount(truth)[truth]
    return changes


SCORES: dict[str, tuple[Callable[[npt.NDArray[np.int64], Floats], _Score], int]] = {
    "accuracy": (accuracy, 1),
    "COBias": (cobias, -1),
    "worst class accuracy": (worst_class, 1),
}
"""Each figure by name, and whether more of it is better (1) or worse (-1)."""


def task_gains(
    runs: Mapping[tuple[str, str, int], "SubsetRun"], name: str, confidence: float = 0.95
) -> pd.DataFrame:
    """Compare figures of a task between picks and random records of the same lengths.

    Parameters
    ----------
    runs : mapping
        Those of an :class:`~iterit.training.audits.picks_audit.AuditResult`.
    name : str
        Of the measurement.
    confidence : float, default=0.95

    Returns
    -------
    DataFrame
        For each group of picks and each figure: the task, the value of the untrained model, after training
        the picks and after random records (means over seeds), and the gain, positive where the picks are
        better, with its interval and verdict.
    """
    rows: list[dict[str, object]] = []
    untrained = _outcomes(runs["", "untrained", 0].more[name])
    for picks in dict.fromkeys(one for one, way, _ in runs if way == "picks"):
        seeds = [seed for one, way, seed in runs if (one, way) == (picks, "picks")]
        own, drawn = (
            [_outcomes(runs[picks, way, seed].more[name]) for seed in seeds] for way in ("picks", "random")
        )
        for figure, (score, sign) in SCORES.items():
            mine, theirs = ([score(*one) for one in side] for side in (own, drawn))
            by_seed = np.array([sign * (a.value - b.value) for a, b in zip(mine, theirs, strict=True)])
            changes = [sign * (a.by_row - b.by_row) for a, b in zip(mine, theirs, strict=True)]
            found = mean_difference(by_seed, np.mean(changes, axis=0), confidence)
            rows.append(
                {
                    "task": name.rpartition(" ")[0], "picks": picks, "figure": figure,
                    "untrained": score(*untrained).value,
                    "trained": float(np.mean([one.value for one in mine])),
                    "random": float(np.mean([one.value for one in theirs])),
                    "gain": found.mean, "low": found.low, "high": found.high, "verdict": found.verdict,
                    "n_seeds": found.n_seeds, "n_rows": found.n_records,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def task_probabilities(runs: Mapping[tuple[str, str, int], "SubsetRun"], name: str) -> pd.DataFrame:
    """Return the probabilities of each trained model, in one table.

    Parameters
    ----------
    runs : mapping
    name : str
        Of the measurement.
    """
    parts = [
        run.more[name].assign(picks=picks, way=way, seed=seed)
        for (picks, way, seed), run in runs.items()
        if way in ("untrained", "picks", "random")
    ]
    return pd.concat(parts, ignore_index=True)
