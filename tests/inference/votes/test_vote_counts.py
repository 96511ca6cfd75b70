"""Smoothing: the mean of a Dirichlet distribution; the tally: every answer is counted once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import dirichlet

from debias.errors import ParameterError
from debias.inference.votes.answer_matching import AnswerMatcher
from debias.inference.votes.vote_counts import VoteTally, smoothed
from debias.inference.votes.vote_settings import VoteSettings
from tests.support.refusals import refused

COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=6)
SMOOTHING = st.floats(1e-3, 1e3)


@given(COUNTS, SMOOTHING)
def test_smoothing_is_the_mean_of_a_dirichlet_distribution(counts, smoothing):
    expected = dirichlet(np.array(counts) + smoothing).mean()
    np.testing.assert_allclose(smoothed([counts], smoothing)[0], expected, rtol=1e-12)


@given(COUNTS, SMOOTHING)
def test_more_votes_are_more_probable_and_nothing_is_zero(counts, smoothing):
    (row,) = smoothed([counts], smoothing)
    assert row.sum() == pytest.approx(1)
    assert (row > 0).all()
    for one, other in zip(range(len(counts)), range(1, len(counts)), strict=False):
        assert np.sign(row[one] - row[other]) == np.sign(counts[one] - counts[other])


def test_little_smoothing_gives_frequencies_and_much_gives_equal_classes():
    np.testing.assert_allclose(smoothed([[3, 1]], 1e-9), [[0.75, 0.25]])
    np.testing.assert_allclose(smoothed([[3, 1]], 1e9), [[0.5, 0.5]])


ANSWERS = st.lists(
    st.lists(st.sampled_from(["yes", "No.", "no\nmore", "yes it is", "maybe", ""]), max_size=8)
)


@given(ANSWERS)
def test_every_answer_is_counted_once(answers):
    tally = VoteTally(AnswerMatcher([["yes"], ["no"]]), 2)
    counts = tally.count(answers)
    by_hand = [
        [sum(a in ("yes", "yes it is") for a in own), sum(a in ("No.", "no\nmore") for a in own)]
        for own in answers
    ]
    assert counts.tolist() == by_hand
    facts = tally.facts()
    assert sum(facts["answers"].values()) == sum(map(len, answers))
    assert facts["answers"]["unmatched"] == sum(facts["unmatched_texts"].values())
    assert facts["rows_without_a_vote"] == sum(not any(own) for own in by_hand)


def test_settings_of_votes_are_refused_without_votes_and_where_they_make_no_sense():
    with refused(ParameterError, parameter="smoothing", received=1.0):
        VoteSettings(smoothing=1.0)
    with refused(ParameterError, parameter="temperature", received=0.0):
        VoteSettings(votes=2, temperature=0.0)
    assert VoteSettings(votes=1, temperature=0.0).kept_temperature == 0
    assert VoteSettings(votes=4, vote_by="orders").kept_temperature == 0
    for name, value in (("votes", 0), ("votes", True), ("smoothing", 0.0), ("matching", "fuzzy")):
        with refused(ParameterError, parameter=name, received=value):
            VoteSettings(**{"votes": 4, name: value})
