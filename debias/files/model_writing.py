"""Turns what libraries raise where a model's files cannot be written into an error of ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from debias.errors import StorageError

_SAYINGS = ("I/O error", "inline_container", "PytorchStreamWriter", "iostream error", "(os error ")
"""What safetensors, torch and tokenizers say; none of them raises an OSError."""


@contextmanager
def writing_model(
    folder: str | os.PathLike[str], what: str = "the model", fix: str = "free some space and rerun"
) -> Iterator[None]:
    """Write files of a model through libraries, with an error of ours where that fails.

    Parameters
    ----------
    folder : path-like
        Where they are written.
    what : str, default="the model"
        What is written.
    fix : str
        What to do.

    Raises
    ------
    StorageError
        A file could not be written, such as on a full disk.

    Examples
    --------
    >>> with writing_model("run"):
    ...     raise Exception("No space left on device (os error 28)")
    Traceback (most recent call last):
    debias.errors.StorageError: run: the model cannot be written (No space left on device (os error 28)); ...
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) or not any(words in str(error) for words in _SAYINGS):
            raise
        reason = str(error).splitlines()[0][:200]
        raise StorageError(f"{what} cannot be written ({reason})", file=folder, fix=fix) from error
