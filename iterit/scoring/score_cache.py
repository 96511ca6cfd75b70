"""Scores that are kept on disk: a model is never asked twice for the same text.

A score is kept under the digest of what decides it: the engine with its weights (and the training
step, if given), the template, the longest sequence, and the text.
"""

import json
import math
import os
import struct
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from debias.inference.collection.answer_store import AnswerStore, digest, storage_errors

_FILE = "scores.sqlite"
_LAYOUT = struct.Struct("<ddq?")


class Score(NamedTuple):
    """The score of one text.

    Attributes
    ----------
    conditional, direct : float
        Mean negative log-likelihoods in nats; nan where no token of an answer is left, and `direct` also
        where the answer alone was not asked about.
    n_tokens : int
        Tokens of the answers that were scored.
    is_truncated : bool
        Whether tokens of an answer were cut away.
    """

    conditional: float
    direct: float
    n_tokens: int
    is_truncated: bool


class ScoreCache:
    """Scores of one state of a model and one template, in a folder that other processes may share.

    Parameters
    ----------
    folder : str or path-like, or None
        Made if it is missing. None: scores are kept in memory only.
    facts : mapping
        What decides a score beside the text; JSON-able.
    alone : bool, default=True
        Whether answers were asked about alone, too, so that each score must have both losses.

    Raises
    ------
    StorageError
        The folder cannot be made or read.
    ResumeError
        Its file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ScoreCache(folder, {"model": "a"}) as cache:
    ...         cache.add([("00ff", Score(1.0, 2.0, 7, False))])
    ...     for name in "ab":
    ...         with ScoreCache(folder, {"model": name}) as cache:
    ...             cache.find(["00ff"])
    {'00ff': Score(conditional=1.0, direct=2.0, n_tokens=7, is_truncated=False)}
    {}
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, facts: Mapping[str, object], alone: bool = True
    ) -> None:
        self._facts, self._alone = dict(facts), alone
        self._before = digest(json.dumps(self._facts, sort_keys=True))
        path = None if folder is None else Path(folder) / _FILE
        if path is not None:
            with storage_errors(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() and any(path.parent.glob("*-*.parquet")):
                warnings.warn(
                    f"{path.parent} contains scores in the format of an earlier version, which are not "
                    "read: its texts will be scored again; delete its .parquet and .json files",
                    stacklevel=3,
                )
        self._store = AnswerStore(path)

    def find(self, digests: Sequence[str]) -> dict[str, Score]:
        """Return the scores that there are.

        Parameters
        ----------
        digests : sequence of str
            Of texts; see :attr:`iterit.records.instruction_records.Records.digests`.

        Returns
        -------
        dict of str to Score
            What cannot be a score is not among them, so that the model is asked again.
        """
        keys = {digest(one, self._before): one for one in digests}
        found = self._store.find(list(keys))
        scores = {keys[key]: _score_of(answer.value, self._alone) for key, answer in found.items()}
        return {one: score for one, score in scores.items() if score is not None}

    def add(self, scores: Iterable[tuple[str, Score]]) -> None:
        """Keep the scores of texts, in one transaction.

        Raises
        ------
        StorageError
            The disk is full, or the folder cannot be written.
        """
        answers = [(digest(one, self._before), _LAYOUT.pack(*score)) for one, score in scores]
        self._store.add(answers, self._facts, durable=False)

    def __enter__(self) -> "ScoreCache":
        return self

    def __exit__(self, *stopped: object) -> None:
        """Close the file; all scores are on the disk."""
        self._store.close()


def _score_of(value: bytes, alone: bool) -> Score | None:
    """Return a score that was kept, None for bytes that no score has."""
    if len(value) != _LAYOUT.size:
        return None
    score = Score(*_LAYOUT.unpack(value))
    losses = (score.conditional, score.direct)
    if score.n_tokens == 0:
        return score if all(map(math.isnan, losses)) else None
    return score if score.n_tokens > 0 and all(map(math.isfinite, losses[: 1 + alone])) else None
