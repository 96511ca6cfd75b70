"""Selections by every mode: hand-solved cases, scikit-learn's matrix and the plain definition as referees."""

import random

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from debias.errors import ParameterError
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.selection.modes import MODES
from iterit.selection.selection import select
from tests.support.plain_selection import as_lists, plain_greedy
from tests.support.refusals import refused

TEXTS = ["a good day", "good day to all of you", "what a night", "good day", "", "night and day and night"]
COUNTS = count_ngrams(TEXTS)
IFD = [0.9, 0.5, 0.8, 0.7, np.nan, 0.6]


def some_texts(n, seed):
    source = random.Random(seed)
    words = ["".join(source.choices("abcdefgh", k=source.randint(2, 4))) for _ in range(60)]
    return [" ".join(source.choices(words, k=source.randint(0, 30))) for _ in range(n)]


@pytest.mark.parametrize(
    ("mode", "power"),
    [("published", 0.0), ("length_debiased", 1.0), ("length_neutral", 0.5), ("diversity", 0.0)],
)
@pytest.mark.parametrize("decay", [0.0, 0.1, 0.9, 1.0])
def test_picks_are_those_of_the_plain_definition_on_scikit_learns_matrix(mode, power, decay):
    texts = some_texts(120, seed=1)
    complexity = np.random.default_rng(2).uniform(0.3, 1.2, size=len(texts))
    candidates = np.flatnonzero(np.random.default_rng(3).random(len(texts)) < 0.7)
    picked = select(complexity, count_ngrams(texts), 40, mode=mode, decay=decay, candidates=candidates)
    matrix = TfidfVectorizer(ngram_range=(1, 3)).fit_transform([texts[row] for row in candidates]).tocsr()
    matrix.sort_indices()
    known = complexity[candidates]
    rows, diversity, _ = plain_greedy(
        as_lists(matrix),
        known if mode != "diversity" else np.ones(len(known)),
        40,
        decay,
        eligible=np.flatnonzero(known < 1).tolist(),
        divisors=np.maximum(np.diff(matrix.indptr), 1) ** power,
    )
    assert candidates[rows].tolist() == picked.rows[: len(rows)].tolist()
    assert np.allclose(picked.table["diversity"][: len(rows)], diversity, rtol=1e-12, atol=0)
    assert picked.excluded == {"IFD >= 1.0": int((known >= 1).sum())}
    assert len(set(picked.rows)) == len(picked.rows) == 40 - picked.n_missing


def test_when_the_ngrams_run_out_complexity_decides():
    counts = count_ngrams(["good day"] * 4 + ["", "good"])
    picked = select([0.4, 0.8, 0.5, 0.8, 0.6, 0.1], counts, 6, decay=0.0)
    assert picked.rows.tolist() == [1, 3, 4, 2, 0, 5]
    assert picked.table["score"].tolist()[1:] == [0, 0, 0, 0, 0]
    assert picked.table["rank"].tolist() == [1, 2, 3, 4, 5, 6]


def test_ties_go_to_the_first_candidate():
    counts = count_ngrams(["good day", "some night", "good day", "some night"])
    assert select([0.5] * 4, counts, 4).rows.tolist() == [0, 1, 2, 3]
    assert select([0.5] * 4, counts, 2, candidates=[3, 2, 1, 0]).rows.tolist() == [3, 2]
    assert select([0.5] * 4, counts, 2, mode="complexity").rows.tolist() == [0, 1]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "facility_location"])
def test_every_mode_is_a_pure_function_with_a_table(mode):
    sources = ["x", "y", "x", "y", "x", "y"]
    ifd = np.array(IFD)
    options = {"mode": mode, "sources": sources, "round": 2, "seed": 4, "low_quantile": 0, "high_quantile": 1}
    if mode in ("influence", "learnable"):
        options["values"] = [0.3, 0.1, 0.2, 0.5, 0.4, 0.6]
    if mode == "representation":
        options["similarities"] = np.arange(12.0).reshape(6, 2)
    one, two = (select(ifd, COUNTS, 3, **options) for _ in range(2))
    pd.testing.assert_frame_equal(one.table, two.table)
    assert one.rows.tolist() == one.table["row"].tolist()
    assert one.table["round"].tolist() == [2, 2, 2]
    assert one.table["source"].tolist() == [sources[row] for row in one.rows]
    assert one.table["words"].tolist() == [COUNTS.n_words[row] for row in one.rows]
    assert one.table["complexity"].tolist() == [IFD[row] for row in one.rows]
    assert (one.table["diversity"] > 0).all()
    assert one.excluded == {"no score": 1}
    assert np.array_equal(ifd, IFD, equal_nan=True)


TWINS = {
    "我每天早上六点起床，然后去公园跑步。": "I get up at six every morning and then go running in the park.",
    "要做好一道菜，首先要选择新鲜的材料。": "To cook a dish well, you must first choose fresh ingredients.",
    "如果明天下雨，比赛就会改到下个星期举行。": "If it rains tomorrow, the match will be moved to next week.",
    "睡觉以前不要看手机，这样可以睡得更好。": "Do not look at your phone before going to bed to sleep well.",
    "三角形的三个角加起来等于一百八十度。": "The three angles of a triangle add up to 180 degrees in all.",
    "电影院离我家很近，走路只需要十分钟。": "The cinema is very close to my home, only ten minutes on foot.",
    "他用了三年的时间才学会弹钢琴。": "It took him three years to learn to play the piano.",
    "这本书讲述了一个年轻人寻找工作的故事。": "This book tells the story of a young man looking for work.",
}


@pytest.mark.parametrize("mode", ["published", "length_neutral", "length_debiased", "diversity"])
def test_twins_in_english_and_chinese_are_picked_about_equally_often(mode):
    counts = count_ngrams([*TWINS, *TWINS.values()])
    shares = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        ifd = np.tile(generator.uniform(0.5, 0.9, len(TWINS)), 2)
        picked = select(ifd, counts, len(TWINS), mode=mode, candidates=generator.permutation(len(ifd)))
        shares.append((picked.rows < len(TWINS)).mean())
    assert 0.35 < np.mean(shares) < 0.65


def test_one_letter_answers_are_picked_by_their_ngrams():
    counts = count_ngrams(["A", "B", "A", "A"])
    assert select([0.6, 0.5, 0.6, 0.6], counts, 2, decay=0.1).rows.tolist() == [0, 1]


def test_ngrams_that_were_cut_otherwise_than_asked_for_are_refused():
    counts = count_ngrams(TEXTS, tokens="published")
    assert len(select(IFD, counts, 2).rows) == len(select(IFD, counts, 2, tokens="published").rows) == 2
    with refused(ParameterError, parameter="tokens", received="unicode", mentions="published"):
        select(IFD, counts, 2, tokens="unicode")


def test_modes_without_ngrams():
    assert select(IFD, None, 2, mode="complexity").rows.tolist() == [0, 2]
    assert select(None, None, 2, mode="longest", lengths=[3, 9, 4]).rows.tolist() == [1, 2]
    assert select(None, COUNTS, 2, mode="longest").rows.tolist() == [1, 5]
    assert select(None, COUNTS, 1, mode="diversity").rows.tolist() == [1]
    table = select(IFD, None, 2, mode="complexity").table
    assert table["diversity"].isna().all()
    assert table["words"].isna().all()
    assert table["score"].tolist() == [0.9, 0.8]


def test_random_picks_depend_on_the_seed_alone_and_favour_none():
    n, k = 40, 10
    times = np.zeros(n)
    for seed in range(400):
        times[select(np.ones(n) / 2, None, k, mode="random", seed=seed).rows] += 1
    assert abs(times - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)
    rows = [select(np.ones(n) / 2, None, k, mode="random", seed=s).rows.tolist() for s in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize("mode", ["published", "complexity", "random", "facility_location"])
def test_quotas_hold_in_every_mode(mode):
    texts = some_texts(60, seed=4)
    source = np.array(["web", "book", "code"])[np.random.default_rng(0).integers(3, size=60)]
    options = {"mode": mode, "sources": source, "embeddings": np.random.default_rng(1).normal(size=(60, 5))}
    ifd = np.random.default_rng(2).uniform(0.3, 0.9, 60)
    picked = select(ifd, count_ngrams(texts), 20, quotas={"web": 0.25, "book": 2}, **options)
    share = picked.table["source"].value_counts()
    assert share.to_dict() == {"code": 13, "web": 5, "book": 2}
    some = select(ifd, count_ngrams(texts), 20, quotas={"web": 0, "book": 2, "code": 3}, **options)
    assert len(some.rows) == 5
    assert some.n_missing == 15


def test_rows_without_a_source_have_no_limit():
    options = {"sources": ["x", None, "x", None, "x", None], "quotas": {"x": 1}}
    picked = select([0.9, 0.5, 0.8, 0.4, 0.7, 0.6], COUNTS, 6, mode="complexity", **options)
    assert picked.rows.tolist() == [0, 5, 1, 3]


def test_a_quota_of_a_source_that_has_no_candidate_now():
    options = {"sources": list("xxxyyy"), "quotas": {"x": 1, "y": 1}}
    assert select(IFD, COUNTS, 3, candidates=[0, 1, 2], **options).rows.tolist() == [1]


def test_bounds_and_status_are_counted():
    status = ["ok", "ok", "truncated", "ifd_ge_1", "empty", "refused"]
    ifd = [0.2, 0.95, 0.5, 1.5, np.nan, 0.5]
    picked = select(ifd, COUNTS, 6, status=status, min_ifd=0.3)
    assert sorted(picked.rows.tolist()) == [1, 2]
    assert picked.excluded == {"status empty": 1, "status refused": 1, "IFD < 0.3": 1, "IFD >= 1.0": 1}
    assert picked.n_missing == 4
    assert 3 in select(ifd, COUNTS, 6, status=status, max_ifd=None).rows
    assert 1 not in select(ifd, COUNTS, 6, status=status, max_ifd=0.95).rows


def test_a_table_of_scores_may_hold_only_some_rows():
    scores = pd.DataFrame({"ifd": [0.8, 0.9], "status": ["ok", "ok"]}, index=[2, 0])
    picked = select(scores, COUNTS, 6, mode="complexity")
    assert picked.rows.tolist() == [0, 2]
    assert picked.excluded == {"status not scored": 4}
    assert select(scores, None, 6, mode="complexity").rows.tolist() == [0, 2]


def test_candidates_alone_decide_idf():
    """Rows that are no candidates leave no trace: as if they were not there."""
    texts = some_texts(50, seed=6)
    ifd = np.random.default_rng(6).uniform(0.3, 0.9, 50)
    rows = np.arange(10, 40)
    part = select(ifd, count_ngrams(texts), 15, candidates=rows)
    alone = select(ifd[rows], count_ngrams(texts[10:40]), 15)
    assert part.rows.tolist() == (alone.rows + 10).tolist()
    assert np.allclose(part.table["score"], alone.table["score"], rtol=1e-12)


def test_no_rows_to_pick():
    assert select(IFD, COUNTS, 0).rows.tolist() == []
    nothing = select(IFD, COUNTS, 3, candidates=[])
    assert len(nothing.table) == 0
    assert nothing.n_missing == 3
    assert select([], count_ngrams([]), 1).n_missing == 1
    assert select([], None, 1, mode="facility_location", embeddings=np.zeros((0, 3))).n_missing == 1


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"mode": "best"}, {"parameter": "mode", "received": "best", "mentions": "'published'"}),
        ({"k": -1}, {"parameter": "k", "received": -1}),
        ({"k": 2.5}, {"parameter": "k", "received": 2.5}),
        ({"decay": 1.5}, {"parameter": "decay", "received": 1.5}),
        ({"decay": np.nan}, {"parameter": "decay"}),
        ({"decya": 0.5}, {"parameter": "decya", "mentions": "'decay'"}),
        ({"complexity": None}, {"parameter": "complexity", "mentions": "'published'"}),
        ({"counts": None}, {"parameter": "counts"}),
        ({"mode": "facility_location"}, {"parameter": "embeddings"}),
        (
            {"mode": "facility_location", "embeddings": [[1.0]]},
            {"parameter": "embeddings", "received": (1, 1)},
        ),
        ({"mode": "facility_location", "embeddings": [[np.inf]] * 6}, {"parameter": "embeddings", "row": 0}),
        ({"complexity": [0.5]}, {"parameter": "complexity", "received": (1,)}),
        ({"complexity": ["x"] * 6}, {"parameter": "complexity", "received": list}),
        ({"complexity": [-0.5] * 6}, {"parameter": "complexity", "received": -0.5, "row": 0}),
        ({"complexity": [np.inf] * 6}, {"parameter": "complexity", "received": np.inf, "row": 0}),
        ({"complexity": pd.DataFrame({"score": [1]})}, {"parameter": "complexity", "received": ["score"]}),
        (
            {"complexity": pd.DataFrame({"ifd": [1.0]}, index=[9])},
            {"parameter": "complexity", "received": [9]},
        ),
        ({"candidates": [0, 0]}, {"parameter": "candidates"}),
        ({"candidates": [6]}, {"parameter": "candidates", "received": 6}),
        ({"quotas": {"x": 1}}, {"parameter": "sources"}),
        ({"quotas": {"z": 1}, "sources": list("xyxyxy")}, {"parameter": "quotas", "received": "z"}),
        ({"quotas": {"x": 1.5}, "sources": list("xyxyxy")}, {"parameter": "quotas", "received": 1.5}),
        ({"quotas": {"x": True}, "sources": list("xyxyxy")}, {"parameter": "quotas", "received": True}),
    ],
)
def test_arguments_that_are_not_allowed(options, fields):
    with refused(ParameterError, **fields):
        select(**{"complexity": IFD, "counts": COUNTS, "k": 2, **options})


def test_the_number_of_rows_must_be_known():
    with refused(ParameterError, parameter="counts"):
        select(k=1, mode="random")
    with refused(ParameterError, parameter="lengths"):
        select(IFD, k=1, mode="longest")
