"""Asks a server for vectors of texts, and checks them before they are believed."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from debias.errors import EngineError
from debias.inference.openai.connection.concurrent_asking import ask_all
from debias.inference.openai.connection.server_answers import WrongAnswerError
from debias.inference.openai.connection.server_connection import Call, ServerConnection
from debias.inference.openai.openai_requests import TEXTS_AT_ONCE, most_tokens, same_model


def embed_all(connection: ServerConnection, model: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Ask for the vectors of texts, some of them in each request.

    Parameters
    ----------
    connection : ServerConnection
    model : str
        Its name on the server.
    texts : sequence of str, length n
        None of them empty: servers refuse that.

    Returns
    -------
    float32 array, shape (n, n_dimensions)

    Raises
    ------
    EngineError
        The server has no vectors, or gives no usable ones.
    """
    starts = range(0, len(texts), TEXTS_AT_ONCE)
    batches = [list(texts[start : start + TEXTS_AT_ONCE]) for start in starts]
    found: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32) for _ in batches]

    def ask(number: int, batch: list[str]) -> NDArray[np.float32]:
        first = number * TEXTS_AT_ONCE
        return connection.send(
            Call(
                "/embeddings",
                lambda content: read_vectors(content, len(batch), model),
                f"the vectors of texts[{first}:{first + len(batch)}]",
                {"model": model, "input": batch, "encoding_format": "float"},
                sum(map(most_tokens, batch)),
            )
        )

    ask_all(connection, batches, ask, found.__setitem__)
    lengths = sorted({vectors.shape[1] for vectors in found})
    if len(lengths) > 1:
        raise EngineError(
            f"the server returned vectors of {' and '.join(map(str, lengths))} numbers, but the vectors of "
            "one model have one length",
            received=lengths,
            fix="check whether its model was changed in between",
        )
    return np.concatenate(found)


def read_vectors(content: object, count: int, model: str) -> NDArray[np.float32]:
    """Return the vectors of an answer, in the order of the texts.

    Parameters
    ----------
    content : object
        The answer, parsed.
    count : int
        How many texts were sent.
    model : str
        Which model was asked.

    Returns
    -------
    float32 array, shape (count, n_dimensions)

    Raises
    ------
    WrongAnswerError
        They are not as many, not numbered, or not of finite numbers of one length.
    EngineError
        Another model answered.

    Examples
    --------
    >>> read_vectors({"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]}, 2, "m")
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    answer = content if isinstance(content, Mapping) else {}
    rows = answer.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise WrongAnswerError("it had no list of vectors")
    same_model(model, answer.get("model"))
    by_index = {str(row.get("index")): row.get("embedding") for row in rows}
    numbers = [str(number) for number in range(count)]
    if len(rows) != count or set(by_index) != set(numbers):
        raise WrongAnswerError(f"it had {len(rows)} vectors instead of {count}, or other numbers")
    try:
        array = np.array([by_index[number] for number in numbers], dtype=np.float32)
    except (TypeError, ValueError):
        raise WrongAnswerError("its vectors were not numbers, or differed in length") from None
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise WrongAnswerError(f"its vectors had the shape {array.shape}, or numbers that are not finite")
    return array
