"""The lazy search picks what the plain definition picks: to the last bit, in the same order."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import Weights, diversity_of_picks, weigh
from iterit.selection.eligibility import SourceRoom
from iterit.selection.lazy_greedy import PICKS_AT_ONCE, decay_bound, lazy_greedy
from tests.support.plain_selection import as_lists, plain_greedy

DECAYS = (0.0, 0.1, 0.9, 1.0)


def weights_of(rows, n_columns):
    """Return rows of {column: weight} as weights."""
    indptr = np.cumsum([0] + [len(row) for row in rows]).astype(np.int64)
    indices = np.array([column for row in rows for column in sorted(row)], dtype=np.int32)
    data = np.array([row[column] for row in rows for column in sorted(row)], dtype=np.float64)
    return Weights(indptr, indices, data, n_columns, np.arange(len(rows)))


def some_weights(source):
    """Return small random weights, with many equal rows and sums, or real ones."""
    n_rows, n_columns = source.randint(1, 14), source.randint(1, 9)
    kind = source.choice(["few values", "neighbours", "any", "texts"])
    if kind == "texts":
        words = ["ab", "cd", "ef", "gh", "ij"]
        texts = [" ".join(source.choices(words, k=source.randint(0, 7))) for _ in range(n_rows)]
        return weigh(count_ngrams(texts, n_jobs=1), n_jobs=1)
    draw = {
        "few values": lambda: source.choice([0.25, 0.5, 1.0]),
        "neighbours": lambda: 0.3 + source.randint(0, 2) * 2.0**-54,
        "any": lambda: source.random(),
    }[kind]
    rows = [
        {column: draw() for column in source.sample(range(n_columns), source.randint(0, n_columns))}
        for _ in range(n_rows)
    ]
    for row in range(1, n_rows):
        if source.random() < 0.2:
            rows[row] = dict(rows[source.randrange(row)])
    return weights_of(rows, n_columns)


def some_complexity(source, n):
    kind = source.choice(["few values", "neighbours", "any", "one"])
    draw = {
        "few values": lambda: source.choice([0.0, 0.25, 0.5, 1.0]),
        "neighbours": lambda: 0.7 + source.randint(0, 2) * 2.0**-53,
        "any": lambda: source.uniform(0.3, 0.998),
        "one": lambda: 1.0,
    }[kind]
    return [draw() for _ in range(n)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decay", [*DECAYS, None])
def test_thousands_of_small_cases(decay, seed):
    source = random.Random(seed)
    ran_out = 0
    for _ in range(250):
        weights = some_weights(source)
        n = weights.n_rows
        complexity = some_complexity(source, n)
        k = source.randint(0, n + 2)
        chosen = decay if decay is not None else source.choice([source.random(), 0.5, 1e-200, 1 - 2**-53])
        options = {}
        if source.random() < 0.5:
            options["eligible"] = sorted(source.sample(range(n), source.randint(0, n)))
        if source.random() < 0.5:
            options["divisors"] = [source.choice([1.0, 3.0, 0.7]) for _ in range(n)]
        if source.random() < 0.4:
            options["sources"] = [source.randrange(3) for _ in range(n)]
            options["room"] = [source.randint(0, 4) for _ in range(3)]
        arrays = {name: np.array(value) for name, value in options.items()}
        if "room" in arrays:
            arrays["by_source"] = SourceRoom(arrays.pop("sources"), arrays.pop("room"))
        if "eligible" in arrays:
            arrays["eligible"] = arrays["eligible"].astype(np.int64)
        found = lazy_greedy(weights, np.array(complexity), k, chosen, **arrays)
        rows, diversities, scores = plain_greedy(as_lists(weights), complexity, k, chosen, **options)
        assert found.rows.tolist() == rows
        assert found.diversity.tolist() == diversities
        assert found.score.tolist() == scores
        assert len(set(rows)) == len(rows)
        ran_out += len(rows) < min(k, len(options.get("eligible", range(n))))
    assert ran_out > 5 or decay not in (0.0, None)


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9])
def test_weights_that_fall_below_what_a_float_can_hold(decay):
    n = 1100 if decay == 0.5 else 420
    source = random.Random(0)
    rows = [{0: source.uniform(0.5, 1.0), 1 + row % 3: source.choice([0.5, 0.25])} for row in range(n)]
    weights = weights_of(rows, 4)
    complexity = some_complexity(source, n)
    found = lazy_greedy(weights, np.array(complexity), n, decay)
    expected, diversities, scores = plain_greedy(as_lists(weights), complexity, n, decay)
    assert found.rows.tolist() == expected
    assert found.diversity.tolist() == diversities
    assert found.score.tolist() == scores
    assert n > PICKS_AT_ONCE or decay != 0.5


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 700)), min_size=1, max_size=30),
    st.one_of(st.sampled_from([0.0, 0.1, 0.9, 1.0, 1e-300]), st.floats(0, 1)),
)
def test_a_bound_is_never_below_the_plain_sum(entries, decay):
    k = 700
    _, powers, slack, least = decay_bound(decay, k, max(weight for weight, _ in entries))
    plain = bound = 0.0
    for weight, times in entries:
        bound += weight * powers[times]
        for _ in range(times):
            weight *= decay
        plain += weight
    n = len(entries)
    assert bound * (1.0 + (n + slack) * 2.0**-51) + n * least >= plain
    assert bound <= plain * 1.000001 + n * 1e-290


def test_few_rows_are_looked_at():
    source = random.Random(3)
    words = [f"word{number}" for number in range(3000)]
    texts = [" ".join(source.choices(words, k=30)) for _ in range(3000)]
    weights = weigh(count_ngrams(texts))
    found = lazy_greedy(weights, np.array([source.random() for _ in texts]), 300, 0.1)
    assert found.n_bounds < 300 * 100  # of 900,000 scores in the plain definition
    assert found.n_sums <= found.n_bounds
    complexity = np.random.default_rng(0).random(3000)
    again = [lazy_greedy(weights, complexity, 300, 0.1).rows.tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_nothing_that_is_given_changes():
    weights = some_weights(random.Random(1))
    before = weights.data.copy(), weights.indices.copy()
    room = np.array([2])
    by_source = SourceRoom(np.zeros(weights.n_rows, int), room)
    lazy_greedy(weights, np.ones(weights.n_rows), 5, 0.1, by_source=by_source)
    assert np.array_equal(weights.data, before[0])
    assert np.array_equal(weights.indices, before[1])
    assert room.tolist() == [2]


@pytest.mark.parametrize("decay", DECAYS)
def test_the_diversity_of_picks_of_any_mode_is_the_plain_one(decay):
    source = random.Random(5)
    for _ in range(100):
        weights = some_weights(source)
        complexity = np.array(some_complexity(source, weights.n_rows))
        picks = lazy_greedy(weights, complexity, 10, decay)
        assert diversity_of_picks(weights, picks.rows, decay).tolist() == picks.diversity.tolist()
