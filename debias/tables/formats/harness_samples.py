"""The ``samples_*.jsonl`` that lm-evaluation-harness logs for multiple-choice tasks (0.4).

A line is one document: ``doc``, ``target`` and, per choice, ``arguments`` (context, continuation)
and ``resps``, a list of repeats [log-likelihood, is greedy]. Class probabilities are the softmax
over choices of the log-likelihoods; the label mass is the sum of their exponentials.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from debias.errors import ParameterError, TableError
from debias.tables.formats.plain_text import decode
from debias.tables.table_parts import TableParts

LARGEST_LOG_LIKELIHOOD = 1e-3
"""How far above 0 a log-likelihood may lie: room for sums in half precision."""


class Sample(NamedTuple):
    """One line: where it stands, log-likelihoods and continuations per choice, and the line itself."""

    where: str
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
        Class names in the order of the choices; default: the choices themselves, without white
        space around them, or "0", "1", ... where they differ from one document to the next.
    text_field : str, optional
        Field of ``doc`` that holds the text; default: no texts.
    filter : str, optional
        Keep the lines of this filter; default: that of the first line.
    targets : {"auto", "index", "choice"}, default="auto"
        Whether ``target`` is the position of the right choice or the choice itself. "auto" refuses
        where it could be either.

    Returns
    -------
    TableParts
        The contents, normalised. Ids are fingerprints of ``doc``, so that the same document is
        found again in another file.

    Raises
    ------
    TableError
        A line is cut or damaged, or is no multiple-choice sample with one right choice.
    ParameterError
        `targets` is something else.
    """
    if targets not in ("auto", "index", "choice"):
        raise ParameterError(
            parameter="targets", allowed="one of 'auto', 'index', 'choice'", received=targets
        )
    samples = [_sample(where, record) for where, record in _records(path, filter)]
    n_classes = len(samples[0].log_likelihoods)
    for sample in samples:
        if len(sample.log_likelihoods) != n_classes:
            raise TableError(
                f"{sample.where}: {len(sample.log_likelihoods)} choices, but {n_classes} in the first "
                "one; a table has one column per class"
            )
    shared = _shared_choices(samples)
    names = list(classes or shared or [str(position) for position in range(n_classes)])
    if len(names) != n_classes:
        raise TableError(
            f"{n_classes} choices per sample, but classes names {len(names)}: {names}", file=path
        )
    log_likelihoods = np.array([sample.log_likelihoods for sample in samples])
    mass = logsumexp(log_likelihoods, axis=1, keepdims=True)
    return TableParts(
        probabilities=np.exp(log_likelihoods - mass),
        classes=names,
        labels=[names[position] for position in _label_positions(samples, targets)],
        ids=_document_ids(samples),
        texts=None if text_field is None else [_text(sample, text_field) for sample in samples],
        label_mass=np.exp(mass[:, 0]),
        metadata=_metadata(path, samples[0].record),
        ids_given="doc" in samples[0].record,
    )


def _records(path: Path, filter: str | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the lines of one filter as JSON objects, each with a name for messages."""
    records: list[tuple[str, dict[str, Any]]] = []
    for number, line in enumerate(decode(path).split("\n"), start=1):
        where = f"{path}: line {number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise TableError(
                f"{where} is not whole JSON ({error}); the file is cut short or damaged"
            ) from error
        missing = [key for key in ("resps", "target") if not isinstance(record, dict) or key not in record]
        if missing:
            raise TableError(
                f"{where} has no {missing[0]!r}; it is no logged sample of lm-evaluation-harness"
            )
        records.append((where, record))
    wanted = records[0][1].get("filter") if filter is None else filter
    kept = [(where, record) for where, record in records if record.get("filter") == wanted]
    if not kept:
        found = sorted({str(record.get("filter")) for _, record in records})
        raise TableError(f"no sample has the filter {wanted!r}; the file has {found}", file=path)
    return kept


def _sample(where: str, record: dict[str, Any]) -> Sample:
    """Return log-likelihoods and continuations, without those that mutual information adds."""
    responses, pairs = record["resps"], _argument_pairs(record.get("arguments"))
    if not isinstance(responses, list) or len(responses) < 2:
        raise TableError(f"{where}: 'resps' is {str(responses)[:80]!r}; a sample needs two or more choices")
    values = [_log_likelihood(where, choice, response) for choice, response in enumerate(responses)]
    if pairs is None or len(pairs) != len(values):
        return Sample(where, values, None, record)
    half = len(pairs) // 2
    continuations = [continuation for _, continuation in pairs]
    unconditional = {context for context, _ in pairs[half:]} == {""} and continuations[
        :half
    ] == continuations[half:]
    if half >= 2 and unconditional:
        values, continuations = values[:half], continuations[:half]
    return Sample(where, values, [text.strip() for text in continuations], record)


def _argument_pairs(arguments: Any) -> list[tuple[str, str]] | None:
    """Return (context, continuation) per choice, or None where they were not logged."""
    if isinstance(arguments, dict):
        ordered = [arguments.get(f"gen_args_{position}") for position in range(len(arguments))]
        pairs = [(a.get("arg_0"), a.get("arg_1")) if isinstance(a, dict) else (None, None) for a in ordered]
    elif isinstance(arguments, list):
        pairs = [tuple(a[:2]) if isinstance(a, list) and len(a) >= 2 else (None, None) for a in arguments]
    else:
        return None
    if not all(isinstance(part, str) for pair in pairs for part in pair):
        return None
    return [(str(context), str(continuation)) for context, continuation in pairs]


def _log_likelihood(where: str, choice: int, response: Any) -> float:
    """Return the log-likelihood of the first repeat; numbers may be strings, pairs too."""
    first = response[0] if isinstance(response, list) and response else response
    value = first[0] if isinstance(first, list) and first else first
    if isinstance(value, str):
        value = value.strip("() ").split(",")[0]
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TableError(
            f"{where}, choice {choice}: {str(response)[:80]!r} holds no log-likelihood; only "
            "multiple-choice tasks have class probabilities"
        ) from error
    if not np.isfinite(number) or number > LARGEST_LOG_LIKELIHOOD:
        raise TableError(
            f"{where}, choice {choice}: {number} is no log-likelihood; allowed are finite values up to 0"
        )
    return number


def _shared_choices(samples: list[Sample]) -> list[str] | None:
    """Return the choices where all samples have the same ones in the same order."""
    first = samples[0].choices
    if first is None or len(set(first)) < len(first) or "" in first:
        return None
    return first if all(sample.choices == first for sample in samples) else None


def _label_positions(samples: list[Sample], targets: str) -> list[int]:
    """Return the right choice of each sample, as a position."""
    by_index = [_as_index(sample) for sample in samples]
    by_choice = [_as_choice(sample) for sample in samples]
    if targets == "auto" and None not in by_index and None not in by_choice and by_index != by_choice:
        raise TableError(
            f"{samples[0].where}: the target {samples[0].record['target']!r} is a position and a choice",
            fix="read it in Python with targets='index' or targets='choice'",
        )
    positions = min(by_index, by_choice, key=lambda found: found.count(None))
    if targets != "auto":
        positions = by_index if targets == "index" else by_choice
    if None in positions:
        sample = samples[positions.index(None)]
        choices = sample.choices or [str(position) for position in range(len(sample.log_likelihoods))]
        raise TableError(
            f"{sample.where}: the target {sample.record['target']!r} is none of the choices {choices}"
            "; a table needs one right choice per sample"
        )
    return [position for position in positions if position is not None]


def _as_index(sample: Sample) -> int | None:
    """Read the target as a position."""
    text = str(sample.record["target"]).strip()
    return int(text) if text.isdecimal() and int(text) < len(sample.log_likelihoods) else None


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
        raise TableError(f"{sample.where}: 'doc' has no text {text_field!r}; it has {fields!r}")
    return str(document[text_field])


def _metadata(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return what file name and sample say about the origin."""
    name = re.fullmatch(r"samples_(.+?)(_\d{4}-\d\d-\d\dT.*)?", path.stem)
    facts = {"format": "lm-eval", "normalised": True, "filter": record.get("filter")}
    return facts | ({"task": name[1]} if name else {})
