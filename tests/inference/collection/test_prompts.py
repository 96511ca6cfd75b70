"""Prompts made ahead: tokenised while the engine answers, read in the caller's thread, errors in turn."""

import threading

import numpy as np
import pytest

from debias.errors import ContextLengthError
from debias.inference.collection.collected_rows import TextRow
from debias.inference.collection.prompts import prompted_rows
from debias.inference.engine import Engine
from debias.inference.texts.tasks import Task
from tests.support.refusals import refused

TASK = Task("mood", labels=["bad", "good"])


class Letters(Engine):
    """Tokens are letters; notes who tokenises what."""

    context_length, fingerprint = 60, {}

    def __init__(self):
        self.encoded = []

    def continuation_logprobs(self, prompts, continuations):
        return [np.log([0.5]) for _ in continuations]

    def encode(self, texts):
        self.encoded.extend((text, threading.get_ident()) for text in texts)
        return [[ord(c) for c in text] for text in texts]


def rows(count):
    return [TextRow(str(n), f"text {n}") for n in range(count)]


def test_the_next_rows_are_tokenised_while_these_are_answered():
    engine, read_by = Letters(), set()

    def source():
        for row in rows(6):
            read_by.add(threading.get_ident())
            yield row

    prompts = prompted_rows(engine, TASK, [], source(), at_once=2)
    next(prompts)
    # Now the caller asks its engine; rows 2 and 3 are tokenised by another thread meanwhile.
    for _ in range(200):
        if any("text 3" in text for text, _ in engine.encoded):
            break
        threading.Event().wait(0.02)
    (other,) = {who for text, who in engine.encoded if "text 3" in text}
    assert other != threading.get_ident()
    assert not any("text 4" in text for text, _ in engine.encoded)
    assert read_by == {threading.get_ident()}
    assert [one.row.text for one in prompts] == [f"text {n}" for n in range(1, 6)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_every_row_comes_once_and_in_order(count):
    prompts = list(prompted_rows(Letters(), TASK, [], rows(count), at_once=2))
    assert [one.row.text for one in prompts] == [f"text {n}" for n in range(count)]
    assert [one.prompt for one in prompts] == [TASK.prompt(f"text {n}") for n in range(count)]


def test_rows_before_an_error_of_the_source_are_given_first():
    def source():
        yield from rows(4)
        raise OSError("the disk is gone")

    given = []
    with pytest.raises(OSError, match="gone"):
        given.extend(one.row.text for one in prompted_rows(Letters(), TASK, [], source(), at_once=2))
    prompts = prompted_rows(Letters(), TASK, [], source(), at_once=2)
    assert [next(prompts).row.text for _ in range(4)] == [f"text {n}" for n in range(4)]
    with pytest.raises(OSError, match="gone"):
        next(prompts)


def test_a_row_that_is_too_long_is_named_by_its_place_after_those_before_it():
    long = [*rows(3), TextRow("3", "a " * 60)]
    prompts = prompted_rows(Letters(), TASK, [], long, at_once=2)
    assert [next(prompts).row.text for _ in range(2)] == ["text 0", "text 1"]
    with refused(ContextLengthError, row=3):
        next(prompts)


@pytest.mark.parametrize("room", range(20, 40))
def test_a_shortened_text_is_never_only_spaces(room):
    engine = Letters()
    engine.context_length = room
    text = " " * 12 + "x" * 80
    prompts = prompted_rows(engine, TASK, [], [TextRow("0", text)], too_long="truncate")
    if room < len("\nAnswer:") + len(" good") + 13:
        with refused(ContextLengthError, row=0):
            next(prompts)
    else:
        assert next(prompts).prompt.startswith(" " * 12 + "x")
