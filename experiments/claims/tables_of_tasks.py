"""Tables of the papers' tasks, collected from the demo model by this project itself, and read back.

TREC, SST-5 and AG News come out of the StaICC wheel. RTE, DDI and PubMedQA need local data (see the README of
experiments' data folder); PubMedQA is fitted on the 500 items outside the published test set, so that no test
item is ever tuned on. Rows are the same for every prompt of a task, but for those that a prompt shows.
"""

import json
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from claims.judging import SPLITS, Rows, rows_of
from debias.errors import SecondLabelWarning
from debias.inference.collection.collection import collect
from debias.inference.collection.grid import table_name
from debias.inference.engine import Engine
from debias.inference.texts.demonstrations import draw_demonstrations
from debias.inference.texts.source_rows import Source
from debias.inference.texts.sources import LabelledTexts, load_split
from debias.inference.texts.tasks import Task, load_task
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.tables.splitting import plain_text
from debias.tables.table import ProbabilityTable


def claim_tasks(names: Iterable[str], data: Path | None, folder: Path) -> dict[str, Task]:
    """Return the tasks whose texts are there, by name; a path of a task file counts as a name."""
    found = {name: _with_sources(load_task(name), data, folder) for name in names}
    return {task.name: task for task in found.values() if task is not None}


def _with_sources(task: Task, data: Path | None, folder: Path) -> Task | None:
    """Return a task with the sources of its opt and test rows, None where they are not there."""
    if all(source.kind in ("staicc", "file") for source in task.sources.values()) and task.sources:
        return task
    if data is None:
        return None
    if task.name == "rte":
        files = {"opt": data / "rte" / "train.jsonl", "test": data / "rte" / "val.jsonl"}
        sources = {split: Source("file", str(path)) for split, path in files.items()}
    elif task.name == "ddi":
        path = str(data / "ddi" / "test.jsonl")
        sources = {
            "opt": Source("file", path, part=(0.0, 0.5)),
            "test": Source("file", path, part=(0.5, 1.0)),
        }
    elif task.name == "pubmedqa":
        sources = _without_the_leak(data / "pubmedqa", folder)
    else:
        return None
    return (
        replace(task, sources=sources) if all(Path(one.path).exists() for one in sources.values()) else None
    )


def _without_the_leak(data: Path, folder: Path) -> dict[str, Source]:
    """Divide PubMedQA by its published test ids; the published opt file holds all of them."""
    paths = {split: folder / f"pubmedqa_{split}.jsonl" for split in SPLITS}
    if (data / "ori_pqal.json").exists():
        items = json.loads((data / "ori_pqal.json").read_text(encoding="utf-8"))
        held_out = set(json.loads((data / "test_ground_truth.json").read_text(encoding="utf-8")))
        shown = ("QUESTION", "CONTEXTS", "final_decision")  # the conclusion tells the answer
        for split, path in paths.items():
            own = [item for key, item in items.items() if (key in held_out) == (split == "test")]
            lines = [json.dumps({name: item[name] for name in shown}) for item in own]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {split: Source("file", str(path)) for split, path in paths.items()}


@dataclass(frozen=True)
class Asked:
    """A prompt: a task, its number of solved examples, the seed of their draw, the variant of the model."""

    task: str
    shots: int | str
    seed: int
    variant: str = ""

    @property
    def words(self) -> str:
        """As it is written in results."""
        shots = f"{self.shots}-shot" if isinstance(self.shots, int) else "one per class"
        seed = "" if self.shots == 0 else f", seed {self.seed}"
        return f"{self.task} {shots}{seed}{self.variant and ', ' + self.variant}"


def without(missing: Iterable[Asked]) -> str:
    """Name prompts that were not run: each with its tasks."""
    by_prompt: dict[str, list[str]] = {}
    for asked in missing:
        prompt = asked.words.removeprefix(f"{asked.task} ")
        by_prompt.setdefault(prompt, []).append(asked.task)
    return "; ".join(f"{prompt} ({', '.join(tasks)})" for prompt, tasks in by_prompt.items()) or "none"


class Collected:
    """Tables in a folder; the model is loaded when the first one is missing.

    Parameters
    ----------
    folder : Path
    settings : dict
        model, dtype, rows_seed, chunk_size, and rows: how many of each split, by task.
    tasks : dict of str to Task
    engines : dict of str to callable, optional
        How the model of a variant is made; the demo model by default.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], tasks: dict[str, Task]) -> None:
        self.folder, self.settings, self.tasks = folder, settings, tasks
        self._splits: dict[tuple[str, str], LabelledTexts] = {}
        self._engine: Engine | None = None

    def path(self, asked: Asked, split: str) -> Path:
        """Where a table is, or will be."""
        task = self.tasks[asked.task]
        name = table_name(task, split, asked.shots, asked.seed)
        return self.folder / f"{name}{asked.variant and '_' + asked.variant}.parquet"

    def are_there(self, asked: Asked) -> bool:
        """Whether both tables of a prompt are there."""
        return asked.task in self.tasks and all(self.path(asked, split).exists() for split in SPLITS)

    def read(self, asked: Asked) -> tuple[ProbabilityTable, ProbabilityTable]:
        """Return the opt and the test table."""
        opt, test = (ProbabilityTable.read(self.path(asked, split)) for split in SPLITS)
        return opt, test

    def collect(self, asked: Asked, engine: Engine | None = None) -> None:
        """Collect both tables of a prompt, as far as they are not there."""
        task = self.tasks[asked.task]
        pool = self._rows(task, "opt")
        shown: Any = ()
        if asked.shots != 0:
            shown, _ = draw_demonstrations(
                task, pool.texts, pool.labels or [], asked.shots, seed=asked.seed, ids=pool.ids
            )
        for split in SPLITS:
            out = self.path(asked, split)
            if out.exists():
                continue
            rows = self._rows(task, split)
            chosen = self._first(rows, {plain_text(one.text) for one in shown}, task.name)
            collect(
                engine or self.engine,
                task,
                [rows.texts[row] for row in chosen],
                [(rows.labels or [])[row] for row in chosen],
                ids=[rows.ids[row] for row in chosen],
                demonstrations=shown,
                out=out,
                seed=asked.seed,
                chunk_size=self.settings["chunk_size"],
                too_long="truncate",
                metadata={"split": split},
                progress=False,
            )

    @property
    def engine(self) -> Engine:
        """The model, loaded once."""
        if self._engine is None:
            self._engine = TransformersEngine(self.settings["model"], dtype=self.settings["dtype"])
        return self._engine

    def _rows(self, task: Task, split: str) -> LabelledTexts:
        """All rows of a split, loaded once."""
        key = (task.name, split)
        if key not in self._splits:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecondLabelWarning)
                self._splits[key] = load_split(task, split)
        return self._splits[key]

    def _first(self, rows: LabelledTexts, shown: set[str], name: str) -> list[int]:
        """Return the first rows in a fixed order that are not shown: nearly the same ones for all prompts."""
        order = np.random.default_rng(self.settings["rows_seed"]).permutation(len(rows.texts))
        allowed = [int(row) for row in order if plain_text(rows.texts[row]) not in shown]
        most = self.settings["rows"][name.removesuffix("-letters")]
        return sorted(allowed[:most])


def collect_all(collected: Collected, prompts: Iterable[Asked], engine: Engine | None = None) -> None:
    """Collect the tables that are missing, in order, and say how long each took."""
    for asked in prompts:
        if not collected.are_there(asked):
            started = time.perf_counter()
            collected.collect(asked, engine)
            print(f"{asked.words}: {time.perf_counter() - started:.0f} s", flush=True)


def whole_tables(folder: Path) -> dict[str, Rows]:
    """Return the opt and test rows of each collected prompt together, by its name."""
    found = {}
    for path in sorted(folder.glob("*_opt_*.parquet")):
        other = path.with_name(path.name.replace("_opt_", "_test_"))
        if other.exists():
            name = path.stem.replace("_opt_", " ").replace("_", " ")
            found[name] = rows_of(ProbabilityTable.read(path)) + rows_of(ProbabilityTable.read(other))
    return found
