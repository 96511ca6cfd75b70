"""Counts the word n-grams of texts once, into a sparse matrix: a row per text, a column per n-gram.

Counts are exact: words are numbered by a dictionary, n-grams by pairs of numbers, so nothing depends
on hashes being different. Columns are in the order in which the n-grams first occur (shorter ones
first), for any number of threads. Weights for some rows: :mod:`iterit.ngrams.ngram_weights`.
"""

import operator
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError, param
from iterit.ngrams.gram_numbers import BYTES_PER_TOKEN, LARGEST_INT32, Integers, number_pairs
from iterit.ngrams.gram_rows import distinct_per_text, move_together, room_of_texts
from iterit.ngrams.streamed_counts import count_in_streams
from iterit.ngrams.tokenizer import ScannedChunk, chunked, scan
from iterit.ngrams.word_kinds import WordKind, word_kind
from iterit.threads import mapped_in_order, n_threads, run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """How often each word n-gram occurs in each text, as the three arrays of a CSR matrix.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Where each row begins in `indices` and `counts`.
    indices : ndarray of int32 (int64 where that is too small)
        Columns of each row, ascending.
    counts : ndarray of int32
    n_columns : int
        Number of different n-grams.
    n_words : ndarray of int64, shape (n_rows,)
        Words per text; in scripts without spaces, words of English that it says as much as, about.
    words_per_token : ndarray of float64, shape (n_rows,)
        Words per unit that n-grams are made of: 1, or less in scripts without spaces.
    words : tuple of str
        Every word by its number.
    keys : tuple of ndarray of uint64
        For two words, three words, ...: the pair that each n-gram is.
    ngram_range : tuple of int
        Shortest and longest n-gram, in words.
    tokens : str
        How texts were cut into words.
    folder : Path, optional
        Where the arrays are held, and weights made of them; in memory if omitted.
    """

    indptr: npt.NDArray[np.int64]
    indices: Integers
    counts: npt.NDArray[np.int32]
    n_columns: int
    n_words: npt.NDArray[np.int64]
    words_per_token: npt.NDArray[np.float64]
    words: tuple[str, ...] = field(repr=False)
    keys: tuple[npt.NDArray[np.uint64], ...] = field(repr=False)
    ngram_range: tuple[int, int] = (1, 3)
    tokens: str = "unicode"
    folder: Path | None = None

    @property
    def n_rows(self) -> int:
        """Number of texts."""
        return len(self.indptr) - 1

    @property
    def matrix(self) -> "csr_array":
        """The same as a SciPy sparse matrix, without a copy."""
        from scipy.sparse import csr_array

        return csr_array((self.counts, self.indices, self.indptr), shape=(self.n_rows, self.n_columns))

    def ngram(self, column: int) -> str:
        """Return the words of a column, separated by spaces.

        Raises
        ------
        ParameterError
            There is no such column.

        Examples
        --------
        >>> counts = count_ngrams(["to be or not to be"])
        >>> [counts.ngram(column) for column in (0, 4, 8)]
        ['to', 'to be', 'to be or']
        """
        if not 0 <= column < self.n_columns:
            allowed = f"an integer from 0 to {self.n_columns - 1}"
            raise ParameterError(parameter="column", received=column, allowed=allowed)
        sizes = [len(self.words), *map(len, self.keys)]
        length = self.ngram_range[0]
        while column >= sizes[length - 1]:
            column -= sizes[length - 1]
            length += 1
        last_words = []
        for keys in self.keys[length - 2 :: -1] if length > 1 else ():
            column, word = divmod(int(keys[column]), 1 << 32)
            last_words.append(self.words[word])
        return " ".join([self.words[column], *reversed(last_words)])


def count_ngrams(
    texts: Iterable[str],
    ngram_range: tuple[int, int] = (1, 3),
    tokens: str = "unicode",
    *,
    end_of_text: str = "",
    n_jobs: int | None = None,
    max_memory: int | str = "8 GiB",
    folder: str | os.PathLike[str] | None = None,
) -> NgramCounts:
    """Count the word n-grams of every text.

    Parameters
    ----------
    texts : iterable of str
        The responses, read once: a generator will do.
    ngram_range : tuple of int
        Shortest and longest n-gram, in words.
    tokens : {"unicode", "published", "every"}
        How texts are cut into words, see :func:`iterit.ngrams.word_kinds.word_kind`.
    end_of_text : str
        Appended to every text before it is counted, as the published code does with the tokenizer's
        end-of-text string, which becomes a word of every row.
    n_jobs : int, optional
        Threads; one per core by default. The result is the same for any number.
    max_memory : int or str
        Memory that counting may take at once, its result included, the texts excluded: bytes, or a
        number with a unit such as "8 GiB". Not used with `folder`.
    folder : str or path-like, optional
        Holds what does not fit into memory, in files without a name, which vanish with the process: 33
        bytes per word, and 17 more for weights, about. The counts are the same, number by number.

    Returns
    -------
    NgramCounts

    Raises
    ------
    ParameterError
        A text is not a string, a parameter is not allowed, or the texts need more memory than
        `max_memory`: the message says how much.
    StorageError
        The folder cannot be written, or its disk is full.

    Examples
    --------
    >>> counts = count_ngrams(["The cat sat.", "The cat sat; the cat ran."], ngram_range=(1, 2))
    >>> counts.matrix.toarray()
    array([[1, 1, 1, 0, 1, 1, 0, 0],
           [2, 2, 1, 1, 2, 1, 1, 1]], dtype=int32)
    >>> [counts.ngram(column) for column in range(counts.n_columns)]
    ['the', 'cat', 'sat', 'ran', 'the cat', 'cat sat', 'sat the', 'cat ran']
    """
    shortest, longest = _checked_range(ngram_range)
    n_jobs = n_threads(n_jobs)
    memory = _n_bytes(max_memory)
    scanned = _scanned(_strings(texts), word_kind(tokens), end_of_text, n_jobs)
    if folder is not None:
        with scanned as chunks:
            found = count_in_streams(chunks, (shortest, longest), place := Path(folder), n_jobs=n_jobs)
        rounded, shares = _words_per_text(found.n_words, found.lengths)
        return NgramCounts(
            *found[:4], rounded, shares, found.words, found.keys, (shortest, longest), tokens, place
        )
    with scanned as chunks:
        ids, starts, words, n_words = _numbered_words(chunks)
    _check_memory(len(ids), shortest, longest, memory)
    numbers = np.empty((longest, len(ids)), dtype=ids.dtype)
    numbers[0] = ids
    del ids
    keys = [
        number_pairs(numbers[length - 2], numbers[0], starts, length, numbers[length - 1])
        for length in range(2, longest + 1)
    ]
    sizes = np.array([len(words), *map(len, keys)], dtype=np.int64)[shortest - 1 :]
    indptr, indices, counts = _rows(numbers[shortest - 1 :], starts, shortest, sizes, n_jobs)
    rounded, shares = _words_per_text(n_words, np.diff(starts))
    names = tuple(words), tuple(keys)
    return NgramCounts(
        indptr, indices, counts, int(sizes.sum()), rounded, shares, *names, (shortest, longest), tokens
    )


def _words_per_text(
    n_words: npt.NDArray[np.float64], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return whole words per text, and words per unit that its n-grams are made of."""
    shares = np.divide(n_words, lengths, out=np.ones(len(lengths)), where=lengths > 0)
    return np.ceil(n_words - 1e-6).astype(np.int64), shares


def _checked_range(ngram_range: tuple[int, int]) -> tuple[int, int]:
    try:
        shortest, longest = map(operator.index, ngram_range)
        if not 1 <= shortest <= longest:
            raise ValueError
    except (TypeError, ValueError):
        allowed = "two integers, 1 <= shortest <= longest, such as (1, 3)"
        raise ParameterError(parameter="ngram_range", received=ngram_range, allowed=allowed) from None
    return shortest, longest


def _n_bytes(max_memory: int | str) -> int:
    """Return a size in bytes."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(max_memory))
    if found and found[2].lower() in _UNITS and float(found[1]) > 0:
        return int(float(found[1]) * _UNITS[found[2].lower()])
    allowed = 'a positive number of bytes, or a number with a unit such as "8 GiB"'
    raise ParameterError(parameter="max_memory", received=max_memory, allowed=allowed)


def _strings(texts: Iterable[str]) -> Iterator[str]:
    if isinstance(texts, str):
        raise ParameterError(parameter="texts", received=texts, allowed="a list of strings")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ParameterError(parameter="texts", received=text, allowed="a list of strings", row=row)
        yield text


def _scanned(
    texts: Iterable[str], kind: WordKind, end_of_text: str, n_jobs: int
) -> AbstractContextManager[Iterator[ScannedChunk]]:
    """Scan chunks in threads, and give them in order, without reading far ahead."""
    return mapped_in_order(partial(scan, kind=kind, end_of_text=end_of_text), chunked(texts), n_jobs)


def _numbered_words(
    chunks: Iterable[ScannedChunk],
) -> tuple[Integers, npt.NDArray[np.int64], list[str], npt.NDArray[np.float64]]:
    """Return the number of every word of every text, where texts begin, the words, and words per text."""
    numbers: dict[str, int] = {}
    found: list[npt.NDArray[np.int32]] = [np.empty(0, dtype=np.int32)]
    lengths: list[npt.NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
    n_words: list[npt.NDArray[np.float64]] = [np.zeros(0)]
    for chunk in chunks:
        here = [numbers.setdefault(word, len(numbers)) for word in chunk.vocabulary]
        found.append(np.array(here, dtype=np.int32)[chunk.tokens])
        lengths.append(chunk.lengths)
        n_words.append(chunk.n_words)
    starts = np.cumsum(np.concatenate(lengths))
    dtype = np.int32 if starts[-1] <= LARGEST_INT32 else np.int64
    return np.concatenate(found, dtype=dtype), starts, list(numbers), np.concatenate(n_words)


def _check_memory(n_tokens: int, shortest: int, longest: int, memory: int) -> None:
    """Refuse texts whose n-grams might need more memory than is allowed."""
    width = 4 if n_tokens <= LARGEST_INT32 else 8
    kept = width * longest + 8 * (longest - 1)  # bytes per token: numbers and keys
    rows = (width + 4) * (longest - shortest + 1)
    needed = n_tokens * (kept + max(BYTES_PER_TOKEN * (longest > 1), rows))
    if needed > memory:
        raise ParameterError(
            f"max_memory is {memory:,} bytes, and {n_tokens:,} words in n-grams of {shortest} to {longest}"
            f" words may need {needed:,}",
            parameter="max_memory",
            received=memory,
            fix=f"pass a {param('folder')} for files, allow more memory, or count fewer or shorter n-grams",
        )


def _rows(
    numbers: Integers, starts: npt.NDArray[np.int64], shortest: int, sizes: npt.NDArray[np.int64], n_jobs: int
) -> tuple[npt.NDArray[np.int64], Integers, npt.NDArray[np.int32]]:
    """Gather the n-grams of every text and count them."""
    room = room_of_texts(starts, shortest, len(sizes))
    indices = np.empty(room[-1], dtype=np.int32 if sizes.sum() <= LARGEST_INT32 else np.int64)
    counts = np.empty(room[-1], dtype=np.int32)
    indptr = np.zeros(len(starts), dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    cuts = np.searchsorted(starts, np.linspace(0, starts[-1], 4 * n_jobs + 1)[1:-1])
    cuts = np.concatenate([[0], cuts, [len(starts) - 1]])

    def count(part: int) -> None:
        first, last = cuts[part], cuts[part + 1]
        distinct_per_text(numbers, starts, offsets, room, first, last, indices, counts, indptr)

    run_in_threads(count, len(cuts) - 1, n_jobs)
    n_kept = move_together(room, indices, counts, indptr)
    indices.resize(n_kept, refcheck=False)  # returns the memory of the rest, without a copy
    counts.resize(n_kept, refcheck=False)
    return indptr, indices, counts
