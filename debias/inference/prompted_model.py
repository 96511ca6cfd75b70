"""Asks the model that a table was collected from again, after the same prompt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd
from scipy.special import softmax

from debias.errors import ParameterError, param
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
            The table was collected from another model, does not say after which prompt, or shows rows that
            are not there.
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
        """Return class probabilities of texts, which may be empty, after the same prompt."""
        prompts = [self.task.prompt(text, self.demonstrations) for text in texts]
        logarithms = self.engine.label_logprobs(prompts, self.task.continuations)
        return pd.DataFrame(softmax(logarithms, axis=1), columns=list(self.task.class_names))
