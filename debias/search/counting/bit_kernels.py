"""Compiled counting on duels: 64 samples at a time, by AND and popcount.

With all classes but i and j settled, let ``a`` be the samples that i wins from the settled
ones, ``b`` those that j wins from them, and ``d`` those that j wins from i. Then j gets
``b & d``, i gets ``a & ~d``, and a settled class keeps its samples outside ``a | b``. What the
counts are worth is said by :func:`debias.search.counting.rank_kernels.score`, in and out of bounds.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from debias.compilation import compiled
from debias.search.counting.rank_kernels import score


@intrinsic
def popcount(typing_context, word):
    """Count the ones of a word: one instruction."""

    def generate(context, builder, signature, arguments):
        function = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(function, arguments)

    return types.int64(types.uint64), generate


@compiled
def keep_wins(bits, pair, winner, r, loser, s, sets, row):
    """Keep in ``sets[row]`` the samples that one class, with correction r, wins from another, with s."""
    p = pair[winner, loser]
    if loser < winner:
        for w in range(sets.shape[1]):
            sets[row, w] &= bits[p, s, r, w]
    else:
        for w in range(sets.shape[1]):
            sets[row, w] &= ~bits[p, r, s, w]


@compiled
def settle(bits, pair, valid, choice, i, j, against_i, against_j, settled):
    """Fill, with classes i and j open, what every correction of each wins from the settled classes.

    ``settled[k]`` holds the samples that class k wins among the settled ones; none for i and j.
    """
    n_classes, n_words = settled.shape
    for k in range(n_classes):
        for w in range(n_words):
            settled[k, w] = valid[w]
            if k in (i, j):
                settled[k, w] = 0
        for other in range(n_classes):
            if k not in (i, j, other) and other not in (i, j):
                keep_wins(bits, pair, k, choice[k], other, choice[other], settled, k)
    for r in range(against_j.shape[0]):
        for w in range(n_words):
            against_i[r, w] = valid[w]
            against_j[r, w] = valid[w]
        for k in range(n_classes):
            if k not in (i, j):
                keep_wins(bits, pair, j, r, k, choice[k], against_j, r)
                if i != j:
                    keep_wins(bits, pair, i, r, k, choice[k], against_i, r)


@compiled
def count_settled(sets, valid, words, counts):
    """Count in ``counts[2]`` and ``counts[3]`` the samples of each class: its own, and all."""
    for k in range(sets.shape[0]):
        n_own = n_all = 0
        for w in range(words[k], words[k + 1]):
            n_own += popcount(sets[k, w] & valid[w])
        for w in range(valid.shape[0]):
            n_all += popcount(sets[k, w] & valid[w])
        counts[2, k] = n_own
        counts[3, k] = n_all


@compiled
def count_taken(sets, won, words, j, counts):
    """Count in ``counts[0]`` and ``counts[1]`` correct and predicted samples when j takes ``won``."""
    n_won = n_right = 0
    for k in range(sets.shape[0]):
        n_own = n_all = 0
        if counts[3, k] > 0:
            for w in range(words[k], words[k + 1]):
                n_own += popcount(sets[k, w] & won[w])
            for w in range(won.shape[0]):
                n_all += popcount(sets[k, w] & won[w])
        counts[0, k] = counts[2, k] - n_own
        counts[1, k] = counts[3, k] - n_all
        n_won += n_all
    for w in range(words[j], words[j + 1]):
        n_right += popcount(won[w])
    counts[0, j] = n_right
    counts[1, j] = n_won


@compiled
def sweep(
    bits, pair, valid, words, support, choice, j, weights, log_joint, log_predicted,
    against_i, against_j, settled, won, counts, accuracy, values,
):  # fmt: skip
    """Fill ``values[r]`` with z of every correction of class j, the other classes settled."""
    settle(bits, pair, valid, choice, j, j, against_i, against_j, settled)
    count_settled(settled, valid, words, counts)
    for r in range(values.shape[0]):
        for w in range(won.shape[0]):
            won[w] = against_j[r, w]
        count_taken(settled, won, words, j, counts)
        values[r] = score(counts, support, weights, log_joint, log_predicted, accuracy)


@compiled
def sweep_pair(
    bits, pair, valid, words, support, choice, i, j, weights, log_joint, log_predicted,
    against_i, against_j, settled, won, counts, accuracy, values,
):  # fmt: skip
    """Fill ``values[s, r]`` with z of correction s of class i and r of class j together; i < j."""
    n_classes, n_words = settled.shape
    settle(bits, pair, valid, choice, i, j, against_i, against_j, settled)
    kept = settled.copy()
    p = pair[i, j]
    for s in range(values.shape[0]):
        for k in range(n_classes):
            for w in range(n_words):
                kept[k, w] = against_i[s, w] if k == i else settled[k, w] & ~against_i[s, w]
        count_settled(kept, valid, words, counts)
        for r in range(values.shape[1]):
            # A sample of i goes to j when j wins the duel; one of a settled class when j beats that class.
            for w in range(n_words):
                won[w] = against_j[r, w] & (bits[p, s, r, w] | ~against_i[s, w])
            count_taken(kept, won, words, j, counts)
            values[s, r] = score(counts, support, weights, log_joint, log_predicted, accuracy)
