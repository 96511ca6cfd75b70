"""Compiled counting: what every correction of one class does, in one pass over the samples.

With the other classes settled, a sample is won by class j when its rank exceeds that of the
best rival. Samples are sorted by label and the corrections of a sample lie side by side, so
that one comparison settles many corrections and the counts stay in the nearest cache.
"""

from debias.compilation import compiled
from debias.search.constraints import BOUND_TOLERANCE, INFEASIBLE

MANY_CLASSES = 16


@compiled
def best_rivals(columns, choice, skip_a, skip_b, rival, rival_class):
    """Find the highest rank of every sample and its class, two classes left out."""
    n_classes, _, n_samples = columns.shape
    rival[:] = 0
    rival_class[:] = 0
    for k in range(n_classes):
        if k in (skip_a, skip_b):
            continue
        row = columns[k, choice[k]]
        for m in range(n_samples):
            if row[m] > rival[m]:
                rival[m] = row[m]
                rival_class[m] = k


@compiled
def best_two(columns, choice, best, best_class, second, second_class):
    """Find the two highest ranks of every sample and their classes, for sweeps that leave one out."""
    n_classes, _, n_samples = columns.shape
    best[:] = 0
    best_class[:] = 0
    second[:] = 0
    second_class[:] = 0
    for k in range(n_classes):
        row = columns[k, choice[k]]
        for m in range(n_samples):
            if row[m] > second[m]:
                higher = row[m] > best[m]
                second[m] = best[m] if higher else row[m]
                second_class[m] = best_class[m] if higher else k
                best[m] = row[m] if higher else best[m]
                best_class[m] = k if higher else best_class[m]


@compiled
def leave_out(best, best_class, second, second_class, j, rival, rival_class):
    """Fill the best rivals of class j from the two highest ranks of every sample."""
    for m in range(best.shape[0]):
        own = best_class[m] == j
        rival[m] = second[m] if own else best[m]
        rival_class[m] = second_class[m] if own else best_class[m]


@compiled
def raise_rivals(base, base_class, row, row_class, rival, rival_class):
    """Add one more class to the best rivals: row is its rank for every sample."""
    for m in range(base.shape[0]):
        higher = row[m] > base[m]
        rival[m] = row[m] if higher else base[m]
        rival_class[m] = row_class if higher else base_class[m]


@compiled
def count_wins(ranks, rival, rival_class, offsets, j, limit, tally, met, seen, won, taken, lost):
    """Count, for every correction of class j, whom it takes samples from.

    Fills ``won[r]``, samples of class j that it wins; ``taken[v, r]``, samples that it takes
    from class v; ``lost[v, r]``, those of them that v had right. The first padding lane wins
    every sample, so its counts are those of the rivals alone. The tally is as narrow as the
    ranks, so that both fill vectors alike; it is emptied before it can overflow. Of many classes
    only those that are met, ``met`` and ``seen``, are.
    """
    n_classes, n_padded = taken.shape
    won[:] = 0
    taken[:] = 0
    lost[:] = 0
    for label in range(n_classes):
        start = offsets[label]
        while start < offsets[label + 1]:
            stop = min(start + limit, offsets[label + 1])
            n_met = 0
            for m in range(start, stop):
                v = rival_class[m]
                if seen[v] == 0:
                    seen[v] = 1
                    met[n_met] = v
                    n_met += 1
                    tally[v, :] = 0
                bar = rival[m]
                row = ranks[m]
                mine = tally[v]
                for r in range(n_padded):
                    mine[r] += row[r] > bar
            for position in range(n_met):
                v = met[position]
                seen[v] = 0
                for r in range(n_padded):
                    wins = int(tally[v, r])
                    taken[v, r] += wins
                    if label == j:
                        won[r] += wins
                    elif label == v:
                        lost[v, r] += wins
            start = stop


@compiled
def score(counts, support, weights, log_joint, log_predicted, accuracy):
    """Return z per sample from counts, correct and predicted: the same number as Objective gives.

    Out of bounds it is what Constrained gives. ``weights`` and the logarithms of all possible
    counts are those of :func:`debias.search.counting.objective_terms.tabulate`.
    """
    n_present = right = 0
    information = 0.0
    for k in range(counts.shape[1]):
        right += counts[0, k]
        if weights[2] > 0:
            information += log_joint[counts[0, k]] - log_predicted[counts[1, k]]
        if support[k] > 0:
            accuracy[n_present] = counts[0, k] / support[k]
            n_present += 1
    gaps = out = 0.0
    if n_present > MANY_CLASSES:  # sorted, the sum of gaps is a sum over ranks
        ascending = accuracy[:n_present]
        ascending.sort()
        for a in range(n_present):
            out += max(0.0, weights[6] - ascending[a])
            gaps += (2 * a + 1 - n_present) * ascending[a]
    else:
        for a in range(n_present):
            out += max(0.0, weights[6] - accuracy[a])
            for b in range(a):
                gaps += abs(accuracy[a] - accuracy[b])
    # Without bounds nothing is ever out. In line and without branches: these slow all down by a fifth.
    out += max(0.0, weights[7] * gaps - weights[4])
    out += max(0.0, weights[5] - right) * weights[8]
    z = weights[3] - weights[0] * right + weights[1] * gaps - weights[2] * information
    return INFEASIBLE + out if out > BOUND_TOLERANCE else z


@compiled
def sweep(
    ranks, rival, rival_class, offsets, support, j, n_corrections, limit, weights, log_joint, log_predicted,
    tally, met, seen, won, taken, lost, counts, accuracy, values,
):  # fmt: skip
    """Fill ``values[r]`` with z of every correction of class j, the other classes settled."""
    n_classes = support.shape[0]
    count_wins(ranks, rival, rival_class, offsets, j, limit, tally, met, seen, won, taken, lost)
    for r in range(n_corrections):
        total = 0
        for k in range(n_classes):
            counts[0, k] = lost[k, n_corrections] - lost[k, r]
            counts[1, k] = taken[k, n_corrections] - taken[k, r]
            total += taken[k, r]
        counts[0, j] = won[r]
        counts[1, j] = total
        values[r] = score(counts, support, weights, log_joint, log_predicted, accuracy)


@compiled
def sweep_pair(
    ranks, columns, base, base_class, offsets, support, i, j, n_corrections, limit, weights, log_joint,
    log_predicted, rival, rival_class, tally, met, seen, won, taken, lost, counts, accuracy, values,
):  # fmt: skip
    """Fill ``values[s, r]`` with z of correction s of class i and r of class j together."""
    for s in range(n_corrections):
        raise_rivals(base, base_class, columns[i, s], i, rival, rival_class)
        sweep(
            ranks[j], rival, rival_class, offsets, support, j, n_corrections, limit, weights, log_joint,
            log_predicted, tally, met, seen, won, taken, lost, counts, accuracy, values[s],
        )  # fmt: skip
