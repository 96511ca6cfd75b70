"""Puts what a prompt lists into other orders: its demonstrations, and labels that its instruction names.

The opening of a prompt is the same for all rows, so each order is one opening: computed once by an
engine that keeps what prompts share.
"""

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from debias.errors import ParameterError
from debias.inference.texts.tasks import Demonstration, Task

_MARKS = r"[\s,;/|&\"'`*\u2018-\u201f\u2022\u00b7-]*"
_LISTED = re.compile(rf"{_MARKS}(?:\d{{1,2}}[.)]|[^\W\d_]{{1,5}})?{_MARKS}")
"""What stands between two labels of a plain list: marks, with a number or a short word at most, as "or"."""


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
    """Return where the instruction lists the labels: nothing unless it is a plain list of each of them once.

    In a list that says more, such as ``A. bad`` for the label A, a word that moved would mean another class.

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
    >>> named_labels(task.with_letters())
    []
    """
    spans: list[tuple[int, int]] = []
    for label, name in zip(task.labels, task.class_names, strict=True):
        # A label beside its name explains it, such as "A. bad" or "a: bad" for A.
        is_letter = len(label) == 1 < len(name)
        own = {*_places(name, task.prefix), *_places(label, task.prefix, is_letter)}
        if len(own) != 1:
            return []
        spans += own
    spans.sort()
    between = [task.prefix[one[1] : other[0]] for one, other in pairwise(spans)]
    apart = all(one[1] <= other[0] for one, other in pairwise(spans))
    return spans if apart and all(map(_LISTED.fullmatch, between)) else []


def _places(word: str, text: str, is_letter: bool = False) -> list[tuple[int, int]]:
    """Return where a text has a word; a letter that stands for another word counts in either case."""
    flags = re.IGNORECASE if is_letter else re.NOFLAG
    return [match.span() for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text, flags)]


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
