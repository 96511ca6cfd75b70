"""Asks the model that a table was collected from again, after the same prompt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import softmax

from debias.errors import EngineError, ParameterError, param, shortened
from debias.inference.engine import Engine
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Demonstration, Task, load_task
from debias.tables.table import ProbabilityTable


@dataclass(frozen=True)
class PromptedModel:
    """The model that a table was collected from, for methods that ask it more.

    Parameters
    ----------
    engine : Engine
    task : Task
    demonstrations : sequence of Demonstration
        Those of the prompts of the table.
    """

    engine: Engine
    task: Task
    demonstrations: Sequence[Demonstration] = ()

    @classmethod
    def of_table(
        cls,
        engine: Engine,
        task: str | Path | Task,
        table: ProbabilityTable,
        shots_data: str | Path | None = None,
    ) -> Self:
        """Return the model with the demonstrations whose ids a collected table names.

        Parameters
        ----------
        engine : Engine
        task : str, Path or Task
        table : ProbabilityTable
        shots_data : path, optional
            File that the demonstrations were drawn from; the opt split of the task by default.

        Returns
        -------
        PromptedModel

        Raises
        ------
        ParameterError
            The table was collected from another model, in another way or after another prompt, does not say
            after which, or shows rows that are not there.
        """
        facts, task = table.metadata, load_task(task)
        ids, model = facts.get("demonstrations"), engine.fingerprint.get("model")
        if not isinstance(ids, list) or facts.get("model") != model:
            raise ParameterError(
                parameter="model",
                allowed="the one that the table was collected from, "
                + (repr(facts["model"]) if "model" in facts else "which it does not say"),
                received=model,
            )
        _check_asked_alike(engine, task, facts)
        if not ids:
            return cls(engine, task)
        pool = load_split(task, "opt", data=shots_data)
        places = {one: place for place, one in enumerate(pool.ids)}
        missing = [one for one in ids if one not in places]
        if missing or pool.labels is None:
            raise ParameterError(
                parameter="shots_data",
                allowed="the labelled rows that the demonstrations were drawn from",
                received=None if shots_data is None else str(shots_data),
                fix=f"row {missing[0]!r} was not found: pass {param('shots_data')}" if missing else None,
            )
        shown = [Demonstration(pool.texts[places[one]], pool.labels[places[one]], one) for one in ids]
        return cls(engine, task, tuple(shown))

    def answers(self, texts: Iterable[str]) -> pd.DataFrame:
        """Return class probabilities of texts, which may be empty, after the same prompt.

        Raises
        ------
        EngineError
            Of a probability only a bound is known.
        """
        given = list(texts)
        prompts = [self.task.prompt(text, self.demonstrations) for text in given]
        scores = self.engine.label_scores(prompts, self.task.continuations)
        if scores.is_bound is not None and scores.is_bound.any():
            row, label = np.argwhere(scores.is_bound)[0]
            name = self.task.class_names[label]
            raise EngineError(
                f"only an upper bound is known of the probability of {name!r} after the text "
                f"{given[row][:60]!r}",
                parameter="engine",
                received=name,
                fix="use an engine that scores every label, such as a server that echoes prompts",
            )
        return pd.DataFrame(softmax(scores.logprobs, axis=1), columns=list(self.task.class_names))


def _check_asked_alike(engine: Engine, task: Task, facts: Mapping[str, Any]) -> None:
    """Raise ParameterError where a table was collected with other words than the task's, or other scores."""
    before, now = facts.get("template"), task.template
    before = before if isinstance(before, Mapping) else now
    for name in sorted({*before, *now} - {"name"}):
        if before.get(name) != now.get(name):
            was, is_now = shortened(before.get(name)), shortened(now.get(name))
            raise ParameterError(
                f"the table was collected with another task: {name} was {was} and is now {is_now}",
                parameter="task",
                received=task.name,
                fix="pass the task of the table",
            )
    if "n_votes" in facts and "votes" not in engine.fingerprint:
        raise ParameterError(
            "the table contains votes, which the probabilities of the model cannot be compared with",
            parameter="task",
            received=task.name,
            fix="omit it",
        )
    collected = facts.get("collection")
    known = collected.get("engine") if isinstance(collected, Mapping) else None
    scored = known.get("scoring") if isinstance(known, Mapping) else None
    own = engine.fingerprint.get("scoring")
    if scored is not None and own is not None and scored != own:
        raise ParameterError(
            parameter="scoring", allowed=f"{scored!r}, as the table was collected", received=own
        )
