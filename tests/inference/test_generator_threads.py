"""Threads of a generator: ended with it, waited for after a failure, and not where it is left."""

import threading

import pytest

from debias.inference.generator_threads import generator_threads


def numbers(work, seen):
    """Yield a number while a thread works."""
    with generator_threads(1, lambda: seen.append("begun")) as threads:
        doing = threads.submit(work)
        yield 1
        yield doing.result()


def test_a_generator_that_is_left_does_not_wait_for_its_threads():
    may_end, seen = threading.Event(), []
    left = numbers(may_end.wait, seen)
    next(left)
    left.close()  # would be for ever if it waited
    assert not may_end.is_set()
    may_end.set()


def test_one_that_fails_waits_for_them():
    seen = []

    def fail():
        seen.append("worked")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(numbers(fail, seen))
    assert seen == ["begun", "worked"]
    assert list(numbers(lambda: 2, seen)) == [1, 2]
