"""Kills a collection 50 times at random moments and compares the finished table with an undisturbed one.

Run:

    python experiments/collection_kills.py

A real model is loaded once. Each attempt at the collection runs in its own process (a fork), which is
killed by SIGKILL at a random moment; the next attempt resumes it. When an attempt finishes first, its table
is compared byte by byte with that of an uninterrupted process, and a new collection begins. The engine
logs each request and each answer, so that repeated requests can be counted: only the chunk in progress
at a kill may be requested again.
"""

import os
import shutil
import signal
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, settings_of

from debias.errors import ResumeError, StorageError
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.collection.collection import collect
from debias.inference.engine import Engine, LabelScores
from debias.inference.texts.prompted_rows import load_prompted_rows
from debias.inference.texts.tasks import load_task
from debias.inference.transformers.transformers_engine import TransformersEngine

SETTINGS = settings_of(__file__)


class LoggingEngine(Engine):
    """An engine that logs each request and each answer in a file."""

    def __init__(self, engine: Engine, log: Path) -> None:
        self.engine = engine
        self.file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    context_length = property(lambda self: self.engine.context_length)  # type: ignore[assignment]
    fingerprint = property(lambda self: self.engine.fingerprint)  # type: ignore[assignment]

    def encode(self, texts: Any) -> Any:
        """Token ids of texts."""
        return self.engine.encode(texts)

    def continuation_logprobs(self, prompts: Any, continuations: Any) -> Any:
        """Log-probabilities of texts."""
        return self.engine.continuation_logprobs(prompts, continuations)

    def label_scores(self, prompts: Any, labels: Any, on_answer: Any = None) -> LabelScores:
        """Ask the engine, and log it."""
        names = " ".join(str(hash_of(prompt)) for prompt in prompts)
        os.write(self.file, f"asked {names}\n".encode())
        scores = self.engine.label_scores(prompts, labels, on_answer)
        os.write(self.file, f"answered {names}\n".encode())
        return scores


def hash_of(prompt: str) -> int:
    """Return a number that identifies a prompt, the same in every process."""
    return zlib.crc32(prompt.encode())


def logged(log: Path) -> list[list[str]]:
    """Return the lines of a log as lists of words."""
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def start(work: Callable[[], object]) -> int:
    """Start some work in its own process; return the process id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def ended_within(child: int, seconds: float) -> bool:
    """Wait for a process for some seconds at most; raise if it failed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            if status:
                raise SystemExit(f"the collection failed with status {status}")
            return True
        time.sleep(0.001)
    return False


def kill(child: int) -> None:
    """Kill a process."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def state(out: Path, log: Path, before: int) -> dict[str, Any]:
    """Return what a kill left: answers, an unfinished table, and whether a request was in progress."""
    run = out.with_name(f"{out.name}.run")
    lines = logged(log)[before:]
    return {
        "answers": n_answers(run / "answers.sqlite"),
        "unfinished_table": any(run.glob(".*")),
        "requests": sum(words[0] == "asked" for words in lines),
        "in_progress": bool(lines) and lines[-1][0] == "asked",
    }


def n_answers(store: Path) -> int:
    """Return how many answers are in a store, which may not be there yet."""
    try:
        with AnswerStore(store, read_only=True) as opened:
            return len(opened)
    except (StorageError, ResumeError):
        return 0


def kill_often(begin: Callable[[Path, Path], Callable[[], object]], expected: bytes, folder: Path) -> Any:
    """Kill until there are enough kills; return one row per kill and one per finished table."""
    rng = np.random.default_rng(SETTINGS["seed"])
    kills: list[dict[str, Any]] = []
    tables: list[dict[str, Any]] = []
    while len(kills) < SETTINGS["kills"]:
        place = folder / str(len(tables))
        place.mkdir()
        out, log, own = place / "table.parquet", place / "log", 0
        while True:
            before = len(logged(log))
            moment = float(rng.uniform(0, SETTINGS["longest"])) if len(kills) < SETTINGS["kills"] else 600.0
            child = start(begin(out, log))
            if ended_within(child, moment):
                break
            kill(child)
            own += 1
            kills.append({"table": len(tables), "seconds": round(moment, 3), **state(out, log, before)})
            print(kills[-1], flush=True)
        tables.append({"table": len(tables), "kills": own, **verdict(out, log, expected, kills)})
        print(tables[-1], flush=True)
        shutil.rmtree(place)
    return pd.DataFrame(kills), pd.DataFrame(tables)


def verdict(out: Path, log: Path, expected: bytes, kills: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare a finished table, and count how often each prompt was asked."""
    lines = logged(log)
    asked = Counter(name for words in lines if words[0] == "asked" for name in words[1:])
    answered = Counter(name for words in lines if words[0] == "answered" for name in words[1:])
    return {
        "identical": out.read_bytes() == expected,
        "prompts": len(asked),
        "asked_in_all": sum(asked.values()),
        "answered_twice": sum(times > 1 for times in answered.values()),
        "most_often": max(asked.values()),
    }


def report(kills: pd.DataFrame, tables: pd.DataFrame) -> str:
    """Return the report in Markdown."""
    same, size = int(tables["identical"].sum()), SETTINGS["chunk_size"]
    again = int((tables["asked_in_all"] - tables["prompts"]).sum())
    in_progress = int(kills["in_progress"].sum())
    all_same = "all of them identical" if same == len(tables) else f"only {same} of them identical"
    lines = [
        "# A collection killed at random moments",
        "",
        f"{SETTINGS['rows']} {SETTINGS['task']} rows, {SETTINGS['shots']}-shot, model"
        f" {SETTINGS['model']} in {SETTINGS['dtype']}, {size} prompts per chunk;"
        f" {len(kills)} kills (SIGKILL) up to {SETTINGS['longest']} seconds after a start."
        f" {machine('torch')}.",
        "",
        f"- **{len(tables)} tables were finished, {all_same}, byte by byte, to the table of an"
        " uninterrupted process.**",
        f"- {in_progress} of the kills came while the engine was scoring a chunk, {len(kills) - in_progress}"
        " at other moments (before the first request, between answer and file, while writing).",
        f"- {int(tables['prompts'].sum()):,} prompts were asked {int(tables['asked_in_all'].sum()):,} times:"
        f" {again:,} repeats, at most {size} prompts per kill."
        f" {int(tables['answered_twice'].sum())} were answered twice: answered but not yet saved at a kill.",
        f"- {int(kills['unfinished_table'].sum())} kills left an unfinished table; none remained at the end.",
        "",
        markdown(tables),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Kill, compare, write."""
    torch.set_num_threads(SETTINGS["threads"])
    task = load_task(SETTINGS["task"])
    rows = load_prompted_rows(
        task, SETTINGS["split"], SETTINGS["shots"], seed=SETTINGS["seed"], limit=SETTINGS["rows"]
    )
    engine = TransformersEngine(SETTINGS["model"], dtype=SETTINGS["dtype"], device="cpu")

    def begin(out: Path, log: Path) -> Callable[[], object]:
        return lambda: collect(
            LoggingEngine(engine, log),
            task,
            rows.texts,
            rows.labels,
            ids=rows.ids,
            demonstrations=rows.demonstrations,
            out=out,
            chunk_size=SETTINGS["chunk_size"],
            progress=False,
        )

    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        whole.mkdir()
        began = time.monotonic()
        if not ended_within(start(begin(whole / "table.parquet", whole / "log")), 600):
            raise SystemExit("the uninterrupted collection takes too long")
        print(f"uninterrupted: {time.monotonic() - began:.1f} s", flush=True)
        expected = (whole / "table.parquet").read_bytes()
        kills, tables = kill_often(begin, expected, Path(folder))
    kills.to_csv(RESULTS / "collection_kills.csv", index=False)
    text = report(kills, tables)
    (RESULTS / "collection_kills.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
