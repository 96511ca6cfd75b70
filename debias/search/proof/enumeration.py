"""Compiled enumeration: all choices below a prefix, counted many at a time, pruned by bounds.

Classes are settled one after another. A settled class keeps the samples of its own that it still
wins (``held``); an open class keeps, lane by lane, those that it would win from the settled ones
(``opened``). Right samples can only be lost on the way down, so their numbers are bounds. The
last two classes are swept together: one pass over the words counts every lane of the last class.
"""

from debias.compilation import compiled
from debias.search.counting.bit_kernels import popcount
from debias.search.counting.rank_kernels import score
from debias.search.proof.bit_table_kernels import (
    change_of,
    count_both,
    count_predicted,
    count_words,
    level_lanes,
    settle,
)
from debias.search.proof.bounds import TOLERANCE, least_objective, most_information


@compiled
def bound_node(lanes, terms, state, depth):
    """Return the least z below a node whose first ``depth`` classes are settled."""
    for position in range(lanes.order.shape[0]):
        u = lanes.order[position]
        state.most[u] = 0
        if position < depth:
            for w in range(lanes.words[u], lanes.words[u + 1]):
                state.most[u] += popcount(state.held[depth, w])
        else:
            row = state.counts[u]
            count_both(state.opened[depth], state.opened[depth], lanes.words[u], lanes.words[u + 1], row)
            for r in range(lanes.n_lanes[u]):
                state.most[u] = max(state.most[u], row[r])
    return least_objective(state.most, terms, state.levels)


@compiled
def hopeless(terms, state, highest):
    """Return whether no choice with so many right samples at most can be as good as ``highest``."""
    return least_objective(state.most, terms, state.levels) > highest


@compiled
def count_lanes(lanes, terms, state, depth, s, prune, highest):
    """Count, with lane s of the last class but one, every lane of the last; False if none can matter.

    With ``prune``, ``alone`` holds the samples that each lane of the last class but one would
    win, and at its end those of the best lane of the last class. Bounds go from cheap to sharp.
    """
    n_classes = lanes.order.shape[0]
    i, j = lanes.order[n_classes - 2], lanes.order[n_classes - 1]
    slab = lanes.beats[i, s]
    state.lane[i] = s
    for position in range(n_classes - 1):
        k = lanes.order[position]
        n_kept = 0
        for w in range(lanes.words[k], lanes.words[k + 1]):
            if k == i:
                state.kept[w] = state.opened[depth, w, s]
            else:
                state.kept[w] = state.held[depth, w] & slab[w, state.lane[k]]
            n_kept += popcount(state.kept[w])
        state.most[k] = n_kept
    if prune:
        state.most[j] = state.alone[lanes.n_lanes[i]]
        if hopeless(terms, state, highest):
            return False
    state.most[j] = 0
    row = state.counts[j]
    count_both(state.opened[depth], slab, lanes.words[j], lanes.words[j + 1], row)
    for r in range(lanes.n_lanes[j]):
        state.most[j] = max(state.most[j], row[r])
    if prune and hopeless(terms, state, highest):
        return False
    for position in range(n_classes - 1):
        k = lanes.order[position]
        held = lanes.holds[state.lane[k]]
        count_words(held, state.kept, lanes.words[k], lanes.words[k + 1], state.counts[k])
    return True


@compiled
def list_rows(lanes, terms, state, depth, highest):
    """Put into ``rows`` the lanes of the last class but one that a bound leaves; return their number.

    Nothing but how many samples each lane would win alone is needed for it.
    """
    n_classes = lanes.order.shape[0]
    i, j = lanes.order[n_classes - 2], lanes.order[n_classes - 1]
    n_rows = 0
    if bound_node(lanes, terms, state, depth) > highest:
        return n_rows
    for s in range(lanes.n_lanes[i]):
        state.alone[s] = state.counts[i, s]
    state.alone[lanes.n_lanes[i]] = state.most[j]
    for s in range(lanes.n_lanes[i]):
        state.most[i] = state.alone[s]
        if not hopeless(terms, state, highest):
            state.rows[n_rows] = s
            n_rows += 1
    return n_rows


@compiled
def sweep_last_two(lanes, terms, state, found, depth, prune, record):
    """Evaluate every lane of the last two classes, the others settled; return how many were counted."""
    n_classes = lanes.order.shape[0]
    i, j = lanes.order[n_classes - 2], lanes.order[n_classes - 1]
    n_counted = 0
    n_rows = lanes.n_lanes[i]
    if prune:
        n_rows = list_rows(lanes, terms, state, depth, found.best[0] + TOLERANCE)
    for row in range(n_rows):
        s = state.rows[row] if prune else row
        if not count_lanes(lanes, terms, state, depth, s, prune, found.best[0] + TOLERANCE):
            continue
        n_counted += lanes.n_lanes[j]
        level_lanes(terms, state)
        highest = found.best[0] + TOLERANCE
        if terms.weights[2] > 0:
            total = 0
            for k in range(n_classes):
                total += state.most[k]
            highest += terms.weights[2] * most_information(total, state.most, terms)
        for r in range(lanes.n_lanes[j]):
            if state.gaps[0, r] <= highest:
                state.lane[j] = r
                consider(lanes, terms, state, found, r)
        if record:
            for r in range(lanes.n_lanes[j]):
                right = int(state.gaps[1, r])
                cobias = state.gaps[2, r] * terms.weights[7]
                if cobias <= found.reached[right]:
                    state.lane[j] = r
                    keep_pair(lanes, state, found, right, cobias)
    return n_counted


@compiled
def consider(lanes, terms, state, found, column):
    """Take a choice that was counted as the best if it beats the best, as Candidate compares them."""
    best = found.best
    lower, total = state.gaps[0, column], int(state.gaps[1, column])
    for k in range(state.lane.shape[0]):
        state.right[0, k] = state.counts[k, column]
    if terms.weights[2] > 0:
        lower -= terms.weights[2] * most_information(total, state.right[0], terms)
    if lower > best[0] + TOLERANCE:
        return
    n_changed, size = change_of(lanes, state.lane)
    simpler = n_changed < best[1] or (n_changed == best[1] and size < best[2] - TOLERANCE)
    if lower > best[0] - TOLERANCE and not simpler:
        return
    if terms.weights[2] > 0:
        count_predicted(lanes, state)
    value = score(
        state.right, terms.support, terms.weights, terms.log_joint, terms.log_predicted, state.levels
    )
    if value < best[0] - TOLERANCE or (value <= best[0] + TOLERANCE and simpler):
        best[0], best[1], best[2] = value, n_changed, size
        for k in range(state.lane.shape[0]):
            found.best_lane[k] = state.lane[k]


@compiled
def keep_pair(lanes, state, found, right, cobias):
    """Keep a choice that has the lowest COBias among those with as many samples right."""
    front = found.front
    if cobias > front[0, right] + TOLERANCE:
        return
    n_changed, size = change_of(lanes, state.lane)
    simpler = n_changed < front[1, right] or (
        n_changed == front[1, right] and size < front[2, right] - TOLERANCE
    )
    if cobias < front[0, right] - TOLERANCE or simpler:
        front[0, right], front[1, right], front[2, right] = cobias, n_changed, size
        for k in range(state.lane.shape[0]):
            found.front_lane[right, k] = state.lane[k]


@compiled
def walk(lanes, terms, state, found, prefix, prune, record):
    """Enumerate all choices whose first classes of the order take the lanes of a prefix.

    Returns how many choices were counted, the others below the prefix being ruled out, and
    whether the walk came to its end.
    """
    deepest = lanes.order.shape[0] - 2
    first = prefix.shape[0]
    for depth in range(first):
        settle(lanes, state, depth, prefix[depth])
    depth = first
    n_counted = 0
    state.tried[:] = -1
    while depth >= first:
        if state.stop[0]:
            return n_counted, False
        if depth == deepest:
            n_counted += sweep_last_two(lanes, terms, state, found, depth, prune, record)
            depth -= 1
            continue
        state.tried[depth] += 1
        if state.tried[depth] == lanes.n_lanes[lanes.order[depth]]:
            state.tried[depth] = -1
            depth -= 1
            continue
        settle(lanes, state, depth, state.tried[depth])
        bounded = prune and depth + 1 < deepest
        if bounded and bound_node(lanes, terms, state, depth + 1) > found.best[0] + TOLERANCE:
            continue
        depth += 1
    return n_counted, True


@compiled
def bound_prefixes(lanes, terms, state, prefixes, bounds):
    """Fill ``bounds`` with the least z below each prefix."""
    for p in range(prefixes.shape[0]):
        for depth in range(prefixes.shape[1]):
            settle(lanes, state, depth, prefixes[p, depth])
        bounds[p] = bound_node(lanes, terms, state, prefixes.shape[1])


@compiled
def probe(lanes, terms, state, found, draws):
    """Estimate, from random ways down, how many nodes are bounded and choices counted by a walk.

    ``draws`` holds uniform numbers, a row per way. A way that is not cut off at a node stands for
    all the others of that length (Knuth, Mathematics of Computation 29, 1975): the means are unbiased.
    """
    deepest = lanes.order.shape[0] - 2
    j = lanes.order[deepest + 1]
    highest = found.best[0] + TOLERANCE
    n_nodes = n_rows = n_counted = 0.0
    for way in range(draws.shape[0]):
        stands_for = 1.0
        alive = True
        for depth in range(deepest):
            n_lanes = lanes.n_lanes[lanes.order[depth]]
            stands_for *= n_lanes
            n_nodes += stands_for
            settle(lanes, state, depth, min(n_lanes - 1, int(draws[way, depth] * n_lanes)))
            if bound_node(lanes, terms, state, depth + 1) > highest:
                alive = False
                break
        n_alive = list_rows(lanes, terms, state, deepest, highest) if alive else 0
        if n_alive > 0:
            n_rows += stands_for * n_alive
            s = state.rows[min(n_alive - 1, int(draws[way, deepest] * n_alive))]
            if count_lanes(lanes, terms, state, deepest, s, True, highest):
                n_counted += stands_for * n_alive * lanes.n_lanes[j]
    n_ways = draws.shape[0]
    return n_nodes / n_ways, n_rows / n_ways, n_counted / n_ways
