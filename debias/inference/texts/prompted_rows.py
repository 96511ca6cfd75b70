"""Rows of a split ready to be collected: demonstrations drawn, and no row that shows its own answer.

All splits of a task get the same demonstrations, out of its opt rows; the drawn rows and every
row with the same text leave the split.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from debias.errors import ParameterError
from debias.inference.texts.demonstrations import draw_demonstrations
from debias.inference.texts.sources import LabelledTexts, load_split
from debias.inference.texts.tasks import Demonstration, Task, load_task
from debias.settings import check_positive_integer, check_seed
from debias.tables.splitting import plain_text


class PromptedRows(NamedTuple):
    """Texts, class names (None where there are none) and ids, and the demonstrations of their prompts."""

    texts: list[str]
    labels: list[str] | None
    ids: list[str]
    demonstrations: tuple[Demonstration, ...]


def load_prompted_rows(
    task: str | Path | Task,
    split: str = "opt",
    shots: int | str = 1,
    *,
    seed: int = 0,
    limit: int | None = None,
    data: str | Path | None = None,
    shots_split: str = "opt",
    shots_data: str | Path | None = None,
    unlabelled: bool = False,
    labels: str | None = None,
) -> PromptedRows:
    """Load a split and draw the demonstrations of its prompts.

    Parameters
    ----------
    task : str, Path or Task
        Name, TOML file, or the task itself.
    split : str, default="opt"
        Rows to load; for a file of your own only a name.
    shots : int or "per-class", default=1
        Demonstrations: this many at random, or one of each class.
    seed : int, default=0
        Decides which demonstrations are drawn and which rows `limit` takes.
    limit : int, optional
        Rows to take at random; all if omitted or fewer.
    data : path, optional
        File of the rows, in place of the task's own source.
    shots_split : str, default="opt"
        Split that demonstrations are drawn from.
    shots_data : path, optional
        File that they are drawn from, in place of the task's own source; `data` where the
        split is the same.
    unlabelled : bool, default=False
        Whether rows may lack labels though the task names their column, or the file has columns
        that may hold them.
    labels : {"name", "position"}, optional
        What the labels of files are, where numbers could be both.

    Returns
    -------
    PromptedRows
        In the order of the source.

    Raises
    ------
    TaskError, ParameterError
        The task, a split or a number is not valid, or nothing is left.

    Examples
    --------
    >>> rows = load_prompted_rows("trec", "test", "per-class", limit=2)
    >>> [shown.label for shown in rows.demonstrations]
    ['Number', 'Location', 'Person', 'Description', 'Entity', 'Abbreviation']
    >>> len(rows.texts)
    2
    """
    task = load_task(task)
    check_positive_integer("limit", limit, or_none=True)
    rows = load_split(task, split, data=data, require_labels=False if unlabelled else None, labels=labels)
    own = shots == 0 or (shots_data is None and shots_split == split)
    pool = rows if own else load_split(task, shots_split, data=shots_data, labels=labels)
    return prompt_rows(task, rows, pool, shots, seed=seed, limit=limit)


def prompt_rows(
    task: Task,
    rows: LabelledTexts,
    pool: LabelledTexts,
    shots: int | str = 1,
    *,
    seed: int = 0,
    limit: int | None = None,
) -> PromptedRows:
    """Draw demonstrations out of loaded rows, and keep the other rows.

    Parameters
    ----------
    task : Task
    rows : LabelledTexts
        To be collected.
    pool : LabelledTexts
        Rows that demonstrations are drawn from.
    shots : int or "per-class", default=1
    seed : int, default=0
    limit : int, optional

    Returns
    -------
    PromptedRows

    Raises
    ------
    TaskError, ParameterError
        A number is not valid, or nothing is left.
    """
    check_positive_integer("limit", limit, or_none=True)
    check_seed(seed)
    shown: tuple[Demonstration, ...] = ()
    if shots != 0:
        if pool.labels is None:
            raise ParameterError(
                "demonstrations need labelled rows",
                parameter="shots_data",
                fix="use a file or split with labels",
            )
        shown, _ = draw_demonstrations(task, pool.texts, pool.labels, shots, seed=seed, ids=pool.ids)
    return _take(rows, _allowed_rows(rows, shown), shown, limit, seed)


def _allowed_rows(rows: LabelledTexts, shown: Sequence[Demonstration]) -> list[int]:
    """Return the rows whose text is not that of a demonstration."""
    texts = {plain_text(one.text) for one in shown}
    allowed = [row for row, text in enumerate(rows.texts) if plain_text(text) not in texts]
    if not allowed:
        raise ParameterError(
            "every row is a demonstration, so none is left", parameter="shots", fix="choose fewer shots"
        )
    return allowed


def _take(
    rows: LabelledTexts,
    allowed: list[int],
    shown: tuple[Demonstration, ...],
    limit: int | None,
    seed: int,
) -> PromptedRows:
    """Return some of the allowed rows, chosen at random, in their order."""
    chosen = allowed
    if limit is not None and limit < len(allowed):
        drawn = np.random.default_rng(seed).choice(len(allowed), size=limit, replace=False)
        chosen = [allowed[position] for position in np.sort(drawn)]
    labels = None if rows.labels is None else [rows.labels[row] for row in chosen]
    return PromptedRows([rows.texts[row] for row in chosen], labels, [rows.ids[row] for row in chosen], shown)
