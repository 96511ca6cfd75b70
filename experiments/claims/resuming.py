"""Measurements that are kept as they come: a script that is run again goes on where it stopped."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from common import RESULTS, commit


class Kept:
    """Lines of experiments/results/NAME.csv, each with the key that says what was measured.

    Parameters
    ----------
    name : str
        Of the result.
    keys : sequence of str
        Columns that make the key.
    keep : bool, default=True
        Whether anything is written.
    """

    def __init__(self, name: str, keys: Sequence[str], keep: bool = True) -> None:
        self.name, self.keys, self.keep = name, list(keys), keep
        self.path = RESULTS / f"{name}.csv"
        there = keep and self.path.exists()
        self._lines: list[dict[str, Any]] = pd.read_csv(self.path).to_dict("records") if there else []
        self._commit = commit()
        self._seen = {self._key(line[key] for key in self.keys) for line in self._lines}

    @staticmethod
    def _key(values: Any) -> tuple[str, ...]:
        return tuple(str(value) for value in values)

    @property
    def seconds(self) -> float:
        """Seconds of all measurements, those of earlier runs included."""
        return sum(line["seconds"] for line in self._lines)

    @property
    def commits(self) -> str:
        """Name the commits that the lines were measured on, the first one first."""
        named = [line.get("commit") for line in self._lines]
        return ", ".join(dict.fromkeys(one if isinstance(one, str) else "unknown" for one in named))

    def measure(self, key: Sequence[Any], measured: Callable[..., Any], *arguments: Any) -> None:
        """Measure and keep, unless that was done before; several lines share a key."""
        if self._key(key) in self._seen:
            return
        started = time.perf_counter()
        found = measured(*arguments)
        lines = found if isinstance(found, list) else [found]
        seconds = (time.perf_counter() - started) / max(len(lines), 1)
        named = dict(zip(self.keys, key, strict=True))
        about = {"seconds": round(seconds, 3), "commit": self._commit}
        self._lines += [named | line | about for line in lines]
        self._seen.add(self._key(key))
        if self.keep:
            self.table().to_csv(self.path, index=False, float_format="%.6f")

    def table(self) -> pd.DataFrame:
        """Return all lines."""
        return pd.DataFrame(self._lines)

    def write(self, page: str) -> None:
        """Write the page beside the lines, and show it."""
        if self.keep:
            (RESULTS / f"{self.name}.md").write_text(page, encoding="utf-8")
        print(page)
