"""A store of answers waits for other processes that write, open or close the same file."""

import sqlite3
import threading

import pytest

from debias.errors import StorageError
from debias.inference.collection import answer_store
from debias.inference.collection.answer_store import AnswerStore, digest
from tests.support.refusals import refused


@pytest.fixture
def taken(tmp_path):
    """A store that another connection is about to write to, as a process that opens or closes it does."""
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as store:
        store.add([(digest("a"), b"1")], {})
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield path, other
    other.close()


def test_a_store_that_is_being_opened_elsewhere_is_waited_for(taken):
    path, other = taken
    released = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    with AnswerStore(path) as store:
        released.start()
        store.add([(digest("b"), b"2")], {})
        assert [one.value for one in store.find([digest("a"), digest("b")]).values()] == [b"1", b"2"]


def test_waiting_has_an_end(taken, monkeypatch):
    monkeypatch.setattr(answer_store, "_BUSY_SECONDS", 0.2)
    with AnswerStore(taken[0]) as store, refused(StorageError, file=str(taken[0])):
        store.add([(digest("b"), b"2")], {})
