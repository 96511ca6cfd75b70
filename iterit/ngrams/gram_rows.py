"""Gathers the n-grams of every text, sorted, each once with its count: compiled."""

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled


def room_of_texts(starts: npt.NDArray[np.int64], shortest: int, n_levels: int) -> npt.NDArray[np.int64]:
    """Return where the n-grams of each text may begin, if no n-gram occurs twice in it.

    Examples
    --------
    >>> room_of_texts(np.array([0, 3, 3, 4]), shortest=1, n_levels=3).tolist()
    [0, 6, 6, 7]
    """
    lengths = np.diff(starts)
    room = np.zeros(len(starts), dtype=np.int64)
    for length in range(shortest, shortest + n_levels):
        room[1:] += np.maximum(lengths - length + 1, 0)
    return np.cumsum(room)


@compiled
def distinct_per_text(numbers, starts, offsets, room, first, last, indices, counts, indptr):  # type: ignore[no-untyped-def]
    """Write the columns and counts of some texts to the front of the room of each.

    `numbers[level]` holds the n-gram that begins at each token, -1 where none does; `room[text]`
    is where the columns of a text may begin; `indptr[text + 1]` receives their number.
    """
    for text in range(first, last):
        start = room[text]
        stop = start
        for level in range(len(offsets)):
            for place in range(starts[text], starts[text + 1]):
                if numbers[level, place] >= 0:
                    indices[stop] = offsets[level] + numbers[level, place]
                    stop += 1
        indices[start:stop].sort()
        kept = start
        # invariant: indices[start:kept] are the different columns of indices[start:place], ascending,
        # and counts[start:kept] says how often each occurs there; kept <= place
        for place in range(start, stop):
            if place > start and indices[place] == indices[kept - 1]:
                counts[kept - 1] += 1
            else:
                indices[kept] = indices[place]
                counts[kept] = 1
                kept += 1
        indptr[text + 1] = kept - start


@compiled
def move_together(room, indices, counts, indptr):  # type: ignore[no-untyped-def]
    """Close the gaps between rows, in place, and return the number of entries."""
    kept = 0
    # invariant: the rows before `text` are in indices[:kept], and kept <= room[text]: nothing that is
    # still to be moved is overwritten
    for text in range(len(room) - 1):
        length = indptr[text + 1]
        start = room[text]
        if start != kept:
            for offset in range(length):
                indices[kept + offset] = indices[start + offset]
                counts[kept + offset] = counts[start + offset]
        kept += length
        indptr[text + 1] = kept
    return kept
