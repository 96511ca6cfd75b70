"""Orders of a prompt: all different, all with the same words, the first ones of more."""

import itertools

import pytest

from debias.errors import ParameterError
from debias.inference.texts.demonstrations import check_demonstrations
from debias.inference.texts.tasks import Task, load_task
from debias.inference.votes.prompt_orders import named_labels, ordered_openings
from tests.support.refusals import refused

SHOWN = [("blue all day", "sun"), ("dark clouds", "rain"), ("white flakes", "snow")]
TASK = Task("sky", labels=["sun", "rain", "snow"], question_prefix="Report: ", answer_prefix="Sky: ")


def shown(task, pairs):
    return check_demonstrations(task, pairs)


def test_all_orders_of_demonstrations_are_found_and_no_more():
    demonstrations = shown(TASK, SHOWN)
    openings = ordered_openings(TASK, demonstrations, 6)
    assert openings[0] == TASK.opening(demonstrations)
    assert set(openings) == {TASK.opening(one) for one in itertools.permutations(demonstrations)}
    with refused(ParameterError, parameter="votes", received=7):
        ordered_openings(TASK, demonstrations, 7)


def test_more_orders_of_a_seed_begin_with_the_same_ones():
    demonstrations = shown(TASK, SHOWN)
    assert ordered_openings(TASK, demonstrations, 5)[:3] == ordered_openings(TASK, demonstrations, 3)
    assert ordered_openings(TASK, demonstrations, 4, seed=1) != ordered_openings(TASK, demonstrations, 4)


def test_equal_demonstrations_have_fewer_orders():
    with refused(ParameterError, parameter="votes", received=2):
        ordered_openings(TASK, shown(TASK, [SHOWN[0]] * 3), 2)


@pytest.mark.parametrize("name", ["trec", "agnews"])
def test_labels_that_the_instruction_names_change_places(name):
    task = load_task(name)
    assert len(named_labels(task)) == task.n_classes
    openings = ordered_openings(task, [], 24)
    assert len(set(openings)) == 24
    assert {tuple(sorted(one)) for one in openings} == {tuple(sorted(task.opening()))}


EXPLAINED = [
    "1 = bad, 2 = good",
    "Type 1 for bad, 2 for good",
    "Answer bad (no stars) or good (all stars).",
    "Say bad for poor work and good for fine work.",
    "bad: nobody liked it; good: all did",
]
WORDS, DIGITS = ["bad", "good"], ["1", "2"]


@pytest.mark.parametrize(
    ("prefix", "labels"),
    [*((one, labels) for one in EXPLAINED for labels in (WORDS, DIGITS)), ("1. bad\n2. good", DIGITS)],
)
def test_words_that_the_instruction_explains_keep_their_places(prefix, labels):
    task = Task("mood", labels=labels, class_names=WORDS, prefix=prefix)
    with refused(ParameterError, parameter="votes", received=2):
        ordered_openings(task, [], 2)


@pytest.mark.parametrize("words", [None, ["terrible", "bad", "okay", "good", "great"]])
def test_letters_always_stand_for_the_same_class(words):
    task = load_task("sst5").with_letters(words)
    openings = ordered_openings(task, shown(task, [("a", "great"), ("b", "bad"), ("c", "okay")]), 6)
    options = [f"{label}. {name}\n" for label, name in zip("ABCDE", task.class_names, strict=True)]
    assert all(option in one for one in openings for option in options)


@pytest.mark.parametrize(
    "prefix",
    ["bad, good?", "Is it 'bad', or 'good'?", "- bad\n- good", "1. bad\n2. good", "Ist es bad oder good?"],
)
def test_a_plain_list_changes_places(prefix):
    task = Task("mood", labels=WORDS, prefix=prefix)
    swapped = prefix.replace("bad", "#").replace("good", "bad").replace("#", "good")
    assert ordered_openings(task, [], 2)[1].strip() == swapped
