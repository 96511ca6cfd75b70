"""Modes by value, by query and by band; strata of length and floors of sources in every mode."""

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.selection.modes import MODES
from iterit.selection.selection import select
from tests.support.refusals import refused

N = 240
GENERATOR = np.random.default_rng(5)
LENGTHS = np.ceil(GENERATOR.lognormal(3, 1, N))
WORDS = [f"w{number}" for number in range(50)]
COUNTS = count_ngrams([" ".join(GENERATOR.choice(WORDS, size=int(min(n, 40)))) for n in LENGTHS], n_jobs=1)
SOURCES = np.array(["web", "book", "code"], dtype=object)[GENERATOR.integers(3, size=N)]
GIVEN = {
    "complexity": GENERATOR.uniform(0.3, 0.99, N) - LENGTHS / 1e6,
    "counts": COUNTS,
    "lengths": LENGTHS,
    "embeddings": GENERATOR.normal(size=(N, 4)),
    "values": GENERATOR.normal(size=N) + np.log(LENGTHS),
    "similarities": GENERATOR.normal(size=(N, 3)),
}
OPEN = {"low_quantile": 0.0, "high_quantile": 1.0}
WAYS = [(mode, None) for mode in MODES] + [
    (mode, diversity)
    for mode in ("banded", "influence", "learnable")
    for diversity in ("ngrams", "vectors", "none")
]


def deciles(lengths):
    edges = np.unique(np.sort(lengths)[[len(lengths) * number // 10 for number in range(1, 10)]])
    return np.searchsorted(edges, lengths, side="right")


@pytest.mark.parametrize(("mode", "diversity"), WAYS)
def test_picks_of_matched_length_have_the_pools_histogram_in_every_mode(mode, diversity):
    options = {"mode": mode, "diversity": diversity, "match_length": True, **OPEN}
    picked = select(k=61, **GIVEN, **options)
    bins = deciles(LENGTHS)
    there, pool = (np.bincount(bins[rows], minlength=10) for rows in (picked.rows, slice(None)))
    assert np.abs(there - pool * 61 / N).max() < 1
    assert len(picked.rows) == 61
    assert "from another stratum of lengths" not in picked.compromises
    limits = {"floors": {"web": 0.5, "code": 9}, "quotas": {"book": 3}}
    bounded = select(k=61, sources=SOURCES, **GIVEN, **options, **limits)
    there = np.bincount(bins[bounded.rows], minlength=10)
    moved = bounded.compromises.get("from another stratum of lengths", 0)
    assert np.maximum(there - pool * 61 / N, 0).sum() <= moved + 10
    numbers = bounded.table["source"].value_counts()
    assert len(bounded.rows) == 61
    assert numbers["web"] >= 30
    assert numbers["code"] >= 9
    assert numbers.get("book", 0) <= 3


def test_longest_of_matched_length_is_the_longest_of_each_stratum():
    picked = select(k=40, mode="longest", lengths=LENGTHS, match_length=True)
    bins = deciles(LENGTHS) // 1
    strata = 8 if 40 // 5 == 8 else 10
    edges = np.unique(np.sort(LENGTHS)[[N * number // strata for number in range(1, strata)]])
    bins = np.searchsorted(edges, LENGTHS, side="right")
    for stratum in range(strata):
        own = np.flatnonzero(bins == stratum)
        chosen = np.intersect1d(picked.rows, own)
        assert LENGTHS[chosen].min() >= np.sort(LENGTHS[own])[::-1][len(chosen) - 1]


def test_the_pool_is_every_row_with_a_length_and_others_are_not_picked():
    lengths = np.where(np.arange(N) < 200, LENGTHS, np.nan)
    picked = select(k=100, mode="random", lengths=lengths, match_length=True, candidates=np.arange(50, N))
    assert picked.rows.max() < 200
    assert picked.excluded == {"no length": 40}
    bins = deciles(lengths[:200])
    share = np.bincount(bins[picked.rows], minlength=10) / 100
    asked = np.bincount(bins, minlength=10) / 200
    assert (
        np.maximum(share - asked, 0).sum() * 100 - 10
        < picked.compromises.get("from another stratum of lengths", 0) + 1e-9
    )


def test_lengths_are_those_of_scores_then_words():
    table = pd.DataFrame({"ifd": GIVEN["complexity"], "status": "ok", "n_tokens": LENGTHS.astype(int)})
    by_scores = select(table, COUNTS, 61, mode="complexity", match_length=True)
    assert (
        by_scores.rows.tolist() == select(k=61, mode="complexity", match_length=True, **GIVEN).rows.tolist()
    )
    by_words = select(GIVEN["complexity"], COUNTS, 61, mode="complexity", match_length=True)
    given = GIVEN | {"lengths": COUNTS.n_words}
    assert by_words.rows.tolist() == select(k=61, mode="complexity", match_length=True, **given).rows.tolist()
    with refused(ParameterError, parameter="lengths"):
        select(GIVEN["complexity"], None, 3, mode="complexity", match_length=True)
    with refused(ParameterError, parameter="lengths", row=1):
        select(k=1, mode="random", lengths=[1, -2], match_length=True)


def test_too_few_rows_of_a_stratum_are_said():
    lengths = np.repeat([10.0, 20.0], 20)
    status = np.array(["ok"] * 3 + ["truncated?"] * 17 + ["ok"] * 20, dtype=object)
    picked = select(k=10, mode="random", lengths=lengths, status=status, match_length=True)
    assert np.bincount((lengths[picked.rows] > 10).astype(int)).tolist() == [3, 7]
    assert picked.compromises == {"from another stratum of lengths": 2}


@pytest.mark.parametrize("mode", ["influence", "learnable"])
@pytest.mark.parametrize("diversity", ["ngrams", "vectors", "none"])
def test_what_does_harm_is_picked_after_what_helps(mode, diversity):
    values = GENERATOR.normal(size=N).round(1)
    values[::7] = np.nan
    helps = int((values > 0).sum())
    given = GIVEN | {"values": values, "complexity": None}
    for k in (helps - 5, helps, helps + 9):
        picked = select(k=k, mode=mode, diversity=diversity, **given)
        worth = values[picked.rows]
        assert len(worth) == k
        assert (worth[: min(k, helps)] > 0).all()
        assert (worth[helps:] <= 0).all()
        assert (np.diff(worth[helps:]) <= 0).all()
        assert picked.compromises == ({"value of 0 or below": k - helps} if k > helps else {})
        assert picked.excluded == {"no value": len(values[::7])}
        assert picked.table["value"].tolist() == worth.tolist()
    if diversity == "none":
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
        assert picked.rows.tolist() == order[:k].tolist()


def test_values_times_length_neutral_diversity():
    values = np.abs(GENERATOR.normal(size=N))
    by_value = select(k=50, mode="learnable", values=values, counts=COUNTS)
    assert (
        by_value.rows.tolist()
        == select(values, COUNTS, 50, mode="length_neutral", max_ifd=None).rows.tolist()
    )
    by_vectors = select(
        k=50, mode="influence", diversity="vectors", values=values, embeddings=GIVEN["embeddings"]
    )
    other = select(values, None, 50, mode="facility_location", max_ifd=None, embeddings=GIVEN["embeddings"])
    assert by_vectors.rows.tolist() == other.rows.tolist()


@pytest.mark.parametrize("low", [0.0, 0.25, 0.6])
def test_a_band_is_length_neutral_picking_of_its_rows(low):
    ifd = GENERATOR.choice([0.2, 0.3, 0.5, 0.7, 0.9, 1.3], size=N)
    ifd[:9] = np.nan
    picked = select(ifd, COUNTS, 30, mode="banded", low_quantile=low)
    ordered = np.sort(ifd[ifd < 1])
    least, most = ordered[int(low * (len(ordered) - 1))], ordered[-int((1 - 0.75) * (len(ordered) - 1)) - 1]
    assert ((ifd[picked.rows] >= least) & (ifd[picked.rows] <= most)).all()
    within = np.where((ifd >= least) & (ifd <= most), ifd, np.nan)
    assert picked.rows.tolist() == select(within, COUNTS, 30, mode="length_neutral").rows.tolist()
    assert sum(picked.excluded.values()) == np.isnan(within).sum()


def plain_round_robin(similarities, k, may):
    left, picked, queries = list(may), [], []
    while left and len(picked) < k:
        for query in range(similarities.shape[1]):
            if left and len(picked) < k:
                row = max(left, key=lambda one: (similarities[one, query], -one))
                left.remove(row)
                picked.append(row)
                queries.append(query)
    return picked, queries


@pytest.mark.parametrize("seed", range(6))
def test_each_example_of_a_query_takes_its_most_similar_row_in_turn(seed):
    generator = np.random.default_rng(seed)
    similarities = generator.normal(size=(300, int(generator.integers(1, 5)))).round(int(seed > 2) + 1)
    similarities[4] = np.nan
    k = int(generator.integers(0, 310))
    picked = select(k=k, mode="representation", similarities=similarities)
    may = [row for row in range(300) if row != 4]
    rows, queries = plain_round_robin(np.asarray(similarities, np.float32), k, may)
    assert picked.rows.tolist() == rows
    assert picked.table["query"].tolist() == queries
    assert picked.excluded == {"no similarity": 1}
    assert picked.n_missing == k - len(rows)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"mode": "influence"}, "values"),
        ({"mode": "representation"}, "similarities"),
        ({"mode": "banded"}, "complexity"),
        ({"mode": "influence", "diversity": "vectors", "values": [1.0, 2.0]}, "embeddings"),
        ({"mode": "published", "diversity": "vectors"}, "diversity"),
        ({"mode": "representation", "diversity": "ngrams"}, "diversity"),
        ({"mode": "influence", "diversity": "words"}, "diversity"),
        ({"mode": "influence", "values": [np.inf, 1.0]}, "values"),
        ({"mode": "influence", "values": [[1.0]]}, "values"),
        ({"mode": "representation", "similarities": [1.0]}, "similarities"),
        ({"mode": "representation", "similarities": [[np.inf]]}, "similarities"),
        ({"mode": "banded", "low_quantile": 0.5, "high_quantile": 0.5}, "low_quantile"),
        ({"mode": "banded", "high_quantile": 2}, "high_quantile"),
        ({"mode": "random", "floors": {"x": 1}, "lengths": [1, 2]}, "sources"),
        ({"mode": "random", "floors": {"z": 1}, "sources": ["x", "y"]}, "floors"),
        ({"mode": "random", "floors": {"x": 2}, "sources": ["x", "y"]}, "floors"),
        ({"mode": "random", "floors": {"x": 1, "y": 1}, "sources": ["x", "y"]}, "floors"),
        ({"mode": "random", "floors": {"x": 1}, "quotas": {"x": 0.0}, "sources": ["x", "y"]}, "floors"),
        ({"mode": "random", "floors": {"x": -1}, "sources": ["x", "y"]}, "floors"),
    ],
)
def test_refusals_name_the_argument(options, parameter):
    with refused(ParameterError, parameter=parameter):
        select(k=1, **options)


def test_a_floor_that_bounds_leave_no_rows_for_is_reported():
    ifd = [0.9, 0.8, 1.5, 1.4, 0.7]
    picked = select(ifd, None, 3, mode="complexity", sources=["a", "a", "b", "b", "b"], floors={"b": 2})
    assert picked.rows.tolist() == [0, 1, 4]
    assert picked.compromises == {"lacking for the floor of 'b'": 1}
