"""Numbers n-grams without a chance of confusion: an n-gram is the pair (its first n-1 words, its last word).

Both halves are numbers below 2**32, so a pair is one 64-bit key and equal keys are equal n-grams.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

Integers = npt.NDArray[np.signedinteger]

LARGEST_INT32 = np.iinfo(np.int32).max

BYTES_PER_TOKEN = 80
"""Memory that numbering takes per token at most: keys, numbers, and the hash table while it grows."""


def number_pairs(
    prefixes: Integers, words: Integers, starts: npt.NDArray[np.int64], length: int, out: Integers
) -> npt.NDArray[np.uint64]:
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
    out : ndarray of shape (n_tokens,)
        Receives the number of the n-gram that begins at each token, -1 where none does.

    Returns
    -------
    ndarray of uint64
        Key of each n-gram by its number: ``prefix << 32 | word``.

    Examples
    --------
    >>> words = np.array([0, 1, 0, 1, 1, 0], dtype=np.int32)
    >>> out = np.empty_like(words)
    >>> number_pairs(words, words, np.array([0, 4, 6]), 2, out).tolist()
    [1, 4294967296]
    >>> out.tolist()  # 0-1, 1-0, 0-1, end of the first text, 1-0, end
    [0, 1, 0, -1, 1, -1]
    """
    begins = np.ones(len(words), dtype=bool)
    for last in range(1, length):  # no n-gram begins at the last words of a text
        begins[starts[1:][np.diff(starts) >= last] - last] = False
    keys = prefixes[begins].astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= words[length - 1 :][begins[: max(0, len(words) - length + 1)]].astype(np.uint64)
    out.fill(-1)
    out[begins], distinct = pd.factorize(keys)
    return np.asarray(distinct)
