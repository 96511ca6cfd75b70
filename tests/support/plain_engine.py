"""An engine of plain arithmetic: starts at once, notes what it was asked, and can fail on purpose.

As on a GPU, the last digits of an answer depend on what else is in its batch: a table is only the same
byte by byte when the same prompts were asked together.
"""

import hashlib
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np

from debias.inference.engine import Engine, LabelScores
from debias.inference.texts.tasks import Task

TASK = Task("mood", labels=["bad", "fine", "great"], question_prefix="Text: ", answer_prefix="Mood: ")
TEXTS = [f"text number {number}" for number in range(60)]
LABELS = [("bad", "fine", "great")[number % 3] for number in range(60)]


def uniform(text: str) -> float:
    """A number in (0, 1) that a text decides."""
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") + 0.5) / 2**48


class PlainEngine(Engine):
    """Answers by a hash; with ``singly`` each answer is handed out as soon as it is known."""

    context_length = 10_000

    def __init__(self, log=None, pause=0.0, singly=False, fail_after=None, error=None, name="plain"):
        self.log = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.pause, self.singly, self.name = pause, singly, name
        self.fail_after, self.error = fail_after, error
        self.asked: list[str] = []

    @property
    def fingerprint(self):
        return {"engine": "plain", "model": self.name}

    def facts(self):
        """As servers do: what is known after the first question only, and what is counted."""
        return {"way": "arithmetic" if self.asked else None, "prompts": len(self.asked)}

    def usage(self):
        return {"prompts": len(self.asked)}

    def continuation_logprobs(self, prompts, continuations):
        return [np.log([uniform(p + c) / 10]) for p, c in zip(prompts, continuations, strict=True)]

    def note(self, word: str, prompts: list[str]) -> None:
        """Append a line to the log, in one piece."""
        if self.log is not None:
            names = " ".join(prompt.split("\n")[0].rsplit(" ")[-1] for prompt in prompts)
            os.write(self.log, f"{word} {names}\n".encode())

    def label_scores(self, prompts, labels, on_answer=None):
        if self.singly:
            return self._one_by_one(prompts, labels, on_answer)
        self.note("asked", prompts)
        if self.fail_after is not None and len(self.asked) + len(prompts) > self.fail_after:
            raise self.error
        self.asked.extend(prompts)
        time.sleep(self.pause * len(prompts))
        exact = np.array([[np.log(uniform(p + c) / 10) for c in labels] for p in prompts])
        return LabelScores(exact - 1e-9 * uniform("".join(prompts)))

    def _one_by_one(self, prompts, labels, on_answer):
        scores = []
        for position, prompt in enumerate(prompts):
            if self.fail_after is not None and len(self.asked) >= self.fail_after:
                raise self.error
            self.note("asked", [prompt])
            self.asked.append(prompt)
            time.sleep(self.pause)
            score = LabelScores(
                np.array([[np.log(uniform(prompt + c) / 10) for c in labels]]),
                np.array([[uniform(c + prompt) < 0.1 for c in labels]]),
            )
            on_answer(position, score)
            self.note("answered", [prompt])
            scores.append(score)
        return LabelScores(
            np.concatenate([s.logprobs for s in scores]), np.concatenate([s.is_bound for s in scores])
        )


def read_log(path: Path) -> list[tuple[str, list[str]]]:
    """What was noted: (word, prompts) in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], line.split()[1:]) for line in lines]


def times_asked(path: Path) -> Counter[str]:
    """How often each prompt was asked."""
    return Counter(name for word, names in read_log(path) if word == "asked" for name in names)
