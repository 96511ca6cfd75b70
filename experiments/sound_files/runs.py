"""The folder of a collection that was stopped half way, and what resumes it."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from debias.inference.collection.collection import collect
from debias.inference.engine import Engine, LabelScores
from debias.inference.texts.tasks import Task
from sound_files.kinds import CLASSES


class Counting(Engine):
    """An engine whose answers are the lengths of texts; it stops after some of them."""

    context_length = 1000
    fingerprint = {"engine": "counting"}  # noqa: RUF012

    def __init__(self, most: float = float("inf")) -> None:
        self.most, self.n_asked = most, 0

    def continuation_logprobs(self, prompts: Any, continuations: Any) -> Any:
        """Log-probabilities of texts."""
        return [-np.ones(1) for _ in prompts]

    def label_scores(self, prompts: Any, labels: Any, on_answer: Any = None) -> LabelScores:
        """Answer, until it is enough."""
        self.n_asked += len(prompts)
        if self.n_asked > self.most:
            raise KeyboardInterrupt
        return LabelScores(np.log([[(len(p) * k % 7 + 1) / 40 for k in range(2, 6)] for p in prompts]))


def collected(folder: Path, engine: Engine) -> bytes:
    """Collect a table in a folder, and return its bytes."""
    texts = [f"text {'x' * i}" for i in range(40)]
    out = folder / "t.parquet"
    collect(engine, Task("news", CLASSES), texts, out=out, chunk_size=8, progress=False)
    return out.read_bytes()


def write_run(folder: Path) -> list[str]:
    """Write the folder of a run that was stopped half way."""
    with contextlib.suppress(KeyboardInterrupt):
        collected(folder, Counting(most=20))
    return [
        str(path.relative_to(folder)) for path in (folder / "t.parquet.run").iterdir() if path.stat().st_size
    ]


def resumed(folder: Path) -> bytes:
    """Resume a run; its table must be that of a run that nothing stopped."""
    return collected(folder, Counting())
