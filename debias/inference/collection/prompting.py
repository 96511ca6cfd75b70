"""From rows to prompts: labels checked once, and each prompt made to fit into the context."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from debias.inference.collection.collected_rows import Row
from debias.inference.collection.prompt_lengths import fit_texts
from debias.inference.engine import Engine
from debias.inference.labels import check_labels
from debias.inference.texts.tasks import Demonstration, Task


class Prompted(NamedTuple):
    """A row, its prompt, and whether its text was shortened for it."""

    row: Row
    prompt: str
    shortened: bool


def prompted_rows(
    engine: Engine,
    task: Task,
    demonstrations: Sequence[Demonstration],
    rows: Iterable[Row],
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
    rows : iterable of Row
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
        Prompts do not fit into the context; the message names the first rows of those read together.

    Examples
    --------
    >>> class Blind(Engine):
    ...     context_length, fingerprint = 10, {}
    ...
    ...     def continuation_logprobs(self, prompts, continuations): ...
    >>> task = Task("mood", labels=["bad", "good"])
    >>> next(prompted_rows(Blind(), task, [], [Row("0", "fine")])).prompt
    'fine\nAnswer:'
    """
    opening = task.opening(demonstrations)
    label_tokens = 0

    def fit(batch: list[Row], first_row: int) -> tuple[list[str], list[int]]:
        texts = [row.text for row in batch]
        return fit_texts(
            engine,
            task,
            texts,
            demonstrations,
            label_tokens=label_tokens,
            too_long=too_long,
            first_row=first_row,
        )

    # While the engine answers some rows, the next are tokenised; they are read in the caller's own thread.
    with ThreadPoolExecutor(1) as ahead:
        source, n_rows = iter(rows), 0
        waiting: tuple[list[Row], Future[tuple[list[str], list[int]]]] | None = None
        while True:
            batch, failure = _read(source, at_once)
            coming = None
            if batch:
                first = task.prompt(batch[0].text, demonstrations)
                label_tokens = label_tokens or _label_tokens(engine, task, first)
                coming = batch, ahead.submit(fit, batch, n_rows)
                n_rows += len(batch)
            if waiting:
                yield from _with_prompts(*waiting, task, opening)
            if failure:
                raise failure
            if not coming:
                return
            waiting = coming


def _read(source: Iterator[Row], at_once: int) -> tuple[list[Row], Exception | None]:
    """Read some rows; what is wrong with one is said once those before it are done with."""
    try:
        return list(islice(source, at_once)), None
    except Exception as failure:
        return [], failure


def _with_prompts(
    batch: list[Row], fitted: "Future[tuple[list[str], list[int]]]", task: Task, opening: str
) -> Iterator[Prompted]:
    """Yield rows with the prompts of their texts as they were made to fit."""
    texts, shortened = fitted.result()
    short = set(shortened)
    for number, (row, text) in enumerate(zip(batch, texts, strict=True)):
        yield Prompted(row, opening + task.question(text), number in short)


def _label_tokens(engine: Engine, task: Task, prompt: str) -> int:
    """Tokens of the longest label, once all labels are known to be told apart."""
    if engine.encode([task.labels[0]]) is None:
        return 1

    def encode(batch: Sequence[str]) -> list[list[int]]:
        return engine.encode(batch) or []

    return max(len(tokens) for tokens in check_labels(encode, task.continuations, prompt).tokens)
