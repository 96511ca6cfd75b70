"""Answers become a table: blocks of one size, however rows were answered, so that the file is the same."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

import numpy as np
from scipy.special import logsumexp

from debias.errors import EngineError, ParameterError
from debias.inference.collection.collected_rows import TextRow
from debias.inference.collection.collection_facts import CollectionFacts
from debias.inference.collection.questions import Answered
from debias.inference.engine import FloatArray
from debias.tables.checks import check_metadata, check_parts
from debias.tables.table_parts import TableParts

ROWS_PER_BLOCK = 8192


def table_blocks(
    answers: Iterable[Answered],
    class_names: Sequence[str],
    facts: CollectionFacts,
    advance: Callable[[int], object] = lambda n_rows: None,
) -> Generator[TableParts, None, None]:
    """Yield a table in blocks of one size, and count what there is to know about it.

    Parameters
    ----------
    answers : iterable of Answered
        All rows in their order.
    class_names : sequence of str, length K
    facts : CollectionFacts
        Counts rows and answers.
    advance : callable, optional
        Called with the number of rows that are done since the last call.

    Yields
    ------
    TableParts
        Checked rows, without metadata.

    Raises
    ------
    EngineError
        No label of a row got any probability.
    ParameterError
        There is no row.
    """
    collected: list[TextRow] = []
    scores: list[FloatArray] = []
    masses: list[FloatArray] = []
    for some in answers:
        advance(len(some.rows))
        facts.add_rows(some)
        collected += [one.row for one in some.rows]
        scores.append(some.logprobs)
        masses.append(_label_mass(some))
        while len(collected) >= ROWS_PER_BLOCK:
            first, rest = slice(ROWS_PER_BLOCK), slice(ROWS_PER_BLOCK, None)
            joined, mass = np.concatenate(scores), np.concatenate(masses)
            yield table_block(collected[first], joined[first], mass[first], class_names, facts)
            collected, scores, masses = collected[rest], [joined[rest]], [mass[rest]]
    if collected:
        yield table_block(collected, np.concatenate(scores), np.concatenate(masses), class_names, facts)
    if not facts.n_rows:
        raise ParameterError(parameter="rows", allowed="an iterable of at least one row")


def table_block(
    rows: Sequence[TextRow],
    scores: FloatArray,
    label_mass: FloatArray,
    class_names: Sequence[str],
    facts: CollectionFacts,
) -> TableParts:
    """Return some rows with their normalised class probabilities, checked.

    Parameters
    ----------
    rows : sequence of TextRow, length n
    scores : float64 array, shape (n, K)
        Natural logarithms, not normalised.
    label_mass : float64 array, shape (n,)
        What all labels together got.
    class_names : sequence of str, length K
    facts : CollectionFacts
        Counts the label mass.

    Returns
    -------
    TableParts

    Raises
    ------
    EngineError
        No label of a row got any probability.
    """
    impossible = np.isneginf(scores).all(axis=1)
    if impossible.any():
        row = rows[int(np.argmax(impossible))]
        raise EngineError(
            f"none of the labels got any probability after the text {row.text[:60]!r} (id {row.id!r}),"
            " so they cannot be compared",
            received=row.id,
            fix="omit the row, or change the labels",
        )
    facts.add_mass(label_mass)
    labelled = rows[0].label is not None
    parts = TableParts(
        np.exp(scores - logsumexp(scores, axis=1)[:, None]),
        class_names,
        labels=np.array([row.label for row in rows], dtype=object) if labelled else None,
        ids=np.array([row.id for row in rows], dtype=object),
        texts=np.array([row.text for row in rows], dtype=object),
        label_mass=np.minimum(label_mass, 1.0),
    )
    return check_parts(parts, normalise=True)


def _label_mass(some: Answered) -> FloatArray:
    """Return what all labels together got, row by row."""
    return np.exp(logsumexp(some.logprobs, axis=1)) if some.label_mass is None else some.label_mass


def about_table(
    class_names: Sequence[str],
    known: Mapping[str, object],
    decides: Mapping[str, object],
    facts: CollectionFacts,
) -> TableParts:
    """Return what a table says about itself; no rows.

    Parameters
    ----------
    class_names : sequence of str, length K
    known : mapping
        What the table was made with.
    decides : mapping
        Of :func:`answer_settings`.
    facts : CollectionFacts
        Of all rows.

    Returns
    -------
    TableParts
    """
    settings = {**decides, "data": facts.data.settings()}
    metadata = {**known, "collection": settings, **facts.counts(), "normalised": True}
    empty = np.empty((0, len(class_names)))
    return TableParts(empty, class_names, metadata=check_metadata(metadata), ids_given=facts.ids_given)
