"""Keeps a run of rounds beside the Trainer's own checkpoint, so that a killed run resumes.

``checkpoint-120/iterit/`` holds ``rounds.json`` (settings, round, history), and as Parquet every
score, every pick, the order of round 0 and examples. All of it is data; ``rounds.json`` is written last
and holds the digests of the others, of the weights and its own: a checkpoint that is incomplete or damaged
is recognised.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
from pyarrow import ArrowException

from debias.errors import ResumeError, shortened
from debias.files.atomic_file import atomic_path, write_durably
from iterit.rounds.round_state import RoundState
from iterit.rounds.state_checks import impossible, impossible_examples
from iterit.training.saving.run_facts import difference_told

FOLDER = "iterit"
_FACTS = "rounds.json"
_TABLES = _SCORES, _PICKS, _ORDER, _RECORDS = (
    "scores.parquet", "picks.parquet", "order.parquet", "records.parquet",
)  # fmt: skip
_EXAMPLES = "examples.parquet"
"""Not in checkpoints of earlier releases."""
_VERSION = 2
_MOST_BYTES = 1 << 26
_SIGNATURE, _END = b',\n "digest": "', b"\n}"
_TRAINING = (
    "batch_size", "gradient_accumulation_steps", "n_processes", "steps_per_epoch", "num_train_epochs",
    "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "optim", "model",
    "n_trained_parameters",
)  # fmt: skip
"""Facts that decide how picks are trained."""
_TRAINER_STATE = "trainer_state.json"

History = list[dict[str, float]]
"""Counts, seconds, tokens and losses of every round, by name."""


@dataclass(frozen=True)
class RoundsCheckpoint:
    """What a checkpoint keeps of a run of rounds.

    Parameters
    ----------
    state : RoundState
    history : list of dict
        What each round did, and what it took.
    settings : dict
        What decides the picks: equal settings, records and weights give equal picks.
    facts : dict
        Further facts for reports, such as the name of the model.
    records : DataFrame
        Words, tokens and source of every row, for reports.
    examples : DataFrame
        Picks of each round, and rows that were left out, with the beginnings of their texts.
    """

    state: RoundState
    history: History = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    records: pd.DataFrame = field(default_factory=pd.DataFrame)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)

    def write(self, folder: str | Path, weights: Iterable[Path] = ()) -> None:
        """Write into the subfolder ``iterit`` of a folder, which is made if necessary.

        Parameters
        ----------
        folder : str or Path
        weights : iterable of Path, optional
            Files in `folder` that the Trainer has written, whose digests are kept.

        Raises
        ------
        OSError
            It cannot be written.
        """
        target = Path(folder) / FOLDER
        target.mkdir(parents=True, exist_ok=True)
        state = self.state
        is_ordered = bool(len(state.permutation))
        order = pd.DataFrame({"row": state.permutation if is_ordered else state.rows})
        tables = {_SCORES: state.scores, _PICKS: state.picks, _ORDER: order, _RECORDS: self.records}
        if len(self.examples):
            tables[_EXAMPLES] = self.examples
        for name, table in tables.items():
            with atomic_path(target / name) as temporary:
                table.to_parquet(temporary, index=False)
        content = {
            "version": _VERSION,
            "round": state.round,
            "n_rows": state.n_rows,
            "is_ordered": is_ordered,
            **({"by_proxy": True} if state.by_proxy else {}),  # earlier releases know none
            "settings": self.settings,
            "history": self.history,
            "facts": self.facts,
            "files": {name: _digest(target / name) for name in tables},
            "weights": {path.name: _digest(path) for path in weights},
        }
        write_durably(target / _FACTS, _signed(json.dumps(content, indent=1).encode()))


def read_checkpoint(folder: str | Path) -> RoundsCheckpoint:
    """Read what :meth:`RoundsCheckpoint.write` wrote.

    Parameters
    ----------
    folder : str or Path
        The checkpoint's folder, or its subfolder ``iterit``.

    Raises
    ------
    ResumeError
        There is no checkpoint, or it is damaged.

    Examples
    --------
    >>> read_checkpoint("no/such/folder")
    Traceback (most recent call last):
    debias.errors.ResumeError: no/such/folder: there are no rounds in this folder (no iterit/rounds.json).
    """
    target = Path(folder) / FOLDER
    if not target.is_dir() and Path(folder).name == FOLDER:
        target = Path(folder)
    content = _facts_of(target / _FACTS, folder)
    try:
        found = _checkpoint_of(content, target)
        problem = impossible(found.state) or _impossible_facts(found)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, ArrowException) as error:
        if isinstance(error, ResumeError):
            raise
        problem = f"{type(error).__name__} {error}"[:200]
        raise _damaged(target / _FACTS, f"it is damaged: {problem}") from error
    if problem:
        raise _damaged(target / _FACTS, f"it is damaged: {problem}")
    return found


def check_weights(folder: Path) -> None:
    """Refuse weights that are not those that were written, where their digests were kept.

    Raises
    ------
    ResumeError
        A file is missing or is another, or there are no rounds in this folder.
    """
    facts = folder / FOLDER / _FACTS
    stated = _facts_of(facts, folder).get("weights", {})  # earlier releases kept none
    if not isinstance(stated, dict):
        raise _damaged(facts, "its digests of the weights have no names")
    for name, digest in stated.items():
        path = folder / Path(name).name
        if not path.is_file() or _digest(path) != digest:
            raise _damaged(path, "it is not the file that was written")


def _facts_of(path: Path, folder: str | Path) -> dict[str, Any]:
    """Read the file of facts, whose last line is the digest of what is before it."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _damaged(path, f"it is larger than {_MOST_BYTES:,} bytes")
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"there are no rounds in this folder (no {FOLDER}/{_FACTS})"
        raise ResumeError(problem, file=folder) from error
    except OSError as error:
        raise _damaged(path, f"it cannot be read: {error.strerror}") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is damaged: {str(error)[:200]}") from error
    version = content.get("version") if isinstance(content, dict) else None
    if version != _VERSION or isinstance(version, bool):
        problem = f"its version is {shortened(version)}, and this release reads version {_VERSION}"
        raise ResumeError(problem, file=path, received=version)
    if text != _signed(text.rpartition(_SIGNATURE)[0] + _END):
        raise _damaged(path, "it is not the file that was written")
    return dict(content)


def _signed(text: bytes) -> bytes:
    """Add the digest of a JSON object as its last value."""
    return text.removesuffix(_END) + _SIGNATURE + hashlib.sha256(text).hexdigest().encode() + b'"' + _END


def _checkpoint_of(content: Mapping[str, Any], target: Path) -> RoundsCheckpoint:
    """Make a checkpoint of its facts and its tables."""
    tables = {name: _read_table(target / name, content["files"][name]) for name in _TABLES}
    order = tables[_ORDER]["row"].to_numpy(dtype=np.int64)
    state = RoundState(
        n_rows=content["n_rows"],
        rows=np.sort(order),
        round=content["round"],
        scores=tables[_SCORES],
        permutation=order if content["is_ordered"] else order[:0],
        picks=tables[_PICKS],
        by_proxy=content.get("by_proxy", False) is True,
    )
    files = content["files"]
    examples = _read_table(target / _EXAMPLES, files[_EXAMPLES]) if _EXAMPLES in files else pd.DataFrame()
    return RoundsCheckpoint(
        state, content["history"], content["settings"], content["facts"], tables[_RECORDS], examples
    )


def _impossible_facts(found: RoundsCheckpoint) -> str:
    """Return which facts cannot be, or an empty text."""
    if not (isinstance(found.settings, dict) and isinstance(found.facts, dict)):
        return "its settings or facts have no names"
    for entry in found.history:
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in entry.values()):
            return "its history is not made of numbers"
        if not {"round", "loss_sum", "loss_steps", "seconds_training"} <= set(entry):
            return "its history lacks a number"
        if not 0 <= entry["round"] < found.state.round:
            return f"its history has a round {entry['round']!r}, and {found.state.round} have begun"
    if len(found.records.columns) and len(found.records) != found.state.n_rows:
        return f"it describes {len(found.records):,} records of {found.state.n_rows:,}"
    return impossible_examples(found.examples, found.state)


def check_same_run(kept: Mapping[str, object], now: Mapping[str, object], folder: str | Path) -> None:
    """Refuse to resume with other settings than those of a checkpoint.

    Parameters
    ----------
    kept, now : mapping
        Settings of the checkpoint, and of the run that is to resume.
    folder : str or Path
        Named in the message.

    Raises
    ------
    ResumeError
        The message names what differs.

    Examples
    --------
    >>> check_same_run({"ratio": 0.05}, {"ratio": 0.1}, "run")
    Traceback (most recent call last):
    debias.errors.ResumeError: run: it was written with other settings: ratio was 0.05 and is 0.1; ...
    """
    now = json.loads(json.dumps(now))
    names = [name for name in {**kept, **now} if kept.get(name) != now.get(name)]
    if names:
        said = ", ".join(difference_told(name, kept.get(name), now.get(name)) for name in names)
        raise ResumeError(
            f"it was written with other settings: {said}",
            file=folder,
            parameter="ratio" if names[0] == "n_picks" else names[0],
            received=now.get(names[0]),
            fix="use the same settings, or train into another folder",
        )


def check_same_training(
    kept: Mapping[str, object], now: Mapping[str, object], folder: str | Path, is_finished: bool = False
) -> None:
    """Say which settings of the training are not those of a checkpoint; refuse rounds of another length.

    Parameters
    ----------
    kept, now : mapping
        Facts of the checkpoint, and of the run that is to resume.
    folder : str or Path
        Named in the message.
    is_finished : bool, default=False
        Whether nothing is left to train.

    Raises
    ------
    ResumeError
        A round has another number of steps, so that the rows of a step would be others.
    """
    now = json.loads(json.dumps(now))
    names = [name for name in _TRAINING if name in kept and kept[name] != now.get(name)]
    said = ", ".join(f"{name} was {kept[name]!r} and is {now.get(name)!r}" for name in names)
    if "steps_per_epoch" in names:
        raise ResumeError(
            f"its rounds have another number of steps: {said}",
            file=folder,
            parameter=names[0],
            received=now.get(names[0]),
            fix="use the same settings, or train into another folder",
        )
    if names:
        outcome = (
            "the run is finished, and nothing more is trained"
            if is_finished
            else "the optimiser keeps its settings of the checkpoint"
        )
        warnings.warn(
            f"{folder}: it was trained with other settings: {said}; {outcome}: to use the new ones,"
            " train into another folder",
            stacklevel=2,
        )


def checkpoint_step(folder: Path) -> int:
    """Return the step in the name of a checkpoint's folder, -1 for other names."""
    found = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return int(found[1]) if found else -1


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
        if _is_whole(path, n_processes):
            return path
        warnings.warn(f"{path}: this checkpoint is incomplete or damaged, and is skipped", stacklevel=2)
    return None


def _is_whole(folder: Path, n_processes: int) -> bool:
    """Tell whether the Trainer's files are there and whole, and ours."""
    random_states = [f"rng_state_{process}.pth" for process in range(n_processes)]
    states = ["optimizer.pt", "scheduler.pt", *(random_states if n_processes > 1 else ["rng_state.pth"])]
    try:
        step = json.loads((folder / _TRAINER_STATE).read_bytes())["global_step"]
        weights = [*folder.glob("*.safetensors")]
        archives = [*(folder / name for name in states), *folder.glob("*model*.bin")]
        steps = [*folder.glob("*.run")]  # of forward-only training, in place of weights
        if step != checkpoint_step(folder) or not (weights or steps or len(archives) > len(states)):
            return False
        read_checkpoint(folder)
        check_weights(folder)
        return all(map(_is_whole_archive, archives)) and all(map(_are_whole_weights, weights))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


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
        if not 0 < n_bytes <= min(size - 8, _MOST_BYTES):
            return False
        tensors = json.loads(file.read(n_bytes))
    ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
    return bool(ends) and size == 8 + n_bytes + max(ends)


def _damaged(path: Path, problem: str) -> ResumeError:
    return ResumeError(problem, file=path, fix="use an older checkpoint")


def _read_table(path: Path, digest: str) -> pd.DataFrame:
    """Read a table whose digest is known."""
    if not path.is_file() or _digest(path) != digest:
        raise _damaged(path, "it is not the file that was written")
    try:
        return pd.read_parquet(path)
    except (OSError, ArrowException, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise _damaged(path, f"it is damaged: {str(error)[:200]}") from error


def _digest(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
