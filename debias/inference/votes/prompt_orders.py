"""Puts what a prompt lists into other orders: its demonstrations, and labels that its instruction names.

The opening of a prompt is the same for all rows, so each order is one opening: computed once by an
engine that keeps what prompts share.
"""

import math
import re
from collections.abc import Sequence

import numpy as np

from debias.errors import ParameterError
from debias.inference.texts.tasks import Demonstration, Task


def ordered_openings(
    task: Task, demonstrations: Sequence[Demonstration], n_orders: int, seed: int = 0
) -> list[str]:
    """Return different openings of a prompt, the task's own first.

    Parameters
    ----------
    task : Task
    demonstrations : sequence of Demonstration
    n_orders : int
    seed : int, default=0
        More orders of the same seed begin with the same ones.

    Returns
    -------
    list of str

    Raises
    ------
    ParameterError
        There are not so many orders.

    Examples
    --------
    >>> task = Task("mood", labels=["bad", "fine"], prefix="Is it bad or fine?", answer_prefix="Mood: ")
    >>> for opening in ordered_openings(task, [], 2):
    ...     print(opening.strip())
    Is it bad or fine?
    Is it fine or bad?
    >>> ordered_openings(task, [], 3)
    Traceback (most recent call last):
    debias.errors.ParameterError: votes must be at most 2, the number of different orders of 0 ...
    """
    spans = named_labels(task)
    most = math.factorial(len(spans)) * math.factorial(len(demonstrations))
    random = np.random.default_rng(seed)
    openings = [task.opening(demonstrations)]
    seen = set(openings)
    # Equal demonstrations have fewer orders than the factorial says: stop when none is new any more.
    n_stale = 0
    while len(openings) < min(n_orders, most) and n_stale < 1000:
        instruction = _with_labels(task.prefix, spans, random.permutation(len(spans)).tolist())
        shown = [demonstrations[place] for place in random.permutation(len(demonstrations))]
        opening = _opening(task, instruction, shown)
        n_stale = n_stale + 1 if opening in seen else 0
        if opening not in seen:
            seen.add(opening)
            openings.append(opening)
    if len(openings) < n_orders:
        raise ParameterError(
            parameter="votes",
            received=n_orders,
            allowed=f"at most {len(openings)}, the number of different orders of {len(demonstrations)} "
            f"demonstrations and {len(spans)} labels in the instruction",
            fix="show more demonstrations, or vote by samples",
        )
    return openings


def named_labels(task: Task) -> list[tuple[int, int]]:
    """Return where the instruction names the labels: nothing unless it names each of them once.

    Parameters
    ----------
    task : Task

    Returns
    -------
    list of (start, stop)
        In the order of the text.

    Examples
    --------
    >>> task = Task("mood", labels=["bad", "fine"], prefix="Is it bad or fine?")
    >>> named_labels(task)
    [(6, 9), (13, 17)]
    >>> named_labels(Task("mood", labels=["bad", "fine"], prefix="Which mood is it?"))
    []
    """
    spans = []
    for label, name in zip(task.labels, task.class_names, strict=True):
        found = [
            [match.span() for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", task.prefix)]
            for word in dict.fromkeys((name, label))
        ]
        own = next((one for one in found if one), [])
        if len(own) != 1:
            return []
        spans += own
    spans.sort()
    apart = all(one[1] <= other[0] for one, other in zip(spans, spans[1:], strict=False))
    return spans if apart else []


def _with_labels(text: str, spans: Sequence[tuple[int, int]], order: Sequence[int]) -> str:
    """Return a text whose spans have changed places."""
    parts, end = [], 0
    for (start, stop), place in zip(spans, order, strict=True):
        parts += [text[end:start], text[slice(*spans[place])]]
        end = stop
    return "".join([*parts, text[end:]])


def _opening(task: Task, instruction: str, demonstrations: Sequence[Demonstration]) -> str:
    """Return the opening of a prompt with another instruction."""
    own = task.opening(demonstrations)
    return instruction + own[len(task.prefix) :]
