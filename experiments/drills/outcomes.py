"""The outcome of one trial of a drill, and the table of all of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

FAULTS = ("lost", "duplicated", "wrong", "foreign")
_OWN_LINE = re.compile(r"^(debias|iterit): (error|interrupted|warning): ")


@dataclass
class Trial:
    """What a command did that was disturbed, and what it left.

    Attributes
    ----------
    drill, command : str
        The harm that was done, and to which command.
    when : str
        The moment, the byte or the place of the harm.
    struck : bool
        Whether the harm came before the command had ended.
    lost, duplicated : int
        Things that were kept and had to be made again, and things that were kept twice.
    wrong : list of str
        Differences from the undisturbed result, unfinished files that stayed, and wrong exit codes.
    foreign : int
        Tracebacks in the error stream.
    said : str
        The last line of ours in the error stream.
    part, commit : str
        Which part of the drills it belongs to, and of which code it is.
    """

    drill: str
    command: str
    when: str
    struck: bool = True
    lost: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)
    foreign: int = 0
    said: str = ""
    part: str = ""
    commit: str = ""

    def read(self, stderr: str) -> None:
        """Count tracebacks in an error stream, and keep the line of ours that ended it."""
        self.foreign += stderr.count("Traceback (most recent call last)")
        self.foreign += stderr.count("Exception ignored in")
        lines = [line for line in stderr.splitlines() if _OWN_LINE.match(line)]
        self.said = (lines or stderr.strip().splitlines() or [""])[-1][:300]

    @property
    def is_sound(self) -> bool:
        """Whether there is no fault."""
        return not (self.lost or self.duplicated or self.wrong or self.foreign)


class Skipped(Exception):
    """A drill cannot be done on this machine; the message says why."""


def table_of(trials: Iterable[Trial]) -> pd.DataFrame:
    """Return one row for each drill and command, with the number of faults of each kind."""
    rows: list[dict[str, Any]] = [
        {
            "drill": one.drill,
            "command": one.command,
            "trials": 1,
            "struck": int(one.struck),
            "lost": one.lost,
            "duplicated": one.duplicated,
            "wrong": len(one.wrong),
            "foreign tracebacks": one.foreign,
        }
        for one in trials
    ]
    return pd.DataFrame(rows).groupby(["drill", "command"], sort=False).sum().reset_index()


def list_of(trials: Iterable[Trial]) -> pd.DataFrame:
    """Return one row for each trial."""
    return pd.DataFrame([{**vars(one), "wrong": "; ".join(one.wrong)} for one in trials])


def read_trials(path: Path) -> list[Trial]:
    """Return the trials that an earlier call wrote; none where there is no file."""
    if not path.exists():
        return []
    rows = pd.read_csv(path, keep_default_na=False).to_dict("records")
    return [Trial(**{**row, "wrong": [one for one in row["wrong"].split("; ") if one]}) for row in rows]
