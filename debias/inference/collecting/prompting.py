"""From rows to prompts: labels checked once, and each prompt made to fit into the context."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from debias.inference.collecting.collected_rows import Row
from debias.inference.collecting.lengths import fit_texts
from debias.inference.engine import Engine
from debias.inference.labels import check_labels
from debias.inference.tasks import Demonstration, Task


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
    source, n_rows, label_tokens = iter(rows), 0, 0
    opening = task.opening(demonstrations)
    while batch := list(islice(source, at_once)):
        texts = [row.text for row in batch]
        label_tokens = label_tokens or _label_tokens(engine, task, task.prompt(texts[0], demonstrations))
        fitted, shortened = fit_texts(
            engine,
            task,
            texts,
            demonstrations,
            label_tokens=label_tokens,
            too_long=too_long,
            first_row=n_rows,
        )
        short = set(shortened)
        for number, (row, text) in enumerate(zip(batch, fitted, strict=True)):
            yield Prompted(row, opening + task.question(text), number in short)
        n_rows += len(batch)


def _label_tokens(engine: Engine, task: Task, prompt: str) -> int:
    """Tokens of the longest label, once all labels are known to be told apart."""
    if engine.encode([task.labels[0]]) is None:
        return 1

    def encode(batch: Sequence[str]) -> list[list[int]]:
        return engine.encode(batch) or []

    return max(len(tokens) for tokens in check_labels(encode, task.continuations, prompt).tokens)
