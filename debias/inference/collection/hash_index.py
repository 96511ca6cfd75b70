"""Digests of 16 bytes in sorted arrays: a million take 24 MB, where a dictionary takes hundreds.

New digests come in blocks; blocks of like size are merged, so that a look-up goes through few of them.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16

DigestArray = NDArray[np.uint64]
"""Shape (n, 2): the two halves of each digest."""

IndexArray = NDArray[np.int64]
_Block = tuple[NDArray[np.uint64], NDArray[np.uint64], IndexArray]


def digest(text: str, before: bytes = b"") -> bytes:
    """Return the digest of a text that comes after some bytes.

    Parameters
    ----------
    text : str
    before : bytes, optional
        What the text is said about, so that the same text elsewhere has another digest.

    Returns
    -------
    bytes
        16 of them.

    Examples
    --------
    >>> digest("a") == digest("a"), digest("a") == digest("a", b"elsewhere")
    (True, False)
    """
    content = before + text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def as_array(digests: Sequence[bytes]) -> DigestArray:
    """Return digests as an array.

    Parameters
    ----------
    digests : sequence of bytes, length n

    Returns
    -------
    uint64 array, shape (n, 2)
    """
    joined = b"".join(digests)
    return np.frombuffer(joined, dtype="<u8").reshape(-1, 2)


class DigestIndex:
    """Where each digest is.

    Examples
    --------
    >>> index = DigestIndex()
    >>> index.add(as_array([digest("a"), digest("b")]), np.array([7, 8]))
    >>> index.find(as_array([digest("b"), digest("c")])).tolist()
    [8, -1]
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []

    def __len__(self) -> int:
        return sum(len(block[0]) for block in self._blocks)

    def add(self, digests: DigestArray, places: IndexArray) -> None:
        """Remember digests; one that is known already keeps its first place.

        Parameters
        ----------
        digests : uint64 array, shape (n, 2)
        places : int64 array, shape (n,)
            Not negative.
        """
        if not len(digests):
            return
        self._blocks.append(_sorted_block(digests[:, 0], digests[:, 1], places))
        while len(self._blocks) > 1 and len(self._blocks[-2][0]) < 2 * len(self._blocks[-1][0]):
            later, earlier = self._blocks.pop(), self._blocks.pop()
            joined = [np.concatenate(pair) for pair in zip(earlier, later, strict=True)]
            self._blocks.append(_sorted_block(*joined))

    def find(self, digests: DigestArray) -> IndexArray:
        """Return the place of each digest, -1 where it is not known.

        Parameters
        ----------
        digests : uint64 array, shape (n, 2)

        Returns
        -------
        int64 array, shape (n,)
        """
        places = np.full(len(digests), -1, dtype=np.int64)
        for block in self._blocks:
            rows = np.flatnonzero(places < 0)
            places[rows] = _find_in(block, digests[rows])
        return places


def _sorted_block(first: DigestArray, second: DigestArray, places: IndexArray) -> _Block:
    """Sort by the first half; the order of equal ones stays."""
    order = np.argsort(first, kind="stable")
    return first[order], second[order], places[order]


def _find_in(block: _Block, digests: DigestArray) -> IndexArray:
    """Return places in one block, -1 where there is none."""
    first, second, places = block
    found = np.full(len(digests), -1, dtype=np.int64)
    position = np.searchsorted(first, digests[:, 0])
    rows = np.arange(len(digests))
    while len(rows):  # a second turn only where two digests share their first half
        rows = rows[position[rows] < len(first)]
        rows = rows[first[position[rows]] == digests[rows, 0]]
        same = second[position[rows]] == digests[rows, 1]
        found[rows[same]] = places[position[rows[same]]]
        rows = rows[~same]
        position[rows] += 1
    return found


class SeenTexts:
    """Which texts came before, and where.

    Examples
    --------
    >>> seen = SeenTexts()
    >>> seen.first_rows(["a", "b", "a"]), seen.first_rows(["b", "c"])
    ([-1, -1, 0], [1, -1])
    """

    def __init__(self) -> None:
        self._index, self._n_rows = DigestIndex(), 0

    def first_rows(self, texts: Sequence[str]) -> list[int]:
        """Remember texts; return the row of each one's first appearance, -1 where this is the first.

        Parameters
        ----------
        texts : sequence of str
            The next rows.

        Returns
        -------
        list of int
        """
        digests = [digest(text) for text in texts]
        known = self._index.find(as_array(digests)).tolist()
        fresh: dict[bytes, int] = {}
        for number, one in enumerate(digests):
            row = self._n_rows + number
            if known[number] < 0 and fresh.setdefault(one, row) != row:
                known[number] = fresh[one]
        self._index.add(as_array(list(fresh)), np.array(list(fresh.values()), dtype=np.int64))
        self._n_rows += len(texts)
        return known
