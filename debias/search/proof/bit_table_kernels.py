"""Compiled counting on lanes: settle a class, and count every lane of another in one pass over the words."""

from debias.compilation import compiled
from debias.search.counting.bit_kernels import keep_wins, popcount


@compiled
def settle(lanes, state, depth, a):
    """Settle the class at ``depth`` of the order on lane a: fill the sets of the next depth."""
    k = lanes.order[depth]
    state.lane[k] = a
    slab = lanes.beats[k, a]
    for position in range(lanes.order.shape[0]):
        u = lanes.order[position]
        for w in range(lanes.words[u], lanes.words[u + 1]):
            if position < depth:
                state.held[depth + 1, w] = state.held[depth, w] & slab[w, state.lane[u]]
            elif position == depth:
                state.held[depth + 1, w] = state.opened[depth, w, a]
            else:
                into, before, row = state.opened[depth + 1, w], state.opened[depth, w], slab[w]
                for r in range(into.shape[0]):
                    into[r] = before[r] & row[r]


@compiled
def count_words(table, mask, first, last, counts):
    """Count by lane the samples of some words that a mask leaves: ``counts[r]``.

    Eight words are added up before a count is written: else the writes, not the counting,
    would hold up the processor.
    """
    for r in range(counts.shape[0]):
        counts[r] = 0
    w = first
    while w + 8 <= last:
        t0, t1, t2, t3 = table[w], table[w + 1], table[w + 2], table[w + 3]
        t4, t5, t6, t7 = table[w + 4], table[w + 5], table[w + 6], table[w + 7]
        m0, m1, m2, m3 = mask[w], mask[w + 1], mask[w + 2], mask[w + 3]
        m4, m5, m6, m7 = mask[w + 4], mask[w + 5], mask[w + 6], mask[w + 7]
        for r in range(counts.shape[0]):
            low = popcount(t0[r] & m0) + popcount(t1[r] & m1) + popcount(t2[r] & m2) + popcount(t3[r] & m3)
            high = popcount(t4[r] & m4) + popcount(t5[r] & m5) + popcount(t6[r] & m6) + popcount(t7[r] & m7)
            counts[r] += low + high
        w += 8
    while w + 2 <= last:
        t0, t1 = table[w], table[w + 1]
        m0, m1 = mask[w], mask[w + 1]
        for r in range(counts.shape[0]):
            counts[r] += popcount(t0[r] & m0) + popcount(t1[r] & m1)
        w += 2
    if w < last:
        t0, m0 = table[w], mask[w]
        for r in range(counts.shape[0]):
            counts[r] += popcount(t0[r] & m0)


@compiled
def count_both(table, other, first, last, counts):
    """Count by lane the samples of some words that are in two tables."""
    for r in range(counts.shape[0]):
        counts[r] = 0
    w = first
    while w + 4 <= last:
        t0, t1, t2, t3 = table[w], table[w + 1], table[w + 2], table[w + 3]
        m0, m1, m2, m3 = other[w], other[w + 1], other[w + 2], other[w + 3]
        for r in range(counts.shape[0]):
            low = popcount(t0[r] & m0[r]) + popcount(t1[r] & m1[r])
            high = popcount(t2[r] & m2[r]) + popcount(t3[r] & m3[r])
            counts[r] += low + high
        w += 4
    while w < last:
        t0, m0 = table[w], other[w]
        for r in range(counts.shape[0]):
            counts[r] += popcount(t0[r] & m0[r])
        w += 1


@compiled
def count_predicted(lanes, state):
    """Count, for the lanes of the state, the samples that each class is predicted for: ``right[1]``."""
    for k in range(state.lane.shape[0]):
        for w in range(lanes.valid.shape[0]):
            state.won[0, w] = lanes.valid[w]
        r = lanes.members[k, state.lane[k]]
        for other in range(state.lane.shape[0]):
            if other != k:
                s = lanes.members[other, state.lane[other]]
                keep_wins(lanes.bits, lanes.pair, k, r, other, s, state.won, 0)
        state.right[1, k] = 0
        for w in range(lanes.valid.shape[0]):
            state.right[1, k] += popcount(state.won[0, w])


@compiled
def level_lanes(terms, state):
    """Fill ``gaps`` by lane: z without its PMI, right samples, and summed pairwise gaps of accuracy."""
    lower, right, gap = state.gaps[0], state.gaps[1], state.gaps[2]
    for r in range(lower.shape[0]):
        right[r] = 0.0
        gap[r] = 0.0
    for k in range(terms.support.shape[0]):
        counts, mine = state.counts[k], state.accuracy[k]
        scale = 1.0 / max(1, terms.support[k])
        for r in range(lower.shape[0]):
            right[r] += counts[r]
            mine[r] = counts[r] * scale
        if terms.support[k] > 0:
            for other in range(k):
                if terms.support[other] > 0:
                    theirs = state.accuracy[other]
                    for r in range(lower.shape[0]):
                        gap[r] += abs(mine[r] - theirs[r])
    for r in range(lower.shape[0]):
        lower[r] = terms.weights[3] - terms.weights[0] * right[r] + terms.weights[1] * gap[r]


@compiled
def change_of(lanes, lane):
    """Return how many classes a choice changes, and by how much."""
    n_changed = 0
    size = 0.0
    for k in range(lane.shape[0]):
        n_changed += lanes.changed[k, lane[k]]
        size += lanes.change[k, lane[k]]
    return n_changed, size
