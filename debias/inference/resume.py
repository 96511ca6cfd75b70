"""A run that survives interruption: finished chunks of rows on disk, beside the settings that made them.

Each chunk is one file that takes its name only when it is whole, so that a run killed at any
moment has either all of a chunk or none of it.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debias.atomic_file import atomic_path
from debias.errors import ResumeError
from debias.inference.engine import FloatArray

_MANIFEST = "manifest.json"


class ChunkStore:
    """Finished chunks of a run, in a folder.

    Parameters
    ----------
    folder : Path
        Made when it is not there.
    settings : dict
        JSON-able; a folder begun with other settings is refused.
    n_rows : int
        Rows of the whole run.
    chunk_size : int
        Rows of a chunk; a folder that was begun keeps its own.

    Raises
    ------
    ResumeError
        When the folder was begun with other settings, or is not of this kind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = ChunkStore(Path(folder) / "parts", {"model": "demo"}, n_rows=3, chunk_size=2)
    ...     store.save(0, np.array([[0.25], [0.75]]))
    ...     ChunkStore(Path(folder) / "parts", {"model": "demo"}, n_rows=3, chunk_size=2).missing()
    [(2, 3)]
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], n_rows: int, chunk_size: int) -> None:
        self.folder, self.n_rows = folder, n_rows
        self.chunk_size = self._begin(settings, chunk_size)

    def _begin(self, settings: Mapping[str, Any], chunk_size: int) -> int:
        """Compare with what is there, or write the settings; return the rows of a chunk."""
        path = self.folder / _MANIFEST
        if path.exists():
            found = _read_manifest(path)
            if any(self.folder.glob("rows-*.parquet")):  # otherwise there is nothing to protect
                refuse_other_settings(self.folder, found["settings"], settings)
                return int(found["chunk_size"])
        if self.folder.exists() and any(self.folder.glob("*.parquet")):
            raise ResumeError(
                f"{self.folder} holds files but no {_MANIFEST}; move it away or choose another out"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            content = {"settings": settings, "chunk_size": chunk_size}
            _flush_to_disk(temporary, json.dumps(content, indent=1, ensure_ascii=False).encode())
        return chunk_size

    def missing(self) -> list[tuple[int, int]]:
        """First and last-but-one row of each chunk that is still to be computed."""
        starts = range(0, self.n_rows, self.chunk_size)
        spans = [(start, min(start + self.chunk_size, self.n_rows)) for start in starts]
        return [span for span in spans if self._read(*span) is None]

    def save(self, start: int, values: FloatArray) -> None:
        """Write a chunk, whole or not at all."""
        frame = pd.DataFrame(values, columns=[str(k) for k in range(values.shape[1])])
        with atomic_path(self._path(start)) as temporary:
            _flush_to_disk(temporary, frame.to_parquet(index=False))

    def load(self) -> FloatArray:
        """Return all rows, shape (n_rows, K).

        Raises
        ------
        ResumeError
            When a chunk went missing or was damaged during the run.
        """
        spans = [(s, min(s + self.chunk_size, self.n_rows)) for s in range(0, self.n_rows, self.chunk_size)]
        chunks = [(span, self._read(*span)) for span in spans]
        for span, chunk in chunks:
            if chunk is None:
                raise ResumeError(
                    f"{self._path(span[0])} went missing during the run; run again to compute it"
                )
        return np.concatenate([chunk for _, chunk in chunks if chunk is not None])

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, start: int) -> Path:
        return self.folder / f"rows-{start:010d}.parquet"

    def _read(self, start: int, stop: int) -> FloatArray | None:
        """Read a chunk; None when it is not there, damaged or of another size."""
        try:
            values: FloatArray = pd.read_parquet(self._path(start)).to_numpy(dtype=np.float64)
        except (OSError, ValueError):
            return None
        return values if len(values) == stop - start else None


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read the settings of a folder."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["settings"], content["chunk_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResumeError(f"{path} cannot be read ({error}); delete {path.parent} and start again") from error
    return dict(content)


def _flush_to_disk(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def refuse_other_settings(place: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ResumeError, naming every difference, unless two settings are the same.

    Examples
    --------
    >>> refuse_other_settings(Path("a"), {"engine": {"dtype": "float32"}}, {"engine": {"dtype": "bfloat16"}})
    Traceback (most recent call last):
    debias.errors.ResumeError: a was made with other settings: engine.dtype was 'float32' and is now ...
    """
    old, new = _flat(before), _flat(json.loads(json.dumps(now)))
    differences = [
        f"{key} was {_short(old.get(key))} and is now {_short(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if differences:
        raise ResumeError(
            f"{place} was made with other settings: {'; '.join(differences)}; use the same settings,"
            " choose another out, or delete it to start again"
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
