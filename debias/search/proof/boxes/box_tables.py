"""Tables for boxes of choices: the corrections of a class in a binary tree of groups that act nearly alike.

A box holds one group per class, and with it every choice that takes a correction out of each. From
a group a class wins what it wins from any correction of it: the bits of the group are those of its
parts, united. So the samples that a class may still get right in a box are counted as those of a
choice are, and one is bounded at the cost of the other.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist

from debias.search.counting.bit_tables import LARGEST_TABLES, BitTables, Words
from debias.search.problem import FloatArray, IndexArray, Problem, Ranks


class BoxTables(NamedTuple):
    """What :mod:`debias.search.proof.boxes.box_kernels` reads, compiled.

    Attributes
    ----------
    members : ndarray of shape (n_classes, most_distinct)
        Correction of the family behind each distinct one, those of a group side by side.
    halves : ndarray of shape (n_classes, n_groups, 2)
        The two groups that each one divides into, -1 for a single correction. Group 0 holds all.
    spans : ndarray of shape (n_classes, n_groups, 2)
        Where the corrections of a group begin and end among the distinct ones.
    spread : ndarray of shape (n_classes, n_groups)
        By how many bits the corrections of a group differ in what is won from them.
    changed, change : ndarray of shape (n_classes, n_groups)
        Whether every correction of a group changes something, and the least that one changes.
    beats : ndarray of uint64, shape (n_classes, n_groups, n_words, n_padded)
        ``beats[k, g, w, r]`` has a bit for each sample of word w, which belongs to label u,
        that class u with correction r wins from class k with some correction of group g.
    low, high : ndarray of shape (n_classes, n_groups, n_samples)
        Lowest and highest rank of every sample in a group.
    takes : ndarray of shape (n_classes, n_groups, n_classes, n_groups)
        ``takes[j, g, v, h]``: samples of label v that class j, with some correction of group g, wins
        from class v with some correction of group h.
    words, offsets : ndarray of shape (n_classes + 1,)
        Where the words, and the samples, of each label begin.
    valid : ndarray of uint64, shape (n_words,)
        The bits that stand for samples.
    """

    members: IndexArray
    halves: IndexArray
    spans: IndexArray
    spread: FloatArray
    changed: IndexArray
    change: FloatArray
    beats: Words
    low: Ranks
    high: Ranks
    takes: npt.NDArray[np.int32]
    words: IndexArray
    offsets: Words
    valid: Words

    @property
    def height(self) -> int:
        """Divisions that lead from the box of all choices to a single one, at most."""
        depth = np.zeros(self.halves.shape[:2], dtype=np.int64)
        for k, g in np.argwhere(self.halves[:, :, 0] >= 0):  # a group comes before its halves
            depth[k, self.halves[k, g]] = depth[k, g] + 1
        return int(depth.max(axis=1).sum())


def boxes_fit(tables: BitTables, problem: Problem) -> bool:
    """Return whether tables of boxes fit into the memory that they may take."""
    n_classes, most, n_words, n_padded = tables.beats.shape
    ranks = 2 * problem.ranks.itemsize * problem.n_samples
    return bool(n_classes * 2 * most * (8 * n_words * n_padded + ranks) <= LARGEST_TABLES // 2)


def build_boxes(problem: Problem, tables: BitTables) -> BoxTables:
    """Group the distinct corrections of every class and unite what is won from them."""
    n_classes, n_padded = problem.n_classes, tables.beats.shape[3]
    trees = [_tree(problem.columns[k, tables.members[k, : tables.n_distinct[k]]]) for k in range(n_classes)]
    n_groups = 2 * int(tables.n_distinct.max()) - 1
    halves = np.full((n_classes, n_groups, 2), -1, dtype=np.int64)
    spans = np.zeros((n_classes, n_groups, 2), dtype=np.int64)
    spread, change = np.zeros((n_classes, n_groups)), np.zeros((n_classes, n_groups))
    changed = np.zeros((n_classes, n_groups), dtype=np.int64)
    members = np.full_like(tables.members, -1)
    beats = np.zeros((n_classes, n_groups, len(tables.wins.valid), n_padded), dtype=np.uint64)
    dtype = np.promote_types(problem.ranks.dtype, np.uint16)  # one width, so that one kernel is compiled
    low = np.zeros((n_classes, n_groups, problem.n_samples), dtype=dtype)
    high = np.zeros_like(low)
    takes = np.zeros((n_classes, n_groups, n_classes, n_groups), dtype=np.int32)
    orders = [tree.order for tree in trees]
    for k, tree in enumerate(trees):
        order = tree.order
        members[k, : len(order)] = tables.members[k, order]
        halves[k, : len(tree.halves)], spans[k, : len(tree.halves)] = tree.halves, tree.spans
        won = np.zeros((len(order), *beats.shape[2:]), dtype=np.uint64)
        for u in set(range(n_classes)) - {k}:
            segment = slice(tables.words[u], tables.words[u + 1])
            won[:, segment, : len(orders[u])] = tables.beats[k, order, segment][:, :, orders[u]]
        every = np.zeros((len(tree.halves), *beats.shape[2:]), dtype=np.uint64)
        # invariant: the groups after g, its halves among them, are filled
        for g in reversed(range(len(tree.halves))):
            a, b = tree.halves[g]
            if a < 0:
                one = tree.spans[g, 0]
                beats[k, g] = every[g] = won[one]
                low[k, g] = high[k, g] = problem.columns[k, members[k, one]]
                changed[k, g], change[k, g] = tables.changed[k, order[one]], tables.change[k, order[one]]
                continue
            beats[k, g] = beats[k, a] | beats[k, b]
            np.bitwise_and(every[a], every[b], out=every[g])
            spread[k, g] = np.bitwise_count(beats[k, g] & ~every[g]).sum()
            np.minimum(low[k, a], low[k, b], out=low[k, g])
            np.maximum(high[k, a], high[k, b], out=high[k, g])
            changed[k, g] = min(changed[k, a], changed[k, b])
            change[k, g] = min(change[k, a], change[k, b])
        for u in set(range(n_classes)) - {k}:
            segment = slice(tables.words[u], tables.words[u + 1])
            takes[k, : len(every), u] = problem.support[u] - _count_all(every[:, segment], trees[u], n_groups)
    return BoxTables(
        members, halves, spans, spread, changed, change, beats, low, high, takes,
        tables.words, problem.offsets.astype(np.uint64), tables.wins.valid,
    )  # fmt: skip


class _Tree(NamedTuple):
    """A binary tree of corrections: their order, and the halves and the span of each group."""

    order: list[int]
    halves: IndexArray
    spans: IndexArray


def _tree(rows: Ranks) -> _Tree:
    """Join rows of ranks that differ least, group by group (complete linkage)."""
    n = len(rows)
    joined = linkage(_distances(rows), "complete") if n > 1 else np.empty((0, 4))
    order = leaves_list(joined).tolist() if n > 1 else [0]
    # Group 0 is the root: the groups are those of the linkage, the last one first, so halves come later.
    halves = np.full((2 * n - 1, 2), -1, dtype=np.int64)
    halves[: n - 1] = 2 * n - 2 - joined[::-1, :2].astype(np.int64)
    spans = np.empty_like(halves)
    spans[2 * n - 2 - np.array(order), 0] = np.arange(n)
    spans[n - 1 :, 1] = spans[n - 1 :, 0] + 1
    # invariant: the groups after g have their spans
    for g in reversed(range(n - 1)):
        spans[g] = spans[halves[g, 0], 0], spans[halves[g, 1], 1]
    return _Tree(order, halves, spans)


def _count_all(bits: Words, tree: _Tree, n_groups: int) -> IndexArray:
    """Count, by row and group of a tree, the bits that all corrections of the group have."""
    counts = np.zeros((len(bits), n_groups), dtype=np.int64)
    common: dict[int, Words] = {}
    for h in reversed(range(len(tree.halves))):
        a, b = tree.halves[h].tolist()
        common[h] = bits[:, :, tree.spans[h, 0]] if a < 0 else common.pop(a) & common.pop(b)
        counts[:, h] = np.bitwise_count(common[h]).sum(axis=1)
    return counts


def _distances(rows: Ranks) -> FloatArray:
    """Return the summed differences of ranks of all pairs of rows."""
    return np.asarray(pdist(rows.astype(np.float64), "cityblock"))
