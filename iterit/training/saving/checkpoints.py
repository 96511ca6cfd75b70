"""Keeps a run of rounds beside the Trainer's own checkpoint, so that a killed run resumes.

``checkpoint-120/iterit/`` holds ``rounds.json`` (settings, round, history), and as Parquet every
score, every pick, the order of round 0 and examples. All of it is data; ``rounds.json`` is written last
and holds the digests of the others, of the weights and its own: a checkpoint that is incomplete or damaged
is recognised.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import ArrowException

from debias.errors import ResumeError, shortened
from debias.files.atomic_file import atomic_path, write_durably
from iterit.rounds.round_state import RoundState
from iterit.rounds.state_checks import impossible, impossible_examples

FOLDER = "iterit"
_FACTS = "rounds.json"
_TABLES = _SCORES, _PICKS, _ORDER, _RECORDS = (
    "scores.parquet", "picks.parquet", "order.parquet", "records.parquet",
)  # fmt: skip
_EXAMPLES = "examples.parquet"
"""Not in checkpoints of earlier releases."""
_VERSION = 2
MOST_BYTES = 1 << 26
_SIGNATURE, _END = b',\n "digest": "', b"\n}"

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
        raise damaged(target / _FACTS, f"it is damaged: {problem}") from error
    if problem:
        raise damaged(target / _FACTS, f"it is damaged: {problem}")
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
        raise damaged(facts, "its digests of the weights have no names")
    for name, digest in stated.items():
        path = folder / Path(name).name
        if not path.is_file() or _digest(path) != digest:
            raise damaged(path, "it is not the file that was written")


def _facts_of(path: Path, folder: str | Path) -> dict[str, Any]:
    """Read the file of facts, whose last line is the digest of what is before it."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise damaged(path, f"it is larger than {MOST_BYTES:,} bytes")
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"there are no rounds in this folder (no {FOLDER}/{_FACTS})"
        raise ResumeError(problem, file=folder) from error
    except OSError as error:
        raise damaged(path, f"it cannot be read: {error.strerror}") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"it is damaged: {str(error)[:200]}") from error
    version = content.get("version") if isinstance(content, dict) else None
    if version != _VERSION or isinstance(version, bool):
        problem = f"its version is {shortened(version)}, but this release reads version {_VERSION}"
        raise ResumeError(problem, file=path, received=version)
    if text != _signed(text.rpartition(_SIGNATURE)[0] + _END):
        raise damaged(path, "it is not the file that was written")
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


def checkpoint_step(folder: Path) -> int:
    """Return the step in the name of a checkpoint's folder, -1 for other names."""
    found = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return int(found[1]) if found else -1


def damaged(path: Path, problem: str) -> ResumeError:
    """Return the error of a file that is not as it was written."""
    return ResumeError(problem, file=path, fix="use an older checkpoint")


def _read_table(path: Path, digest: str) -> pd.DataFrame:
    """Read a table whose digest is known."""
    if not path.is_file() or _digest(path) != digest:
        raise damaged(path, "it is not the file that was written")
    try:
        return pd.read_parquet(path)
    except (OSError, ArrowException, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise damaged(path, f"it is damaged: {str(error)[:200]}") from error


def _digest(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
