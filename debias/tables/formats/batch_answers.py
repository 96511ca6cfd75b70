"""Answers of a server that a user saved: the output of a batch of requests, or one answer a line.

Chat completions and completions with log-probabilities are read. A class gets the probability of the
tokens that begin its name and no other's; one that is not among the most probable tokens gets the
most that any unnamed token can have, as a collection through a server gives it.
"""

import math
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from debias.errors import TableError, param, shortened
from debias.tables.formats.json_records import read_rows
from debias.tables.labels.label_reading import did_you_mean, read_labels
from debias.tables.table_parts import TableParts

MOST_SHARED = 0.01
"""The most that a token may have which begins two classes, so that it can be left out."""

_ROUNDING = 0.01
"""How far above 1 the probabilities of tokens may sum, rounded or computed in half precision."""


def read_batch_answers(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
    labels: str | None = None,
    encoding: str = "utf-8",
) -> TableParts:
    """Read saved answers of a server, each with the most probable first tokens.

    Parameters
    ----------
    path : Path
        One answer a line, or a list of them.
    classes : sequence of str
        The words that were asked for, in the order wanted. Answers do not say which these are.
    id_column, label_column : str, optional
        Fields of a line that hold its id and its label; default: "custom_id" and "label", where they are.
    labels : {"name", "position"}, optional
        What labels are: class names, or positions of classes from 0; default: whatever fits.
    encoding : str, default="utf-8"
        Encoding of the file.

    Returns
    -------
    TableParts
        Normalised; the sum before is the label mass. Failed requests are left out, with a warning.

    Raises
    ------
    TableError
        `classes` is missing, two classes begin with the same token, an answer has no log-probabilities, or a
        field that was named is in no line.
    """
    if classes is None:
        raise TableError(
            "answers do not say which words are classes",
            file=path,
            parameter="classes",
            fix=f"pass {param('classes')}",
        )
    names = [str(name) for name in classes]
    records = read_rows(path, encoding)
    id_field = _field(path, records, "id_column", id_column, "custom_id")
    label_field = _field(path, records, "label_column", label_column, "label")
    kept, failed = [], []
    for row, record in enumerate(records):
        body = _body(record)
        if body is None:
            failed.append(str(record.get(id_field, row)))
        else:
            kept.append((row, record, body))
    if not kept:
        raise TableError("every request failed", file=path, received=failed)
    if failed:
        warnings.warn(
            f"{path}: {len(failed)} of {len(failed) + len(kept)} requests failed and were omitted: "
            f"{shortened(failed)}",
            stacklevel=2,
        )
    try:
        found = [_class_probabilities(_top_tokens(body, row), names, row) for row, _, body in kept]
    except TableError as error:
        raise error.at(file=path) from error
    values = np.array([one for one, _ in found])
    if not any(listed for _, listed in found):
        raise TableError(
            f"no answer has a token that begins one of the classes {shortened(names)}",
            file=path,
            parameter="classes",
            received=names,
        )
    mass = values.sum(axis=1)
    rows = [row for row, _, _ in kept]
    given = _complete(path, [record.get(label_field) for _, record, _ in kept], rows, "label", label_field)
    places: Any = None
    try:
        if given is not None:
            places = read_labels(given, names, labels, of_file=True, column=label_field)
    except TableError as error:
        raise error.in_row(None if error.row is None else rows[error.row]).at(file=path) from error
    return TableParts(
        values / mass[:, None],
        names,
        labels=None if places is None else [names[place] for place in places],
        ids=_complete(path, [record.get(id_field) for _, record, _ in kept], rows, "id", id_field),
        label_mass=mass,
        metadata={"format": "answers", "normalised": True},
    )


def _field(path: Path, records: list[dict[str, Any]], parameter: str, name: str | None, usual: str) -> str:
    """Return the field that was asked for, which a line must have, or the usual one."""
    fields = list(dict.fromkeys(field for record in records for field in record))
    if name is None or name in fields:
        return usual if name is None else name
    raise TableError(
        f"there is no field {shortened(name)}; the fields are {shortened(fields)}",
        parameter=parameter,
        received=name,
        file=path,
        fix=did_you_mean(name, fields),
    )


def _complete(path: Path, values: list[Any], rows: list[int], what: str, column: str) -> list[Any] | None:
    """Return one value for each row, None where no row has one; a row without one is refused."""
    missing = [value is None or value == "" for value in values]
    if all(missing):
        return None
    if any(missing):
        raise TableError(
            f"the {what} is missing, which other rows have",
            file=path,
            row=rows[missing.index(True)],
            column=column,
            fix=f"give each row its {what}, or omit the row",
        )
    return values


def _body(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return the answer itself, or None where the request failed."""
    if "choices" in record:
        return record
    response = record.get("response")
    if record.get("error") or not isinstance(response, dict) or response.get("status_code", 200) != 200:
        return None
    body = response.get("body")
    return body if isinstance(body, dict) else None


def _top_tokens(body: dict[str, Any], row: int) -> dict[str, float]:
    """Return the probabilities of the most probable first tokens."""
    try:
        found = body["choices"][0]["logprobs"]
        if "content" in found:
            first = found["content"][0]
            listed = [(one["token"], one["logprob"]) for one in first["top_logprobs"] or [first]]
        else:
            listed = list(found["top_logprobs"][0].items())
        tokens: dict[str, float] = {}
        for token, logprob in listed:
            if not isinstance(token, str) or isinstance(logprob, bool) or not logprob <= 1e-3:
                raise ValueError(f"{shortened(token)} has the log-probability {shortened(logprob)}")
            tokens[token] = tokens.get(token, 0.0) + math.exp(logprob)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TableError(
            f"the answer has no log-probabilities ({type(error).__name__}: {str(error)[:200]})",
            row=row,
            fix="ask for them: logprobs and top_logprobs of a chat completion, logprobs of a completion",
        ) from error
    total = sum(tokens.values())
    if total > 1 + _ROUNDING:
        raise TableError(
            f"the probabilities of its tokens sum to {total:.6g}, which is more than 1",
            received=total,
            row=row,
            fix="omit the answer, or request it again",
        )
    return tokens


def _class_probabilities(tokens: dict[str, float], names: list[str], row: int) -> tuple[list[float], bool]:
    """Return a probability for each class, and whether any of them is more than a bound."""
    found = dict.fromkeys(names, 0.0)
    plain = {name: _plain(name) for name in names}
    for token, probability in tokens.items():
        begun = _plain(token)
        begins = [name for name in names if begun and plain[name].startswith(begun)]
        if len(begins) > 1 and probability <= MOST_SHARED:
            continue
        if len(begins) > 1:
            raise TableError(
                f"the classes {begins[0]!r} and {begins[1]!r} begin with the same token {token!r}, so that "
                "no first token tells them apart",
                parameter="classes",
                received=begins,
                row=row,
            )
        for name in begins:
            found[name] += probability
    bound = min(min(tokens.values(), default=1.0), max(1 - sum(tokens.values()), 0.0) + 1e-5)
    return [found[name] or bound for name in names], any(found.values())


def _plain(text: str) -> str:
    """Return a token or name without outer spaces, each letter with its marks as one character."""
    return unicodedata.normalize("NFC", text.strip())
