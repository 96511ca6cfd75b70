"""Compiled counting on bit tables: fix a class, and count all corrections of another in one pass."""

from debias.compilation import compiled_in_place
from debias.search.counting.score import BALANCED, CONSTANT, GAPS, RIGHT, WORST
from debias.search.counting.win_kernels import keep_wins, popcount


@compiled_in_place
def fix_class(tables, state, depth, a):
    """Fix the class at ``depth`` of the order on correction a: fill the sets of the next depth."""
    k = tables.order[depth]
    state.picked[k] = a
    slab = tables.beats[k, a]
    # invariant: the words of the classes before position are filled
    for position in range(tables.order.shape[0]):
        u = tables.order[position]
        for w in range(tables.words[u], tables.words[u + 1]):
            if position < depth:
                state.held[depth + 1, w] = state.held[depth, w] & slab[w, state.picked[u]]
            elif position == depth:
                state.held[depth + 1, w] = state.opened[depth, w, a]
            else:
                into, before, row = state.opened[depth + 1, w], state.opened[depth, w], slab[w]
                for r in range(into.shape[0]):
                    into[r] = before[r] & row[r]


@compiled_in_place
def count_words(table, mask, first, last, counts):
    """Count by correction the samples of some words that a mask leaves: ``counts[r]``.

    Eight words are added up before a count is written: else the writes, not the counting,
    would hold up the processor.
    """
    for r in range(counts.shape[0]):
        counts[r] = 0
    w = first
    # invariant, here and in the next two loops: counts[r] counts the words from first to w
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


@compiled_in_place
def count_both(table, other, first, last, counts):
    """Count by correction the samples of some words that are in two tables."""
    for r in range(counts.shape[0]):
        counts[r] = 0
    w = first
    # invariant, here and in the next loop: counts[r] counts the words from first to w
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


@compiled_in_place
def name_fixed(tables, state, j):
    """Fill ``named[k]`` with the samples of all labels that class k wins from all classes but j."""
    wins, n_classes = tables.wins, state.picked.shape[0]
    for k in range(n_classes):
        if k == j:
            continue
        for w in range(wins.valid.shape[0]):
            state.named[k, w] = wins.valid[w]
        r = tables.members[k, state.picked[k]]
        # invariant: named[k] holds what k wins from all classes before other, j omitted
        for other in range(n_classes):
            if other not in (k, j):
                s = tables.members[other, state.picked[other]]
                keep_wins(wins.bits, wins.pair, k, r, other, s, state.named, k)


@compiled_in_place
def count_predicted(tables, state, j):
    """Count, from ``named``, the samples that each class is predicted for: ``right[1]``."""
    wins = tables.wins
    r = tables.members[j, state.picked[j]]
    n_left = 0
    for w in range(wins.valid.shape[0]):
        n_left += popcount(wins.valid[w])
    # invariant: n_left counts the samples that no class before k is predicted for
    for k in range(state.picked.shape[0]):
        if k == j:
            continue
        s = tables.members[k, state.picked[k]]
        p = wins.pair[k, j]
        mine = state.named[k]
        n_predicted = 0
        if j < k:
            row = wins.bits[p, r, s]
            for w in range(mine.shape[0]):
                n_predicted += popcount(mine[w] & row[w])
        else:
            row = wins.bits[p, s, r]
            for w in range(mine.shape[0]):
                n_predicted += popcount(mine[w] & ~row[w])
        state.right[1, k] = n_predicted
        n_left -= n_predicted
    state.right[1, j] = n_left


@compiled_in_place
def cost_of(tables, state, costs, j):
    """Return, from ``named``, what all samples cost, each by its label and prediction."""
    wins, n_classes = tables.wins, state.picked.shape[0]
    r = tables.members[j, state.picked[j]]
    total = 0.0
    # invariant: total is the cost of the samples of the labels before
    for label in range(n_classes):
        n_left = 0
        for w in range(tables.words[label], tables.words[label + 1]):
            n_left += popcount(wins.valid[w])
        for k in range(n_classes):
            if k == j:
                continue
            s = tables.members[k, state.picked[k]]
            p = wins.pair[k, j]
            n_predicted = 0
            for w in range(tables.words[label], tables.words[label + 1]):
                over_j = wins.bits[p, r, s, w] if j < k else ~wins.bits[p, s, r, w]
                n_predicted += popcount(state.named[k, w] & over_j)
            total += costs[label, k] * n_predicted
            n_left -= n_predicted
        total += costs[label, j] * n_left
    return total


@compiled_in_place
def level_corrections(terms, state):
    """Fill ``gaps`` by correction: z without PMI, macro F1 and costs, right samples, and summed gaps."""
    lower, right, gap = state.gaps[0], state.gaps[1], state.gaps[2]
    for r in range(lower.shape[0]):
        right[r] = 0.0
        gap[r] = 0.0
    # invariant: right and gap are those of the classes before k and of their pairs
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
    factors = terms.tables.factors
    for r in range(lower.shape[0]):
        lower[r] = factors[0, CONSTANT] - factors[0, RIGHT] * right[r] + factors[0, GAPS] * gap[r]
    if factors[0, WORST] > 0 or factors[0, BALANCED] > 0:
        for r in range(lower.shape[0]):
            least, total = 1.0, 0.0
            # invariant: least and total are those of the classes before k that have samples
            for k in range(terms.support.shape[0]):
                if terms.support[k] > 0:
                    least = min(least, state.accuracy[k, r])
                    total += state.accuracy[k, r]
            lower[r] -= factors[0, WORST] * least + factors[0, BALANCED] * total


@compiled_in_place
def change_of(tables, picked):
    """Return how many classes a choice changes, and by how much."""
    n_changed = 0
    size = 0.0
    for k in range(picked.shape[0]):
        n_changed += tables.changed[k, picked[k]]
        size += tables.change[k, picked[k]]
    return n_changed, size
