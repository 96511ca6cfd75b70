"""Compiled line searches: the samples that one class wins as its log-bias rises, one by one.

With the other classes fixed, class j wins a sample from its best rival where its log-bias exceeds
``log(corrected value of the rival) - log(value of j)``, the edge of the sample. Between two
neighbouring edges nothing changes, so z at every log-bias is known from one pass over sorted edges.
"""

from math import inf, log

from debias.compilation import compiled_in_place
from debias.search.counting.score import ScoreTables, score
from debias.search.objective import FloatArray, IndexArray


@compiled_in_place
def count(
    values: FloatArray, factors: FloatArray, empty_winner: IndexArray, y: IndexArray, counts: IndexArray
) -> None:
    """Count correct and predicted samples, decided as :func:`debias.corrections.correction.decide` does."""
    n_classes, n_samples = values.shape
    counts[:] = 0
    for m in range(n_samples):
        winner, highest = empty_winner[m], 0.0
        # invariant: winner has the highest value of the classes before k
        for k in range(n_classes):
            corrected = values[k, m] * factors[k]
            if corrected > highest:
                winner, highest = k, corrected
        counts[1, winner] += 1
        if winner == y[m]:
            counts[0, winner] += 1


@compiled_in_place
def name(values: FloatArray, factors: FloatArray, empty_winner: IndexArray, named: IndexArray) -> None:
    """Fill the class that each sample is predicted as, decided as in :func:`count`."""
    n_classes, n_samples = values.shape
    for m in range(n_samples):
        winner, highest = empty_winner[m], 0.0
        # invariant: winner has the highest value of the classes before k
        for k in range(n_classes):
            corrected = values[k, m] * factors[k]
            if corrected > highest:
                winner, highest = k, corrected
        named[m] = winner


@compiled_in_place
def find_edges(
    values: FloatArray,
    factors: FloatArray,
    empty_winner: IndexArray,
    j: int,
    rival: IndexArray,
    edges: FloatArray,
) -> None:
    """Find who has every sample below its edge, and the edge: the log-bias above which class j has it.

    Where class j can never win, the edge is infinite; where it has no rival, it is its own.
    """
    n_classes, n_samples = values.shape
    for m in range(n_samples):
        winner, highest = -1, 0.0
        # invariant: winner has the highest value of the classes before k, j omitted
        for k in range(n_classes):
            if k != j and values[k, m] * factors[k] > highest:
                winner, highest = k, values[k, m] * factors[k]
        own = values[j, m]
        edges[m] = inf
        if winner >= 0:
            rival[m] = winner
            if own > 0:
                edges[m] = log(highest) - log(own)
        else:
            rival[m] = j if own > 0 else empty_winner[m]


@compiled_in_place
def score_between(
    bounds: FloatArray,
    order: IndexArray,
    narrowest: float,
    rival: IndexArray,
    y: IndexArray,
    j: int,
    tables: ScoreTables,
    counts: IndexArray,
    accuracy: FloatArray,
    z: FloatArray,
) -> None:
    """Fill ``z[s]`` with z between ``bounds[s]`` and ``bounds[s + 1]``: infinite where that is too narrow.

    ``order`` lists the samples with finite edges, ``bounds[1:-1]``, in the order of these.
    """
    counts[:] = 0
    for m in range(y.shape[0]):
        counts[1, rival[m]] += 1
        if rival[m] == y[m]:
            counts[0, rival[m]] += 1
    # invariant: counts are those between bounds[s] and bounds[s + 1]: j has the samples order[:s]
    for s in range(z.shape[0]):
        if s > 0:
            m = order[s - 1]
            counts[1, rival[m]] -= 1
            counts[1, j] += 1
            if rival[m] == y[m]:
                counts[0, rival[m]] -= 1
            if j == y[m]:
                counts[0, j] += 1
        z[s] = inf
        if bounds[s + 1] - bounds[s] > narrowest:
            z[s] = score(counts, tables, 0, accuracy)
