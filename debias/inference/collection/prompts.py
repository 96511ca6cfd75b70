"""From rows to prompts: labels checked once, and each prompt made to fit into the context.

Only texts are shortened: never the instruction, the demonstrations, the question or the label.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import NamedTuple

from debias.errors import ContextLengthError, param
from debias.inference.collection.collected_rows import TextRow
from debias.inference.engine import Engine
from debias.inference.generator_threads import generator_threads
from debias.inference.labels import check_labels
from debias.inference.texts.tasks import Demonstration, Task

_AT_ONCE = 1024


class Prompted(NamedTuple):
    """A row, its prompt, and whether its text was shortened for it."""

    row: TextRow
    prompt: str
    shortened: bool


def prompted_rows(
    engine: Engine,
    task: Task,
    demonstrations: Sequence[Demonstration],
    rows: Iterable[TextRow],
    *,
    too_long: str = "error",
    at_once: int = 1024,
) -> Iterator[Prompted]:
    r"""Yield rows with their prompts.

    Parameters
    ----------
    engine : Engine
    task : Task
    demonstrations : sequence of Demonstration
    rows : iterable of TextRow
    too_long : {"error", "truncate"}, default="error"
    at_once : int, default=1024
        Rows that are read and checked together.

    Yields
    ------
    Prompted

    Raises
    ------
    LabelError
        Labels cannot be told apart by their tokens.
    ContextLengthError
        Prompts do not fit into the context; the error has the first row of those read together.

    Examples
    --------
    >>> class Blind(Engine):
    ...     context_length, fingerprint = 10, {}
    ...
    ...     def continuation_logprobs(self, prompts, continuations): ...
    >>> task = Task("mood", labels=["bad", "good"])
    >>> next(prompted_rows(Blind(), task, [], [TextRow("0", "fine")])).prompt
    'fine\nAnswer:'
    """
    opening = task.opening(demonstrations)
    label_tokens = 0

    def fit(batch: list[TextRow], first_row: int) -> list[Prompted]:
        return _fitted(engine, task, opening, batch, label_tokens, too_long == "truncate", first_row)

    # While the engine answers some rows, the next are tokenised; they are read in the caller's own thread.
    with generator_threads(1) as ahead:
        source, n_rows = iter(rows), 0
        waiting: Future[list[Prompted]] | None = None
        while True:
            batch, failure = _read(source, at_once)
            coming = None
            if batch:
                label_tokens = label_tokens or _label_tokens(
                    engine, task, opening + task.question(batch[0].text)
                )
                coming = ahead.submit(fit, batch, n_rows)
                n_rows += len(batch)
            if waiting:
                yield from waiting.result()
            if failure:
                raise failure
            if not coming:
                return
            waiting = coming


def _read(source: Iterator[TextRow], at_once: int) -> tuple[list[TextRow], Exception | None]:
    """Read some rows; an error is raised when the rows before it are done."""
    try:
        return list(islice(source, at_once)), None
    except Exception as failure:
        return [], failure


def _fitted(
    engine: Engine,
    task: Task,
    opening: str,
    rows: list[TextRow],
    label_tokens: int,
    shorten: bool,
    first_row: int,
) -> list[Prompted]:
    """Return prompts that fit into the context with the longest label."""
    limit = engine.context_length - label_tokens
    prompts = [opening + task.question(row.text) for row in rows]
    lengths = _lengths(engine, prompts)
    too_long = [number for number, length in enumerate(lengths) if length > limit]
    if too_long and not shorten:
        first = too_long[0]
        raise ContextLengthError(
            f"the prompt has {lengths[first]} tokens, but the model has room for {limit} "
            f"({engine.context_length} minus {label_tokens} for the label); {len(too_long)} of {len(rows)} "
            "prompts are too long",
            row=first_row + first,
            received=lengths[first],
            fix=f"shorten the texts, use fewer demonstrations, or pass {param('too_long', repr('truncate'))}",
        )

    def fits(text: str) -> bool:
        return _lengths(engine, [opening + task.question(text)])[0] <= limit

    for number in too_long:
        text = _shortened(rows[number].text, task, fits, first_row + number)
        prompts[number] = opening + task.question(text)
    short = set(too_long)
    pairs = enumerate(zip(rows, prompts, strict=True))
    return [Prompted(row, prompt, number in short) for number, (row, prompt) in pairs]


def _lengths(engine: Engine, prompts: Sequence[str]) -> list[int]:
    """Return the tokens of each prompt; nothing where the engine cannot tell."""
    lengths: list[int] = []
    for start in range(0, len(prompts), _AT_ONCE):
        encoded = engine.encode(prompts[start : start + _AT_ONCE])
        if encoded is None:
            return []
        lengths.extend(map(len, encoded))
    return lengths


def _shortened(text: str, task: Task, fits: Callable[[str], bool], row: int) -> str:
    """Return the longest beginning of a text, up to the end of a word, that fits with what must stay."""
    body, tail = task.split_text(text)
    if tail and not tail[0].isspace():  # what keeps words apart stays, too
        tail = body[len(body.rstrip()) :] + tail
    words = [word.span() for word in re.finditer(r"\S+", body)]
    ends = [end for _, end in words]
    # A first word that is too long on its own (a text without spaces) is cut by letters.
    if words and not fits(body[: ends[0]] + tail):
        ends = list(range(words[0][0] + 1, ends[0]))
    n_fitting = bisect_left(ends, True, key=lambda end: not fits(body[:end] + tail))
    if not n_fitting:
        raise ContextLengthError(
            "the prompt does not fit into the context even without its text",
            row=row,
            fix="use fewer or shorter demonstrations, or a model with a longer context",
        )
    return body[: ends[n_fitting - 1]] + tail


def _label_tokens(engine: Engine, task: Task, prompt: str) -> int:
    """Return the tokens of the longest label, once all labels are known to be told apart."""
    if engine.encode([task.labels[0]]) is None:
        return 1

    def encode(batch: Sequence[str]) -> list[list[int]]:
        return engine.encode(batch) or []

    return max(len(tokens) for tokens in check_labels(encode, task.continuations, prompt))
