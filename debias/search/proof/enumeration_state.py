"""The state of one walk through the choices, and what it has found: arrays for compiled functions."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from debias.search.problem import FloatArray, IndexArray
from debias.search.proof.bit_tables import Lanes


class State(NamedTuple):
    """Where one walk is, and its scratch: one per thread.

    Attributes
    ----------
    lane : ndarray of shape (n_classes,)
        Lane of each class.
    tried : ndarray of shape (n_classes,)
        Lane that is being tried at each depth.
    held : ndarray of uint64, shape (n_classes, n_words)
        By depth, the samples that settled classes win among themselves, each of its own.
    opened : ndarray of uint64, shape (n_classes, n_words, n_padded)
        By depth and lane, the samples that open classes would win from the settled ones.
    stop : ndarray of bool, shape (1,)
        Set from outside to end the walk early.
    alone, rows, most, right, won, counts, accuracy, gaps, kept, levels : ndarray
        Scratch.
    """

    stop: npt.NDArray[np.bool_]
    alone: IndexArray
    rows: IndexArray
    lane: IndexArray
    tried: IndexArray
    held: npt.NDArray[np.uint64]
    opened: npt.NDArray[np.uint64]
    most: IndexArray
    right: IndexArray
    won: npt.NDArray[np.uint64]
    counts: IndexArray
    accuracy: FloatArray
    gaps: FloatArray
    kept: npt.NDArray[np.uint64]
    levels: FloatArray


class Found(NamedTuple):
    """What a walk has found.

    Attributes
    ----------
    best : ndarray of shape (3,)
        z, changed classes and size of the change of the best choice.
    best_lane : ndarray of shape (n_classes,)
        Its lanes.
    front : ndarray of shape (3, n_samples + 1)
        By number of right samples: the lowest COBias met, changed classes, size of the change.
    front_lane : ndarray of shape (n_samples + 1, n_classes)
        The lanes of these.
    reached : ndarray of shape (n_samples + 1,)
        The COBias that must be undercut, or equalled, to be worth keeping.
    """

    best: FloatArray
    best_lane: IndexArray
    front: FloatArray
    front_lane: npt.NDArray[np.int16]
    reached: FloatArray


def new_state(lanes: Lanes, stop: npt.NDArray[np.bool_] | None = None) -> State:
    """Return the state of a walk that begins; `stop` may end it."""
    n_classes, (n_words, n_padded) = len(lanes.order), lanes.holds.shape[1:]
    opened = np.zeros((n_classes, n_words, n_padded), dtype=np.uint64)
    opened[0] = lanes.valid[:, None]
    index: Any = np.int64
    return State(
        stop=np.zeros(1, dtype=np.bool_) if stop is None else stop,
        alone=np.zeros(n_padded + 1, dtype=index),
        rows=np.zeros(n_padded, dtype=index),
        lane=np.zeros(n_classes, dtype=index),
        tried=np.full(n_classes, -1, dtype=index),
        held=np.zeros((n_classes, n_words), dtype=np.uint64),
        opened=opened,
        most=np.zeros(n_classes, dtype=index),
        right=np.zeros((2, n_classes), dtype=index),
        won=np.zeros((1, n_words), dtype=np.uint64),
        counts=np.zeros((n_classes, n_padded), dtype=index),
        accuracy=np.zeros((n_classes, n_padded)),
        gaps=np.zeros((3, n_padded)),
        kept=np.zeros(n_words, dtype=np.uint64),
        levels=np.zeros(n_classes),
    )
