"""Counts n-grams with everything that grows with the texts in files, in passes from beginning to end.

The arrays are those that counting in memory makes, number by number: weights, sums and picks do not
depend on where they are held. In memory are the different words, and about 60 bytes per text.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError
from iterit.ngrams.disk_arrays import AppendedArray
from iterit.ngrams.gram_numbers import LARGEST_INT32, Integers
from iterit.ngrams.gram_rows import distinct_per_text, move_together, room_of_texts
from iterit.ngrams.scattered_pairs import KEYS_PER_PART, number_scattered_pairs
from iterit.ngrams.tokenizer import ScannedChunk
from iterit.threads import mapped_in_order

TOKENS_AT_ONCE = 1 << 20
"""Words of the texts whose rows are gathered at once, about."""


class StreamedCounts(NamedTuple):
    """What :class:`iterit.ngrams.ngram_counts.NgramCounts` is made of, and words per text as measured."""

    indptr: npt.NDArray[np.int64]
    indices: Integers
    counts: npt.NDArray[np.int32]
    n_columns: int
    lengths: npt.NDArray[np.int64]
    n_words: npt.NDArray[np.float64]
    words: tuple[str, ...]
    keys: tuple[npt.NDArray[np.uint64], ...]


def count_in_streams(
    chunks: Iterable[ScannedChunk],
    ngram_range: tuple[int, int],
    folder: Path,
    *,
    n_jobs: int = 1,
    keys_per_part: int = KEYS_PER_PART,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> StreamedCounts:
    """Count the n-grams of scanned texts.

    Parameters
    ----------
    chunks : iterable of ScannedChunk
        Read once.
    ngram_range : tuple of int
        Shortest and longest n-gram, in words.
    folder : Path
        Holds the arrays, in files without names.
    n_jobs : int
        Threads.
    keys_per_part, tokens_at_once : int
        How much is held in memory; the result is the same for any numbers.

    Returns
    -------
    StreamedCounts

    Raises
    ------
    StorageError
        The folder cannot be written, or its disk is full.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from iterit.ngrams.tokenizer import scan
    >>> from iterit.ngrams.word_kinds import word_kind
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     chunks = [scan(["good day"], word_kind("unicode")), scan(["day"], word_kind("unicode"))]
    ...     found = count_in_streams(chunks, (1, 2), pathlib.Path(folder))
    >>> found.indptr.tolist(), found.indices.tolist(), found.words
    ([0, 3, 4], [0, 1, 2, 1], ('good', 'day'))
    """
    shortest, longest = ngram_range
    ids, lengths, n_words, words = _words_on_disk(chunks, folder)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    numbers: list[Integers] = [ids]
    keys: list[npt.NDArray[np.uint64]] = []
    for length in range(2, longest + 1):
        if keys:
            check_prefixes(len(keys[-1]), length)
        numbered, distinct = number_scattered_pairs(
            numbers[-1], ids, starts, length, folder, n_jobs=n_jobs, keys_per_part=keys_per_part
        )
        numbers.append(numbered)
        keys.append(distinct)
    sizes = np.array([len(words), *map(len, keys)], dtype=np.int64)[shortest - 1 :]
    del numbers[: shortest - 1]
    indptr = np.zeros(len(starts), dtype=np.int64)
    kind = np.int32 if sizes.sum() <= LARGEST_INT32 else np.int64
    row = n_kept = 0
    with (
        AppendedArray(folder, kind) as indices,
        AppendedArray(folder, np.int32) as counts,
        _blocks(numbers, starts, shortest, sizes, tokens_at_once, n_jobs) as blocks,
    ):
        for stops, own, times in blocks:
            indptr[row + 1 : row + 1 + len(stops)] = stops + n_kept
            indices.append(own)
            counts.append(times)
            row += len(stops)
            n_kept += len(own)
        arrays = indptr, indices.finished(), counts.finished()
    return StreamedCounts(*arrays, int(sizes.sum()), lengths, n_words, tuple(words), tuple(keys))


def check_prefixes(n_prefixes: int, length: int) -> None:
    """Refuse more n-grams than half a key can number.

    Raises
    ------
    ParameterError
        There are more than 2**32.

    Examples
    --------
    >>> check_prefixes(2**32, 3)
    """
    if n_prefixes > 1 << 32:
        raise ParameterError(
            f"there are {n_prefixes:,} different n-grams of {length - 1} words, and n-grams of {length} words"
            " can be made of 2**32",
            parameter="ngram_range",
            received=length,
            fix=f"count n-grams of up to {length - 1} words, or fewer texts",
        )


def _words_on_disk(
    chunks: Iterable[ScannedChunk], folder: Path
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.float64], list[str]]:
    """Return the number of every word of every text, words per text in both measures, and the words."""
    numbers: dict[str, int] = {}
    lengths: list[npt.NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    n_words: list[npt.NDArray[np.float64]] = [np.zeros(0)]
    with AppendedArray(folder, np.int32) as ids:
        for chunk in chunks:
            here = [numbers.setdefault(word, len(numbers)) for word in chunk.vocabulary]
            ids.append(np.array(here, dtype=np.int32)[chunk.tokens])
            lengths.append(chunk.lengths)
            n_words.append(chunk.n_words)
        return ids.finished(), np.concatenate(lengths), np.concatenate(n_words), list(numbers)


def _blocks(
    numbers: list[Integers],
    starts: npt.NDArray[np.int64],
    shortest: int,
    sizes: npt.NDArray[np.int64],
    tokens_at_once: int,
    n_jobs: int,
) -> AbstractContextManager[Iterator[tuple[npt.NDArray[np.int64], Integers, npt.NDArray[np.int32]]]]:
    """Give the rows of some texts after the other: where each ends, columns, counts."""
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    kind = np.int32 if sizes.sum() <= LARGEST_INT32 else np.int64
    cuts = np.searchsorted(starts, np.arange(0, starts[-1], tokens_at_once), side="left")
    cuts = np.unique(np.concatenate([[0], cuts, [len(starts) - 1]]))

    def rows(block: int) -> tuple[npt.NDArray[np.int64], Integers, npt.NDArray[np.int32]]:
        own_starts = starts[cuts[block] : cuts[block + 1] + 1]
        place = slice(own_starts[0], own_starts[-1])
        own_starts = own_starts - own_starts[0]
        room = room_of_texts(own_starts, shortest, len(sizes))
        indices, counts = np.empty(room[-1], dtype=kind), np.empty(room[-1], dtype=np.int32)
        indptr = np.zeros(len(own_starts), dtype=np.int64)
        levels = np.stack([level[place] for level in numbers])
        distinct_per_text(levels, own_starts, offsets, room, 0, len(room) - 1, indices, counts, indptr)
        n_kept = move_together(room, indices, counts, indptr)
        return indptr[1:], indices[:n_kept], counts[:n_kept]

    return mapped_in_order(rows, range(len(cuts) - 1), n_jobs)
