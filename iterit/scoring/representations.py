"""Records as vectors: means of a model's last hidden states, later tokens weighted more.

Token t of n, the first is 1, has the weight t / (1 + ... + n): in a causal model later tokens have seen
more of the record (Muennighoff, "SGPT", arXiv 2202.08904; Ivison et al., "Large-Scale Data Selection for
Instruction Tuning", arXiv 2503.01807, select records by such vectors).
"""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from debias.console.progress import counted_progress
from debias.errors import EngineError, ParameterError
from debias.inference.engine import Engine
from iterit.records.instruction_records import Records
from iterit.row_numbers import row_numbers
from iterit.scoring.answer_likelihoods import takes_tokens
from iterit.scoring.score_run import encoded_items, scored_together, template_of, token_limit
from iterit.templates.encoding import EncodedRecords
from iterit.templates.template import Template, check_some_taken

if TYPE_CHECKING:
    from debias.inference.transformers.transformers_engine import TransformersEngine

VectorArray = NDArray[np.float32]


def record_vectors(
    records: Records,
    engine: Engine,
    *,
    template: Template | None = None,
    rows: ArrayLike | None = None,
    max_tokens: int | None = None,
    encoded: EncodedRecords | None = None,
    show_progress: bool = True,
) -> VectorArray:
    """Return records as vectors: position-weighted means of a model's last hidden states.

    Parameters
    ----------
    records : Records
    engine : Engine
        One that has hidden states: a TransformersEngine.
    template : Template, optional
        That of the engine's tokenizer if omitted.
    rows : sequence of int, optional
        Which records; all if omitted.
    max_tokens : int, optional
        Longer records are cut at their ends; the engine's context if omitted.
    encoded : EncodedRecords, optional
        The records as tokens, where they are at hand.
    show_progress : bool, default=True

    Returns
    -------
    float32 array, shape (n, n_dimensions)
        In the order of ``rows``, not scaled to a length; nan for a record that the template cannot take.

    Raises
    ------
    EngineError
        The engine has no hidden states.
    ParameterError
        A parameter is not allowed, or the template has another tokenizer than the engine.
    RecordsError
        The template cannot take any of the records.

    Examples
    --------
    >>> vectors = record_vectors(records, TransformersEngine("demo"))  # doctest: +SKIP
    >>> query_similarities(vectors, record_vectors(query, engine)).max(axis=1)  # doctest: +SKIP
    """
    if not hasattr(engine, "weighted_states"):
        raise EngineError(
            f"{type(engine).__name__} has no hidden states",
            parameter="engine",
            received=type(engine).__name__,
            fix="use a TransformersEngine, or vectors of texts from sentence_embeddings",
        )
    template = template or template_of(engine)
    if not takes_tokens(engine, template):
        raise ParameterError(
            "the template and the engine have different tokenizers",
            parameter="template",
            received=template.name,
            fix="omit it, or make it with the engine's tokenizer",
        )
    limit = token_limit(engine, max_tokens)
    numbers = np.arange(len(records)) if rows is None else row_numbers(rows, len(records))
    wanted = [*dict.fromkeys(numbers.tolist())]
    held = encoded if encoded is not None else template.encode_all(records, wanted)
    refused = {row: held.refused[row] for row in wanted if row in held.refused}
    check_some_taken(refused, len(wanted))
    items = encoded_items(records, template, [row for row in wanted if row not in refused], limit, held)
    found: dict[int, VectorArray] = {}
    with counted_progress(
        "vectors, tokens", sum(len(one.encoded) for one in items), show_progress
    ) as advance:
        for chunk in scored_together(items, engine, alone=False):
            sequences = [item.encoded.input_ids for item in chunk]
            weights = [np.arange(1.0, len(tokens) + 1) for tokens in sequences]
            vectors = cast("TransformersEngine", engine).weighted_states(sequences, weights)
            found |= {item.row: vector for item, vector in zip(chunk, vectors, strict=True)}
            advance(sum(map(len, sequences)))
    if not found:
        return cast("Any", engine).weighted_states([])
    nothing = np.full(len(next(iter(found.values()))), np.nan, np.float32)
    return np.stack([found.get(row, nothing) for row in numbers.tolist()])


def query_similarities(vectors: ArrayLike, query_vectors: ArrayLike) -> VectorArray:
    """Return the cosine similarity of each record to each query record.

    Parameters
    ----------
    vectors : array-like, shape (n, n_dimensions)
    query_vectors : array-like, shape (n_query, n_dimensions)

    Returns
    -------
    float32 array, shape (n, n_query)
        nan where a vector is nan or has no length.

    Raises
    ------
    ParameterError
        An array has not two dimensions, or they have not the same number of columns.

    Examples
    --------
    >>> query_similarities([[1, 0], [3, 4]], [[0, 2]])
    array([[0. ],
           [0.8]], dtype=float32)
    >>> query_similarities([[1, 0]], [[1, 0, 0]])
    Traceback (most recent call last):
    debias.errors.ParameterError: query_vectors must be an array of shape (n_query, 2), got shape (1, 3).
    """
    pool, query = np.asarray(vectors, np.float32), np.asarray(query_vectors, np.float32)
    for name, array, rows, columns in (
        ("vectors", pool, "n", "n_dimensions"),
        ("query_vectors", query, "n_query", pool.shape[-1] if pool.ndim == 2 else "n_dimensions"),
    ):
        if array.ndim != 2 or (name == "query_vectors" and array.shape[1] != columns):
            raise ParameterError(
                f"{name} must be an array of shape ({rows}, {columns}), got shape {array.shape}",
                parameter=name,
                received=array.shape,
            )
    return _unit(pool) @ _unit(query).T


def _unit(vectors: VectorArray) -> VectorArray:
    """Scale rows to length 1; nan where there is none."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(lengths > 0, vectors / lengths, np.nan), np.float32)
