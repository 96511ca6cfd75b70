"""Checks before shards are merged: all are there, each once, and all were made alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from debias.errors import TableError, shortened
from debias.inference.collection.run_folder import flat_settings

_NAMED = 10


def check_complete(paths: Sequence[Path], shards: Sequence[tuple[int, int]]) -> None:
    """Raise unless every shard is there once.

    Parameters
    ----------
    paths : sequence of Path, length n
    shards : sequence of (int, int), length n
        Index and count of each.

    Raises
    ------
    TableError
        Shards are missing, are there twice, or are parts of other numbers of shards.

    Examples
    --------
    >>> check_complete([Path("a"), Path("b")], [(1, 3), (3, 3)])
    Traceback (most recent call last):
    debias.errors.TableError: of 3 shards, 2/3 is missing; finish it, or name its file.
    """
    counts = Counter(count for _, count in shards)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        path, shard = next(pair for pair in zip(paths, shards, strict=True) if pair[1][1] != usual)
        raise TableError(
            f"it is shard {shard[0]}/{shard[1]}, and others are of {usual} shards",
            file=path,
            parameter="shards",
            received=shard[1],
            allowed=f"shards of {usual}",
            fix="merge only shards with the same total",
        )
    first: dict[int, Path] = {}
    for path, (index, count) in zip(paths, shards, strict=True):
        if index in first:
            raise TableError(
                f"it is shard {index}/{count}, and so is {first[index]}",
                file=path,
                parameter="shards",
                received=index,
                fix="name one of the two files",
            )
        first[index] = path
    (count,) = counts
    missing = [index for index in range(1, count + 1) if index not in first]
    if missing:
        named = ", ".join(f"{index}/{count}" for index in missing[:_NAMED])
        named += "" if len(missing) <= _NAMED else f" and {len(missing) - _NAMED} more"
        is_one = len(missing) == 1
        raise TableError(
            f"of {count} shards, {named} {'is' if is_one else 'are'} missing",
            parameter="shards",
            received=missing,
            fix="finish it, or name its file" if is_one else "finish them, or name their files",
        )


def check_same(facts: Mapping[Path, Mapping[str, object]]) -> None:
    """Raise unless all shards were made alike.

    Parameters
    ----------
    facts : mapping of Path to mapping
        What each was made with, JSON-able.

    Raises
    ------
    TableError
        Shards differ; each difference is named, with the files.

    Examples
    --------
    >>> check_same({Path("a"): {"engine": {"dtype": "float32"}}, Path("b"): {"engine": {"dtype": "float16"}}})
    Traceback (most recent call last):
    debias.errors.TableError: b: it was made with other settings than a: engine.dtype is 'float16' there ...
    """
    (path, before), *others = facts.items()
    expected = flat_settings(before)
    for other, its in others:
        found = flat_settings(its)
        different = [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
        if different:
            named = "; ".join(
                f"{name} is {shortened(found.get(name))} there and {shortened(expected.get(name))} here"
                for name in different
            )
            raise TableError(
                f"it was made with other settings than {path}: {named}",
                file=other,
                parameter="shards",
                received=different,
                fix="collect both with the same settings, rows, model and kind of machine",
            )
