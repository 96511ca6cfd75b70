"""Rows with their answers, in order: looked up where they are known, asked where they are not.

The engine is asked when ``chunk_size`` different prompts are missing, or so many that a slow processor
takes two minutes for them: they are saved together. Which prompts are asked together depends on what
was answered and saved before, never on the time or on where a run stopped: so the numbers do not either.
"""

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import EngineError, ResumeError, StorageError
from debias.inference.collection.answer_store import Answer, AnswerStore, digest
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.run_folder import RunFolder
from debias.inference.engine import MOST_OPERATIONS, BoolArray, Engine, FloatArray, LabelScores

BYTES_PER_TOKEN = 4

_MOST_WAITING = 16
"""Chunks of rows that may wait for one chunk of missing answers."""
_LARGEST = 0.01
"""Log-probabilities are not positive, but for rounding."""


class Answered(NamedTuple):
    """Some rows and their answers, and how many of these are from other runs.

    Attributes
    ----------
    rows : list of Prompted, length n
    logprobs : float64 array, shape (n, K)
    is_bound : bool array, shape (n, K)
        True where the probability is only known not to be greater.
    facts : str
        How the engine computed the first answer, as JSON.
    n_reused : int
    label_mass : float64 array, shape (n,), or None
        What all labels together got; the sum of their probabilities if None.
    """

    rows: list[Prompted]
    logprobs: FloatArray
    is_bound: BoolArray
    facts: str
    n_reused: int
    label_mass: FloatArray | None = None


class OtherRuns:
    """The answers of other runs, which may be at work; their files are opened for each look-up.

    Parameters
    ----------
    paths : sequence of Path
        Folders of runs.
    asked : str
        What they must have asked alike; see :attr:`Questions.asked`.
    named : sequence of Path, optional
        Those that the user named. Shards are used only where they are named: a run beside them asks
        all there is to ask, as it would elsewhere.
    """

    def __init__(self, paths: Sequence[Path], asked: str, named: Sequence[Path] = ()) -> None:
        self._paths = [path for path in paths if self._asked_alike(path, asked, path in named)]

    def _asked_alike(self, path: Path, asked: str, is_named: bool) -> bool:
        """Whether the answers of a run can be ours; a run that cannot be read is named in a warning."""
        try:
            if not RunFolder(path).store.exists():
                return False
            with AnswerStore(RunFolder(path).store, read_only=True) as store:
                about = store.about()
            settings = about.get("settings")
            is_shard = isinstance(settings, Mapping) and "shard" in settings
            return about.get("asked") == asked and (is_named or not is_shard)
        except (ResumeError, StorageError) as error:
            warnings.warn(f"the answers of another run are not used: {error}", stacklevel=2)
            return False

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Return the answers that there are; the first run that has one counts."""
        found: dict[bytes, Answer] = {}
        for path in list(self._paths):
            missing = [key for key in keys if key not in found]
            if not missing:
                break
            try:
                with AnswerStore(RunFolder(path).store, read_only=True) as store:
                    found |= store.find(missing)
            except (ResumeError, StorageError) as error:
                self._paths.remove(path)
                if path.exists():  # a run that does not keep its folder has come to its end
                    warnings.warn(f"the answers of another run are not used: {error}", stacklevel=2)
        return found


class Missing:
    """Different prompts that are to be asked together, and whether they are enough.

    Parameters
    ----------
    chunk_size : int
        Different prompts that are asked together.
    operations_per_token : float
        What a token costs; 0 where that is not known.

    Examples
    --------
    >>> missing = Missing(2, 0.0)
    >>> missing.add(b"a", "Who?"), missing.add(b"a", "Who?"), missing.is_full(n_waiting=2)
    (None, None, False)
    >>> missing.add(b"b", "Where?"), missing.is_full(n_waiting=3), missing.prompts
    (None, True, {b'a': 'Who?', b'b': 'Where?'})
    """

    def __init__(self, chunk_size: int, operations_per_token: float) -> None:
        self._chunk_size, self._per_byte = chunk_size, operations_per_token / BYTES_PER_TOKEN
        self.prompts: dict[bytes, str] = {}
        self._opening, self._n_bytes = "", 0

    def add(self, key: bytes, prompt: str) -> None:
        """Note a prompt that is to be asked, and its bytes after what it shares with the one before."""
        if key in self.prompts:
            return
        if self.prompts:
            self._opening = os.path.commonprefix([self._opening, prompt])
        else:
            self._opening, self._n_bytes = prompt, 0
        self.prompts[key] = prompt
        self._n_bytes += len(prompt[len(self._opening) :].encode("utf-8", "surrogatepass"))

    def is_full(self, n_waiting: int) -> bool:
        """Whether the prompts are to be asked now, while so many rows wait."""
        return bool(self.prompts) and (
            len(self.prompts) >= self._chunk_size
            or n_waiting >= self._chunk_size * _MOST_WAITING
            or self._n_bytes * self._per_byte >= MOST_OPERATIONS
        )

    def clear(self) -> None:
        """Begin a new chunk."""
        self.prompts = {}


class Questions:
    """An engine, some labels, and what it was asked about them.

    Parameters
    ----------
    engine : Engine
    labels : sequence of str, length K
        As they follow the prompt.

    Attributes
    ----------
    asked : str
        Equal for runs whose answers to a prompt are the same.
    before : bytes
        What the keys of prompts begin with.
    """

    def __init__(self, engine: Engine, labels: Sequence[str]) -> None:
        self._engine, self.labels = engine, list(labels)
        self.before = digest(json.dumps([engine.fingerprint, self.labels], sort_keys=True))
        self.asked = self.before.hex()
        n_labels = len(self.labels)
        self._layout = np.dtype([("logprobs", "<f8", (n_labels,)), ("is_bound", "?", (n_labels,))])
        self._waiting: list[tuple[bytes, Prompted]] = []
        self._missing = self.missing(1)
        self._known: dict[bytes, Answer] = {}
        self._from_others: set[bytes] = set()

    def missing(self, chunk_size: int) -> Missing:
        """Return an empty chunk of prompts."""
        return Missing(chunk_size, self._engine.operations_per_token())

    def facts(self) -> dict[str, object]:
        """Return what the table says of how it was asked beside its settings: nothing here."""
        return {}

    def answer(
        self, rows: Iterable[Prompted], store: AnswerStore, others: OtherRuns, chunk_size: int
    ) -> Iterator[Answered]:
        """Yield all rows in their order, with their answers.

        Parameters
        ----------
        rows : iterable of Prompted
        store : AnswerStore
            Where new answers go.
        others : OtherRuns
        chunk_size : int
            Different prompts that are asked together and saved together.

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
        source, self._missing = iter(rows), self.missing(chunk_size)
        while batch := list(islice(source, chunk_size)):
            keys = [digest(one.prompt, self.before) for one in batch]
            self._look_up(keys, store, others)
            for key, one in zip(keys, batch, strict=True):
                if key not in self._known:
                    if self._waiting and not self._missing.prompts:
                        yield self._release()
                    self._missing.add(key, one.prompt)
                # invariant: the first row that waits waits for an answer, or none of them does
                self._waiting.append((key, one))
                if self._missing.is_full(len(self._waiting)):
                    yield self._ask(store)
            if self._waiting and not self._missing.prompts:
                yield self._release()
        if self._waiting:
            yield self._ask(store)

    def answer_chunk(
        self, rows: Sequence[tuple[bytes, Prompted]], asked: Mapping[bytes, str], store: AnswerStore
    ) -> Answered:
        """Return some rows with their answers, which are in the store, or are asked together now.

        Parameters
        ----------
        rows : sequence of (bytes, Prompted), length n
            With the keys of their prompts.
        asked : mapping of bytes to str
            Prompts, by key, that belong together.
        store : AnswerStore
            Where answers are, and where new ones go.

        Returns
        -------
        Answered

        Raises
        ------
        EngineError, StorageError
            As for :meth:`answer`.
        """
        self._waiting, self._missing = list(rows), self.missing(len(asked) + 1)
        self._known = store.find(list(dict.fromkeys([*asked, *(key for key, _ in rows)])))
        self._from_others = set()
        for key, prompt in asked.items():
            if key not in self._known:
                self._missing.add(key, prompt)
        return self._ask(store) if self._missing.prompts else self._release()

    def _look_up(self, keys: list[bytes], store: AnswerStore, others: OtherRuns) -> None:
        """Find the answers that this run and other runs have, and forget those of rows that are done."""
        needed = {key for key, _ in self._waiting}
        self._known = {key: answer for key, answer in self._known.items() if key in needed}
        self._from_others &= self._known.keys()
        wanted = [
            key for key in dict.fromkeys(keys) if key not in self._known and key not in self._missing.prompts
        ]
        self._known |= store.find(wanted)
        found = others.find([key for key in wanted if key not in self._known])
        self._from_others |= found.keys()
        self._known |= found

    def _ask(self, store: AnswerStore) -> Answered:
        """Ask about what is missing, save the answers, and return all rows that waited."""
        keys, prompts = list(self._missing.prompts), list(self._missing.prompts.values())

        def save_one(position: int, score: LabelScores) -> None:
            key = keys[position]
            store.add([(key, self.as_answers(score, 1)[0])], lasting_facts(self._engine), durable=False)

        values = self.as_answers(self._engine.label_scores(prompts, self.labels, save_one), len(keys))
        facts = lasting_facts(self._engine)
        store.add(zip(keys, values, strict=True), facts)
        self._known |= {
            key: Answer(value, json.dumps(facts)) for key, value in zip(keys, values, strict=True)
        }
        self._missing.clear()
        return self._release()

    def _release(self) -> Answered:
        """Return the rows that waited with their answers, all of which are known."""
        keys, rows = [key for key, _ in self._waiting], [one for _, one in self._waiting]
        answers = np.frombuffer(b"".join(self._known[key].value for key in keys), dtype=self._layout)
        n_reused = sum(key in self._from_others for key in keys)
        facts = self._known[keys[0]].facts
        self._waiting = []
        return Answered(rows, answers["logprobs"], answers["is_bound"], facts, n_reused)

    def as_answers(self, scores: LabelScores, n_prompts: int) -> list[bytes]:
        """Return what an engine answered as bytes to keep, if it can be right."""
        logprobs = np.asarray(scores.logprobs, dtype=np.float64)
        expected = (n_prompts, len(self.labels))
        is_bound = np.zeros(expected, dtype=np.bool_) if scores.is_bound is None else scores.is_bound
        for name, shape in (("logprobs", logprobs.shape), ("is_bound", is_bound.shape)):
            if shape != expected:
                raise EngineError(parameter=name, received=shape, allowed=f"of the shape {expected}")
        wrong = np.isnan(logprobs) | (logprobs > _LARGEST)
        if wrong.any():
            row, label = np.argwhere(wrong)[0]
            raise EngineError(
                f"the engine returned {logprobs[row, label]} for label {self.labels[label]!r} of prompt "
                f"{row} of {n_prompts}, which is not a log-probability",
                parameter="logprobs",
                received=float(logprobs[row, label]),
                column=self.labels[label],
            )
        answers: npt.NDArray[np.void] = np.empty(n_prompts, dtype=self._layout)
        answers["logprobs"], answers["is_bound"] = logprobs, is_bound
        return [one.tobytes() for one in answers]


def lasting_facts(engine: Engine) -> dict[str, object]:
    """Return how an engine computes, without what is different each time."""
    usage = engine.usage()
    return {key: value for key, value in engine.facts().items() if key not in usage}
