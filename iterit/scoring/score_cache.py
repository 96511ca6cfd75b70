"""Scores that are kept on disk: a model is never asked twice for the same text.

Kept under what decides a score: the engine with its weights (and the training step, if told), the
template, the longest sequence, and the text. Files are Parquet, written whole or not at all.
"""

import json
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from debias.atomic_file import atomic_path, write_durably
from debias.errors import StorageError
from debias.inference.collection.answer_store import digest

_MOST_FILES = 16


class Score(NamedTuple):
    """What is kept of one text.

    Attributes
    ----------
    conditional, direct : float
        Mean negative log-likelihoods in nats; nan where no token of an answer is left.
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
    """Scores of one state of a model and one template, in a folder that others may share.

    Several processes may use a folder at once: none changes a file of another's.

    Parameters
    ----------
    folder : str or path-like, or None
        Made where it is not there. None: scores are kept in memory only.
    facts : mapping
        What decides a score beside the text; JSON-able.

    Raises
    ------
    StorageError
        The folder cannot be made or read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = ScoreCache(folder, {"model": "a"})
    ...     cache.add("00ff", Score(1.0, 2.0, 7, False))
    ...     cache.flush()
    ...     [ScoreCache(folder, {"model": name}).get("00ff") for name in "ab"]
    [Score(conditional=1.0, direct=2.0, n_tokens=7, is_truncated=False), None]
    """

    def __init__(self, folder: str | os.PathLike[str] | None, facts: Mapping[str, Any]) -> None:
        self.folder = None if folder is None else Path(folder)
        text = json.dumps(dict(facts), sort_keys=True, indent=1, default=str)
        self.name = digest(text).hex()
        self._scores: dict[str, Score] = {}
        self._new: dict[str, Score] = {}
        if self.folder is not None:
            with self._storage("cannot be used"):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._describe(text)
                self._read()

    def __len__(self) -> int:
        return len(self._scores)

    def get(self, digest: str) -> Score | None:
        """Return the score of a text, or None where it is not known.

        Parameters
        ----------
        digest : str
            See :attr:`iterit.records.instruction_records.Records.digests`.
        """
        return self._scores.get(digest)

    def add(self, digest: str, score: Score) -> None:
        """Keep the score of a text; it is on disk after :meth:`flush`."""
        self._scores[digest] = self._new[digest] = score

    def flush(self) -> None:
        """Write what is new into a file of its own.

        Raises
        ------
        StorageError
            The disk is full, or the folder cannot be written.
        """
        if self.folder is not None and self._new:
            with self._storage("cannot be written; make room, or give another folder"):
                self._write(self._new)
        self._new = {}

    @contextmanager
    def _storage(self, what: str) -> Iterator[None]:
        """Turn an error of the system into one of ours."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"the folder of scores {str(self.folder)!r} {what}: {error}") from error

    def _describe(self, facts: str) -> None:
        """Write beside the scores what they are scores of."""
        path = Path(str(self.folder)) / f"{self.name}.json"
        if not path.exists():
            write_durably(path, facts.encode())

    def _files(self) -> list[Path]:
        """Files of this state and template."""
        return sorted(Path(str(self.folder)).glob(f"{self.name}-*.parquet"))

    def _read(self) -> None:
        """Read all files, and join them where there are many."""
        files = [file for file in self._files() if self._read_file(file)]
        if len(files) > _MOST_FILES:
            self._write(self._scores)
            for file in files:
                file.unlink(missing_ok=True)

    def _read_file(self, file: Path) -> bool:
        """Read one file; one that is damaged is left alone, and its texts are scored again."""
        import pyarrow
        from pyarrow.parquet import read_table

        try:
            columns = read_table(file, page_checksum_verification=True).to_pydict()
            found = zip(*(columns[name] for name in ("digest", *Score._fields)), strict=True)
            self._scores |= {key: Score(*values) for key, *values in found}
        except FileNotFoundError:  # joined by another process, which wrote what was in it first
            return False
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            reason = str(error).splitlines()[0]
            warnings.warn(
                f"{str(file)!r} is damaged ({reason}): its texts are scored again; delete it", stacklevel=4
            )
            return False
        return True

    def _write(self, scores: Mapping[str, Score]) -> None:
        """Write scores into a new file."""
        import pyarrow
        from pyarrow.parquet import write_table

        columns: dict[str, Any] = {"digest": list(scores)}
        columns |= dict(zip(Score._fields, map(list, zip(*scores.values(), strict=True)), strict=True))
        path = Path(str(self.folder)) / f"{self.name}-{uuid.uuid4().hex[:12]}.parquet"
        with atomic_path(path) as temporary:
            write_table(pyarrow.table(columns), temporary, write_page_checksum=True)
