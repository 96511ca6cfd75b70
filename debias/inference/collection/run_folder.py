"""The folder of a run, beside its table: whose it is, what it was begun with, who is at work in it.

``trec.parquet.run/`` holds ``manifest.json`` (the settings), files of answers, and a lock that the
kernel takes back when the process ends, however it ends.
"""

import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from debias.atomic_file import write_durably
from debias.errors import DebiasError, ResumeError, RunInUseError, StorageError

SUFFIX = ".run"
_MANIFEST, _LOCK, _OWNER = "manifest.json", "lock", "owner.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RunFolder:
    """Folder of a run that goes on where it stopped.

    Parameters
    ----------
    path : Path
        Made when it is locked.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = RunFolder(Path(parent) / "trec.parquet.run")
    ...     with folder.locked():
    ...         folder.begin({"model": "demo"}, chunk_size=2)
    ...         RunFolder(folder.path).manifest()["settings"]
    2
    {'model': 'demo'}
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; make it where it is not there.

        Raises
        ------
        RunInUseError
            Another process, or another run in this one, holds it.
        ResumeError
            The folder holds files of something else.
        StorageError
            It cannot be made.
        """
        from filelock import FileLock, Timeout

        self._refuse_foreign()
        with storage_errors(self.path):
            self.path.mkdir(exist_ok=True)
            lock = FileLock(self.path / _LOCK, timeout=0)
            try:
                lock.acquire()
            except Timeout as error:
                raise RunInUseError(
                    f"{self.path} is in use by {self._owner()}: it collects the same table; wait for it,"
                    " stop it, or choose another out"
                ) from error
        try:
            self._sweep()
            with storage_errors(self.path):
                owner = {"pid": os.getpid(), "host": socket.gethostname()}
                (self.path / _OWNER).write_text(json.dumps(owner), encoding="utf-8")
            yield
        finally:
            (self.path / _OWNER).unlink(missing_ok=True)
            lock.release()

    def _refuse_foreign(self) -> None:
        """Raise ResumeError where the folder was not made by a run."""
        if self.path.exists() and not self.path.is_dir():
            raise ResumeError(f"{self.path} is a file; move it away or choose another out")
        if any(self.path.glob("*.parquet")) and not (self.path / _MANIFEST).exists():
            raise ResumeError(
                f"{self.path} holds files but no {_MANIFEST}; move it away or choose another out"
            )

    def _owner(self) -> str:
        """Who holds the lock, as far as it said so."""
        try:
            owner = json.loads((self.path / _OWNER).read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _sweep(self) -> None:
        """Remove what a killed process left half written."""
        for path in self.path.glob(".*"):
            with suppress(OSError):
                path.unlink()

    def manifest(self) -> dict[str, Any]:
        """Return what the folder was begun with; empty where there is nothing.

        Raises
        ------
        ResumeError
            It cannot be read.
        """
        path = self.path / _MANIFEST
        if not path.exists():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content["settings"], content["chunk_size"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"{path} cannot be read ({error}); delete {path.parent} and start again"
            ) from error
        return dict(content)

    def begin(
        self, settings: Mapping[str, Any], chunk_size: int, data: Mapping[str, Any] | None = None
    ) -> int:
        """Compare the settings with those that are there, or write them.

        Other rows are welcome: answers are kept under what was asked, not by their place.

        Parameters
        ----------
        settings : mapping
            JSON-able; what decides the answers.
        chunk_size : int
            Prompts between two savings.
        data : mapping, optional
            What is known of the rows, written beside the settings.

        Returns
        -------
        int
            Prompts between two savings; a folder that was begun keeps its own.

        Raises
        ------
        ResumeError
            The folder holds answers made with other settings, or its manifest is damaged.
        """
        found = self.manifest()
        if found and (self.answer_files() or self.journal.exists()):  # otherwise there is nothing to protect
            refuse_other_settings(self.path, found["settings"], settings)
            chunk_size = int(found["chunk_size"])
        content = {"settings": dict(settings), "data": data, "chunk_size": chunk_size}
        if found != json.loads(json.dumps(content)):
            with storage_errors(self.path):
                write_durably(
                    self.path / _MANIFEST, json.dumps(content, indent=1, ensure_ascii=False).encode()
                )
        return chunk_size

    @property
    def journal(self) -> Path:
        """Where answers are written one by one."""
        return self.path / "single-answers"

    @property
    def unfinished_table(self) -> Path:
        """Where the table is written until it is whole; swept away after a kill."""
        return self.path / ".table.parquet"

    def answer_files(self) -> list[Path]:
        """Return the files of answers, in the order of their names."""
        return sorted(self.path.glob("rows-*.parquet"))

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def storage_errors(place: Path, kept: str = "") -> Iterator[None]:
    """Turn the system's errors of writing into ours, which say what is kept and how to go on.

    Parameters
    ----------
    place : Path
        What was written to.
    kept : str, optional
        What is safe, for the message.

    Raises
    ------
    StorageError
        The block could not write.
    """
    try:
        yield
    except DebiasError:
        raise
    except OSError as error:
        full = error.errno in _FULL
        reason = (
            "no space is left there (or the limit on the size of files or the quota is reached)"
            if full
            else f"it cannot be written ({error.strerror or error})"
        )
        remedy = "free some space" if full else "mend that"
        raise StorageError(
            f"{place}: {reason}; {kept or 'nothing is lost'}: {remedy} and run the same again,"
            " it goes on from there"
        ) from error


def refuse_other_settings(place: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ResumeError, naming every difference, unless two settings are the same.

    Examples
    --------
    >>> refuse_other_settings(Path("a"), {"engine": {"dtype": "float32"}}, {"engine": {"dtype": "bfloat16"}})
    Traceback (most recent call last):
    debias.errors.ResumeError: a was made with other settings: engine.dtype was 'float32' and is now ...
    """
    old, new = _flat(before), _flat(json.loads(json.dumps(now)))
    different = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if not different:
        return
    named = "; ".join(
        f"{key} was {_short(old.get(key))} and is now {_short(new.get(key))}" for key in different
    )
    reused = ""
    if all(key.startswith("data.") for key in different):
        reused = " (in the same folder, and rows that were answered are not asked about again)"
    raise ResumeError(
        f"{place} was made with other settings: {named}; use the same settings, choose another out{reused},"
        " or delete it to start again"
    )


def _flat(settings: Any, path: str = "") -> dict[str, Any]:
    """Dotted names of all settings; lists count as one."""
    if not isinstance(settings, Mapping):
        return {path: settings}
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{path}.{key}" if path else str(key))
    return flat


def _short(value: Any) -> str:
    """Representation of a value, cut to one line."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
