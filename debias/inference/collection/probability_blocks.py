"""From answered rows to blocks of a probability table, each as large as fits well into memory.

Blocks have the same number of rows however rows were answered, so that the same answers make the same file.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.special import logsumexp

from debias.errors import EngineError
from debias.inference.collection.asking import Answered
from debias.inference.collection.collected_rows import Row
from debias.inference.collection.collection_facts import Outcome
from debias.inference.engine import FloatArray
from debias.tables.checks import check_parts
from debias.tables.table_parts import TableParts

ROWS_PER_BLOCK = 8192


def probability_blocks(
    answered: Iterable[Answered], classes: tuple[str, ...], outcome: Outcome
) -> Iterator[TableParts]:
    """Yield normalised class probabilities, in blocks, and count what there is to know about them.

    Parameters
    ----------
    answered : iterable of Answered
    classes : tuple of str, length K
    outcome : Outcome
        Counts every row.

    Yields
    ------
    TableParts
        Checked.

    Raises
    ------
    EngineError
        No label of a row got any probability.
    """
    rows: list[Row] = []
    scores: list[FloatArray] = []
    for block in answered:
        outcome.add_rows(block)
        rows += [one.row for one in block.rows]
        scores.append(block.answers.logprobs)
        while len(rows) >= ROWS_PER_BLOCK:
            joined = np.concatenate(scores)
            yield _probabilities(rows[:ROWS_PER_BLOCK], joined[:ROWS_PER_BLOCK], classes, outcome)
            rows, scores = rows[ROWS_PER_BLOCK:], [joined[ROWS_PER_BLOCK:]]
    if rows:
        yield _probabilities(rows, np.concatenate(scores), classes, outcome)


def _probabilities(
    rows: list[Row], scores: FloatArray, classes: tuple[str, ...], outcome: Outcome
) -> TableParts:
    """Class probabilities of some rows."""
    impossible = np.isneginf(scores).all(axis=1)
    if impossible.any():
        row = rows[int(np.argmax(impossible))]
        raise EngineError(
            f"the row with the id {row.id!r} gave none of the labels any probability"
            f" (text {row.text[:60]!r}): they cannot be compared; leave it out, or change the labels"
        )
    mass = logsumexp(scores, axis=1)
    outcome.add_mass(np.exp(mass))
    labelled = rows[0].label is not None
    parts = TableParts(
        np.exp(scores - mass[:, None]),
        classes,
        labels=np.array([row.label for row in rows], dtype=object) if labelled else None,
        ids=np.array([row.id for row in rows], dtype=object),
        texts=np.array([row.text for row in rows], dtype=object),
        label_mass=np.minimum(np.exp(mass), 1.0),
    )
    return check_parts(parts, normalise=True)
