"""The folder of a run, beside its table: its lock, its settings and its answers.

``trec.parquet.run/`` holds ``answers.sqlite`` and a lock that the kernel releases when the process
ends, however it ends.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from debias.errors import Kept, ParameterError, ResumeError, param, shortened
from debias.files.atomic_file import try_to_write
from debias.files.folder_lock import LOCK, OWNER, locked_folder
from debias.inference.collection.answer_store import AnswerStore, storage_errors

SUFFIX = ".run"
_STORE, _TABLE = "answers.sqlite", ".table.parquet"
_DIGESTS = {"data.texts": "texts", "data.labels": "labels", "data.ids": "ids"}
_OF_SHORTENED = ("context_length", "task.keep_from")
"""Settings that decide only where texts are shortened: noted there alone, and not by earlier versions."""


class RunFolder:
    """The folder of a run that resumes where it stopped.

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
    ...         store, chunk_size = folder.begin({"model": "demo"}, chunk_size=2)
    ...         store.close()
    ...     AnswerStore(folder.store, read_only=True).about()
    {'asked': '', 'chunk_size': 2, 'settings': {'model': 'demo'}}
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, table: Path) -> "RunFolder":
        """Return the folder of the run that makes a table."""
        return cls(table.with_name(table.name + SUFFIX))

    @property
    def store(self) -> Path:
        """The file of answers."""
        return self.path / _STORE

    @property
    def unfinished_table(self) -> Path:
        """The table until it is whole; removed at the next start after a kill."""
        return self.path / _TABLE

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; make it if it is missing.

        Raises
        ------
        RunInUseError
            Another process, or another run in this one, holds it.
        ResumeError
            The folder holds files of something else, or of an earlier version.
        StorageError
            It cannot be made.
        """
        self._refuse_foreign()
        with storage_errors(self.path):
            self.path.mkdir(exist_ok=True)
        fix = f"wait for it, stop it, or choose another {param('out')}"
        with ExitStack() as held:
            with storage_errors(self.path):
                held.enter_context(locked_folder(self.path, "is collecting the same table", fix))
                self.unfinished_table.unlink(missing_ok=True)
            yield

    def try_out(self) -> None:
        """Raise StorageError where the folder could not be made, before any work is done."""
        with storage_errors(self.path):
            is_new = not self.path.exists()
            self.path.mkdir(exist_ok=True)
            try:
                try_to_write(self.path / _TABLE)
            finally:
                if is_new:
                    self.path.rmdir()

    def _refuse_foreign(self) -> None:
        """Raise ResumeError where the folder was not made by a run of this version."""
        if self.store.exists() or not self.path.exists():
            return
        if not self.path.is_dir():
            problem = "a file exists where the folder of the run should be"
        else:
            refuse_old_format(self.path)
            if not {one.name for one in self.path.iterdir()} - {LOCK, OWNER, _TABLE}:
                return
            problem = f"the folder holds files but no {_STORE}"
        raise ResumeError(problem, file=self.path, fix=f"move it away or choose another {param('out')}")

    def begin(
        self, settings: Mapping[str, object], chunk_size: int, asked: str = ""
    ) -> tuple[AnswerStore, int]:
        """Open the answers, if they were made with the same settings; a new folder keeps the settings.

        Other rows are welcome: answers are kept under what was asked, not by their place.

        Parameters
        ----------
        settings : mapping
            What decides the answers; JSON-able.
        chunk_size : int
            Prompts that are answered between two saves.
        asked : str, optional
            What other runs must have asked alike, so that its answers are theirs.

        Returns
        -------
        store : AnswerStore
        chunk_size : int
            A folder with answers keeps its own.

        Raises
        ------
        ResumeError
            The answers were made with other settings, or their file is damaged.
        """
        store = AnswerStore(self.store)
        try:
            found = store.about()
            if len(store):  # without answers there is nothing to protect
                refuse_other_settings(self.path, _mapping(found.get("settings")), settings)
                chunk_size = int(str(found.get("chunk_size", chunk_size)))
            about = {"settings": dict(settings), "chunk_size": chunk_size, "asked": asked}
            if found != json.loads(json.dumps(about)):
                store.describe(about)
        except BaseException:
            store.close()
            raise
        return store, chunk_size

    def remove_unused(self) -> None:
        """Delete the folder where it is there, unless another process is at work in it."""
        if self.path.exists():
            with self.locked():
                self.remove()

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def noting_what_is_kept(folder: RunFolder, store: AnswerStore) -> Iterator[None]:
    """Close the store, and give whatever stops a run what is kept; a folder without answers goes."""
    try:
        yield
    except BaseException as error:
        n_answers: int | None = None
        with suppress(ResumeError, OSError):  # a damaged store, or a disk that cannot be read
            n_answers = len(store)
        store.close()
        if n_answers == 0:
            folder.remove()
        else:
            Kept(str(folder.path), n_answers).attach(error)
        raise
    store.close()


def named_runs(reuse: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[Path]:
    """Return the folders of runs that the user named.

    Parameters
    ----------
    reuse : path-like, or sequence of path-like
        Folders of runs, their tables, or folders that hold them.

    Returns
    -------
    list of Path

    Raises
    ------
    ParameterError
        No run is there.
    ResumeError
        A run was made by an earlier version.
    """
    found: list[Path] = []
    for given in [reuse] if isinstance(reuse, str | os.PathLike) else reuse:
        path = Path(given)
        beside = RunFolder.beside(path).path
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
        is_run = path.is_dir() and (path.suffix == SUFFIX or (path / _STORE).exists())
        if not (is_run or beside.is_dir() or inside):
            raise ParameterError(
                f"no run to reuse is at {str(given)!r}",
                parameter="reuse",
                received=str(given),
                allowed=f"a table, the folder of its run (table.parquet{SUFFIX}), or a folder of these",
                fix="name a table, the folder of its run, or a folder of these",
            )
        found += [path] if is_run else [beside] if beside.is_dir() else inside
    for path in found:
        refuse_old_format(path)
    return found


def refuse_old_format(path: Path) -> None:
    """Raise ResumeError for the folder of a run of an earlier version."""
    if (path / "manifest.json").exists() and not (path / _STORE).exists():
        raise ResumeError(
            "the answers are in the format of an earlier version",
            file=path,
            fix="delete the folder to collect them again; a complete table does not need it",
        )


def refuse_other_settings(place: Path, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raise ResumeError, naming every difference, unless two settings are the same.

    Examples
    --------
    >>> refuse_other_settings(Path("a"), {"engine": {"dtype": "float32"}}, {"engine": {"dtype": "bfloat16"}})
    Traceback (most recent call last):
    debias.errors.ResumeError: a: it was made with other settings: engine.dtype was 'float32' and is now ...
    """
    old, new = flat_settings(before), flat_settings(json.loads(json.dumps(now)))
    unknown = {key for key in _OF_SHORTENED if key not in old or key not in new}
    different = [key for key in sorted({*old, *new} - unknown) if old.get(key) != new.get(key)]
    if not different:
        return
    plain = [key for key in different if key not in _DIGESTS]
    named = "; ".join(
        [f"the {_DIGESTS[key]} have changed ({key})" for key in different if key in _DIGESTS]
        + [f"{key} was {shortened(old.get(key))} and is now {shortened(new.get(key))}" for key in plain]
    )
    out = f"choose another {param('out')}"
    if all(key.startswith("data.") for key in different):
        out += " (in the same folder, answered rows are not collected again)"
    raise ResumeError(
        f"it was made with other settings: {named}",
        file=place,
        received=different,
        fix=f"use the same settings, {out}, or delete it to start again",
    )


def _mapping(value: object) -> Mapping[str, object]:
    """Return a mapping, empty where there is another value."""
    return value if isinstance(value, Mapping) else {}


def flat_settings(settings: object, path: str = "") -> dict[str, object]:
    """Return dotted names of all settings; a list counts as one.

    Examples
    --------
    >>> flat_settings({"engine": {"dtype": "float32"}, "shots": 1})
    {'engine.dtype': 'float32', 'shots': 1}
    """
    if not isinstance(settings, Mapping):
        return {path: settings}
    flat: dict[str, object] = {}
    for key, value in settings.items():
        flat |= flat_settings(value, f"{path}.{key}" if path else str(key))
    return flat
