"""Compiled counting on duels as in :mod:`debias.search.counting.bit_kernels`, for the terms of z one by one.

z is linear in its terms, so that what is counted once can be weighed under any number of objectives.
"""

from debias.compilation import compiled
from debias.search.counting.bit_kernels import count_settled, count_taken, settle
from debias.search.counting.rank_kernels import score


@compiled
def sweep(
    bits, pair, valid, words, support, choice, j, weights, log_joint, log_predicted,
    against_i, against_j, settled, won, counts, accuracy, values,
):  # fmt: skip
    """Fill ``values[t, r]`` with term t for every correction r of class j, the other classes settled."""
    settle(bits, pair, valid, choice, j, j, against_i, against_j, settled)
    count_settled(settled, valid, words, counts)
    for r in range(values.shape[1]):
        for w in range(won.shape[0]):
            won[w] = against_j[r, w]
        count_taken(settled, won, words, j, counts)
        for t in range(values.shape[0]):
            values[t, r] = score(counts, support, weights[t], log_joint[t], log_predicted[t], accuracy)


@compiled
def sweep_pair(
    bits, pair, valid, words, support, choice, i, j, weights, log_joint, log_predicted,
    against_i, against_j, settled, won, counts, accuracy, values,
):  # fmt: skip
    """Fill ``values[t, s, r]`` with term t for correction s of class i and r of class j; i < j."""
    n_classes, n_words = settled.shape
    settle(bits, pair, valid, choice, i, j, against_i, against_j, settled)
    kept = settled.copy()
    p = pair[i, j]
    for s in range(values.shape[1]):
        for k in range(n_classes):
            for w in range(n_words):
                kept[k, w] = against_i[s, w] if k == i else settled[k, w] & ~against_i[s, w]
        count_settled(kept, valid, words, counts)
        for r in range(values.shape[2]):
            for w in range(n_words):
                won[w] = against_j[r, w] & (bits[p, s, r, w] | ~against_i[s, w])
            count_taken(kept, won, words, j, counts)
            for t in range(values.shape[0]):
                values[t, s, r] = score(counts, support, weights[t], log_joint[t], log_predicted[t], accuracy)


@compiled
def offer(terms, factors, n_changed, change, tolerance, best, taken, z):
    """Let every objective take the choices that beat its best, in the order of Candidate.

    ``terms[t, m]`` are the terms of choice m, ``factors[t, s]`` what objective s makes of them.
    ``best[:, s]`` holds z, changed classes and size of the change of the best of s; where it is
    replaced, ``taken[s]`` becomes m.
    """
    n_objectives = z.shape[0]
    for m in range(terms.shape[1]):
        z[:] = 0.0
        for t in range(terms.shape[0]):
            for s in range(n_objectives):
                z[s] += factors[t, s] * terms[t, m]
        n_close = 0
        for s in range(n_objectives):
            n_close += z[s] <= best[0, s] + tolerance
        if n_close == 0:  # most choices: one pass without branches settles them
            continue
        for s in range(n_objectives):
            if z[s] > best[0, s] + tolerance:
                continue
            if z[s] >= best[0, s] - tolerance and n_changed[m] > best[1, s]:
                continue
            equal = z[s] >= best[0, s] - tolerance and n_changed[m] == best[1, s]
            if equal and change[m] >= best[2, s] - tolerance:
                continue
            best[0, s] = z[s]
            best[1, s] = n_changed[m]
            best[2, s] = change[m]
            taken[s] = m
