"""The store of a model's answers: one SQLite file, each answer under the digest of its question.

A killed process loses no transaction that was written. Each answer has a checksum: one whose bytes
have changed counts as missing, so that it is asked again. Reference: sqlite.org/wal.html.
"""

import errno
import hashlib
import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from debias.errors import DebiasError, ResumeError, StorageError

DIGEST_BYTES = 16

_VERSION = 1
_KEYS_AT_ONCE = 500
_BUSY_SECONDS, _PAUSE = 30, 0.01
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS facts (id INTEGER PRIMARY KEY, content TEXT UNIQUE)",
    "CREATE TABLE IF NOT EXISTS answers"
    " (key BLOB PRIMARY KEY, value BLOB, facts INTEGER, checksum INTEGER) WITHOUT ROWID",
    f"PRAGMA user_version = {_VERSION}",
)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
}


def digest(text: str, before: bytes = b"") -> bytes:
    """Return the digest of a text that comes after some bytes.

    Parameters
    ----------
    text : str
    before : bytes, optional
        The context of the text, so that the same text in another context has another digest.

    Returns
    -------
    bytes
        16 of them.

    Examples
    --------
    >>> digest("a") == digest("a"), digest("a") == digest("a", b"elsewhere")
    (True, False)
    """
    content = before + text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


class Answer(NamedTuple):
    """A stored answer, and the facts it was made with as JSON."""

    value: bytes
    facts: str


class AnswerStore:
    """Answers by key, in a file or in memory; may be used from any thread.

    Parameters
    ----------
    path : Path, optional
        The file, made if it is missing; the answers stay in memory if omitted.
    read_only : bool, default=False
        Whether to open the file of another run, which may be at work.

    Raises
    ------
    StorageError
        The file cannot be opened or made.
    ResumeError
        The file is damaged, or is not a store of this version.

    Examples
    --------
    >>> with AnswerStore() as store:
    ...     store.add([(digest("a question"), b"an answer")], {"dtype": "float32"})
    ...     store.find([digest("a question"), digest("another")])[digest("a question")]
    Answer(value=b'an answer', facts='{"dtype": "float32"}')
    """

    def __init__(self, path: Path | None = None, *, read_only: bool = False) -> None:
        self.path, self._read_only = path, read_only
        self._turn, self._writes = threading.RLock(), False
        with storage_errors(path):
            if read_only:
                _undo_half_a_write(path)
            self._database = _connected(path, "ro" if read_only else "rwc")
        try:
            with storage_errors(path):
                self._has_tables = self._checked_version()
        except BaseException:
            self._database.close()
            raise

    def _checked_version(self) -> bool:
        """Refuse a file of something else; return whether the store has its tables yet."""
        (version, n_tables) = self._database.execute(
            "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
        ).fetchone()
        if version != _VERSION and (version or n_tables):
            raise ResumeError(
                f"the file is not an answer store of version {_VERSION}",
                file=self.path,
                fix="move it away, or upgrade debias-iterit if a later version made it",
            )
        return bool(version)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Open a transaction; the first one makes the tables. What is only read is not touched."""
        with self._turn, storage_errors(self.path):
            with self._database:
                self._begin()
                if not self._has_tables:
                    for statement in _SCHEMA:
                        self._database.execute(statement)
                yield
            self._has_tables = True

    def _begin(self) -> None:
        """Begin a transaction, once other processes allow it.

        SQLite waits by itself, but not while another process opens or closes the same file: the mode of the
        journal then changes, and it says at once that the file is locked.
        """
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                if not self._writes:
                    # A file system without shared memory keeps SQLite's rollback journal, which is as safe.
                    self._database.execute("PRAGMA journal_mode = WAL")
                    self._writes = True
                self._database.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_PAUSE)

    def about(self) -> dict[str, object]:
        """Return what the store says about itself, by name."""
        if not self._has_tables:
            return {}
        with self._turn, storage_errors(self.path):
            rows = self._database.execute("SELECT name, content FROM about").fetchall()
            # a damaged file may hold anything: what is no text is no JSON
            texts = {str(name): content if isinstance(content, str | bytes) else "" for name, content in rows}
            return {name: json.loads(content) for name, content in texts.items()}

    def describe(self, about: Mapping[str, object]) -> None:
        """Keep JSON-able values that :meth:`about` returns."""
        with self._writing():
            rows = [(name, json.dumps(value)) for name, value in about.items()]
            self._database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)

    def __len__(self) -> int:
        if not self._has_tables:
            return 0
        with self._turn, storage_errors(self.path):
            return int(self._database.execute("SELECT count(*) FROM answers").fetchone()[0])

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Return the answers that there are.

        Parameters
        ----------
        keys : sequence of bytes

        Returns
        -------
        dict of bytes to Answer
            Whole answers only.

        Raises
        ------
        ResumeError
            The file is damaged.
        StorageError
            It cannot be read.
        """
        found: dict[bytes, Answer] = {}
        if not self._has_tables:
            return found
        with self._turn, storage_errors(self.path):
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                rows = self._database.execute(
                    "SELECT key, value, content, checksum FROM answers JOIN facts ON facts.id = answers.facts"
                    f" WHERE key IN ({','.join('?' * len(some))})",
                    some,
                )
                for key, value, facts, checksum in rows:
                    whole = isinstance(value, bytes) and isinstance(facts, str)
                    if whole and checksum == _checksum(key, value, facts):
                        found[key] = Answer(value, facts)
        return found

    def add(
        self, answers: Iterable[tuple[bytes, bytes]], facts: Mapping[str, object], *, durable: bool = True
    ) -> None:
        """Keep answers in one transaction: all or none.

        Parameters
        ----------
        answers : iterable of (bytes, bytes)
            Keys and answers; an earlier answer to the same question is replaced.
        facts : mapping
            How the answers were made; JSON-able.
        durable : bool, default=True
            Whether to wait until they are on the disk. Without it they outlive the process, but
            the last of them not a loss of power.

        Raises
        ------
        StorageError
            They cannot be written: a full disk, or a missing permission.
        ResumeError
            The file is damaged.
        """
        content = json.dumps(dict(facts))
        with self._turn:
            self._database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with self._writing():
                number = self._number_of(content)
                rows = [(key, value, number, _checksum(key, value, content)) for key, value in answers]
                self._database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)

    def _number_of(self, facts: str) -> int:
        """Return the row of some facts, written where they are new."""
        self._database.execute("INSERT OR IGNORE INTO facts (content) VALUES (?)", (facts,))
        row = self._database.execute("SELECT id FROM facts WHERE content = ?", (facts,)).fetchone()
        if row is None or not isinstance(row[0], int):
            raise sqlite3.DatabaseError("the facts of its answers have no number")
        return row[0]

    def close(self) -> None:
        """Close the store; a file becomes a single one, that can be read where nothing can be written."""
        with self._turn:
            with suppress(sqlite3.Error):  # the log stays beside the file, and the next start reads it
                self._database.execute("PRAGMA busy_timeout = 0")
                if not self._read_only and self.path is not None:
                    self._database.execute("PRAGMA journal_mode = DELETE")
            self._database.close()

    def __enter__(self) -> "AnswerStore":
        return self

    def __exit__(self, *stopped: object) -> None:
        self.close()


def _connected(path: Path | None, mode: str) -> sqlite3.Connection:
    """Open a file, or memory where there is none, in a mode of SQLite: ro, rw or rwc."""
    name = ":memory:" if path is None else path.absolute().as_uri() + f"?mode={mode}"
    return sqlite3.connect(name, timeout=_BUSY_SECONDS, uri=path is not None, check_same_thread=False)


def _undo_half_a_write(path: Path | None) -> None:
    """Let SQLite roll back what a killed process left in a journal: who only reads may not.

    The journal of a process at work is left alone, and so is one in a folder that is read only: the
    reader then says what is wrong.
    """
    if path is not None and path.with_name(path.name + "-journal").exists():
        with suppress(sqlite3.Error), closing(_connected(path, "rw")) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _checksum(key: bytes, value: bytes, facts: str) -> int:
    """Return what tells that an answer is as it was written."""
    return zlib.crc32(facts.encode(), zlib.crc32(value, zlib.crc32(key)))


@contextmanager
def storage_errors(place: Path | None) -> Iterator[None]:
    """Turn errors of the system and of SQLite into ours.

    Parameters
    ----------
    place : Path, optional
        What is read or written; None for memory.

    Raises
    ------
    StorageError
        The block could not read or write.
    ResumeError
        The file is damaged.
    """
    try:
        yield
    except DebiasError:
        raise
    except OSError as error:
        raise _storage_error(place, error.errno in _FULL, error.strerror or str(error)) from error
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except (sqlite3.Error, json.JSONDecodeError, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _DISK:
            raise _storage_error(place, code == sqlite3.SQLITE_FULL, str(error)) from error
        raise ResumeError(
            f"the file is damaged ({error})",
            file=place,
            fix="delete it and rerun: its prompts will be sent again",
        ) from error


def _storage_error(place: Path | None, is_full: bool, reason: str) -> StorageError:
    """Return an error that says how to resume."""
    if is_full:
        problem = "no space is left there, or a file size limit or quota has been reached"
        fix = "free some space and rerun to resume"
    else:
        problem, fix = f"it cannot be written or read ({reason})", "fix the cause and rerun to resume"
    return StorageError(problem, file=place, fix=fix)
