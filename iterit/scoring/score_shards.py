"""Shards of scores: what each machine writes, and their merging into the table of one run.

A score depends in its last digits on what is scored in the same chunk. So chunks stay as one run would
ask them, and the digests of their first records say which shard gets which.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from debias.console.frame_files import FRAME_FORMATS, write_frame
from debias.errors import ParameterError, TableError
from debias.files.atomic_file import atomic_path
from debias.inference.collection.answer_store import digest
from debias.inference.collection.shards.dealing import Dealer
from debias.inference.collection.shards.shard import Shard
from debias.inference.collection.shards.shard_checks import check_complete, check_same
from debias.inference.engine import Engine
from debias.rows.bounded_json import parse_json
from iterit.records.instruction_records import Records
from iterit.scoring.complexity import scores_of_rows
from iterit.scoring.score_cache import ScoreCache
from iterit.scoring.score_files import described
from iterit.scoring.score_run import (
    encoded_items,
    score_chunks,
    score_facts,
    scored_together,
    template_of,
    token_limit,
    tokens_at_once,
)
from iterit.templates.template import Template, check_some_taken

KEY = b"iterit_shard"
VERSION = 1
COLUMNS = ["row", "ifd", "conditional", "direct", "n_tokens", "status", "source", "digest"]
_NAMED = 10
_DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, AttributeError)


class ScoredShard(NamedTuple):
    """Scores of a part of the records.

    Attributes
    ----------
    shard : Shard
    scores : DataFrame
        As of :func:`~iterit.scoring.complexity.score_complexity`; there may be no row.
    made_with : dict
        What all shards must have alike, JSON-able.
    """

    shard: Shard
    scores: pd.DataFrame
    made_with: dict[str, object]


def score_shard(
    records: Records,
    engine: Engine,
    shard: str | tuple[int, int] | Shard,
    *,
    template: Template | None = None,
    cache: str | os.PathLike[str] | None = None,
    max_tokens: int | None = None,
    show_progress: bool = True,
) -> ScoredShard:
    """Score one part of several, in the chunks of one run.

    Records of equal texts are in one shard. All records are turned into tokens, as their lengths decide
    which are scored together.

    Parameters
    ----------
    records : Records
        All of them.
    engine : Engine
    shard : str or (int, int)
        Such as "2/4" or (2, 4).
    template, cache, max_tokens, show_progress
        As for :func:`~iterit.scoring.complexity.score_complexity`. A cache is best a folder of this
        shard's own.

    Returns
    -------
    ScoredShard

    Raises
    ------
    EngineError, ParameterError, RecordsError, StorageError, ResumeError
        As for ``score_complexity``.
    """
    part = Shard.of(shard)
    template = template or template_of(engine)
    limit = token_limit(engine, max_tokens)
    facts, digests = score_facts(engine, template, limit), records.digests
    rows = {one: row for row, one in enumerate(digests)}
    encoded = template.encode_all(records, [*rows.values()])
    refused = {one: encoded.refused[row] for one, row in rows.items() if row in encoded.refused}
    check_some_taken({rows[one]: reason for one, reason in refused.items()}, len(rows))
    taken = sorted(row for one, row in rows.items() if one not in refused)
    dealer = Dealer(part.count)
    chunks = [
        chunk
        for chunk in scored_together(encoded_items(records, template, taken, limit, encoded), engine)
        if dealer.next(digests[chunk[0].row]) == part.index
    ]
    own = [digests[item.row] for chunk in chunks for item in chunk]
    with ScoreCache(cache, facts) as kept:
        scores = kept.find(own)
        missing = [[item for item in chunk if digests[item.row] not in scores] for chunk in chunks]
        asked = [chunk for chunk in missing if chunk]
        scores |= score_chunks(records, engine, template, asked, kept, limit, show_progress)
    of_shard = {*own, *(one for one in refused if is_told_by(one, part))}
    numbers = np.array([row for row, one in enumerate(digests) if one in of_shard], dtype=np.int64)
    table = scores_of_rows(numbers, [digests[row] for row in numbers.tolist()], scores, refused)
    made_with: dict[str, object] = {
        **facts,
        "tokens_at_once": float(tokens_at_once(engine)),
        "records": {"rows": len(records), "digests": digest_of_records(digests, records.sources)},
    }
    return ScoredShard(part, table, made_with)


def is_told_by(one: str, shard: Shard) -> bool:
    """Whether a shard has a record that the template cannot take: the hash of its digest says so.

    Examples
    --------
    >>> [is_told_by("00ff", Shard(index, 2)) for index in (1, 2)].count(True)
    1
    """
    return int.from_bytes(digest(one), "big") % shard.count == shard.index - 1


def write_shard(path: Path, part: ScoredShard, records: Records) -> None:
    """Write the scores of a shard, with what it was made with.

    Parameters
    ----------
    path : Path
        Ends in .parquet.
    part : ScoredShard
    records : Records
        All of them.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    index, count = part.shard.index, part.shard.count
    frame = described(part.scores, records)[COLUMNS]
    refused = {str(row): reason for row, reason in part.scores.attrs.get("refused", {}).items()}
    header = {
        "version": VERSION,
        "shard": [index, count],
        "made_with": part.made_with,
        "refused": refused,
    }
    header["digest"] = _digest_of(header, frame)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    kept = {**(table.schema.metadata or {}), KEY: json.dumps(header).encode()}
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(kept), temporary)


def merge_scores(shards: Iterable[str | os.PathLike[str]], out: str | os.PathLike[str]) -> pd.DataFrame:
    """Merge the shards that ``iterit score --shard`` wrote into one file of scores.

    The file is the one, byte by byte, that a run without shards writes.

    Parameters
    ----------
    shards : iterable of path-like
        The files of all shards, in any order.
    out : path-like
        Ends in .parquet, .csv or .jsonl; an older one is replaced.

    Returns
    -------
    DataFrame
        All scores, by row.

    Raises
    ------
    TableError
        A shard or a row is missing or there twice, a file is damaged, or shards were made with another
        model, other settings or other records: each difference is named.
    ParameterError
        ``out`` has another ending, or is one of the shards.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> merge_scores([], "scores.parquet")
    Traceback (most recent call last):
    debias.errors.ParameterError: shards must be the files of all shards, got [].
    """
    target, paths = Path(out), [Path(one) for one in shards]
    if not paths:
        raise ParameterError(parameter="shards", allowed="the files of all shards", received=paths)
    if target.suffix.lower() not in FRAME_FORMATS or target.resolve() in {one.resolve() for one in paths}:
        allowed = f"a different file from the shards that ends in {' or '.join(FRAME_FORMATS)}"
        raise ParameterError(parameter="out", allowed=allowed, received=str(out))
    read = {path: _read(path) for path in paths}
    check_complete(paths, [tuple(read[path][0]["shard"]) for path in paths])
    check_same({path: header["made_with"] for path, (header, _) in read.items()})
    files = np.repeat(np.arange(len(paths)), [len(frame) for _, frame in read.values()])
    filled = [frame for _, frame in read.values() if len(frame)]  # empty columns have other types
    frame = pd.concat(filled or [read[paths[0]][1]], ignore_index=True)
    order = np.argsort(frame["row"].to_numpy(), kind="stable")
    frame = frame.iloc[order].reset_index(drop=True)
    made_with = read[paths[0]][0]["made_with"]
    _check_rows(frame["row"].to_numpy(), [paths[n] for n in files[order]], made_with["records"]["rows"])
    if digest_of_records(frame["digest"], frame["source"]) != made_with["records"]["digests"]:
        raise TableError(
            "the records of the shards are not those that were read",
            parameter="shards",
            fix="score the shards again",
        )
    refused = {int(row): reason for header, _ in read.values() for row, reason in header["refused"].items()}
    frame.attrs = {"refused": dict(sorted(refused.items()))} if refused else {}
    write_frame(frame, target)
    return frame


def digest_of_records(digests: Iterable[str], sources: Iterable[str]) -> str:
    """Return one digest of all records, in their order, and of where they come from."""
    before = b""
    for pair in zip(digests, sources, strict=True):
        before = digest(json.dumps(pair), before)
    return before.hex()


def _digest_of(header: Mapping[str, object], frame: pd.DataFrame) -> str:
    """Return a digest of a shard: of what it says about itself, and of its rows."""
    said = {name: value for name, value in header.items() if name != "digest"}
    found = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in COLUMNS:
        values = frame[name].to_numpy()
        is_text = name in ("status", "source", "digest")
        found.update(json.dumps(values.tolist()).encode() if is_text else np.ascontiguousarray(values).data)
    return found.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return what a shard says about itself, and its rows."""
    if not path.is_file():
        raise TableError("there is no such file", file=path)
    try:
        table = pq.read_table(path, partitioning=None)
        raw = (table.schema.metadata or {}).get(KEY)
        if raw is None:
            fix = "shards are written by iterit score --shard i/n"
            raise TableError("the file is not a shard of scores", file=path, fix=fix)
        header = dict(parse_json(raw))
        Shard.of(tuple(header["shard"]))
        frame = table.to_pandas()
        if header["version"] != VERSION or list(frame.columns) != COLUMNS:
            raise ValueError(f"version {header['version']}, columns {list(frame.columns)}")
        if header["digest"] != _digest_of(header, frame):
            raise ValueError("its digest is wrong")
        return header, frame
    except TableError:
        raise
    except _DAMAGE as error:
        raise TableError(f"the shard cannot be read ({str(error)[:200]})", file=path) from error


def _check_rows(rows: Any, files: Sequence[Path], n_rows: int) -> None:
    """Raise for a row that is missing, or there twice."""
    twice = np.flatnonzero(rows[1:] == rows[:-1])
    if len(twice):
        place = int(twice[0])
        raise TableError(
            f"the row is also in {files[place]}",
            file=files[place + 1],
            row=int(rows[place]),
            received=int(rows[place]),
            fix="score the shards again",
        )
    missing = np.setdiff1d(np.arange(n_rows), rows)
    if len(missing) or len(rows) > n_rows:
        named = ", ".join(map(str, missing[:_NAMED].tolist()))
        raise TableError(
            f"no shard has {len(missing):,} of {n_rows:,} rows: {named}"
            + (", ..." * (len(missing) > _NAMED)),
            parameter="shards",
            row=int(missing[0]) if len(missing) else None,
            received=missing[:_NAMED].tolist(),
            fix="score the shards again",
        )
