"""Compiled counting on pairwise wins: 64 samples at a time, by AND and popcount.

With all classes but i and j fixed, let ``a`` be the samples that i wins from the fixed ones,
``b`` those that j wins from them, and ``d`` those that j wins from i. Then j gets ``b & d``,
i gets ``a & ~d``, and a fixed class keeps its samples outside ``a | b``.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from debias.compilation import compiled_in_place
from debias.search.counting.bit_tables import Words
from debias.search.counting.score import score
from debias.search.objective import FloatArray, IndexArray


class WinScratch(NamedTuple):
    """What one thread writes to.

    Attributes
    ----------
    against_i, against_j : ndarray of uint64, shape (n_corrections, n_words)
        Samples that each correction of the open classes wins from the fixed ones.
    fixed, kept : ndarray of uint64, shape (n_classes, n_words)
        Samples that fixed classes win among themselves, and what they keep once i has taken its own.
    won : ndarray of uint64, shape (n_words,)
        Samples that j takes.
    counts : ndarray of shape (4, n_classes)
        Correct and predicted samples; the same before j takes any.
    accuracy : ndarray of shape (n_classes,)
        Scratch of the score.
    """

    against_i: Words
    against_j: Words
    fixed: Words
    kept: Words
    won: Words
    counts: IndexArray
    accuracy: FloatArray


@intrinsic
def popcount(typing_context, word):
    """Count the ones of a word: one instruction."""

    def generate(context, builder, signature, arguments):
        function = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(function, arguments)

    return types.int64(types.uint64), generate


@compiled_in_place
def keep_wins(bits, pair, winner, r, loser, s, sets, row):
    """Keep in ``sets[row]`` the samples that one class, with correction r, wins from another, with s."""
    p = pair[winner, loser]
    if loser < winner:
        for w in range(sets.shape[1]):
            sets[row, w] &= bits[p, s, r, w]
    else:
        for w in range(sets.shape[1]):
            sets[row, w] &= ~bits[p, r, s, w]


@compiled_in_place
def fix_others(wins, choice, i, j, scratch):
    """Fill, with classes i and j open, what every correction of each wins from the fixed classes.

    ``fixed[k]`` gets the samples that class k wins among the fixed ones; none for i and j.
    """
    fixed, against_i, against_j = scratch.fixed, scratch.against_i, scratch.against_j
    n_classes, n_words = fixed.shape
    for k in range(n_classes):
        for w in range(n_words):
            fixed[k, w] = wins.valid[w]
            if k in (i, j):
                fixed[k, w] = 0
        # invariant: fixed[k] holds what k wins from all fixed classes before other
        for other in range(n_classes):
            if k not in (i, j, other) and other not in (i, j):
                keep_wins(wins.bits, wins.pair, k, choice[k], other, choice[other], fixed, k)
    for r in range(against_j.shape[0]):
        for w in range(n_words):
            against_i[r, w] = wins.valid[w]
            against_j[r, w] = wins.valid[w]
        # invariant: against_i[r] and against_j[r] hold what is won from all fixed classes before k
        for k in range(n_classes):
            if k not in (i, j):
                keep_wins(wins.bits, wins.pair, j, r, k, choice[k], against_j, r)
                if i != j:
                    keep_wins(wins.bits, wins.pair, i, r, k, choice[k], against_i, r)


@compiled_in_place
def count_kept(sets, valid, words, counts):
    """Count in ``counts[2]`` and ``counts[3]`` the samples of each class: its own, and all."""
    for k in range(sets.shape[0]):
        n_own = n_all = 0
        # invariant: n_own and n_all count the words before w
        for w in range(words[k], words[k + 1]):
            n_own += popcount(sets[k, w] & valid[w])
        for w in range(valid.shape[0]):
            n_all += popcount(sets[k, w] & valid[w])
        counts[2, k] = n_own
        counts[3, k] = n_all


@compiled_in_place
def count_taken(sets, won, words, j, counts):
    """Count in ``counts[0]`` and ``counts[1]`` correct and predicted samples when j takes ``won``."""
    n_won = n_right = 0
    # invariant: n_won counts what j takes from the classes before k
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


@compiled_in_place
def value_class(wins, tables, scratch, choice, j, values):
    """Fill ``values[t, r]`` with z under objective t of every correction r of class j."""
    fix_others(wins, choice, j, j, scratch)
    count_kept(scratch.fixed, wins.valid, wins.words, scratch.counts)
    for r in range(values.shape[1]):
        for w in range(scratch.won.shape[0]):
            scratch.won[w] = scratch.against_j[r, w]
        count_taken(scratch.fixed, scratch.won, wins.words, j, scratch.counts)
        for t in range(values.shape[0]):
            values[t, r] = score(scratch.counts, tables, t, scratch.accuracy)


@compiled_in_place
def value_pair(wins, tables, scratch, choice, i, j, values):
    """Fill ``values[t, s, r]`` with z of correction s of class i and r of class j together; i < j."""
    fixed, kept, won = scratch.fixed, scratch.kept, scratch.won
    against_i, against_j = scratch.against_i, scratch.against_j
    n_classes, n_words = fixed.shape
    fix_others(wins, choice, i, j, scratch)
    p = wins.pair[i, j]
    for s in range(values.shape[1]):
        # invariant: kept[k] holds the samples of every class before k once i has correction s and j has none
        for k in range(n_classes):
            for w in range(n_words):
                kept[k, w] = against_i[s, w] if k == i else fixed[k, w] & ~against_i[s, w]
        count_kept(kept, wins.valid, wins.words, scratch.counts)
        for r in range(values.shape[2]):
            # A sample of i goes to j where j wins it from i; one of a fixed class where j beats that class.
            for w in range(n_words):
                won[w] = against_j[r, w] & (wins.bits[p, s, r, w] | ~against_i[s, w])
            count_taken(kept, won, wins.words, j, scratch.counts)
            for t in range(values.shape[0]):
                values[t, s, r] = score(scratch.counts, tables, t, scratch.accuracy)


@compiled_in_place
def take_better(terms, factors, n_changed, change, tolerance, best, taken, z):
    """Let every objective take the choices that beat its best, in the order of Candidate.

    ``terms[t, m]`` are the terms of choice m, ``factors[t, s]`` what objective s makes of them.
    ``best[:, s]`` holds z, changed classes and size of the change of the best of s; where it is
    replaced, ``taken[s]`` becomes m.
    """
    n_objectives = z.shape[0]
    # invariant: best[:, s] is the best of what it was and the choices before m
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
