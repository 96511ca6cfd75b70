"""Limits of sources and strata: every subset of tiny cases, and the plain definition, as referees."""

import random

import numpy as np
import pytest

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.selection.eligibility import SourceRoom
from iterit.selection.facility_location import cover_greedily
from iterit.selection.lazy_greedy import lazy_greedy
from iterit.selection.limits.completion import plan_of, rest_of, take_in_order
from iterit.selection.limits.strata import shares_of
from tests.support.plain_selection import as_lists, plain_fits, plain_greedy


def some_limits(source, *, with_strata):
    """Return small random limits: eligible rows, k, and lists of what a SourceRoom holds."""
    n, n_sources = source.randint(1, 8), source.randint(1, 3)
    n_strata = source.randint(1, 3) if with_strata else 1
    eligible = sorted(source.sample(range(n), source.randint(0, n)))
    k = source.randint(0, n + 1)
    sources = [source.randrange(n_sources) for _ in range(n)]
    most = [source.choice([n, source.randint(0, 4)]) for _ in range(n_sources)]
    least, left = [], k
    for limit in most:
        least.append(source.randint(0, min(limit, left)))
        left -= least[-1]
    strata = [source.randrange(n_strata) for _ in range(n)]
    shares = shares_of(np.array([source.randint(1, 5) for _ in range(n_strata)]), k).tolist()
    return eligible, k, sources, most, least, strata, shares


def as_room(sources, most, least, strata, shares):
    return SourceRoom(*(np.array(one, dtype=np.int64) for one in (sources, most, least, strata, shares)))


def counted(values, n):
    return np.bincount(np.array(values, dtype=np.int64), minlength=n)


@pytest.mark.parametrize("with_strata", [False, True])
def test_a_plan_is_whole_meets_floors_and_moves_shares_only_where_it_must(with_strata):
    source = random.Random(int(with_strata))
    n_moved = 0
    for _ in range(600):
        eligible, k, sources, most, least, strata, shares = some_limits(source, with_strata=with_strata)
        plan = plan_of(as_room(sources, most, least, strata, shares), np.array(eligible, dtype=np.int64), k)
        can = np.minimum(most, counted([sources[row] for row in eligible], len(most)))
        assert plan.planned.sum() == min(k, can.sum())
        assert (plan.planned <= plan.left).all()
        assert plan.least.tolist() == np.minimum(least, can).tolist()
        assert (plan.least <= plan.of_source).all()
        assert (plan.of_source <= most).all()
        assert (plan.of_stratum <= plan.shares).all()
        assert plan.shares.sum() == sum(shares)
        assert plan.of_source.tolist() == plan.planned.sum(axis=1).tolist()
        assert plan.of_stratum.tolist() == plan.planned.sum(axis=0).tolist()
        fits = plain_fits(eligible, k, sources, most, least, strata, shares)
        assert fits([]) == (plan.shares.tolist() == shares)
        n_moved += plan.shares.tolist() != shares
    assert (n_moved > 30) == with_strata


def test_the_rest_of_a_share_goes_to_the_nearest_strata():
    def settled(sizes, shares):
        strata = np.repeat(np.arange(len(sizes)), sizes)
        room = SourceRoom(np.zeros(len(strata), int), np.array([99]), None, strata, np.array(shares))
        return plan_of(room, np.arange(len(strata)), sum(shares)).shares.tolist()

    assert settled([9, 0, 9, 9], [2, 2, 2, 2]) == [4, 0, 2, 2]  # first the one below
    assert settled([3, 0, 9, 9], [2, 2, 2, 2]) == [3, 0, 3, 2]
    assert settled([2, 0, 2, 9], [2, 2, 2, 2]) == [2, 0, 2, 4]
    assert settled([9, 9, 9, 0], [2, 2, 2, 2]) == [2, 2, 4, 0]
    assert settled([1, 1, 0, 1], [2, 2, 2, 2]) == [2, 2, 2, 2]  # too few rows in all: nothing to move


def test_a_floor_moves_a_share_where_its_source_has_no_other_rows():
    strata, sources = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    room = SourceRoom(sources, np.array([9, 9]), np.array([0, 2]), strata, np.array([1, 1]))
    assert take_in_order(np.array([2, 3, 0, 1]), room, 2).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("with_strata", [False, True])
def test_greedy_picks_are_the_best_rows_that_a_whole_selection_can_have(seed, with_strata):
    source = random.Random(seed)
    words = ["ab", "cd", "ef", "gh", "ij"]
    for _ in range(60):
        eligible, k, sources, most, least, strata, shares = some_limits(source, with_strata=with_strata)
        room = as_room(sources, most, least, strata, shares)
        rows = np.array(eligible, dtype=np.int64)
        settled = plan_of(room, rows, k)
        fits = plain_fits(eligible, k, sources, most, least, strata, settled.shares.tolist())
        texts = [" ".join(source.choices(words, k=source.randint(0, 5))) for _ in sources]
        weights = weigh(count_ngrams(texts, n_jobs=1), n_jobs=1)
        complexity = [source.choice([0.0, 0.25, 0.5, 1.0]) for _ in sources]
        found = lazy_greedy(weights, np.array(complexity), k, 0.1, eligible=rows, by_source=room)
        expected = plain_greedy(as_lists(weights), complexity, k, 0.1, eligible=eligible, fits=fits)
        assert found.rows.tolist() == expected[0]
        assert found.score.tolist() == expected[2]
        assert fits(found.rows.tolist())
        order = np.array(source.sample(eligible, len(eligible)), dtype=np.int64)
        plain = []
        for row in order.tolist():
            if len(plain) < k and fits([*plain, row]):
                plain.append(row)
        assert take_in_order(order, room, k).tolist() == plain
        n_first = source.randint(0, len(plain))
        rest = rest_of(room._replace(shares=settled.shares), np.array(plain[:n_first], dtype=np.int64))
        left = np.array([row for row in order.tolist() if row not in plain[:n_first]], dtype=np.int64)
        assert take_in_order(left, rest, k - n_first).tolist() == plain[n_first:]


def test_facility_location_keeps_within_the_same_limits():
    source = random.Random(7)
    for _ in range(60):
        eligible, k, sources, most, least, strata, shares = some_limits(source, with_strata=True)
        room, rows = as_room(sources, most, least, strata, shares), np.array(eligible, dtype=np.int64)
        vectors = np.array([[source.choice([0.5, -0.5]) for _ in range(4)] for _ in sources])
        found = cover_greedily(vectors, np.ones(len(sources)), k, eligible=rows, by_source=room)
        asked = plan_of(room, rows, k).shares.tolist()
        assert plain_fits(eligible, k, sources, most, least, strata, asked)(found.rows.tolist())


def test_many_sources_with_floors_and_quotas():
    generator = np.random.default_rng(0)
    sources, strata = generator.integers(200, size=20_000), generator.integers(10, size=20_000)
    least = np.ones(200, dtype=np.int64)
    room = SourceRoom(sources, np.full(200, 20), least, strata, np.full(10, 200))
    picked = take_in_order(generator.permutation(20_000), room, 2000)
    assert np.bincount(strata[picked]).tolist() == [200] * 10
    of_source = np.bincount(sources[picked], minlength=200)
    assert 1 <= of_source.min() <= of_source.max() <= 20
