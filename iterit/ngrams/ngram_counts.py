"""Counts the word n-grams of texts once, into a sparse matrix: a row per text, a column per n-gram.

Exact: words are numbered by a dictionary, n-grams by pairs of numbers, so nothing rests on
hashes being different. The columns stand in the order the n-grams first come (shorter ones
first), whatever the number of threads. Weights for some rows: :mod:`iterit.ngrams.ngram_weights`.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError
from iterit.ngrams.gram_numbers import BYTES_PER_KEY, number_pairs
from iterit.ngrams.gram_rows import distinct_per_text, move_together
from iterit.ngrams.memory_sizes import bytes_of
from iterit.ngrams.tokenizer import ScannedChunk, chunked, scan
from iterit.ngrams.word_kinds import WordKind, word_kind
from iterit.threads import n_threads, run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

KEYS_PER_PART = 1 << 21
"""Keys of n-grams are numbered about so many at a time: their table stays near the caches."""
LARGEST_INT32 = np.iinfo(np.int32).max
Integers = npt.NDArray[np.signedinteger]


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """How often each word n-gram stands in each text, as the three arrays of a CSR matrix.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Where each row begins in `indices` and `counts`.
    indices : ndarray of int32 (int64 where that is too small)
        Columns of each row, ascending.
    counts : ndarray of int32
    n_columns : int
        How many different n-grams there are.
    n_words : ndarray of int64, shape (n_rows,)
        Words per text.
    words : tuple of str
        Every word by its number.
    keys : tuple of ndarray of uint64
        For two words, three words, ...: the pair that each n-gram is.
    ngram_range : tuple of int
        Shortest and longest n-gram, in words.
    """

    indptr: npt.NDArray[np.int64]
    indices: Integers
    counts: npt.NDArray[np.int32]
    n_columns: int
    n_words: npt.NDArray[np.int64]
    words: tuple[str, ...] = field(repr=False)
    keys: tuple[npt.NDArray[np.uint64], ...] = field(repr=False)
    ngram_range: tuple[int, int] = (1, 3)

    @property
    def n_rows(self) -> int:
        """How many texts were counted."""
        return len(self.indptr) - 1

    @property
    def n_bytes(self) -> int:
        """Memory that the arrays take, in bytes."""
        arrays = (self.indptr, self.indices, self.counts, self.n_words, *self.keys)
        return sum(array.nbytes for array in arrays)

    @property
    def matrix(self) -> "csr_array":
        """The same as a SciPy sparse matrix, without a copy."""
        from scipy.sparse import csr_array

        return csr_array((self.counts, self.indices, self.indptr), shape=(self.n_rows, self.n_columns))

    def ngram(self, column: int) -> str:
        """Return the words of a column, with a space between them.

        Parameters
        ----------
        column : int

        Raises
        ------
        ParameterError
            No such column.

        Examples
        --------
        >>> counts = count_ngrams(["to be or not to be"])
        >>> [counts.ngram(column) for column in (0, 4, 8)]
        ['to', 'to be', 'to be or']
        """
        if not 0 <= column < self.n_columns:
            raise ParameterError(f"column is {column}; it must be from 0 to {self.n_columns - 1}")
        sizes = [len(self.words), *map(len, self.keys)]
        length = self.ngram_range[0]
        while column >= sizes[length - 1]:
            column -= sizes[length - 1]
            length += 1
        return self._spelled(column, length)

    def _spelled(self, number: int, length: int) -> str:
        if length == 1:
            return self.words[number]
        key = int(self.keys[length - 2][number])
        return f"{self._spelled(key >> 32, length - 1)} {self.words[key & 0xFFFFFFFF]}"


def count_ngrams(
    texts: Iterable[str],
    ngram_range: tuple[int, int] = (1, 3),
    tokens: str = "scikit-learn",
    *,
    end_of_text: str = "",
    n_jobs: int | None = None,
    max_memory: int | str = "8 GiB",
) -> NgramCounts:
    """Count the word n-grams of every text.

    Parameters
    ----------
    texts : iterable of str
        The responses; read once, so a generator will do.
    ngram_range : tuple of int
        Shortest and longest n-gram, in words.
    tokens : {"scikit-learn", "unicode"}
        How texts are cut into words, see :func:`iterit.ngrams.word_kinds.word_kind`.
    end_of_text : str
        Put after every text before it is counted, as the published code does with the
        tokenizer's end-of-text string, which so becomes a word of every row.
    n_jobs : int, optional
        Threads; one per core if not given. The result is the same with any number.
    max_memory : int or str
        What the counting may take at once, its result included and the texts left out: bytes,
        or words such as "8 GiB".

    Returns
    -------
    NgramCounts

    Raises
    ------
    ParameterError
        A text is no string; a range, a name or a size that is not allowed; the texts need more
        memory than `max_memory`: the message says how much.

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
    memory = bytes_of(max_memory, "max_memory")
    ids, starts, words = _numbered_words(texts, word_kind(tokens), end_of_text, n_jobs)
    n_parts = _parts_that_fit(len(ids), shortest, longest, memory, n_jobs)
    numbers = np.empty((longest, len(ids)), dtype=ids.dtype)
    numbers[0] = ids
    del ids
    keys = []
    for length in range(2, longest + 1):
        prefixes, out = numbers[length - 2], numbers[length - 1]
        keys.append(number_pairs(prefixes, numbers[0], starts, length, out, n_parts=n_parts, n_jobs=n_jobs))
    sizes = np.array([len(words), *map(len, keys)], dtype=np.int64)[shortest - 1 :]
    indptr, indices, counts = _rows(numbers[shortest - 1 :], starts, shortest, sizes, n_jobs)
    lengths = np.diff(starts)
    names = tuple(words), tuple(keys)
    return NgramCounts(indptr, indices, counts, int(sizes.sum()), lengths, *names, (shortest, longest))


def _checked_range(ngram_range: Any) -> tuple[int, int]:
    allowed = "two whole numbers, 1 <= shortest <= longest, such as (1, 3)"
    try:
        shortest, longest = ngram_range
        if shortest != int(shortest) or longest != int(longest) or not 1 <= shortest <= longest:
            raise ValueError
    except (TypeError, ValueError):
        raise ParameterError(f"ngram_range is {ngram_range!r}; it must be {allowed}") from None
    return int(shortest), int(longest)


def _strings(texts: Iterable[str], end_of_text: str) -> Iterator[str]:
    if isinstance(texts, str):
        raise ParameterError("texts is one string; it must be a list of texts")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ParameterError(f"text {row} is of type {type(text).__name__}; every text must be a string")
        yield text + end_of_text if end_of_text else text


def _scanned(texts: Iterable[str], kind: WordKind, n_jobs: int) -> Iterator[ScannedChunk]:
    """Scan chunks in threads and give them in order, without reading far ahead."""
    chunks = chunked(texts)
    work = partial(scan, kind=kind)
    if n_jobs == 1:
        yield from map(work, chunks)
        return
    with ThreadPoolExecutor(n_jobs) as threads:
        waiting = [threads.submit(work, chunk) for chunk in islice(chunks, n_jobs + 1)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [threads.submit(work, chunk) for chunk in islice(chunks, 1)]


def _numbered_words(
    texts: Iterable[str], kind: WordKind, end_of_text: str, n_jobs: int
) -> tuple[Integers, npt.NDArray[np.int64], list[str]]:
    """Return the number of every word of every text, where texts begin, and the words."""
    numbers: dict[str, int] = {}
    found: list[npt.NDArray[np.int32]] = []
    lengths: list[npt.NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
    for chunk in _scanned(_strings(texts, end_of_text), kind, n_jobs):
        here = [numbers.setdefault(word, len(numbers)) for word in chunk.vocabulary]
        found.append(np.array(here, dtype=np.int32)[chunk.tokens])
        lengths.append(chunk.lengths)
    starts = np.cumsum(np.concatenate(lengths))
    n_tokens = int(starts[-1])
    ids: Integers = np.empty(n_tokens, dtype=np.int32 if n_tokens <= LARGEST_INT32 else np.int64)
    place = 0
    for part in found:
        ids[place : place + len(part)] = part
        place += len(part)
    return ids, starts, list(numbers)


def _parts_that_fit(n_tokens: int, shortest: int, longest: int, memory: int, n_jobs: int) -> int:
    """Return into how many parts keys are split, a power of 2, so that their tables fit with the rest."""
    width = 4 if n_tokens <= LARGEST_INT32 else 8
    n_levels = longest - shortest + 1
    numbers = width * longest * n_tokens
    keys = 8 * n_tokens * max(0, longest - 1)  # what is kept of them, at most, and those at work
    rows = (width + 4) * n_levels * n_tokens
    smallest_tables = BYTES_PER_KEY * n_jobs * 4096
    needed = numbers + max(keys + 8 * n_tokens + smallest_tables, keys + rows)
    if needed > memory:
        raise ParameterError(
            f"max_memory is {memory:,} bytes; {n_tokens:,} words in n-grams of {shortest} to {longest} "
            f"words may need {needed:,}: allow more, or count shorter n-grams or fewer texts"
        )
    for_tables = memory - numbers - keys - 8 * n_tokens
    keys_at_once = min(KEYS_PER_PART, for_tables // (BYTES_PER_KEY * n_jobs))
    n_parts = max(n_jobs, -(-n_tokens // max(1, keys_at_once)))
    return int(1 << (n_parts - 1).bit_length())


def _rows(
    numbers: Integers, starts: npt.NDArray[np.int64], shortest: int, sizes: npt.NDArray[np.int64], n_jobs: int
) -> tuple[npt.NDArray[np.int64], Integers, npt.NDArray[np.int32]]:
    """Gather the n-grams of every text and count them."""
    lengths = np.diff(starts)
    per_level = [np.maximum(lengths - length, 0) for length in range(shortest - 1, shortest - 1 + len(sizes))]
    room = np.zeros(len(starts), dtype=np.int64)
    np.cumsum(np.sum(per_level, axis=0), out=room[1:])
    dtype = np.int32 if sizes.sum() <= LARGEST_INT32 else np.int64
    indices = np.empty(room[-1], dtype=dtype)
    counts = np.empty(room[-1], dtype=np.int32)
    indptr = np.zeros(len(starts), dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    cuts = np.searchsorted(starts, np.linspace(0, starts[-1], 4 * n_jobs + 1)[1:-1])
    cuts = np.concatenate([[0], cuts, [len(lengths)]])

    def count(part: int) -> None:
        first, last = cuts[part], cuts[part + 1]
        distinct_per_text(numbers, starts, offsets, room, first, last, indices, counts, indptr)

    run_in_threads(count, len(cuts) - 1, n_jobs)
    n_kept = move_together(room, indices, counts, indptr)
    indices.resize(n_kept, refcheck=False)  # gives the memory of the rest back, without a copy
    counts.resize(n_kept, refcheck=False)
    return indptr, indices, counts
