"""A run of forward-only training as a file: a line of JSON, then 16 bytes a step.

A step is a seed, a projected gradient and a learning rate: with the base model they are the trained weights,
bit for bit. So the file is the checkpoint, the audit trail and the delivery, in 16 KB for 1,000 steps.
"""

import hashlib
import json
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from debias.errors import ResumeError, StorageError
from debias.files.atomic_file import atomic_path
from debias.inference.zeroth_order.directions import quantiles_digest
from debias.inference.zeroth_order.trained_part import TrainedPart

FORMAT = "forward-only run"
VERSION = 1
_STEP = struct.Struct("<Qff")
_LONGEST_HEADER = 1 << 20
_SECONDS = 1.0


class Step(NamedTuple):
    """One step.

    Parameters
    ----------
    seed : int
        Of the direction, 64 bits.
    projected : float
        Projected gradient, a float32.
    rate : float
        Learning rate, a float32.
    """

    seed: int
    projected: float
    rate: float


@dataclass(frozen=True)
class RunHeader:
    """What the steps of a run mean.

    Parameters
    ----------
    base : str
        Digest of all weights of the model before the first step.
    thresholds : str
        Digest of names, shapes and thresholds of what is trained.
    epsilon : float
        How far weights were moved to measure the loss.
    sparsity : float
        Share of the weights that is NOT touched.
    decay : float
        Weight decay.
    noise : str
        Digest of the numbers that directions are made of.
    facts : dict
        Further facts for reports, JSON-able; they decide nothing in a replay.
    """

    base: str
    thresholds: str
    epsilon: float
    sparsity: float = 0.0
    decay: float = 0.0
    noise: str = field(default_factory=quantiles_digest)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def line(self) -> bytes:
        """The header as it stands in a file."""
        entries = {"format": FORMAT, "version": VERSION, **asdict(self)}
        text = json.dumps(entries, sort_keys=True, ensure_ascii=True)
        return (
            json.dumps(entries | {"check": _check(text)}, sort_keys=True, ensure_ascii=True).encode() + b"\n"
        )


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class RunLog:
    """The file of a run, to which steps are appended: a killed process loses none that was appended.

    Once a second at most, the file is also put on the disk itself, for a machine that loses its power.

    Parameters
    ----------
    path : str or Path or None
        None keeps the steps in memory only, such as in processes that leave writing to the first.
    header : RunHeader
        Where the file is there already, it must have been begun with the same one, facts aside.

    Attributes
    ----------
    steps : list of Step
    dropped : int
        Bytes of a step that a killed process left incomplete; they were dropped.

    Raises
    ------
    ResumeError
        The file is damaged, is none of a run, or is of another base model or setting.
    StorageError
        It cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> header = RunHeader(base="a", thresholds="b", epsilon=0.001)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     RunLog(Path(folder) / "steps.run", header).append(Step(7, 0.5, 0.25))
    ...     RunLog(Path(folder) / "steps.run", header).steps
    [Step(seed=7, projected=0.5, rate=0.25)]
    """

    def __init__(self, path: str | Path | None, header: RunHeader) -> None:
        self.path, self.header = None if path is None else Path(path), header
        self.steps: list[Step] = []
        self.dropped = 0
        self._synced = time.monotonic()
        if self.path is None:
            return
        try:
            if self.path.exists():
                found = read_run(self.path)
                check_same(found.header, header, self.path)
                self.header, self.steps, self.dropped = found.header, found.steps, found.dropped
                if self.dropped:
                    os.truncate(self.path, self.path.stat().st_size - self.dropped)
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _write(self.path, header.line, "xb")
        except OSError as error:
            raise _unwritable(error, self.path) from error

    def append(self, step: Step) -> None:
        """Add a step; its numbers must be float32 ones."""
        self.steps.append(step)
        if self.path is None:
            return
        try:
            is_due = time.monotonic() - self._synced > _SECONDS
            _write(self.path, _STEP.pack(*step), "ab", is_due)
            self._synced = time.monotonic() if is_due else self._synced
        except OSError as error:
            self.steps.pop()
            raise _unwritable(error, self.path) from error

    def cut(self, n_steps: int) -> None:
        """Drop all steps after the first ``n_steps``, such as those after a checkpoint."""
        if self.path is not None:
            os.truncate(self.path, len(self.header.line) + _STEP.size * n_steps)
        del self.steps[n_steps:]

    def write(self, path: str | Path) -> None:
        """Write the run as it is to another file, such as one in a checkpoint."""
        content = self.header.line + b"".join(_STEP.pack(*step) for step in self.steps)
        try:
            with atomic_path(path) as temporary:
                _write(temporary, content, "wb")
        except OSError as error:
            raise _unwritable(error, Path(path)) from error


class RunSteps(NamedTuple):
    """What a file of a run holds.

    Parameters
    ----------
    header : RunHeader
    steps : list of Step
    dropped : int
        Bytes of an incomplete last step.
    """

    header: RunHeader
    steps: list[Step]
    dropped: int


def read_run(path: str | Path) -> RunSteps:
    """Read the file of a run.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    RunSteps

    Raises
    ------
    ResumeError
        The file is none of a run, its first line is damaged, or a step is no number.
    OSError
        It cannot be read.
    """
    whole = Path(path).read_bytes()
    end = whole.find(b"\n", 0, _LONGEST_HEADER)
    header = _header_of(whole[:end] if end >= 0 else b"", path)
    body = whole[end + 1 :]
    kept = len(body) - len(body) % _STEP.size
    steps = [Step(*values) for values in _STEP.iter_unpack(body[:kept])]
    for number, step in enumerate(steps):
        if not np.isfinite([step.projected, step.rate]).all():
            raise ResumeError(
                f"step {number} is damaged: it has no numbers",
                received=tuple(step),
                file=path,
                fix="restore the file from a backup, or train again",
            )
    return RunSteps(header, steps, len(body) - kept)


def _header_of(line: bytes, path: str | Path) -> RunHeader:
    """Return the header, if it is whole."""
    try:
        entries = json.loads(line.decode("ascii"))
        said = entries.pop("check")
        is_whole = said == _check(json.dumps(entries, sort_keys=True, ensure_ascii=True))
        kind, version = entries.pop("format"), entries.pop("version")
        if kind != FORMAT or not is_whole:
            raise ValueError("it does not match its own digest")
        if version != VERSION:
            raise ResumeError(
                f"the run is written in version {version} of its format, but this release reads {VERSION}",
                received=version,
                file=path,
                fix="read it with the release that wrote it",
            )
        return RunHeader(**entries)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        if isinstance(error, ResumeError):
            raise
        raise ResumeError(
            f"the first line is not that of a run, or is damaged: {type(error).__name__}",
            parameter="run",
            received=str(path),
            file=path,
            fix="restore the file from a backup, or train again",
        ) from error


def check_same(found: RunHeader, wanted: RunHeader, path: str | Path) -> None:
    """Refuse a run of another base model, of another part of it, or with other settings.

    Raises
    ------
    ResumeError
        The parameter is the one that differs.
    """
    names = {
        "base": ("model", "the run started from a different base model"),
        "noise": ("run", "the run was written where directions are made of other numbers"),
        "epsilon": ("epsilon", "the run started with a different epsilon"),
        "sparsity": ("sparsity", "the run started with a different sparsity (the share NOT changed)"),
        "decay": ("weight_decay", "the run started with a different weight decay"),
        "thresholds": ("sparsity", "the run trains other tensors, or other weights in them"),
    }
    for name, (parameter, problem) in names.items():
        given, asked = getattr(found, name), getattr(wanted, name)
        if given != asked:
            raise ResumeError(
                f"{problem}: {given}, not {asked}",
                parameter=parameter,
                received=asked,
                allowed=str(given),
                file=path,
                fix="use the settings that the run started with, or another folder",
            )


def replay(part: TrainedPart, header: RunHeader, steps: Sequence[Step]) -> None:
    """Take the steps of a run again, in their order: the weights are those of the run, in every byte.

    Parameters
    ----------
    part : TrainedPart
        Of the base model as it was before the first step; see :func:`check_same`.
    header : RunHeader
    steps : sequence of Step
        All of them, or the first ones.
    """
    for step in steps:
        part.step(step.seed, step.projected, step.rate, header.decay)


def _write(path: Path, content: bytes, mode: str, on_disk: bool = True) -> None:
    """Write to the end of a file, and see that it is on the disk."""
    with path.open(mode) as file:
        file.write(content)
        file.flush()
        if on_disk:
            os.fsync(file.fileno())


def _unwritable(error: OSError, path: Path) -> OSError:
    """Return the error in our words."""
    if isinstance(error, ResumeError | StorageError):
        return error
    return StorageError(f"the run cannot be written: {error.strerror or error}", file=path)
