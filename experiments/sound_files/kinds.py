"""A kind of file: how it is written and read; and what the files are made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from debias.tables.table import ProbabilityTable

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["World", "Sports", "Business", "Technology"]

Kind = tuple[str, Callable[[Path], list[str]], Callable[[Path], Any], bool]
"""Name, what writes files into a folder, what reads them from it, and whether they have a checksum."""


def make_table() -> ProbabilityTable:
    """Make a small table with labels, texts and ids."""
    random = np.random.default_rng(0)
    values = random.dirichlet(np.ones(4), size=60)
    return ProbabilityTable(
        values,
        [CLASSES[k] for k in random.integers(0, 4, size=60)],
        classes=CLASSES,
        texts=[f"text {i} über alles" for i in range(60)],
        ids=[f"row-{i}" for i in range(60)],
    )


def simple(name: str, file: str, content: bytes, read: Callable[[Path], Any]) -> Kind:
    """Describe one file by its bytes."""

    def write(folder: Path) -> list[str]:
        (folder / file).write_bytes(content)
        return [file]

    return name, write, lambda folder: read(folder / file), False
