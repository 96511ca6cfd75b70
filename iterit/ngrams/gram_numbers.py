"""Numbers n-grams without a chance of confusion: an n-gram is the pair (its first n-1 words, its last word).

Both halves are numbers below 2**32, so a pair is one 64-bit key and equal keys are equal n-grams.
Keys are numbered in the order they first come, by hash tables over parts of the keys, as many
parts as fit the memory and the threads; the numbers do not depend on either.
"""

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from iterit.ngrams.tokenizer import mixed
from iterit.threads import run_in_threads

NO_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)
BYTES_PER_KEY = 96
"""What a table takes per distinct key at its largest, while it grows."""


def number_pairs(
    prefixes: npt.NDArray[np.signedinteger],
    words: npt.NDArray[np.signedinteger],
    starts: npt.NDArray[np.int64],
    length: int,
    out: npt.NDArray[np.signedinteger],
    *,
    n_parts: int,
    n_jobs: int,
) -> npt.NDArray[np.uint64]:
    """Give a number to each n-gram of one length.

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
    out : ndarray of shape (n_tokens,)
        Takes the number of the n-gram that begins at each token, -1 where none does.
    n_parts, n_jobs : int
        Into how many parts the keys are split, a power of 2, and how many threads take them.

    Returns
    -------
    ndarray of uint64
        Key of each n-gram by its number: ``prefix << 32 | word``.

    Examples
    --------
    >>> words = np.array([0, 1, 0, 1, 1, 0], dtype=np.int32)
    >>> out = np.empty_like(words)
    >>> number_pairs(words, words, np.array([0, 4, 6]), 2, out, n_parts=1, n_jobs=1).tolist()
    [1, 4294967296]
    >>> out.tolist()  # 0-1, 1-0, 0-1, end of the first text, 1-0, end
    [0, 1, 0, -1, 1, -1]
    """
    keys = np.empty(len(words), dtype=np.uint64)
    join_pairs(prefixes, words, starts, length, keys)
    out.fill(-1)

    def group(part: int) -> None:
        group_keys(keys, part, n_parts, out)

    run_in_threads(group, n_parts, n_jobs)
    n_distinct = number_in_order(out, keys)
    return keys[:n_distinct].copy()


@compiled
def join_pairs(prefixes, words, starts, length, keys):  # type: ignore[no-untyped-def]
    """Write the key of the n-gram that begins at each token."""
    for text in range(len(starts) - 1):
        last = starts[text + 1] - length
        for place in range(starts[text], starts[text + 1]):
            if place <= last:
                key = np.uint64(prefixes[place]) << np.uint64(32)
                keys[place] = key | np.uint64(words[place + length - 1])
            else:
                keys[place] = NO_KEY


@compiled
def _grown(table_keys, table_places):  # type: ignore[no-untyped-def]
    """Return a table twice as large with the same keys."""
    n_slots = 2 * len(table_keys)
    mask = np.uint64(n_slots - 1)
    new_keys = np.empty(n_slots, dtype=np.uint64)
    new_places = np.full(n_slots, -1, dtype=table_places.dtype)
    for old in range(len(table_keys)):
        if table_places[old] >= 0:
            slot = mixed(table_keys[old]) & mask
            while new_places[slot] >= 0:
                slot = (slot + np.uint64(1)) & mask
            new_keys[slot] = table_keys[old]
            new_places[slot] = table_places[old]
    return new_keys, new_places


@compiled
def group_keys(keys, part, n_parts, first):  # type: ignore[no-untyped-def]
    """Write for every key of one part (of a power of 2 of them) where it first came."""
    n_slots = 1 << 12
    mask = np.uint64(n_slots - 1)
    table_keys = np.empty(n_slots, dtype=np.uint64)
    table_places = np.full(n_slots, -1, dtype=first.dtype)
    n_used = 0
    for place in range(len(keys)):
        key = keys[place]
        if key == NO_KEY:
            continue
        value = mixed(key)
        if np.int64(value >> np.uint64(40)) & (n_parts - 1) != part:
            continue
        slot = value & mask
        while table_places[slot] >= 0 and table_keys[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if table_places[slot] < 0:
            table_keys[slot] = key
            table_places[slot] = place
            n_used += 1
            first[place] = place
            if 2 * n_used >= n_slots:
                table_keys, table_places = _grown(table_keys, table_places)
                n_slots = len(table_keys)
                mask = np.uint64(n_slots - 1)
        else:
            first[place] = table_places[slot]


@compiled
def number_in_order(first, keys):  # type: ignore[no-untyped-def]
    """Turn first places into numbers, in place; the keys move to the front, one per number."""
    n_distinct = 0
    for place in range(len(first)):
        origin = first[place]
        if origin == place:
            keys[n_distinct] = keys[place]
            first[place] = n_distinct
            n_distinct += 1
        elif origin >= 0:
            first[place] = first[origin]
    return n_distinct
