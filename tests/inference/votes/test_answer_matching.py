"""Matching free text with labels: cases by hand, and what holds for every answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.inference.votes.answer_matching import AnswerMatcher, normalised
from debias.inference.votes.vote_settings import MATCHINGS

FORMS = [["Number"], ["Person"], ["Ab", "Abbreviation"], ["not"], ["not bad"], ["積極的"]]
CASES = [
    (" Number", 0, "exact"),
    ("Person\n\n====\n\nQuestion: Who", 1, "first-line"),
    ("\n\n Person\n", 1, "exact"),
    ("\nPerson\nor so", 1, "first-line"),
    ("**person**.", 1, "normalised"),
    ("ＮＵＭＢＥＲ", 0, "normalised"),
    ("“Number”", 0, "normalised"),
    ("Number of people", 0, "beginning"),
    ("number: 12", 0, "beginning"),
    ("Ab", 2, "exact"),
    ("Abbreviation of it", 2, "beginning"),
    ("Abb", 2, "beginning"),
    ("Abbreviated form", 2, "beginning"),
    ("Personal", None, "unmatched"),
    ("Numbers", None, "unmatched"),
    ("not  bad at all", 4, "beginning"),
    ("Not good", 3, "beginning"),
    ("積極的です", 5, "beginning"),
    ("The answer is Number", None, "unmatched"),
    ("", None, "unmatched"),
    ("\n \n", None, "unmatched"),
]


@pytest.mark.parametrize(("answer", "place", "rule"), CASES)
def test_cases_by_hand(answer, place, rule):
    assert AnswerMatcher(FORMS).match(answer) == (place, rule)


@pytest.mark.parametrize(("answer", "place", "rule"), CASES)
def test_an_earlier_last_rule_allows_less(answer, place, rule):
    for number, last in enumerate(MATCHINGS):
        found = AnswerMatcher(FORMS, last).match(answer)
        is_allowed = rule != "unmatched" and MATCHINGS.index(rule) <= number
        assert found == ((place, rule) if is_allowed else (None, "unmatched"))


def test_a_form_of_two_classes_is_a_vote_for_neither():
    matcher = AnswerMatcher([["A+"], ["A"], ["same", "x"], ["same", "y"]])
    assert matcher.match("A+") == (0, "exact")
    assert matcher.match("A") == (1, "exact")
    assert matcher.match("a").place is None
    assert matcher.match("same").place is None
    assert matcher.match("y").place == 3


def test_labels_of_marks_alone_are_told_apart():
    matcher = AnswerMatcher([["+"], ["-"]])
    assert [matcher.match(text).place for text in (" +", "-\n", "+ really", "++")] == [0, 1, 0, 0]


NUMBERS = [
    ("-1", None),
    ("−1", None),
    ("(-1)", None),
    ("0.5", None),
    ("1.5", None),
    ("1,000", None),
    ("1.", 1),
    ("1, I think", 1),
    ("- 1", 1),
    ("(1)", 1),
    ("0: none", 0),
]


@pytest.mark.parametrize(("answer", "place"), NUMBERS)
def test_another_number_is_no_vote_for_the_one_that_it_begins_with_or_contains(answer, place):
    assert AnswerMatcher([["0"], ["1"]]).match(answer).place == place


def test_numbers_of_both_signs_are_told_apart():
    matcher = AnswerMatcher([["-1"], ["0"], ["1"]])
    answers = ("-1", "-1.", "**-1**", "1", "1.", "0", "-1: bad", "1: good", "-1.5")
    assert [matcher.match(text).place for text in answers] == [0, 0, 0, 2, 2, 1, 0, 2, None]


@given(st.text(max_size=40))
def test_every_text_has_an_answer_and_normalising_twice_changes_nothing(text):
    match = AnswerMatcher(FORMS).match(text)
    assert (match.place is None) == (match.rule == "unmatched")
    assert normalised(normalised(text)) == normalised(text)


@given(st.sampled_from(range(len(FORMS))), st.text("\n .,!*\"'", max_size=4), st.text(max_size=10))
def test_a_label_matches_whatever_marks_and_lines_follow(place, marks, rest):
    for form in FORMS[place]:
        match = AnswerMatcher(FORMS).match(f" {form}{marks}\n{rest}")
        assert match.place == place
