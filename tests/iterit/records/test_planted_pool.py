"""Planted records: as many as stated, wrong where they must be wrong, as long as what they replace."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import ParameterError, RecordsError
from iterit.records.instruction_records import Records, read_records
from iterit.records.planting.foreign_sentences import LANGUAGES, foreign_pair
from iterit.records.planting.planted_pool import (
    COPY,
    FOREIGN,
    SUM,
    SWAPPED,
    PlantingSettings,
    plant,
    planted_of,
    wrong_sum,
)
from iterit.selection.near_duplicates import near_duplicates
from tests.support.refusals import refused


def pool_of(n, words=12):
    random = np.random.default_rng(1)
    rows = []
    for number in range(n):
        answer = " ".join(f"w{word}" for word in random.integers(0, 5000, random.integers(3, words)))
        rows.append({"instruction": f"Ask {number}", "input": "", "output": f"{answer} end{number}"})
    return Records.from_rows(rows, source="mine")


POOL = pool_of(400)


def test_shares_are_as_stated_and_the_rest_stays():
    planted = plant(POOL)
    counts = {kind: int((planted.kinds == kind).sum()) for kind in (SWAPPED, COPY, FOREIGN, SUM)}
    assert counts == {SWAPPED: 40, COPY: 40, FOREIGN: 40, SUM: 20}
    assert len(planted.records) == 400 and set(planted.records.sources) == {"mine"}
    for row in np.flatnonzero(planted.kinds == ""):
        assert [m.content for m in planted.records[row].messages] == [m.content for m in POOL[row].messages]


def test_swapped_answers_belong_to_other_questions_and_none_is_lost():
    planted = plant(POOL)
    rows = np.flatnonzero(planted.kinds == SWAPPED)
    assert all(planted.records.responses[row] != POOL.responses[row] for row in rows)
    assert all(planted.records[row].messages[0] == POOL[row].messages[0] for row in rows)
    assert sorted(planted.records.responses[row] for row in rows) == sorted(
        POOL.responses[row] for row in rows
    )
    changes = [len(planted.records.responses[r].split()) - len(POOL.responses[r].split()) for r in rows]
    assert max(map(abs, changes)) <= 2


def test_near_copies_are_near_and_never_equal():
    planted = plant(POOL)
    sound = {POOL.responses[row] for row in np.flatnonzero(planted.kinds == "")}
    for row in np.flatnonzero(planted.kinds == COPY):
        copy = planted.records.responses[row]
        assert copy not in sound
        words = set(copy.split())
        assert max(len(words & set(one.split())) / len(set(one.split())) for one in sound) >= 0.5
    assert len(near_duplicates(planted.records.responses, threshold=0.3).table) > 0


def test_every_sum_is_wrong():
    random = np.random.default_rng(5)
    for n_words in (1, 9, 60):
        question, answer = wrong_sum(n_words, random)
        sums = re.findall(r"sum of (\d+) and (\d+) is (-?\d+)", answer)
        assert sums and all(int(a) + int(b) != int(c) for a, b, c in sums)
        assert all(f"{a} + {b}" in question for a, b, _ in sums)
        assert n_words <= len(answer.split()) < n_words + 9


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_languages_fill_every_gap_and_get_as_long_as_asked(language):
    random = np.random.default_rng(3)
    for n_words in (1, 40):
        question, answer = foreign_pair(language, n_words, random)
        assert "{" not in question + answer and n_words <= len(answer.split()) < n_words + 16
        assert answer[0].isupper() and answer.endswith(".")


def test_conversations_keep_their_other_turns():
    rows = [
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": f"a{n}"},
                {"role": "assistant", "content": f"b{n}", "train": False},
                {"role": "user", "content": f"c{n}"},
                {"role": "assistant", "content": f"d{n} and more"},
            ]
        }
        for n in range(40)
    ]
    pool = Records.from_rows(rows)
    planted = plant(pool, PlantingSettings(copies=0, foreign=0, sums=0, swapped=0.5))
    for row in range(40):
        before, after = pool[row].messages, planted.records[row].messages
        assert before[:4] == after[:4]
        assert (after[4].content == before[4].content) == (planted.kinds[row] == "")


def test_the_same_seed_plants_the_same_and_a_written_pool_is_known_again(tmp_path):
    first, again, other = plant(POOL), plant(POOL), plant(POOL, PlantingSettings(seed=1))
    assert first.records.digests == again.records.digests != other.records.digests
    first.records.write(tmp_path / "planted.jsonl")
    read = planted_of(read_records(tmp_path / "planted.jsonl"))
    assert (read.kinds == first.kinds).all() and read.records.responses == first.records.responses
    assert planted_of(POOL) is None


@given(st.integers(20, 60), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_answers_that_are_equal_are_swapped_for_others(n, seed):
    rows = [
        {"question": f"{number}?", "answer": "yes" if number % 3 else f"no {number}"} for number in range(n)
    ]
    pool = Records.from_rows(rows)
    planted = plant(pool, PlantingSettings(swapped=0.5, copies=0, foreign=0, sums=0, seed=seed))
    own = np.flatnonzero(planted.kinds == SWAPPED)
    n_same = sum(planted.records.responses[row] == pool.responses[row] for row in own)
    n_yes = sum(pool.responses[row] == "yes" for row in own)
    assert n_same == max(0, 2 * n_yes - len(own))  # as few as any exchange can leave


def test_a_small_pool_and_a_wrong_share_are_refused():
    with refused(RecordsError, received=5, allowed=str):
        plant(pool_of(5))
    with refused(ParameterError, parameter="copies", received=0.9):
        PlantingSettings(copies=0.9)
