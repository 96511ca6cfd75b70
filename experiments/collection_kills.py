"""Kill a collection 50 times at random moments: the table is the one that it would have been.

Run:

    python experiments/collection_kills.py

A real model is loaded once. Every start of the collection is a process of its own (a fork), killed by
SIGKILL at a moment drawn at random, and another one resumes; when one comes to its end first, its table
is compared byte by byte with that of an uninterrupted process, and a new collection begins. The
engine notes what it is asked and when it has answered in a file, so that what was asked twice can be
counted: nothing may be but the chunk that was under way at a kill.
"""

import os
import platform
import shutil
import signal
import tempfile
import time
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pandas as pd
import torch
from markdown_table import markdown

from debias.errors import ResumeError, StorageError
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.collection.collection import collect
from debias.inference.engine import Engine, LabelScores
from debias.inference.texts.prompted_rows import load_prompted_rows
from debias.inference.texts.tasks import load_task
from debias.inference.transformers.transformers_engine import TransformersEngine

SETTINGS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
RESULTS = Path(__file__).resolve().parent / "results" / "collection_kills"


class Noting(Engine):
    """An engine that notes in a file what it is asked, and when it has answered."""

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
        """Ask the engine, and note it."""
        names = " ".join(str(hash_of(prompt)) for prompt in prompts)
        os.write(self.file, f"asked {names}\n".encode())
        scores = self.engine.label_scores(prompts, labels, on_answer)
        os.write(self.file, f"answered {names}\n".encode())
        return scores


def hash_of(prompt: str) -> int:
    """Return a number that stands for a prompt, the same in every process."""
    return zlib.crc32(prompt.encode())


def noted(log: Path) -> list[list[str]]:
    """Lines of a log, in words."""
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def start(work: Callable[[], object]) -> int:
    """Begin something in a process of its own; return its id."""
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
    """Wait for a process, at most some time; raise when it failed."""
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
    """Kill a process outright."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def state(out: Path, log: Path, before: int) -> dict[str, Any]:
    """Return what a kill left: answers, an unfinished table, and whether a question was under way."""
    run = out.with_name(f"{out.name}.run")
    lines = noted(log)[before:]
    return {
        "answers": n_answers(run / "answers.sqlite"),
        "unfinished_table": any(run.glob(".*")),
        "questions": sum(words[0] == "asked" for words in lines),
        "under_way": bool(lines) and lines[-1][0] == "asked",
    }


def n_answers(store: Path) -> int:
    """Return how many answers are in a store, which may not be there yet."""
    try:
        with AnswerStore(store, read_only=True) as opened:
            return len(opened)
    except (StorageError, ResumeError):
        return 0


def kill_often(begin: Callable[[Path, Path], Callable[[], object]], expected: bytes, folder: Path) -> Any:
    """Kill until there were enough kills; return one row per kill and one per finished table."""
    rng = np.random.default_rng(SETTINGS["seed"])
    kills: list[dict[str, Any]] = []
    tables: list[dict[str, Any]] = []
    while len(kills) < SETTINGS["kills"]:
        place = folder / str(len(tables))
        place.mkdir()
        out, log, own = place / "table.parquet", place / "log", 0
        while True:
            before = len(noted(log))
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
    """Compare a finished table, and count what was asked how often."""
    lines = noted(log)
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
    """Write what came out."""
    same, size = int(tables["identical"].sum()), SETTINGS["chunk_size"]
    again = int((tables["asked_in_all"] - tables["prompts"]).sum())
    under_way = int(kills["under_way"].sum())
    all_same = "all of them identical" if same == len(tables) else f"only {same} of them identical"
    lines = [
        "# A collection killed at random moments",
        "",
        f"{SETTINGS['rows']} {SETTINGS['task']} rows, {SETTINGS['shots']}-shot, model"
        f" {SETTINGS['model']} in {SETTINGS['dtype']}, {size} prompts between two savings;"
        f" {len(kills)} kills (SIGKILL) at moments up to {SETTINGS['longest']} seconds after a start."
        f" Python {platform.python_version()}, torch {torch.__version__}, {SETTINGS['threads']} thread.",
        "",
        f"- **{len(tables)} tables came to their end, {all_same} byte by byte with that of an"
        " uninterrupted process.**",
        f"- {under_way} of the kills came while the engine was at work on a chunk, {len(kills) - under_way}"
        " at other moments (before the first question, between answer and file, while writing).",
        f"- {int(tables['prompts'].sum()):,} prompts were asked {int(tables['asked_in_all'].sum()):,} times:"
        f" {again:,} times again, at most {size} prompts per kill."
        f" {int(tables['answered_twice'].sum())} were answered twice: answered and not yet saved at a kill.",
        f"- {int(kills['unfinished_table'].sum())} kills left an unfinished table; none is left in the end.",
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
            Noting(engine, log),
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
    kills.to_csv(RESULTS.with_suffix(".csv"), index=False)
    text = report(kills, tables)
    RESULTS.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
