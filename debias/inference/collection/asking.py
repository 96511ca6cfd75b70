"""Rows with their answers, in order: looked up where they are known, asked where they are not.

The engine is asked when ``chunk_size`` different prompts are missing. Which prompts go together depends
on what was answered and saved before, never on where a run was interrupted: so the numbers do not either.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from debias.inference.collection.answer_store import AnswerStore
from debias.inference.collection.answers import AnswerKeys, Answers, checked_answers
from debias.inference.collection.hash_index import IndexArray, as_array
from debias.inference.collection.prompting import Prompted
from debias.inference.engine import Engine, LabelScores

_MOST_WAITING = 16
"""Chunks of rows that may wait for one chunk of missing answers."""


class Answered(NamedTuple):
    """Some rows and their answers, and how many of these other runs were given."""

    rows: list[Prompted]
    answers: Answers
    n_reused: int


def lasting_facts(engine: Engine) -> dict[str, Any]:
    """Return how an engine computes, without what is different each time."""
    usage = engine.usage()
    return {key: value for key, value in engine.facts().items() if key not in usage}


class Questions:
    """An engine, some labels, and what it was asked about them.

    Parameters
    ----------
    engine : Engine
    labels : sequence of str, length K
    store : AnswerStore
    chunk_size : int
        Different prompts that are asked together and saved together.
    """

    def __init__(self, engine: Engine, labels: Sequence[str], store: AnswerStore, chunk_size: int) -> None:
        self.engine, self.labels, self.store, self.chunk_size = engine, list(labels), store, chunk_size
        self.keys = AnswerKeys(engine, labels)
        self._n_rows = 0
        self._waiting: list[Prompted] = []
        self._missing: dict[bytes, str] = {}
        self._first_missing = 0

    def answer(self, rows: Iterable[Prompted]) -> Iterator[Answered]:
        """Yield all rows in their order, with their answers.

        Parameters
        ----------
        rows : iterable of Prompted

        Yields
        ------
        Answered

        Raises
        ------
        EngineError
            The engine failed; what it answered before is saved.
        StorageError
            Answers cannot be saved.
        """
        source = iter(rows)
        while batch := list(islice(source, self.chunk_size)):
            yield from self._answer_batch(batch)
        if self._waiting:
            yield self._ask()

    def _answer_batch(self, batch: list[Prompted]) -> Iterator[Answered]:
        """Yield what can be answered when a batch was read."""
        keys = self.keys.of([one.prompt for one in batch])
        places = self.store.find(keys)
        known: list[int] = []
        for number, one in enumerate(batch):
            if not self._waiting and places[number] >= 0:
                known.append(number)
                continue
            if known:
                yield self._look_up([batch[n] for n in known], places[known])
                known = []
            self._wait(one, keys[number].tobytes(), bool(places[number] >= 0), number)
            if self._is_full():
                yield self._ask()
                places[number + 1 :] = self.store.find(keys[number + 1 :])
        if known:
            yield self._look_up([batch[n] for n in known], places[known])
        self._n_rows += len(batch)

    def _wait(self, one: Prompted, key: bytes, is_known: bool, number: int) -> None:
        """Let a row wait for answers, its own or those of rows before it."""
        if not self._waiting:
            self._first_missing = self._n_rows + number
        self._waiting.append(one)
        if not is_known:
            self._missing.setdefault(key, one.prompt)

    def _is_full(self) -> bool:
        """Whether it is time to ask."""
        limit = self.chunk_size * _MOST_WAITING
        return len(self._missing) >= self.chunk_size or len(self._waiting) >= limit

    def _look_up(self, rows: list[Prompted], places: IndexArray) -> Answered:
        """Rows whose answers are known."""
        return Answered(rows, self.store.fetch(places), self.store.count_others(places))

    def _ask(self) -> Answered:
        """Ask about what is missing, save the answers, and return all rows that waited."""
        keys, prompts = as_array(list(self._missing)), list(self._missing.values())
        n_labels = len(self.labels)

        def save_single(position: int, score: LabelScores) -> None:
            answer = checked_answers(score, keys[position : position + 1], n_labels)
            self.store.save_single(replace(answer, facts=lasting_facts(self.engine)))

        scores = self.engine.label_scores(prompts, self.labels, save_single)
        answers = replace(checked_answers(scores, keys, n_labels), facts=lasting_facts(self.engine))
        self.store.save(self._first_missing, answers)
        rows, self._waiting, self._missing = self._waiting, [], {}
        places = self.store.find(self.keys.of([one.prompt for one in rows]))
        return self._look_up(rows, np.asarray(places))
