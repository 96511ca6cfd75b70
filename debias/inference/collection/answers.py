"""Answers under the keys of their questions, and the Parquet files (chunks) that keep them.

The key of an answer is a digest of all that decides it: the engine's fingerprint, the labels, the
prompt. A file is there whole or not at all, and its pages carry checksums: a damaged one is ignored.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from debias.atomic_file import write_durably
from debias.errors import EngineError
from debias.inference.collection.hash_index import DIGEST_BYTES, DigestArray, as_array, digest
from debias.inference.engine import BoolArray, Engine, FloatArray, LabelScores

_FACTS = b"debias_engine_facts"


class AnswerKeys:
    """Keys of the answers that an engine gives about some labels.

    Parameters
    ----------
    engine : Engine
    labels : sequence of str, length K
        As they follow the prompt.

    Examples
    --------
    >>> class Even(Engine):
    ...     context_length, fingerprint = 100, {"model": "even"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations): ...
    >>> keys, others = AnswerKeys(Even(), ["a", "b"]), AnswerKeys(Even(), ["a", "c"])
    >>> bool((keys.of(["x"]) == keys.of(["x"])).all()), bool((keys.of(["x"]) == others.of(["x"])).any())
    (True, False)
    """

    def __init__(self, engine: Engine, labels: Sequence[str]) -> None:
        decides = json.dumps([engine.fingerprint, list(labels)], sort_keys=True)
        self._before = digest(decides)

    def of(self, prompts: Sequence[str]) -> DigestArray:
        """Return the keys of prompts, uint64 array of shape (n, 2)."""
        return as_array([digest(prompt, self._before) for prompt in prompts])


@dataclass(frozen=True)
class Answers:
    """Label log-probabilities under the keys of their prompts.

    Parameters
    ----------
    keys : uint64 array, shape (n, 2)
    logprobs : float64 array, shape (n, K)
    is_bound : bool array, shape (n, K)
        True where the probability is only known not to be greater.
    facts : dict, optional
        How the engine computed them, JSON-able.
    """

    keys: DigestArray
    logprobs: FloatArray
    is_bound: BoolArray
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


def checked_answers(scores: LabelScores, keys: DigestArray, n_labels: int) -> Answers:
    """Return what an engine answered, if it can be right.

    Parameters
    ----------
    scores : LabelScores
    keys : uint64 array, shape (n, 2)
        Of the prompts that were asked about.
    n_labels : int

    Returns
    -------
    Answers

    Raises
    ------
    EngineError
        Another shape, or a value that is no log-probability.
    """
    logprobs = np.asarray(scores.logprobs, dtype=np.float64)
    expected = (len(keys), n_labels)
    if logprobs.shape != expected:
        raise EngineError(f"the engine answered in the shape {logprobs.shape}; {expected} was expected")
    if np.isnan(logprobs).any() or (logprobs == np.inf).any():
        row, label = np.argwhere(np.isnan(logprobs) | (logprobs == np.inf))[0]
        raise EngineError(
            f"the engine answered {logprobs[row, label]} about label {label} of prompt {row} of"
            f" {len(keys)}; that is no log-probability"
        )
    is_bound = np.zeros(expected, dtype=np.bool_) if scores.is_bound is None else scores.is_bound
    if is_bound.shape != expected:
        raise EngineError(f"the engine's is_bound has the shape {is_bound.shape}; {expected} was expected")
    return Answers(keys, logprobs, is_bound)


def write_answers(path: Path, answers: Answers) -> None:
    """Write a file of answers, whole or not at all.

    Parameters
    ----------
    path : Path
    answers : Answers

    Raises
    ------
    OSError
        It cannot be written.
    """
    stored = np.ascontiguousarray(answers.keys, dtype="<u8").tobytes()
    keys = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(DIGEST_BYTES), len(answers), [None, pa.py_buffer(stored)]
    )
    columns = {"key": keys}
    columns |= {f"logprob_{k}": pa.array(column) for k, column in enumerate(answers.logprobs.T)}
    columns |= {f"is_bound_{k}": pa.array(column) for k, column in enumerate(answers.is_bound.T)}
    buffer = pa.BufferOutputStream()
    table = pa.table(columns).replace_schema_metadata({_FACTS: json.dumps(answers.facts)})
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    write_durably(path, buffer.getvalue().to_pybytes())


def read_answers(path: Path, n_labels: int) -> Answers | None:
    """Read a file of answers.

    Parameters
    ----------
    path : Path
    n_labels : int
        Labels that each answer must have.

    Returns
    -------
    Answers or None
        None where the file is not there, is damaged, or is about another number of labels.
    """
    wanted = ["key", *(f"{name}_{k}" for name in ("logprob", "is_bound") for k in range(n_labels))]
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        if sorted(table.column_names) != sorted(wanted):
            return None
        keys = as_array(table["key"].to_pylist())
        logprobs, is_bound = (
            np.column_stack([table[f"{name}_{k}"].to_numpy() for k in range(n_labels)])
            for name in ("logprob", "is_bound")
        )
        facts = json.loads((table.schema.metadata or {}).get(_FACTS, b"{}"))
    except (OSError, ValueError, pa.ArrowException, TypeError):
        return None
    if not len(keys) or logprobs.dtype != np.float64 or is_bound.dtype != np.bool_:
        return None
    return None if np.isnan(logprobs).any() else Answers(keys, logprobs, is_bound, facts)
