"""Solved examples for few-shot prompts: drawn from the opt rows, and taken out of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from debias.errors import ParameterError, TaskError
from debias.inference.texts.source_rows import refuse_surrogates
from debias.inference.texts.tasks import Demonstration, Task, load_task
from debias.settings import check_list, check_seed
from debias.tables.splitting import plain_text


def draw_demonstrations(
    task: str | Task,
    texts: Sequence[str],
    labels: Sequence[str],
    shots: int | str = 1,
    *,
    seed: int = 0,
    ids: Sequence[str] | None = None,
) -> tuple[tuple[Demonstration, ...], NDArray[np.int64]]:
    """Draw demonstrations and say which rows remain.

    The published protocol leaves the drawn rows in the opt set; here they leave it, and with them
    every row that has the same text (case and spacing aside), because their prompt would hold its own answer.

    Parameters
    ----------
    task : str or Task
    texts : sequence of str, length n
        The opt rows.
    labels : sequence of str, length n
        Their class names.
    shots : int or "per-class", default=1
        How many to draw at random, or one of each class, in class order.
    seed : int, default=0
    ids : sequence of str, optional
        Row ids, recorded with the demonstrations; row numbers if omitted.

    Returns
    -------
    demonstrations : tuple of Demonstration
    remaining : int64 array
        Rows that may be used, ascending.

    Raises
    ------
    ParameterError
        ``shots`` or ``seed`` is not allowed, no row is left, or lengths differ.
    TaskError
        A label is unknown, or a class has no row to draw.

    Examples
    --------
    >>> task = Task("mood", labels=["bad", "good"])
    >>> labels = ["bad", "good", "bad", "good"]
    >>> shown, rows = draw_demonstrations(task, ["a", "b", "c", "d"], labels, "per-class")
    >>> [d.label for d in shown], len(rows)
    (['bad', 'good'], 2)
    """
    task = load_task(task)
    texts, labels = check_list("texts", texts), check_list("labels", labels)
    names = [str(i) for i in (range(len(texts)) if ids is None else check_list("ids", ids))]
    if not len(texts) == len(labels) == len(names):
        raise ParameterError(
            f"texts, labels and ids have {len(texts)}, {len(labels)} and {len(names)} entries; they "
            "must have the same number"
        )
    classes = np.array([task.class_index(label) for label in labels], dtype=np.int64)
    check_seed(seed)
    rows = _draw(task, classes, shots, np.random.default_rng(seed))
    shown = tuple(Demonstration(texts[i], task.class_names[classes[i]], names[i]) for i in rows)
    used = {plain_text(d.text) for d in shown}
    remaining = np.array([i for i, text in enumerate(texts) if plain_text(text) not in used], dtype=np.int64)
    if not len(remaining):
        raise ParameterError(
            f"shots is {shots!r}, which leaves none of the {len(texts)} rows",
            parameter="shots",
            received=shots,
            fix="pass more rows",
        )
    return shown, remaining


def _draw(
    task: Task, classes: NDArray[np.int64], shots: int | str, generator: np.random.Generator
) -> list[int]:
    """Rows of the demonstrations, in the order they are shown."""
    if shots == "per-class":
        pools = [np.flatnonzero(classes == k) for k in range(task.n_classes)]
        for name, pool in zip(task.class_names, pools, strict=True):
            if not len(pool):
                raise TaskError(
                    f"class {name!r} has no row to draw a demonstration from",
                    fix="use more rows, or a number of shots",
                )
        return [int(generator.choice(pool)) for pool in pools]
    if isinstance(shots, bool) or not isinstance(shots, int | np.integer) or shots < 0:
        raise ParameterError(
            parameter="shots", allowed="an integer of at least 0, or 'per-class'", received=shots
        )
    if shots > len(classes):
        raise ParameterError(
            parameter="shots",
            allowed=f"at most {len(classes)}, the number of rows to draw from",
            received=shots,
        )
    return [int(i) for i in generator.choice(len(classes), size=int(shots), replace=False)]


def check_demonstrations(task: Task, demonstrations: Sequence[tuple[str, ...]]) -> tuple[Demonstration, ...]:
    """Return demonstrations as a tuple of :class:`Demonstration`, each checked against the task.

    Raises
    ------
    ParameterError
        When one is not (text, class name) or (text, class name, id), all strings.
    TaskError
        When a class is unknown.

    Examples
    --------
    >>> check_demonstrations(Task("mood", labels=["bad", "good"]), [("fine", "good")])
    (Demonstration(text='fine', label='good', id=''),)
    """
    checked = []
    for row, one in enumerate(check_list("demonstrations", demonstrations, "a list of (text, class name)")):
        is_row = isinstance(one, tuple | list | np.ndarray) and 2 <= len(one) <= 3
        if not is_row or not all(isinstance(value, str) for value in one):
            raise ParameterError(
                f"demonstration {row} must be (text, class name) or a Demonstration, got {one!r}",
                parameter="demonstrations",
                received=one,
                row=row,
            )
        task.class_index(one[1])
        refuse_surrogates(one[0], row=row, column="text")
        checked.append(Demonstration(*one))
    return tuple(checked)
