"""Writing checkpoints: by one process into a folder, and an error of ours where the disk is full."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debias.console.output_files import make_folder
from debias.errors import param
from debias.files.folder_lock import locked_folder
from debias.files.model_writing import writing_model
from iterit.training.saving.checkpoints import FOLDER


@contextmanager
def checkpoint_errors(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what libraries raise where a checkpoint cannot be written into an error of ours.

    Parameters
    ----------
    folder : path-like
        Of the run.

    Raises
    ------
    StorageError
        A file could not be written, such as on a full disk.

    Examples
    --------
    >>> with checkpoint_errors("run"):
    ...     raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
    Traceback (most recent call last):
    debias.errors.StorageError: run: a checkpoint cannot be written (PytorchStreamWriter failed ...
    """
    fix = "free some space and rerun: training resumes from the newest whole checkpoint"
    with writing_model(folder, "a checkpoint", fix):
        yield


@contextmanager
def training_alone(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder of a run, so that no second process trains into it.

    Parameters
    ----------
    folder : path-like
        Made if it is missing; the lock is in its subfolder ``iterit``.

    Raises
    ------
    RunInUseError
        Another process trains into it.
    StorageError
        It cannot be made or written.
    """
    make_folder(folder, "output_dir")
    path = Path(folder) / FOLDER
    path.mkdir(exist_ok=True)
    fix = f"wait for it, stop it, or choose another {param('out')}"
    with locked_folder(path, "is training into this folder", fix):
        yield
