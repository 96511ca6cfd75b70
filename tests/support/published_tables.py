"""Real probability tables beside the checkout: tests that need them skip where they are absent."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import SHARED

FOLDER = SHARED / "probabilities"
CLASSES = {
    "trec": ["Number", "Location", "Person", "Description", "Entity", "Abbreviation"],
    "sst5": ["terrible", "bad", "okay", "good", "great"],
    "agnews": ["World", "Sports", "Business", "Technology"],
    "rte": ["False", "True"],
    "ddi": ["Negative", "Effect", "Mechanism", "Advice", "Interaction"],
    "pubmedqa": ["yes", "no", "maybe"],
}


def published_path(task: str, split: str) -> Path:
    """Return the path of a table in the published text format, or skip the test."""
    path = FOLDER / f"{task}_shot1_seed0" / f"{split}.txt"
    if not path.exists():
        pytest.skip(f"the real table {path.name} of {task} is not beside this checkout")
    return path


def published(task: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels of a real table."""
    rows = np.loadtxt(published_path(task, split))
    return np.ascontiguousarray(rows[:, 3:]), rows[:, 1].astype(np.int64)
