"""A folder that one process holds: a lock that the kernel releases when the process ends, however it ends."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debias.errors import RunInUseError

LOCK, OWNER = "lock", "owner.json"


@contextmanager
def locked_folder(folder: Path, doing: str, fix: str) -> Iterator[None]:
    """Hold a folder for this process.

    Parameters
    ----------
    folder : Path
        It must exist.
    doing : str
        What the holder does, for the message: "is collecting the same table".
    fix : str
        What to do instead.

    Raises
    ------
    RunInUseError
        Another process, or another run in this one, holds it.
    OSError
        The folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     with locked_folder(Path(name), "is at work", "wait for it"):
    ...         sorted(path.name for path in Path(name).iterdir())
    ['lock', 'owner.json']
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunInUseError(f"{_owner(folder)} {doing}", file=folder, fix=fix) from error
    try:
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        (folder / OWNER).write_text(json.dumps(owner), encoding="utf-8")
        yield
    finally:
        (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _owner(folder: Path) -> str:
    """Return who holds the lock, as far as it is known."""
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
