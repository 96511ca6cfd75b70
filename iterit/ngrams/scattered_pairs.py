"""Numbers n-grams that do not fit into memory, exactly as :mod:`iterit.ngrams.gram_numbers` does.

Keys are scattered to parts by their hashes; each part is numbered on its own, with a small table; then
one pass over the texts meets every key again in order, and gives those that are new to it the next
number. A key is new where its number within its part is that of keys of the part met so far. Every
pass reads and writes files from their beginnings to their ends, in as many places as there are parts.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from iterit.ngrams.disk_arrays import new_array
from iterit.ngrams.gram_numbers import LARGEST_INT32, Integers
from iterit.ngrams.tokenizer import mixed
from iterit.threads import run_in_threads

KEYS_PER_PART = 1 << 22
"""Keys of a part, about: its table takes at most 100 MB."""


def number_scattered_pairs(
    prefixes: Integers,
    words: Integers,
    starts: npt.NDArray[np.int64],
    length: int,
    folder: Path,
    *,
    n_jobs: int = 1,
    keys_per_part: int = KEYS_PER_PART,
) -> tuple[Integers, npt.NDArray[np.uint64]]:
    """Give a number to each n-gram of one length, in the order in which they first occur.

    Parameters
    ----------
    prefixes : ndarray of shape (n_tokens,)
        Number of the n-gram of one word less that begins at each token, -1 where none does.
    words : ndarray of shape (n_tokens,)
        Number of each word.
    starts : ndarray of int64, shape (n_texts + 1,)
        Where each text begins.
    length : int
        Words per n-gram, 2 or more.
    folder : Path
        Where the arrays are held.
    n_jobs : int
        Threads; the result is the same for any number.
    keys_per_part : int
        The result is the same for any number.

    Returns
    -------
    numbers : ndarray of shape (n_tokens,)
        Number of the n-gram that begins at each token, -1 where none does.
    keys : ndarray of uint64
        Key of each n-gram by its number: ``prefix << 32 | word``.

    Raises
    ------
    StorageError
        The folder cannot be written, or its disk is full.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> words = np.array([0, 1, 0, 1, 1, 0], dtype=np.int32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     numbers, keys = number_scattered_pairs(words, words, np.array([0, 4, 6]), 2, pathlib.Path(folder))
    >>> numbers.tolist(), keys.tolist()  # 0-1, 1-0, 0-1, end of the first text, 1-0, end
    ([0, 1, 0, -1, 1, -1], [1, 4294967296])
    """
    texts = (prefixes, words, starts, length)
    bits = max(0, (len(words) // keys_per_part).bit_length())
    sizes = np.zeros(1 << bits, dtype=np.int64)
    count_parts(*texts, bits, sizes)
    first = np.concatenate([[0], np.cumsum(sizes)])
    keys = new_array(folder, first[-1], np.uint64)
    scatter_keys(*texts, bits, first[:-1].copy(), keys)
    own_numbers = new_array(folder, first[-1], np.int32)
    n_distinct = _number_parts(keys, own_numbers, first, n_jobs)
    del keys
    n_keys = int(n_distinct.sum())
    first_of_part = np.concatenate([[0], np.cumsum(n_distinct)[:-1]])
    kind = np.int32 if n_keys <= LARGEST_INT32 else np.int64
    final = new_array(folder, n_keys, kind)
    numbers = new_array(folder, len(words), kind)
    distinct = new_array(folder, n_keys, np.uint64)
    cursors = first[:-1].copy()
    gather_numbers(*texts, bits, cursors, own_numbers, first_of_part, final, numbers, distinct)
    return numbers, distinct


def _number_parts(
    keys: npt.NDArray[np.uint64],
    own_numbers: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
    n_jobs: int,
) -> npt.NDArray[np.int64]:
    """Give numbers to the keys of each part on its own, and return how many different ones it has."""
    n_distinct = np.zeros(len(first) - 1, dtype=np.int64)

    def number_part(part: int) -> None:
        place = slice(first[part], first[part + 1])
        n_distinct[part] = number_keys(keys[place], own_numbers[place])

    run_in_threads(number_part, len(n_distinct), n_jobs)
    return n_distinct


@compiled
def part_of(key, bits):  # type: ignore[no-untyped-def]
    """Return the part of a key: the highest bits of its hash, as tables use the lowest."""
    return np.int64(0) if bits == 0 else np.int64(mixed(key) >> np.uint64(64 - bits))


@compiled
def key_at(prefixes, words, place, length):  # type: ignore[no-untyped-def]
    """Return the key of the n-gram that begins at a token."""
    return (np.uint64(prefixes[place]) << np.uint64(32)) | np.uint64(words[place + length - 1])


@compiled
def count_parts(prefixes, words, starts, length, bits, sizes):  # type: ignore[no-untyped-def]
    """Count the keys of each part."""
    # invariant: sizes counts the n-grams of the texts before `text`
    for text in range(len(starts) - 1):
        for place in range(starts[text], starts[text + 1] - length + 1):
            sizes[part_of(key_at(prefixes, words, place, length), bits)] += 1


@compiled
def scatter_keys(prefixes, words, starts, length, bits, cursors, keys):  # type: ignore[no-untyped-def]
    """Write the keys of each part together, in the order of the texts."""
    # invariant: the keys of the texts before `text` are written, and cursors[part] is where the next of
    # a part belongs
    for text in range(len(starts) - 1):
        for place in range(starts[text], starts[text + 1] - length + 1):
            key = key_at(prefixes, words, place, length)
            part = part_of(key, bits)
            keys[cursors[part]] = key
            cursors[part] += 1


@compiled
def number_keys(keys, numbers):  # type: ignore[no-untyped-def]
    """Give numbers to keys as they first occur, move the different ones to the front, and count them."""
    slots = np.full(1 << 10, -1, dtype=np.int32)
    mask = np.uint64(len(slots) - 1)
    n_distinct = 0
    # invariant: keys[:n_distinct] are the different keys before `place`, n_distinct <= place, and each is
    # found by going from its slot to the first free one; the table is at most half full
    for place in range(len(keys)):
        key = keys[place]
        slot = mixed(key) & mask
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = n_distinct
            keys[n_distinct] = key
            n_distinct += 1
        numbers[place] = slots[slot]
        if 2 * n_distinct > len(slots):
            slots = np.full(2 * len(slots), -1, dtype=np.int32)
            mask = np.uint64(len(slots) - 1)
            for number in range(n_distinct):
                slot = mixed(keys[number]) & mask
                while slots[slot] >= 0:
                    slot = (slot + np.uint64(1)) & mask
                slots[slot] = number
    return n_distinct


@compiled
def gather_numbers(  # type: ignore[no-untyped-def]
    prefixes, words, starts, length, bits, cursors, own_numbers, first_of_part, final, numbers, distinct
):
    """Give numbers to the keys of all parts as they first occur."""
    n_seen = np.zeros(len(first_of_part), dtype=np.int64)
    n_numbered = 0
    # invariant: n_numbered different keys are in the texts before `place`, n_seen[part] of them of a part;
    # final[first_of_part[part] + own number] is the number of each
    for text in range(len(starts) - 1):
        stop = max(starts[text], starts[text + 1] - length + 1)
        for place in range(starts[text], stop):
            key = key_at(prefixes, words, place, length)
            part = part_of(key, bits)
            own = own_numbers[cursors[part]]
            cursors[part] += 1
            if own == n_seen[part]:
                final[first_of_part[part] + own] = n_numbered
                distinct[n_numbered] = key
                n_seen[part] += 1
                n_numbered += 1
            numbers[place] = final[first_of_part[part] + own]
        for place in range(stop, starts[text + 1]):
            numbers[place] = -1
