"""Datamodel scores against scipy, and descriptions of picks against plain loops."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from debias.errors import ParameterError
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.records.instruction_records import Records
from iterit.training.audits.datamodels import datamodel_scores, random_subsets
from iterit.training.audits.picks_description import coverage, described, script_of, shares
from tests.support.refusals import refused


def test_correlations_are_those_of_scipy_and_intervals_hold_them():
    random = np.random.default_rng(0)
    subsets = random_subsets(np.arange(100), 40, 12, seed=1)
    true = random.normal(size=100)
    learnt = np.array([true[rows].sum() for rows in subsets]) + random.normal(0, 2, 40)
    noisy = true + random.normal(0, 1, 100)
    missing = np.where(np.arange(100) % 5 == 0, np.nan, noisy)
    table = datamodel_scores(subsets, {"a": learnt}, {"noisy": noisy, "missing": missing}).set_index("score")
    sums = [noisy[rows].sum() for rows in subsets]
    assert table.loc["noisy", "correlation"] == pytest.approx(stats.spearmanr(sums, learnt)[0])
    filled = np.where(np.isnan(missing), np.nanmean(missing), missing)
    sums = [filled[rows].sum() for rows in subsets]
    assert table.loc["missing", "correlation"] == pytest.approx(stats.spearmanr(sums, learnt)[0])
    assert (table["low"] < table["correlation"]).all() and (table["correlation"] < table["high"]).all()


def test_a_score_without_information_has_no_correlation():
    subsets = random_subsets(np.arange(30), 9, 4, seed=0)
    table = datamodel_scores(subsets, {"a": np.arange(9.0)}, {"none": np.full(30, np.nan)})
    assert np.isnan(table["correlation"]).all() and np.isnan(table["low"]).all()


def test_subsets_are_of_usable_rows_without_repetition():
    usable = np.array([3, 5, 8, 13, 21])
    for rows in random_subsets(usable, 20, 4, seed=2):
        assert len(set(rows.tolist())) == 4 and set(rows.tolist()) <= set(usable.tolist())
    with refused(ParameterError, parameter="subset_size", received=5):
        random_subsets(usable, 1, 5, seed=0)


def test_coverage_is_that_of_a_plain_loop():
    texts = ["a red fox ran", "a red hen sat", "the old hen ran", "nothing alike here", "a red fox sat"]
    counts = count_ngrams(texts)
    grams = [
        {counts.ngram(c) for c in counts.indices[counts.indptr[r] : counts.indptr[r + 1]]} for r in range(5)
    ]
    common = {gram for own in grams for gram in own if sum(gram in other for other in grams) >= 2}
    for rows in ([0], [1, 3], [0, 1, 2, 3, 4], []):
        seen = set().union(*(grams[row] for row in rows)) if rows else set()
        assert coverage(counts, np.array(rows, dtype=np.int64)) == pytest.approx(
            len(seen & common) / len(common)
        )


def test_descriptions_count_copies_turns_and_tokens():
    rows = [
        {"question": f"{n}?", "answer": text}
        for n, text in enumerate(["one two three four five six"] * 2 + ["x y"])
    ]
    records = Records.from_rows(rows)
    table = described(
        records,
        count_ngrams(records.responses),
        np.array([6, 6, 2]),
        {"all": np.arange(3), "no": np.zeros(0, int)},
    )
    assert table.loc["all", ["n_records", "answer_tokens", "n_copies"]].tolist() == [3, 14, 1]
    assert table.loc["all", "mean_turns"] == 1 and table.loc["no", "n_records"] == 0
    assert np.isnan(table.loc["no", "mean_tokens"])


@pytest.mark.parametrize(
    ("text", "script"),
    [("Gr\u00fc\u00dfe", "Latin"), ("\u65e5\u672c\u8a9e\u306e", "Han"),
     ("\u0939\u093f\u0928\u094d\u0926\u0940", "Devanagari"),
     ("\u13e3\u13b3\u13a9", "other"), ("\U0001f600 12", "none"), ("", "none")],
)  # fmt: skip
def test_scripts_of_texts(text, script):
    assert script_of(text) == script


def test_rare_values_are_added_up():
    values = [f"s{n}" for n in range(20) for _ in range(20 - n)]
    table = shares(values, {"all": np.arange(len(values))}, most=5)
    assert list(table.index) == ["s0", "s1", "s2", "s3", "(others)"] and table["all"].sum() == pytest.approx(
        1
    )
    assert isinstance(table, pd.DataFrame)
