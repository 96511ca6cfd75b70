"""Finds checkpoints that are complete: the Trainer's files are there and whole, and so are ours."""

import json
import warnings
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from debias.errors import ResumeError
from iterit.training.saving.checkpoints import (
    MOST_BYTES,
    check_weights,
    checkpoint_step,
    damaged,
    read_checkpoint,
)

_TRAINER_STATE = "trainer_state.json"


def last_whole_checkpoint(folder: str | Path, n_processes: int = 1) -> Path | None:
    """Return the newest complete checkpoint, None if there is none.

    A run that is killed while it writes a checkpoint leaves an incomplete one; such a one, or one that
    was damaged later, is skipped with a warning, and does not hide an older one.

    Parameters
    ----------
    folder : str or Path
        The Trainer's output folder.
    n_processes : int, default=1
        Number of processes that train; each writes a file of its own.
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if checkpoint_step(path) >= 0]
    for path in sorted(found, key=checkpoint_step, reverse=True):
        try:
            check_whole(path, n_processes)
        except ResumeError:
            warnings.warn(f"{path}: this checkpoint is incomplete or damaged, and is skipped", stacklevel=2)
        else:
            return path
    return None


def newest_facts(folder: str | Path) -> dict[str, object]:
    """Return the facts of the newest checkpoint that can be read, none where there is none.

    Parameters
    ----------
    folder : str or Path
        The Trainer's output folder.

    Examples
    --------
    >>> newest_facts("no/such/run")
    {}
    """
    for path in sorted(Path(folder).glob("checkpoint-*"), key=checkpoint_step, reverse=True):
        try:
            return read_checkpoint(path).facts
        except ResumeError:
            continue
    return {}


def check_whole(folder: Path, n_processes: int = 1) -> None:
    """Refuse a checkpoint that lacks a file, or has a damaged one.

    Parameters
    ----------
    folder : Path
    n_processes : int, default=1
        Number of processes that train; each writes a file of its own.

    Raises
    ------
    ResumeError
        It names the file.
    """
    check_weights(folder)
    step, named = trained_steps(folder), checkpoint_step(folder)
    if named not in (-1, step):
        raise damaged(folder / _TRAINER_STATE, f"it is of step {step}, and the folder of step {named}")
    random_states = [f"rng_state_{process}.pth" for process in range(n_processes)]
    states = ["optimizer.pt", "scheduler.pt", *(random_states if n_processes > 1 else ["rng_state.pth"])]
    weights = [*folder.glob("*.safetensors")]
    archives = [*(folder / name for name in states), *folder.glob("*model*.bin")]
    steps = [*folder.glob("*.run")]  # of forward-only training, in place of weights
    if not (weights or steps or len(archives) > len(states)):
        raise damaged(folder, "the checkpoint has no weights")
    for path in [*archives, *weights]:
        is_whole = _are_whole_weights if path in weights else _is_whole_archive
        try:
            problem = "" if is_whole(path) else "it is incomplete or damaged"
        except FileNotFoundError:
            problem = "the checkpoint is incomplete: this file is missing"
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            problem = f"it cannot be read: {str(error)[:200]}"
        if problem:
            raise damaged(path, problem)
    read_checkpoint(folder)


def trained_steps(folder: str | Path) -> int:
    """Return the steps that had been trained when a checkpoint was written.

    Raises
    ------
    ResumeError
        The file that says it is missing or damaged.
    """
    path = Path(folder) / _TRAINER_STATE
    try:
        step = json.loads(path.read_bytes())["global_step"]
        if type(step) is not int or step < 0:  # infinity, a fraction, true
            raise ValueError(f"global_step is {step!r}")
        return step
    except FileNotFoundError as error:
        raise damaged(path, "the checkpoint is incomplete: this file is missing") from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise damaged(path, f"it is damaged: {str(error)[:200]}") from error


def _is_whole_archive(path: Path) -> bool:
    """Tell whether a file that torch wrote has all its bytes: it is a zip file with checksums."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return False


def _are_whole_weights(path: Path) -> bool:
    """Tell whether a file of weights has all the bytes that its beginning speaks of."""
    size = path.stat().st_size
    with path.open("rb") as file:
        n_bytes = int.from_bytes(file.read(8), "little")
        if not 0 < n_bytes <= min(size - 8, MOST_BYTES):
            return False
        tensors = json.loads(file.read(n_bytes))
    ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
    return bool(ends) and size == 8 + n_bytes + max(ends)
