"""Answers one by one: a file that grows by a record as soon as an answer is known.

For engines whose answers come singly, from a server that may be paid for. A process killed at any
moment leaves whole records and at most one torn one, which its checksum tells.
"""

import json
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debias.inference.collection.answers import Answers

_NUMBER = struct.Struct("<I")


def _header(facts: dict[str, Any]) -> bytes:
    """How the engine computes, before the records: its length, itself, its checksum."""
    content = json.dumps(facts).encode()
    return _NUMBER.pack(len(content)) + content + _NUMBER.pack(zlib.crc32(content))


def _read_header(content: bytes) -> tuple[dict[str, Any], int] | None:
    """Facts, and where the records begin; None where the header is not whole."""
    try:
        (length,) = _NUMBER.unpack_from(content)
        (check,) = _NUMBER.unpack_from(content, _NUMBER.size + length)
    except struct.error:
        return None
    facts = content[_NUMBER.size : _NUMBER.size + length]
    return (json.loads(facts), 2 * _NUMBER.size + length) if zlib.crc32(facts) == check else None


def _record(n_labels: int) -> np.dtype[Any]:
    """Layout of one answer."""
    fields = [
        ("key", "<u8", (2,)),
        ("logprobs", "<f8", (n_labels,)),
        ("is_bound", "u1", (n_labels,)),
        ("check", "<u4"),
    ]
    return np.dtype(fields)


class Journal:
    """A file of single answers, made with the first of them; to be called from any thread.

    Parameters
    ----------
    path : Path
    n_labels : int

    Examples
    --------
    >>> import tempfile
    >>> answer = Answers(np.array([[1, 2]], dtype=np.uint64), np.log([[0.5, 0.25]]), np.zeros((1, 2), bool))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder) / "journal", n_labels=2)
    ...     journal.append(answer)
    ...     journal.close()
    ...     np.exp(read_journal(Path(folder) / "journal", n_labels=2).logprobs)
    array([[0.5 , 0.25]])
    """

    def __init__(self, path: Path, n_labels: int) -> None:
        self.path, self._layout = path, _record(n_labels)
        self._file, self._size = -1, 0
        self._turn = threading.Lock()

    def append(self, answer: Answers) -> None:
        """Write one answer, so that it outlives the process.

        Parameters
        ----------
        answer : Answers
            Of one row; the facts of the first are those of all.

        Raises
        ------
        OSError
            It cannot be written; the records before stay whole.
        """
        record = np.zeros(1, dtype=self._layout)
        record["key"], record["logprobs"], record["is_bound"] = answer.keys, answer.logprobs, answer.is_bound
        record["check"] = zlib.crc32(record.tobytes())
        with self._turn:
            if self._file < 0:
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            content = record.tobytes() if self._size else _header(answer.facts) + record.tobytes()
            written = os.pwrite(self._file, content, self._size)
            if written < len(content):  # the disk is full: the rest of the record says so, or fits
                os.pwrite(self._file, content[written:], self._size + written)
            self._size += len(content)

    def flush(self) -> None:
        """Wait until the answers are on the disk."""
        with self._turn:
            if self._file >= 0:
                os.fsync(self._file)

    def clear(self) -> None:
        """Forget all answers: they are kept elsewhere now."""
        with self._turn:
            if self._file >= 0:
                os.ftruncate(self._file, 0)
                self._size = 0

    def close(self) -> None:
        """Close the file, and remove it when it holds nothing."""
        with self._turn:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                if not self._size:
                    self.path.unlink(missing_ok=True)


def read_journal(path: Path, n_labels: int) -> Answers | None:
    """Read single answers, as far as they are whole.

    Parameters
    ----------
    path : Path
    n_labels : int

    Returns
    -------
    Answers or None
        None where there is none.
    """
    layout = _record(n_labels)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    header = _read_header(content)
    if header is None:
        return None
    facts, start = header
    count = (len(content) - start) // layout.itemsize
    records = np.frombuffer(content, dtype=layout, count=count, offset=start)
    records = records[[row for row in range(len(records)) if _is_whole(records[row : row + 1])]]
    if not len(records):
        return None
    return Answers(records["key"], records["logprobs"], records["is_bound"].astype(np.bool_), facts)


def _is_whole(record: NDArray[np.void]) -> bool:
    """Whether the checksum of a record is that of its content."""
    copy = record.copy()
    copy["check"] = 0
    return bool(zlib.crc32(copy.tobytes()) == record["check"][0])
