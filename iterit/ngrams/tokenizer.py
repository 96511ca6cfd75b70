"""Cuts texts into words and numbers the words: compiled, over code points, in threads.

A chunk of texts is scanned without the interpreter's lock, with a small table of its own words;
equal hashes are compared character by character, so that no two words are ever confused.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.compilation import compiled
from iterit.ngrams.word_kinds import ALONE, WordKind

CHUNK_CHARACTERS = 1 << 21
"""Characters of a chunk of texts, about."""


class ScannedChunk(NamedTuple):
    """The words of some texts, numbered within the chunk in the order in which they first occur.

    Attributes
    ----------
    tokens : ndarray of int32
        Number of each word in `vocabulary`, text after text.
    lengths : ndarray of int64, shape (n_texts,)
        Words per text.
    vocabulary : list of str
    n_words : ndarray of float64, shape (n_texts,)
        Words of English that each text says as much as, see :class:`iterit.ngrams.word_kinds.WordKind`.
    """

    tokens: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    vocabulary: list[str]
    n_words: npt.NDArray[np.float64]


def chunked(texts: Iterable[str], size: int = CHUNK_CHARACTERS) -> Iterator[list[str]]:
    """Yield texts in lists of about `size` characters together, in order.

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


def scan(texts: list[str], kind: WordKind, end_of_text: str = "") -> ScannedChunk:
    """Cut some texts into words.

    Parameters
    ----------
    texts : list of str
    kind : WordKind
        See :func:`iterit.ngrams.word_kinds.word_kind`.
    end_of_text : str, optional
        Appended to every text.

    Returns
    -------
    ScannedChunk

    Examples
    --------
    >>> from iterit.ngrams.word_kinds import word_kind
    >>> found = scan(["To be or not to be", "a"], word_kind("published"))
    >>> found.tokens.tolist(), found.lengths.tolist(), found.vocabulary
    ([0, 1, 2, 3, 0, 1], [6, 0], ['to', 'be', 'or', 'not'])
    """
    prepared = [kind.prepare(text + end_of_text) for text in texts]
    bounds = np.zeros(len(prepared) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, prepared), dtype=np.int64, count=len(prepared)), out=bounds[1:])
    joined = "".join(prepared)
    # Half of a surrogate pair, which JSON can hold, is a character like any other here.
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    tokens, lengths, begins, ends = scan_words(codes, bounds, kind.kinds, kind.shortest)
    vocabulary = [joined[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    n_words = lengths.astype(np.float64)
    if kind.words is not None and ((shares := kind.words[codes[begins]]) != 1.0).any():
        texts_of = np.repeat(np.arange(len(lengths)), lengths)
        n_words = np.bincount(texts_of, shares[tokens], minlength=len(lengths))
    found = ScannedChunk(tokens, lengths, vocabulary, n_words)
    if kind.stand_in is None:
        return found
    n_common = len(scan([end_of_text], kind._replace(stand_in=None)).tokens) if end_of_text else 0
    empty = np.flatnonzero(lengths <= n_common)
    own = [kind.stand_in(kind.prepare(texts[text])) for text in empty]
    return _with_words(found, empty, own) if any(own) else found


def _with_words(found: ScannedChunk, rows: npt.NDArray[np.int64], words: list[list[str]]) -> ScannedChunk:
    """Put words before those of some texts."""
    numbers = {word: number for number, word in enumerate(found.vocabulary)}
    given = [numbers.setdefault(word, len(numbers)) for own in words for word in own]
    more = np.zeros_like(found.lengths)
    more[rows] = [len(own) for own in words]
    places = np.repeat(np.cumsum(found.lengths) - found.lengths, more)
    order, first = pd.factorize(np.insert(found.tokens, places, given))  # numbered as they first occur
    names = list(numbers)
    vocabulary = [names[number] for number in first]
    return ScannedChunk(order.astype(np.int32), found.lengths + more, vocabulary, found.n_words + more)


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
    # invariant: the characters from `start` to `place` are one word
    while place < stop:
        kind = kinds[codes[place]]
        if kind != 2 and (alone or kind != 1):
            break
        place += 1
    return place


@compiled
def _same_word(codes, first, second, length):  # type: ignore[no-untyped-def]
    """Tell whether the same characters stand at two places."""
    # invariant: the characters before `offset` are equal
    for offset in range(length):  # noqa: SIM110 - compiled
        if codes[first + offset] != codes[second + offset]:
            return False
    return True


def scan_words(
    codes: npt.NDArray[np.uint32], bounds: npt.NDArray[np.int64], kinds: npt.NDArray[np.uint8], shortest: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give numbers to the words of texts that are joined to one.

    Parameters
    ----------
    codes : ndarray of uint32
        Their characters.
    bounds : ndarray of int64, shape (n_texts + 1,)
        Where each text begins in `codes`.
    kinds : ndarray of uint8
        Kind of every character, see :mod:`iterit.ngrams.word_kinds`.
    shortest : int
        Words with fewer characters are omitted, except those of a character that is a word of its own.

    Returns
    -------
    tokens, lengths, begins, ends : ndarray
        Number of each word; words per text; where each different word first began and ended.

    Examples
    --------
    >>> from iterit.ngrams.word_kinds import word_kind
    >>> codes = np.frombuffer("to be to".encode("utf-32-le"), dtype=np.uint32)
    >>> scan_words(codes, np.array([0, 8]), word_kind("published").kinds, 2)
    (array([0, 1, 0], dtype=int32), array([3]), array([0, 3]), array([2, 5]))
    """
    least = 1 if (kinds[codes] == ALONE).any() else shortest
    tokens = np.empty(len(codes) // least + 1, dtype=np.int32)
    lengths = np.zeros(len(bounds) - 1, dtype=np.int64)
    places = np.zeros(3, dtype=np.int64)  # next text, tokens and words so far
    slots = np.full(1 << 14, -1, dtype=np.int32)
    words = np.empty((3, len(slots) // 2), dtype=np.int64)  # hash, begin and end of each word
    while True:
        scan_texts(codes, bounds, kinds, shortest, least, tokens, lengths, places, slots, words)
        if places[0] == len(lengths):
            break
        wider = np.empty((3, 2 * words.shape[1]), dtype=np.int64)
        wider[:, : places[2]] = words[:, : places[2]]
        words, slots = wider, np.full(2 * len(slots), -1, dtype=np.int32)
        fill_slots(words[0], places[2], slots)
    n_tokens, n_words = places[1], places[2]
    return tokens[:n_tokens].copy(), lengths, words[1, :n_words].copy(), words[2, :n_words].copy()


@compiled
def fill_slots(hashes, n_words, slots):  # type: ignore[no-untyped-def]
    """Put words into an empty hash table."""
    mask = len(slots) - 1
    # invariant: each word before `word` is found by going from its slot to the first free one
    for word in range(n_words):
        slot = hashes[word] & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = word


@compiled
def scan_texts(codes, bounds, kinds, shortest, least, tokens, lengths, places, slots, words):  # type: ignore[no-untyped-def]
    """Give numbers to the words of texts, up to the end or a text that the table might not have room for."""
    # invariant: tokens[:n_tokens] are the words of the texts before `text`, and of the current one before
    # `place`; each of the n_words different ones is in the hash table, which is at most half full
    hashes, begins, ends = words[0], words[1], words[2]
    mask = len(slots) - 1
    text, n_tokens, n_words = places[0], places[1], places[2]
    while text < len(lengths):
        place, stop = bounds[text], bounds[text + 1]
        if n_words + (stop - place) // least + 1 > len(hashes):
            break
        before = n_tokens
        while place < stop:
            kind = kinds[codes[place]]
            if kind == 0 or kind == 2:
                place += 1
                continue
            start = place
            place = _word_end(codes, start, stop, kinds)
            if kind != 3 and place - start < shortest:
                continue
            value = np.uint64(0xCBF29CE484222325)
            for at in range(start, place):
                value = (value ^ np.uint64(codes[at])) * np.uint64(0x100000001B3)
            key = np.int64(mixed(value))
            slot = key & mask
            word = np.int64(slots[slot])
            while word >= 0 and not (
                hashes[word] == key
                and ends[word] - begins[word] == place - start
                and _same_word(codes, begins[word], start, place - start)
            ):
                slot = (slot + 1) & mask
                word = np.int64(slots[slot])
            if word < 0:
                word = n_words
                slots[slot] = word
                hashes[word], begins[word], ends[word] = key, start, place
                n_words += 1
            tokens[n_tokens] = word
            n_tokens += 1
        lengths[text] = n_tokens - before
        text += 1
    places[0], places[1], places[2] = text, n_tokens, n_words
