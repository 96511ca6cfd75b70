"""A cache of scores gives scores or nothing: what was damaged, or is no score, is asked again."""

import math
import random
import struct

import pytest

from debias.errors import DebiasError
from iterit.scoring.score_cache import Score, ScoreCache

DIGESTS = [f"{number:032x}" for number in range(40)]
SCORES = {
    one: Score(number + 0.5, number + 1.5, number + 1, number % 2 == 0) for number, one in enumerate(DIGESTS)
}
FACTS = {"model": "a"}


@pytest.fixture
def folder(tmp_path):
    with ScoreCache(tmp_path, FACTS) as cache:
        cache.add(SCORES.items())
    return tmp_path


def test_a_damaged_cache_gives_no_wrong_score_and_no_foreign_error(folder):
    path = folder / "scores.sqlite"
    whole, source = path.read_bytes(), random.Random(0)
    n_refused = 0
    for number in range(150):
        damaged = bytearray(whole)
        if number % 10 == 0:
            damaged = damaged[: source.randrange(len(whole))]
        for _ in range(source.choice((1, 4, 200)) if damaged else 0):
            damaged[source.randrange(len(damaged))] ^= 1 << source.randrange(8)
        path.write_bytes(damaged)
        try:
            with ScoreCache(folder, FACTS) as cache:
                found = cache.find(DIGESTS)
        except DebiasError:
            n_refused += 1
            continue
        assert found.items() <= SCORES.items()
    assert 0 < n_refused < 150


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x" * 24,
        struct.pack("<ddq?", math.nan, 1.0, 3, False),
        struct.pack("<ddq?", 1.0, math.inf, 3, False),
        struct.pack("<ddq?", 1.0, 2.0, -3, False),
        struct.pack("<ddq?", 1.0, 2.0, 0, False),
    ],
)
def test_a_value_that_no_score_has_is_not_found(folder, value, monkeypatch):
    with ScoreCache(folder, FACTS) as cache:
        monkeypatch.setattr("iterit.scoring.score_cache._LAYOUT", Whatever(value))
        cache.add([(DIGESTS[0], SCORES[DIGESTS[0]])])
        monkeypatch.undo()
        assert set(cache.find(DIGESTS)) == set(DIGESTS[1:])


class Whatever:
    """Packs every score as the same bytes, as damage before the checksum would."""

    def __init__(self, value):
        self.value = value

    def pack(self, *score):
        return self.value


def test_a_score_without_tokens_is_one(tmp_path):
    with ScoreCache(tmp_path, FACTS) as cache:
        cache.add([("00", Score(math.nan, math.nan, 0, True))])
        assert cache.find(["00"])["00"].is_truncated
