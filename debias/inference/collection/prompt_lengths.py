"""Makes prompts fit into the context of the model: by refusing, or by shortening texts alone."""

import re
from collections.abc import Callable, Sequence

from debias.errors import ContextLengthError, ParameterError
from debias.inference.engine import Engine
from debias.inference.texts.tasks import Task

_CHOICES = ("error", "truncate")
_AT_ONCE = 1024


def fit_texts(
    engine: Engine,
    task: Task,
    texts: Sequence[str],
    demonstrations: Sequence[tuple[str, ...]] = (),
    *,
    label_tokens: int = 1,
    too_long: str = "error",
    first_row: int = 0,
) -> tuple[list[str], list[int]]:
    """Return texts whose prompts fit into the context, and the rows that were shortened.

    Only the text is shortened, at its end and between words: never the instruction, the
    demonstrations, the words that ask for the answer, a question at the end of the text
    (see :meth:`Task.split_text`), or the label.

    Parameters
    ----------
    engine : Engine
        Without its own :meth:`Engine.encode` the texts are returned as they are.
    task : Task
    texts : sequence of str, length n
    demonstrations : sequence of Demonstration
    label_tokens : int, default=1
        Tokens to keep free for the longest label.
    too_long : {"error", "truncate"}, default="error"
    first_row : int, default=0
        Number of the first text among all rows, for messages.

    Returns
    -------
    texts : list of n str
    shortened : list of int
        Row numbers.

    Raises
    ------
    ContextLengthError
        When prompts are too long and ``too_long`` is "error", or no text at all would fit.
    ParameterError
        When ``too_long`` is not allowed.

    Examples
    --------
    >>> class Letters(Engine):
    ...     context_length, fingerprint = 20, {}
    ...
    ...     def continuation_logprobs(self, prompts, continuations): ...
    ...     def encode(self, texts):
    ...         return [[ord(c) for c in text] for text in texts]
    >>> task = Task("t", labels=["a", "b"], answer_prefix="A: ")
    >>> fit_texts(Letters(), task, ["a word or two more ?", "short"], label_tokens=2, too_long="truncate")
    (['a word or two ?', 'short'], [0])
    """
    if too_long not in _CHOICES:
        raise ParameterError(f"too_long is {too_long!r}; allowed are {', '.join(map(repr, _CHOICES))}")
    limit = engine.context_length - label_tokens
    lengths = _lengths(engine, [task.prompt(text, demonstrations) for text in texts])
    rows = [row for row, length in enumerate(lengths) if length > limit]
    if rows and too_long == "error":
        named = ", ".join(f"row {first_row + row} ({lengths[row]} tokens)" for row in rows[:5])
        raise ContextLengthError(
            f"{len(rows)} of {len(texts)} prompts have more than the {limit} tokens that the model has"
            f" for them ({engine.context_length} less {label_tokens} for the label), first {named};"
            " shorten the texts, use fewer demonstrations, or give too_long='truncate' (--too-long truncate)"
        )
    fitted = list(texts)
    for row in rows:

        def fits(text: str) -> bool:
            return _lengths(engine, [task.prompt(text, demonstrations)])[0] <= limit

        fitted[row] = _shorten(texts[row], task, fits, first_row + row)
    return fitted, rows


def _lengths(engine: Engine, prompts: Sequence[str]) -> list[int]:
    """Tokens of each prompt; none where the engine cannot tell."""
    lengths: list[int] = []
    for start in range(0, len(prompts), _AT_ONCE):
        encoded = engine.encode(prompts[start : start + _AT_ONCE])
        if encoded is None:
            return []
        lengths.extend(map(len, encoded))
    return lengths


def _shorten(text: str, task: Task, fits: Callable[[str], bool], row: int) -> str:
    """Longest beginning of the text, up to the end of a word, that fits with what must stay."""
    body, tail = task.split_text(text)
    ends = [word.end() for word in re.finditer(r"\S+", body)]
    # A first word that is too long on its own (a text without spaces) is cut by letters.
    if ends and not fits(body[: ends[0]] + tail):
        ends = list(range(1, ends[0]))
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(body[: ends[middle - 1]] + tail):
            low = middle
        else:
            high = middle - 1
    if low == 0:
        raise ContextLengthError(
            f"row {row}: the prompt does not fit into the context even without its text; use fewer or shorter"
            " demonstrations, or a model with a longer context"
        )
    return body[: ends[low - 1]] + tail
