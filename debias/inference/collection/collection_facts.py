"""Facts that a table records about its own collection: its settings and its outcome."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from debias.inference.collection.collected_rows import DataDigest, SeenTexts
from debias.inference.collection.questions import Answered
from debias.inference.engine import BoolArray, Engine, FloatArray
from debias.inference.texts.tasks import Demonstration, Task

_MOST_IDS = 1000


def answer_settings(
    engine: Engine, task: Task, demonstrations: Sequence[Demonstration], too_long: str
) -> dict[str, object]:
    """Return what decides the answers, JSON-able: a run that is resumed must have the same.

    Parameters
    ----------
    engine : Engine
    task : Task
    demonstrations : sequence of Demonstration
    too_long : {"error", "truncate"}

    Returns
    -------
    dict
    """
    known = {"engine": engine.fingerprint, **asked_settings(task, demonstrations, too_long)}
    return known | ({"context_length": engine.context_length} if too_long == "truncate" else {})


def asked_settings(task: Task, demonstrations: Sequence[Demonstration], too_long: str) -> dict[str, object]:
    """Return the part of :func:`answer_settings` that is known without an engine."""
    kept = {"keep_from": task.keep_from} if too_long == "truncate" else {}
    return {
        "task": task.template | kept,
        "demonstrations": [list(one) for one in demonstrations],
        "too_long": too_long,
    }


def origin(
    engine: Engine, task: Task, demonstrations: Sequence[Demonstration], seed: int | None
) -> dict[str, object]:
    """Return what a table was made with, for people to read.

    Parameters
    ----------
    engine : Engine
    task : Task
    demonstrations : sequence of Demonstration
    seed : int, optional

    Returns
    -------
    dict
    """
    own = {"debias": version("debias-iterit"), "python": platform.python_version(), "numpy": np.__version__}
    return {
        "model": engine.fingerprint.get("model"),
        "task": task.name,
        "template": task.template,
        "shots": len(demonstrations),
        "demonstrations": [one.id for one in demonstrations],
        "seed": seed,
        "versions": own | engine.versions(),
    }


class CollectionFacts:
    """How a collection went, counted block by block: label mass, shortened and repeated texts, bounds.

    Parameters
    ----------
    classes : sequence of str, length K
    low_mass : float
        Rows whose labels together got less probability than this are counted.
    """

    def __init__(self, classes: Sequence[str], low_mass: float) -> None:
        self.data = DataDigest()
        self.n_rows = self.n_reused = 0
        self.ids_given = False
        self._engine_facts: dict[str, object] | None = None
        self._classes, self._low_mass = list(classes), low_mass
        self._mass_sum, self._least, self._n_low = 0.0, float("inf"), 0
        self._shortened: list[str] = []
        self._n_shortened = self._n_repeated = 0
        self._seen = SeenTexts()
        self._bounds = np.zeros(len(self._classes), dtype=np.int64)
        self._n_bounded = 0

    def add_rows(self, block: Answered) -> None:
        """Count what is known before answers become probabilities.

        Parameters
        ----------
        block : Answered
        """
        rows = [one.row for one in block.rows]
        if self._engine_facts is None:
            self._engine_facts = json.loads(block.facts)
        self.data.add(rows)
        self.ids_given = self.ids_given or any(
            row.id != str(self.n_rows + number) for number, row in enumerate(rows)
        )
        shortened = [one.row.id for one in block.rows if one.shortened]
        self._n_shortened += len(shortened)
        self._shortened += shortened[: _MOST_IDS - len(self._shortened)]
        self._n_repeated += sum(first >= 0 for first in self._seen.first_rows([row.text for row in rows]))
        self.n_reused += block.n_reused
        self.n_rows += len(rows)
        self._add_bounds(block.is_bound)

    def _add_bounds(self, is_bound: BoolArray) -> None:
        """Count answers that are bounds only, by class."""
        self._bounds += is_bound.sum(axis=0)
        self._n_bounded += int(is_bound.any(axis=1).sum())

    def add_mass(self, mass: FloatArray) -> None:
        """Count the probability that all labels together got.

        Parameters
        ----------
        mass : float64 array, shape (n,)
        """
        self._mass_sum += float(mass.sum())
        self._least = min(self._least, float(mass.min()))
        self._n_low += int((mass < self._low_mass).sum())

    def counts(self) -> dict[str, object]:
        """Return the counts, JSON-able.

        Returns
        -------
        dict
            ``label_mass``, ``truncated`` (the first 1,000 ids), ``repeated_texts``, ``bounds`` (rows, and
            labels by class), ``reused_rows`` (answered by other runs) and ``engine`` (how the answer
            to the first row was computed).
        """
        by_class = {name: int(n) for name, n in zip(self._classes, self._bounds, strict=True) if n}
        return {
            "label_mass": {
                "mean": round(self._mass_sum / self.n_rows, 6),
                "least": round(self._least, 6),
                "threshold": self._low_mass,
                "rows_below": self._n_low,
            },
            "truncated": {"rows": self._n_shortened, "ids": self._shortened},
            "repeated_texts": self._n_repeated,
            "bounds": {"rows": self._n_bounded, "labels": by_class},
            "reused_rows": self.n_reused,
            "engine": self._engine_facts,
        }
