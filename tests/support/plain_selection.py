"""The plain definition of what is picked: slow, obvious, one row after the other."""

import itertools
import re

import numpy as np


def plain_greedy(
    rows, complexity, k, decay, *, eligible=None, divisors=None, sources=None, room=None, fits=None
):
    """Pick as the definition says; rows are lists of [column, weight].

    Returns the rows picked, and diversity and score of each when it was picked. Stops where no row
    adds anything. `fits` tells of a list of rows whether it may be picked.
    """
    rows = [[list(entry) for entry in row] for row in rows]
    left = list(range(len(rows))) if eligible is None else sorted(eligible)
    divisors = divisors if divisors is not None else [1.0] * len(rows)
    sources = sources if sources is not None else [0] * len(rows)
    room = list(room) if room is not None else [len(rows)]
    picked, diversities, scores = [], [], []
    while len(picked) < k:
        best = None
        for row in left:
            if room[sources[row]] == 0 or (fits is not None and not fits([*picked, row])):
                continue
            diversity = 0.0
            for _, weight in rows[row]:
                diversity += weight
            diversity /= divisors[row]
            score = complexity[row] * diversity
            if best is None or score > best[0]:
                best = (score, diversity, row)
        if best is None or best[0] <= 0.0:
            break
        score, diversity, row = best
        picked.append(row)
        diversities.append(diversity)
        scores.append(score)
        left.remove(row)
        room[sources[row]] -= 1
        taken = {column for column, _ in rows[row]}
        for other in rows:
            for entry in other:
                if entry[0] in taken:
                    entry[1] *= decay
    return picked, diversities, scores


def plain_fits(eligible, k, sources, most, least, strata=None, shares=None):
    """Return a function that tells whether some rows belong to a whole selection, of all that there are.

    A whole selection has as many rows as the most of the sources allow, k at most; of each source at
    least its least, or all its rows where they are fewer; of each stratum at most its share.
    """
    strata = strata or [0] * len(sources)
    shares = shares or [k]
    of_source = [[row for row in eligible if sources[row] == source] for source in range(len(most))]
    can = [min(limit, len(rows)) for limit, rows in zip(most, of_source, strict=True)]
    whole = []
    for rows in itertools.combinations(eligible, min(k, sum(can))):
        n_source = [sum(sources[row] == source for row in rows) for source in range(len(most))]
        n_stratum = [sum(strata[row] == stratum for row in rows) for stratum in range(len(shares))]
        if all(min(low, n) <= have <= n for low, have, n in zip(least, n_source, can, strict=True)) and all(
            have <= share for have, share in zip(n_stratum, shares, strict=True)
        ):
            whole.append(set(rows))
    return lambda rows: any(set(rows) <= one for one in whole)


def as_lists(weights):
    """Return the rows of a sparse matrix as the plain definition takes them."""
    return [
        [
            [int(weights.indices[entry]), float(weights.data[entry])]
            for entry in range(weights.indptr[row], weights.indptr[row + 1])
        ]
        for row in range(len(weights.indptr) - 1)
    ]


def plain_greedy_matrix(matrix, complexity, k, decay):
    """Pick from a SciPy matrix by whole-matrix operations, for sizes that lists are too slow for."""
    matrix = matrix.copy()
    left = np.ones(matrix.shape[0], dtype=bool)
    picked = []
    for _ in range(k):
        score = np.where(left, complexity * (matrix @ np.ones(matrix.shape[1])), -1.0)
        row = int(np.argmax(score))
        picked.append(row)
        left[row] = False
        matrix.data[np.isin(matrix.indices, matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]])] *= (
            decay
        )
    return picked


def plain_cover(vectors, complexity, k):
    """Pick by facility location, everything computed anew for every pick."""
    similarity = vectors @ vectors.T
    similarity[similarity < 0] = 0
    picked, gains = [], []
    nearest = 0 * similarity[0]
    for _ in range(k):
        gain = []
        for row in range(len(vectors)):
            more = [max(0.0, s - n) for s, n in zip(similarity[row], nearest, strict=True)]
            gain.append(-1.0 if row in picked else sum(more))
        scores = [c * g for c, g in zip(complexity, gain, strict=True)]
        best = scores.index(max(scores))
        if scores[best] <= 0:
            break
        picked.append(best)
        gains.append(gain[best])
        nearest = [max(s, n) for s, n in zip(similarity[best], nearest, strict=True)]
    return picked, gains


def plain_shares(texts, tokens=re.compile(r"\w").findall):
    """Return the share of common word 1- to 3-grams of every pair of texts."""
    sets = []
    for text in texts:
        words = tokens(text)
        sets.append({tuple(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)})
    return [[len(a & b) / len(a | b) if a | b else 0.0 for b in sets] for a in sets]
