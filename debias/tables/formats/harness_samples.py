"""The ``samples_*.jsonl`` that lm-evaluation-harness logs for multiple-choice tasks (0.4).

A line is one document: ``doc``, ``target`` and, per choice, ``arguments`` (context, continuation)
and ``resps``, a list of repeats [log-likelihood, is greedy]. Class probabilities are the softmax
over choices of the log-likelihoods; the label mass is the sum of their exponentials. Choices that
stand in another order from one document to the next are matched by name, capitals aside.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from debias.errors import ParameterError, TableError, param, shortened
from debias.rows.bounded_json import parse_json
from debias.tables.formats.cells.plain_text import decode
from debias.tables.table_parts import TableParts

LARGEST_LOG_LIKELIHOOD = 1e-3
"""How far above 0 a log-likelihood may lie: room for sums in half precision."""


class Sample(NamedTuple):
    """One line: its place in the file, log-likelihoods and continuations per choice, and the line itself."""

    row: int
    log_likelihoods: list[float]
    choices: list[str] | None
    record: dict[str, Any]


def read_harness_samples(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    text_field: str | None = None,
    filter: str | None = None,
    targets: str = "auto",
) -> TableParts:
    """Read logged samples of a multiple-choice task.

    Parameters
    ----------
    path : Path
        The file.
    classes : sequence of str, optional
        Class names in the order of the choices, or the choices in the order wanted; default: the
        choices themselves, without white space around them, or "0", "1", ... where they differ from
        one document to the next.
    text_field : str, optional
        Field of ``doc`` that holds the text; default: no texts.
    filter : str, optional
        Keep the lines of this filter; default: that of the first line.
    targets : {"auto", "index", "choice"}, default="auto"
        Whether ``target`` is the position of the right choice (False and True are 0 and 1) or the
        choice itself. "auto" refuses where it could be either.

    Returns
    -------
    TableParts
        The contents, normalised. Ids are fingerprints of ``doc``, so that the same document is
        found again in another file.

    Raises
    ------
    TableError
        A line is cut or damaged, or is no multiple-choice sample with one right choice: the error
        has the file, and the line as its row.
    ParameterError
        `targets` is something else.
    """
    if targets not in ("auto", "index", "choice"):
        raise ParameterError(
            parameter="targets", allowed="one of 'auto', 'index', 'choice'", received=targets
        )
    try:
        samples = [_sample(row, record) for row, record in _records(path, filter)]
        return _parts(path, samples, classes, text_field, targets)
    except TableError as error:
        raise error.at(file=path) from error


def _parts(
    path: Path, samples: list[Sample], classes: Sequence[str] | None, text_field: str | None, targets: str
) -> TableParts:
    """Return the contents of samples that are alike."""
    n_classes = len(samples[0].log_likelihoods)
    for sample in samples:
        if len(sample.log_likelihoods) != n_classes:
            raise TableError(
                f"{len(sample.log_likelihoods)} choices, but {n_classes} in the first one; a table has one"
                " column per class",
                row=sample.row,
            )
    labels = _label_positions(samples, targets)
    names, orders = _class_order(samples, classes)
    log_likelihoods = np.array([sample.log_likelihoods for sample in samples])
    log_likelihoods = np.take_along_axis(log_likelihoods, orders, axis=1)
    mass = logsumexp(log_likelihoods, axis=1, keepdims=True)
    return TableParts(
        probabilities=np.exp(log_likelihoods - mass),
        classes=names,
        labels=[names[int(np.argmax(order == k))] for order, k in zip(orders, labels, strict=True)],
        ids=_document_ids(samples),
        texts=None if text_field is None else [_text(sample, text_field) for sample in samples],
        label_mass=np.exp(mass[:, 0]),
        metadata=_metadata(path, samples[0].record),
        ids_given="doc" in samples[0].record,
    )


def _records(path: Path, filter: str | None) -> list[tuple[int, dict[str, Any]]]:
    """Return the lines of one filter as JSON objects, each with its place in the file."""
    records: list[tuple[int, dict[str, Any]]] = []
    for row, line in enumerate(line for line in decode(path).split("\n") if line.strip()):
        try:
            record = parse_json(line)
        except ValueError as error:
            raise TableError(
                f"the line is not complete JSON ({error}); the file is cut short or damaged", row=row
            ) from error
        missing = [key for key in ("resps", "target") if not isinstance(record, dict) or key not in record]
        if missing:
            raise TableError(
                f"the line has no {missing[0]!r}; it is not a logged sample of lm-evaluation-harness", row=row
            )
        records.append((row, record))
    wanted = records[0][1].get("filter") if filter is None else filter
    kept = [(row, record) for row, record in records if record.get("filter") == wanted]
    if not kept:
        found = sorted({str(record.get("filter")) for _, record in records})
        raise TableError(
            f"no sample has the filter {wanted!r}; the file has {shortened(found)}",
            parameter="filter",
            received=wanted,
        )
    return kept


def _sample(row: int, record: dict[str, Any]) -> Sample:
    """Return log-likelihoods and continuations, without those that mutual information adds."""
    responses, pairs = record["resps"], _argument_pairs(record.get("arguments"))
    if not isinstance(responses, list) or len(responses) < 2:
        if _generates(record):
            raise _generated(row, responses)
        raise TableError("a sample needs two or more choices", row=row, received=responses)
    values = [_log_likelihood(row, choice, response) for choice, response in enumerate(responses)]
    half = len(values) // 2
    names_it = "acc_mutual_info" in record and len(values) == 2 * half >= 4
    if pairs is None or len(pairs) != len(values):
        choices, values = None, values[:half] if names_it else values
    else:
        choices = [continuation.strip() for _, continuation in pairs]
        no_context = not any(context.strip() for context, _ in pairs[half:])
        if half >= 2 and no_context and (names_it or choices[:half] == choices[half:]):
            values, choices = values[:half], choices[:half]
    if not np.isfinite(values).any():
        raise TableError("no choice has a log-likelihood above -inf", row=row, received=values)
    return Sample(row, values, choices, record)


def _argument_pairs(arguments: Any) -> list[tuple[str, str]] | None:
    """Return (context, continuation) per choice, or None where they were not logged."""
    pairs = _arguments(arguments)
    if not pairs or not all(isinstance(part, str) for pair in pairs for part in pair):
        return None
    return [(str(context), str(continuation)) for context, continuation in pairs]


def _arguments(arguments: Any) -> list[tuple[Any, Any]]:
    """Return the two arguments of every request."""
    if isinstance(arguments, dict):
        ordered = [arguments.get(f"gen_args_{position}") for position in range(len(arguments))]
        return [(a.get("arg_0"), a.get("arg_1")) if isinstance(a, dict) else (None, None) for a in ordered]
    if isinstance(arguments, list):
        return [(a[0], a[1]) if isinstance(a, list) and len(a) >= 2 else (None, None) for a in arguments]
    return []


def _generates(record: dict[str, Any]) -> bool:
    """Tell whether a request asked for text: its second argument says when to stop."""
    return any(isinstance(second, dict) for _, second in _arguments(record.get("arguments"))) or isinstance(
        _first(_first(record["resps"])), str
    )


def _first(value: Any) -> Any:
    """Return the first item of a list, or what is no list."""
    return value[0] if isinstance(value, list) and value else value


def _generated(row: int, received: Any) -> TableError:
    """Return the error of a task that has no choices."""
    return TableError(
        f"the task generates text ({shortened(received)}); only multiple-choice tasks have class "
        "probabilities",
        row=row,
        received=received,
    )


def _log_likelihood(row: int, choice: int, response: Any) -> float:
    """Return the log-likelihood of the first repeat; numbers may be strings, pairs too."""
    value = _first(_first(response))
    try:
        number = float(value.strip("() ").split(",")[0] if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(value, str):
            raise _generated(row, response) from error
        raise TableError(
            f"choice {choice}: {shortened(response)} contains no log-likelihood", row=row, received=response
        ) from error
    if isinstance(value, bool) or np.isnan(number) or number > LARGEST_LOG_LIKELIHOOD:
        raise TableError(
            f"choice {choice}: {number} is not a log-likelihood, which is at most 0",
            row=row,
            received=number,
        )
    return number


def _class_order(samples: list[Sample], classes: Sequence[str] | None) -> tuple[list[str], np.ndarray]:
    """Return the names of the classes and, for every sample, the choice that each of them is."""
    n_classes = len(samples[0].log_likelihoods)
    as_they_stand = np.tile(np.arange(n_classes), (len(samples), 1))
    given = None if classes is None else [str(name) for name in classes]
    if given is not None and len(given) != n_classes:
        raise TableError(
            f"{n_classes} choices per sample, but classes names {len(given)}: {shortened(given)}",
            parameter="classes",
            received=given,
        )
    orders: dict[frozenset[str], set[tuple[str, ...]]] = {}
    by_name, plain = True, _how_to_compare(samples)
    for sample in samples:
        choices = tuple(map(plain, sample.choices or ()))
        by_name = by_name and len(set(choices)) == n_classes and "" not in choices
        orders.setdefault(frozenset(choices), set()).add(choices)
    shuffled = any(len(seen) > 1 for seen in orders.values())
    if not by_name or len(orders) > 1:
        if shuffled:
            raise TableError(
                "the same choices appear in different orders, and other documents have other choices: no "
                "column can represent one class",
                received=sorted(map(list, next(seen for seen in orders.values() if len(seen) > 1)))[:2],
                fix="keep the documents that share their choices",
            )
        return given or [str(position) for position in range(n_classes)], as_they_stand
    first = list(samples[0].choices or ())
    if given is None or set(map(plain, given)) != set(map(plain, first)):
        if given is not None and shuffled:
            raise TableError(
                f"the choices appear in different orders, so classes must be their names {shortened(first)}",
                parameter="classes",
                received=given,
            )
        _refuse_moved(given or first, first, plain)
        wanted, names = first, given or first
    else:
        wanted = names = given
    orders_found = [[[*map(plain, s.choices or ())].index(plain(name)) for name in wanted] for s in samples]
    return names, np.array(orders_found)


def _refuse_moved(names: list[str], choices: list[str], plain: Callable[[str], str]) -> None:
    """Refuse names in the order of the choices, of which one is another choice."""
    places = {plain(choice): place for place, choice in enumerate(choices)}
    moved = [name for place, name in enumerate(names) if places.get(plain(name), place) != place]
    if moved:
        raise TableError(
            f"class {shortened(moved[0])} is a choice at a different position; the choices are "
            f"{shortened(choices)}",
            parameter="classes",
            received=names,
            fix="list the choices themselves, in any order, or other names in their order",
        )


def _how_to_compare(samples: list[Sample]) -> Callable[[str], str]:
    """Return what is compared of choices: not case and spaces, unless these tell two of a sample apart."""

    def plain(choice: str) -> str:
        return " ".join(unicodedata.normalize("NFKC", choice).split()).casefold()

    for sample in samples:
        choices = set(sample.choices or ())
        if len(set(map(plain, choices))) < len(choices):
            return str
    return plain


def _label_positions(samples: list[Sample], targets: str) -> list[int]:
    """Return the right choice of each sample, as a position among its own choices."""
    by_index = [_as_index(sample) for sample in samples]
    by_choice = [_as_choice(sample) for sample in samples]
    if targets == "auto" and None not in by_index and None not in by_choice and by_index != by_choice:
        raise TableError(
            f"the target {shortened(samples[0].record['target'])} could be a position or a choice",
            parameter="targets",
            received=samples[0].record["target"],
            row=samples[0].row,
            fix=f"pass {param('targets', repr('index'))} or {param('targets', repr('choice'))}",
        )
    positions = min(by_index, by_choice, key=lambda found: found.count(None))
    if targets != "auto":
        positions = by_index if targets == "index" else by_choice
    if None in positions:
        sample = samples[positions.index(None)]
        choices = sample.choices or [str(position) for position in range(len(sample.log_likelihoods))]
        raise TableError(
            f"the target {shortened(sample.record['target'])} is not one of the choices "
            f"{shortened(choices)}; a table needs one right choice per sample",
            received=sample.record["target"],
            row=sample.row,
        )
    return [position for position in positions if position is not None]


def _as_index(sample: Sample) -> int | None:
    """Read the target as a position, which may be a whole number of any kind or a truth value."""
    text = str(sample.record["target"]).strip()
    text = {"False": "0", "True": "1"}.get(text, re.sub(r"\.0*$", "", text))
    short = text.isdecimal() and len(text) < 10
    return int(text) if short and int(text) < len(sample.log_likelihoods) else None


def _as_choice(sample: Sample) -> int | None:
    """Read the target as one of the choices."""
    text = str(sample.record["target"]).strip()
    choices = sample.choices or []
    return choices.index(text) if choices.count(text) == 1 else None


def _document_ids(samples: list[Sample]) -> list[str]:
    """Return fingerprints of the documents; a repeated document gets a number after it."""
    if any("doc" not in sample.record for sample in samples):
        return [str(row) for row in range(len(samples))]
    seen: Counter[str] = Counter()
    ids = []
    for sample in samples:
        text = json.dumps(sample.record["doc"], sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return ids


def _text(sample: Sample, text_field: str) -> str:
    """Return a field of the document."""
    document = sample.record.get("doc")
    if not isinstance(document, dict) or not isinstance(document.get(text_field), str):
        fields = list(document) if isinstance(document, dict) else document
        raise TableError(
            f"'doc' has no text {text_field!r}; it has {shortened(fields)}",
            parameter="text_field",
            received=text_field,
            row=sample.row,
        )
    return str(document[text_field])


def _metadata(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return what file name and sample say about the origin."""
    name = re.fullmatch(r"samples_(.+?)(_\d{4}-\d\d-\d\dT.*)?", path.stem)
    facts = {"format": "lm-eval", "normalised": True, "filter": record.get("filter")}
    return facts | ({"task": name[1]} if name else {})
