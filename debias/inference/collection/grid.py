"""Several prompts, numbers of demonstrations and seeds in one run: a table each, by one engine.

As published: zero-shot once, 1- and 5-shot and one per class with the seeds 0, 1 and 2, reported as mean
and standard deviation over seeds (Lin and You, arXiv 2405.07623, 2412.19018, 2503.05157).
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from debias.inference.collection.collection import collect, read_finished
from debias.inference.collection.collection_settings import CollectionKeywords
from debias.inference.engine import Engine
from debias.inference.texts.prompted_rows import PromptedRows, prompt_rows
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task, load_task
from debias.metrics.scores import class_accuracy, cobias_from_accuracies
from debias.settings import check_list, check_seed
from debias.tables.table import ProbabilityTable

PER_CLASS = "per-class"
_NOT_IN_NAMES = r"[^\w.-]+"


@dataclass(frozen=True)
class CollectedGrid:
    """Tables that were collected in one run.

    Attributes
    ----------
    by_table : DataFrame
        One row per table: task, shots, seed (missing for zero-shot), rows, accuracy and cobias
        (0 to 1, uncorrected; missing where there are no labels), label_mass (mean), path.
    by_setting : DataFrame
        One row per task and number of shots: tables, and mean and standard deviation (over seeds,
        missing for one) of accuracy and cobias.
    """

    by_table: pd.DataFrame

    @property
    def by_setting(self) -> pd.DataFrame:
        """Mean and standard deviation over seeds."""
        grouped = self.by_table.groupby(["task", "shots"], sort=False)
        values = grouped[["accuracy", "cobias"]].agg(["mean", "std"])
        values.columns = pd.Index(["_".join(pair) for pair in values.columns.to_list()])
        values.insert(0, "tables", grouped.size())
        return values.reset_index()

    @property
    def paths(self) -> list[Path]:
        """Where the tables are."""
        return list(self.by_table["path"])

    def read(self) -> dict[str, ProbabilityTable]:
        """Read all tables, by the names of their files without the ending."""
        return {path.stem: ProbabilityTable.read(path) for path in self.paths}


class PlannedTable(NamedTuple):
    """A table to be collected: its rows are loaded, its demonstrations drawn."""

    path: Path
    task: Task
    split: str
    shots: int | str
    seed: int
    rows: PromptedRows

    @property
    def prompts(self) -> dict[str, Any]:
        """What is asked, as keywords of ``collect``."""
        return {"task": self.task, **self.rows._asdict()}


def collect_many(
    engine: Engine,
    tasks: str | Path | Task | Sequence[str | Path | Task],
    *,
    out: str | os.PathLike[str],
    split: str = "opt",
    shots: Sequence[int | str] = (1,),
    seeds: Sequence[int] = (0,),
    limit: int | None = None,
    data: str | Path | None = None,
    shots_split: str = "opt",
    shots_data: str | Path | None = None,
    unlabelled: bool = False,
    **settings: Unpack[CollectionKeywords],
) -> CollectedGrid:
    """Collect a table for each task, number of demonstrations, and seed.

    The tables are ``TASK_SPLIT_shotN_seedS.parquet`` in the folder ``out``, zero-shot once and without a
    seed; each is what :func:`~debias.inference.collection.collection.collect` makes alone. All rows are
    loaded and all demonstrations drawn before the model is asked. After an interruption the same call
    resumes where it stopped.

    Parameters
    ----------
    engine : Engine
    tasks : task or sequence of tasks
        Names, TOML files or tasks; several prompts for the same rows are several files with a ``name`` each.
    out : path-like
        Folder, made when it is not there.
    split : str, default="opt"
        Rows to collect, of every task.
    shots : sequence of int or "per-class", default=(1,)
    seeds : sequence of int, default=(0,)
        Decide which demonstrations are drawn, and which rows ``limit`` takes.
    limit, data, shots_split, shots_data, unlabelled
        As for :func:`~debias.inference.texts.prompted_rows.load_prompted_rows`.
    **settings
        As for ``collect``, but ``seed`` and ``shard``.

    Returns
    -------
    CollectedGrid

    Raises
    ------
    ParameterError
        Nothing is asked for, something twice, or the tables of two tasks would be one file.
    TaskError, ResumeError, ...
        As for ``collect``; tables and answers so far are kept.

    Examples
    --------
    >>> import tempfile
    >>> class Short(Engine):
    ...     context_length, fingerprint = 10**6, {"model": "short"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations):
    ...         return [np.log([0.5 / len(text)]) for text in continuations]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     many = collect_many(
    ...         Short(), "trec", out=folder, shots=[0, 1], seeds=[0, 1], limit=20, progress=False
    ...     )
    ...     [path.name for path in many.paths]
    ['trec_opt_shot0.parquet', 'trec_opt_shot1_seed0.parquet', 'trec_opt_shot1_seed1.parquet']
    >>> many.by_setting[["shots", "tables"]].to_dict("list")
    {'shots': ['0', '1'], 'tables': [1, 2]}
    """
    planned = plan_tables(
        tasks,
        out=out,
        split=split,
        shots=shots,
        seeds=seeds,
        limit=limit,
        data=data,
        shots_split=shots_split,
        shots_data=shots_data,
        unlabelled=unlabelled,
    )
    return collect_planned(engine, planned, **settings)


def collect_planned(
    engine: Engine,
    planned: Sequence[PlannedTable],
    **settings: Unpack[CollectionKeywords],
) -> CollectedGrid:
    """Collect planned tables; see :func:`collect_many`.

    Parameters
    ----------
    engine : Engine
    planned : sequence of PlannedTable
        Of :func:`plan_tables`.
    **settings
        As for ``collect``, but ``seed`` and ``shard``.

    Returns
    -------
    CollectedGrid
    """
    for name in ("seed", "shard"):
        if (value := dict(settings).get(name)) is not None:
            raise ParameterError(parameter=name, allowed="omitted (one is for one table)", received=value)
    tables = []
    metadata, progress = settings.get("metadata") or {}, settings.get("progress", True)
    for number, one in enumerate(planned, 1):
        one.path.parent.mkdir(exist_ok=True)
        own: CollectionKeywords = {
            **settings,
            "seed": one.seed,
            "metadata": {"split": one.split, **metadata},
            "progress": progress and f"{one.path.stem} ({number} of {len(planned)})",
        }
        tables.append(collect(engine, **one.prompts, out=one.path, **own))
    return _summarised(planned, tables)


def read_planned(
    planned: Sequence[PlannedTable], *, request: Mapping[str, object], too_long: str, keep: bool
) -> CollectedGrid | None:
    """Return planned tables that are all there already; None where an engine must be asked.

    Parameters
    ----------
    planned : sequence of PlannedTable
    request, too_long, keep
        As for :func:`~debias.inference.collection.collection.read_finished`.

    Returns
    -------
    CollectedGrid or None
    """
    tables = []
    for one in planned:
        asked = {"request": request, "too_long": too_long, "keep": keep}
        if (table := read_finished(one.path, **one.prompts, **asked)) is None:  # type: ignore[arg-type]
            return None
        tables.append(table)
    return _summarised(planned, tables)


def plan_tables(
    tasks: str | Path | Task | Sequence[str | Path | Task],
    *,
    out: str | os.PathLike[str],
    split: str = "opt",
    shots: Sequence[int | str] = (1,),
    seeds: Sequence[int] = (0,),
    limit: int | None = None,
    data: str | Path | None = None,
    shots_split: str = "opt",
    shots_data: str | Path | None = None,
    unlabelled: bool = False,
    labels: str | None = None,
) -> list[PlannedTable]:
    """Load rows and draw demonstrations for many tables; no model is needed.

    Parameters
    ----------
    tasks, out, split, shots, seeds, limit, data, shots_split, shots_data, unlabelled
        As for :func:`collect_many`.
    labels : {"name", "position"}, optional
        What the labels of files are, where numbers could be both.

    Returns
    -------
    list of PlannedTable

    Raises
    ------
    ParameterError, TaskError
        As for :func:`collect_many`.
    """
    folder = _checked_folder(out)
    given = [tasks] if isinstance(tasks, str | Path | Task) else list(tasks)
    loaded = [load_task(task) for task in given]
    names = [re.sub(_NOT_IN_NAMES, "-", task.name) for task in loaded]
    _check_choices({"tasks": names, "shots": shots, "seeds": seeds})
    planned = []
    for task in loaded:
        rows = load_split(task, split, data=data, require_labels=False if unlabelled else None, labels=labels)
        own = (shots_data is None and shots_split == split) or set(shots) == {0}
        pool = rows if own else load_split(task, shots_split, data=shots_data, labels=labels)
        for n_shots in shots:
            for seed in seeds[:1] if n_shots == 0 else seeds:
                prompted = prompt_rows(task, rows, pool, n_shots, seed=seed, limit=limit)
                path = folder / f"{table_name(task, split, n_shots, seed)}.parquet"
                planned.append(PlannedTable(path, task, split, n_shots, seed, prompted))
    return planned


def _checked_folder(out: str | os.PathLike[str]) -> Path:
    """Folder for the tables."""
    folder = Path(out)
    if folder.suffix == ".parquet" or (folder.exists() and not folder.is_dir()):
        raise ParameterError(parameter="out", received=str(out), allowed="a folder for several tables")
    if not folder.parent.is_dir():
        raise ParameterError(
            parameter="out",
            allowed="in a folder that exists",
            received=str(out),
            fix=f"create {str(folder.parent)!r}",
        )
    return folder


def _check_choices(choices: Mapping[str, Sequence[Any]]) -> None:
    """Raise where there is nothing, or something twice."""
    for name, given in choices.items():
        values = check_list(name, given, "a list of at least one")
        if not values:
            raise ParameterError(parameter=name, allowed="a list of at least one", received=values)
        repeated = [value for number, value in enumerate(values) if value in values[:number]]
        if repeated:
            named = ", and give each task file a name (name = ...) that differs in letters or digits"
            raise ParameterError(
                f"{name} has {repeated[0]!r} twice",
                parameter=name,
                received=repeated[0],
                fix=f"pass each once{named if name == 'tasks' else ''}",
            )
    for seed in choices["seeds"]:
        check_seed(seed, "seeds")


def table_name(task: Task, split: str, shots: int | str, seed: int) -> str:
    """Return the name of a table among several.

    Parameters
    ----------
    task : Task
    split : str
    shots : int or "per-class"
    seed : int

    Returns
    -------
    str
        Without the ending.

    Examples
    --------
    >>> table_name(Task("my task", labels=["a", "b"]), "opt", "per-class", 2)
    'my-task_opt_per-class_seed2'
    """
    words = [task.name, split, shots if shots == PER_CLASS else f"shot{shots}"]
    if shots != 0:
        words.append(f"seed{seed}")
    return "_".join(re.sub(_NOT_IN_NAMES, "-", str(word)) for word in words)


def _summarised(planned: Sequence[PlannedTable], tables: Sequence[ProbabilityTable]) -> CollectedGrid:
    """Return how the model does without correction, on every table."""
    rows = [_summary(one, table) for one, table in zip(planned, tables, strict=True)]
    return CollectedGrid(pd.DataFrame(rows).astype({"seed": "Int64"}))


def _summary(one: PlannedTable, table: ProbabilityTable) -> dict[str, Any]:
    """How the model does without correction, on one table."""
    accuracy, cobias = uncorrected(table)
    return {
        "task": one.task.name,
        "shots": str(one.shots),
        "seed": None if one.shots == 0 else one.seed,
        "rows": len(table),
        "accuracy": accuracy,
        "cobias": cobias,
        "label_mass": table.metadata["label_mass"]["mean"],
        "path": one.path,
    }


def uncorrected(table: ProbabilityTable) -> tuple[float, float]:
    """Return accuracy and COBias of the most probable class; NaN where they cannot be known.

    Parameters
    ----------
    table : ProbabilityTable

    Returns
    -------
    accuracy, cobias : float
        0 to 1.

    Examples
    --------
    >>> uncorrected(ProbabilityTable([[0.9, 0.1], [0.8, 0.2]], ["0", "1"]))
    (0.5, 1.0)
    """
    if table.labels is None:
        return float("nan"), float("nan")
    by_class = uncorrected_by_class(table)
    cobias = cobias_from_accuracies(by_class) if len(by_class) > 1 else float("nan")
    return float((_predicted(table) == table.labels.to_numpy()).mean()), float(cobias)


def uncorrected_by_class(table: ProbabilityTable) -> pd.Series:
    """Return the class accuracies of a table as it is, of the classes that have labelled rows.

    Parameters
    ----------
    table : ProbabilityTable

    Examples
    --------
    >>> table = ProbabilityTable([[0.9, 0.1], [0.8, 0.2]], ["0", "1"], classes=["0", "1"])
    >>> uncorrected_by_class(table).to_list()
    [1.0, 0.0]
    """
    if table.labels is None:
        return pd.Series(dtype="float64")
    return class_accuracy(table.labels, _predicted(table), list(table.classes)).dropna()


def _predicted(table: ProbabilityTable) -> npt.NDArray[np.str_]:
    return np.array(table.classes)[table.to_numpy().argmax(axis=1)]
