"""What a run of rounds keeps beside the Trainer's own checkpoint, so that a killed run goes on.

``checkpoint-120/iterit/`` holds ``rounds.json`` (settings, round, history), and as Parquet every
score, every pick and the order of round 0. All of it is data; ``rounds.json`` is written last and
holds the digests of the others, so that half a checkpoint is never taken for one.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debias.atomic_file import atomic_path, write_durably
from debias.errors import ResumeError
from iterit.rounds.round_state import RoundState

FOLDER = "iterit"
_FACTS = "rounds.json"
_SCORES, _PICKS, _ORDER, _RECORDS = "scores.parquet", "picks.parquet", "order.parquet", "records.parquet"
_VERSION = 1
_TRAINER_STATE = "trainer_state.json"


@dataclass(frozen=True)
class RoundsCheckpoint:
    """A run of rounds as it is kept.

    Parameters
    ----------
    state : RoundState
    history : list of dict
        What each round did, and what it took.
    settings : dict
        What decides the picks: equal settings, records and weights give equal picks.
    facts : dict
        What is told in a report, such as the name of the model.
    records : DataFrame
        What a report says of records: words, tokens and source of every row.
    """

    state: RoundState
    history: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    records: pd.DataFrame = field(default_factory=pd.DataFrame)

    def write(self, folder: str | Path) -> Path:
        """Write into the subfolder ``iterit`` of a folder.

        Parameters
        ----------
        folder : str or Path
            Made when it is not there.

        Returns
        -------
        Path
            The subfolder.

        Raises
        ------
        OSError
            It cannot be written.
        """
        target = Path(folder) / FOLDER
        target.mkdir(parents=True, exist_ok=True)
        order = {"row": self.state.permutation} if len(self.state.permutation) else {"row": self.state.rows}
        digests = {}
        for name, table in (
            (_SCORES, self.state.scores),
            (_PICKS, self.state.picks),
            (_ORDER, pd.DataFrame(order)),
            (_RECORDS, self.records),
        ):
            with atomic_path(target / name) as temporary:
                table.to_parquet(temporary, index=False)
            digests[name] = _digest(target / name)
        content = {
            "version": _VERSION,
            "round": self.state.round,
            "n_rows": self.state.n_rows,
            "is_ordered": bool(len(self.state.permutation)),
            "settings": self.settings,
            "history": self.history,
            "facts": self.facts,
            "files": digests,
        }
        write_durably(target / _FACTS, json.dumps(content, indent=1).encode())
        return target


def read_checkpoint(folder: str | Path) -> RoundsCheckpoint:
    """Read what :meth:`RoundsCheckpoint.write` wrote.

    Parameters
    ----------
    folder : str or Path
        The checkpoint's folder, or its subfolder ``iterit``.

    Returns
    -------
    RoundsCheckpoint

    Raises
    ------
    ResumeError
        There is none, or it is damaged.

    Examples
    --------
    >>> read_checkpoint("no/such/folder")
    Traceback (most recent call last):
    debias.errors.ResumeError: no/such/folder holds no rounds of iterit: there is no iterit/rounds.json in it
    """
    target = Path(folder) / FOLDER
    if not target.is_dir() and Path(folder).name == FOLDER:
        target = Path(folder)
    try:
        content = json.loads((target / _FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ResumeError(
            f"{folder} holds no rounds of iterit: there is no {FOLDER}/{_FACTS} in it"
        ) from error
    except ValueError as error:
        raise ResumeError(f"{target / _FACTS} is damaged: {error}; use an older checkpoint") from error
    if content.get("version") != _VERSION:
        raise ResumeError(
            f"{target / _FACTS} has version {content.get('version')!r}; this release reads {_VERSION}"
        )
    tables = {name: _read_table(target / name, digest) for name, digest in content["files"].items()}
    order = tables[_ORDER]["row"].to_numpy(dtype=np.int64)
    state = RoundState(
        n_rows=content["n_rows"],
        rows=np.sort(order),
        round=content["round"],
        scores=tables[_SCORES],
        permutation=order if content["is_ordered"] else order[:0],
        picks=tables[_PICKS],
    )
    return RoundsCheckpoint(
        state, content["history"], content["settings"], content["facts"], tables[_RECORDS]
    )


def check_same_run(kept: Mapping[str, Any], now: Mapping[str, Any], folder: str | Path) -> None:
    """Refuse to go on with other settings than those of a checkpoint.

    Parameters
    ----------
    kept, now : mapping
        Settings of the checkpoint, and of the run that is to go on.
    folder : str or Path
        For the message.

    Raises
    ------
    ResumeError
        Naming what differs.

    Examples
    --------
    >>> check_same_run({"ratio": 0.05}, {"ratio": 0.1}, "run")
    Traceback (most recent call last):
    debias.errors.ResumeError: run was written with other settings: ratio was 0.05 and is 0.1; ...
    """
    now = json.loads(json.dumps(now))
    names = [name for name in {**kept, **now} if kept.get(name) != now.get(name)]
    if names:
        said = ", ".join(f"{name} was {kept.get(name)!r} and is {now.get(name)!r}" for name in names)
        raise ResumeError(
            f"{folder} was written with other settings: {said}; give the same, or train into another folder"
        )


def checkpoint_step(folder: Path) -> int:
    """Return the step in the name of a checkpoint's folder, -1 for other names."""
    found = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return int(found[1]) if found else -1


def last_whole_checkpoint(folder: str | Path, n_processes: int = 1) -> Path | None:
    """Find the newest checkpoint that was written to its end.

    A run that is killed while it writes one leaves a part of it behind.

    Parameters
    ----------
    folder : str or Path
        The Trainer's output folder.
    n_processes : int, default=1
        How many processes train; each writes a file of its own.

    Returns
    -------
    Path or None
    """
    if not Path(folder).is_dir():
        return None
    found = [path for path in Path(folder).iterdir() if path.is_dir() and checkpoint_step(path) >= 0]
    for path in sorted(found, key=checkpoint_step, reverse=True):
        if _is_whole(path, n_processes):
            return path
    return None


def _is_whole(folder: Path, n_processes: int) -> bool:
    """Whether the Trainer's files are there, the last one readable, and ours."""
    random_states: Sequence[str] = ["rng_state.pth"]
    if n_processes > 1:
        random_states = [f"rng_state_{process}.pth" for process in range(n_processes)]
    for name in ("optimizer.pt", "scheduler.pt", *random_states):
        if not (folder / name).is_file() or (folder / name).stat().st_size == 0:
            return False
    try:
        json.loads((folder / _TRAINER_STATE).read_text(encoding="utf-8"))
        read_checkpoint(folder)
    except (OSError, ValueError, KeyError):
        return False
    return True


def _read_table(path: Path, digest: str) -> pd.DataFrame:
    """Read a table whose bytes are known."""
    if not path.is_file() or _digest(path) != digest:
        raise ResumeError(f"{path} is not the file that was written; use an older checkpoint")
    return pd.read_parquet(path)


def _digest(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
