"""Cuts texts into words and numbers the words: compiled, over code points, in threads.

A chunk of texts is scanned without the interpreter's lock, with a small table of its own words;
equal hashes are compared character by character, so no two words are ever taken for one.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from iterit.word_kinds import WordKind

CHUNK_CHARACTERS = 1 << 21
"""Texts are scanned in chunks of about so many characters."""


class ScannedChunk(NamedTuple):
    """The words of some texts, numbered within the chunk in the order they first came.

    Attributes
    ----------
    tokens : ndarray of int32
        Number of each word in `vocabulary`, text after text.
    lengths : ndarray of int64, shape (n_texts,)
        Words per text.
    vocabulary : list of str
    """

    tokens: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    vocabulary: list[str]


def chunked(texts: Iterable[str], size: int = CHUNK_CHARACTERS) -> Iterator[list[str]]:
    """Give texts in lists of about `size` characters together, in order.

    Examples
    --------
    >>> list(chunked(["abc", "d", "efgh"], size=4))
    [['abc', 'd'], ['efgh']]
    """
    chunk: list[str] = []
    held = 0
    for text in texts:
        chunk.append(text)
        held += len(text)
        if held >= size:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def scan(texts: list[str], kind: WordKind) -> ScannedChunk:
    """Cut some texts into words.

    Parameters
    ----------
    texts : list of str
    kind : WordKind
        See :func:`iterit.word_kinds.word_kind`.

    Returns
    -------
    ScannedChunk

    Examples
    --------
    >>> from iterit.word_kinds import word_kind
    >>> found = scan(["To be or not to be", "a"], word_kind("scikit-learn"))
    >>> found.tokens.tolist(), found.lengths.tolist(), found.vocabulary
    ([0, 1, 2, 3, 0, 1], [6, 0], ['to', 'be', 'or', 'not'])
    """
    prepared = [kind.prepare(text) for text in texts]
    bounds = np.zeros(len(prepared) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, prepared), dtype=np.int64, count=len(prepared)), out=bounds[1:])
    joined = "".join(prepared)
    # Half of a surrogate pair, which JSON can hold, is a character like any other here.
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    tokens, lengths, begins, ends = scan_words(codes, bounds, kind.kinds, kind.shortest)
    vocabulary = [joined[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    return ScannedChunk(tokens, lengths, vocabulary)


@compiled
def mixed(value: np.uint64) -> np.uint64:
    """Return a number whose every bit depends on all bits of the given one."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _word_end(codes, start, stop, kinds):  # type: ignore[no-untyped-def]
    """Return where the word that begins at `start` ends."""
    alone = kinds[codes[start]] == 3
    place = start + 1
    while place < stop:
        kind = kinds[codes[place]]
        if kind != 2 and (alone or kind != 1):
            break
        place += 1
    return place


@compiled
def _same_word(codes, first, second, length):  # type: ignore[no-untyped-def]
    """Tell whether the same characters stand at two places."""
    for offset in range(length):  # noqa: SIM110 - compiled
        if codes[first + offset] != codes[second + offset]:
            return False
    return True


@compiled
def _rehashed(hashes, n_words, n_slots):  # type: ignore[no-untyped-def]
    """Return a larger table with the words there are."""
    slots = np.full(n_slots, -1, dtype=np.int32)
    mask = np.uint64(n_slots - 1)
    for word in range(n_words):
        slot = hashes[word] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = word
    return slots


@compiled
def _doubled(array):  # type: ignore[no-untyped-def]
    """Return an array twice as long that begins with the given one."""
    longer = np.empty(2 * len(array), dtype=array.dtype)
    longer[: len(array)] = array
    return longer


@compiled
def scan_words(codes, bounds, kinds, shortest):  # type: ignore[no-untyped-def]
    """Give numbers to the words of texts that stand one after the other in `codes`.

    Returns the tokens, words per text, and where each word first began and ended.
    """
    n_texts = len(bounds) - 1
    tokens = np.empty(len(codes) // shortest + 1, dtype=np.int32)
    lengths = np.zeros(n_texts, dtype=np.int64)
    n_slots = 1 << 12
    slots = np.full(n_slots, -1, dtype=np.int32)
    hashes = np.empty(n_slots // 2, dtype=np.uint64)
    begins = np.empty(n_slots // 2, dtype=np.int64)
    ends = np.empty(n_slots // 2, dtype=np.int64)
    n_tokens = 0
    n_words = 0
    for text in range(n_texts):
        place, stop = bounds[text], bounds[text + 1]
        before = n_tokens
        while place < stop:
            kind = kinds[codes[place]]
            if kind == 0 or kind == 2:
                place += 1
                continue
            start = place
            place = _word_end(codes, start, stop, kinds)
            if place - start < shortest:
                continue
            value = np.uint64(0xCBF29CE484222325)
            for at in range(start, place):
                value = (value ^ np.uint64(codes[at])) * np.uint64(0x100000001B3)
            value = mixed(value)
            mask = np.uint64(n_slots - 1)
            slot = value & mask
            word = slots[slot]
            while word >= 0 and not (
                hashes[word] == value
                and ends[word] - begins[word] == place - start
                and _same_word(codes, begins[word], start, place - start)
            ):
                slot = (slot + np.uint64(1)) & mask
                word = slots[slot]
            if word < 0:
                word = n_words
                slots[slot] = word
                hashes[word], begins[word], ends[word] = value, start, place
                n_words += 1
                if 2 * n_words >= n_slots:
                    n_slots *= 2
                    hashes, begins, ends = _doubled(hashes), _doubled(begins), _doubled(ends)
                    slots = _rehashed(hashes, n_words, n_slots)
            tokens[n_tokens] = word
            n_tokens += 1
        lengths[text] = n_tokens - before
    return tokens[:n_tokens].copy(), lengths, begins[:n_words].copy(), ends[:n_words].copy()
