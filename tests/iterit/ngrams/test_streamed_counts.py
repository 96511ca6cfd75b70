"""Counting with arrays in files: counting in memory is the referee, number by number and bit by bit."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import iterit.ngrams.scattered_pairs
import iterit.ngrams.streamed_counts
from debias.errors import ParameterError, StorageError
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.ngrams.scattered_pairs import number_keys
from iterit.ngrams.streamed_counts import check_prefixes, count_in_streams
from iterit.ngrams.tokenizer import chunked, scan
from iterit.ngrams.word_kinds import word_kind
from iterit.selection.selection import select
from tests.support.paths import ROOT, SHARED
from tests.support.refusals import refused

ALPACA = SHARED / "instructions" / "alpaca_52k.jsonl.gz"
RANGES = st.sampled_from([(1, 3), (1, 1), (2, 2), (2, 4), (3, 3)])
WAYS = st.sampled_from(["unicode", "published", "every"])
# Few words, so that n-grams come again; many scripts, gaps and empty texts among them.
WORDS = st.sampled_from(["a", "to", "be", "or", "not", "วันนี้", "水面", "день", "😀", "?", "", "नमस्ते", "B"])
TEXTS = st.lists(st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=6)), max_size=12)
ARRAYS = ("indptr", "indices", "counts", "n_words", "words_per_token")


def assert_same(found, expected):
    for name in ARRAYS:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, name)
    assert found.n_columns == expected.n_columns
    assert found.words == expected.words
    assert [keys.tolist() for keys in found.keys] == [keys.tolist() for keys in expected.keys]


@settings(max_examples=80, deadline=None)
@given(TEXTS, RANGES, WAYS, st.sampled_from(["", "<|end|>"]), st.sampled_from([1, 2]))
def test_counts_in_files_are_those_in_memory(tmp_path_factory, texts, ngram_range, tokens, end, n_jobs):
    folder = tmp_path_factory.getbasetemp()
    options = {"tokens": tokens, "end_of_text": end, "n_jobs": n_jobs}
    found = count_ngrams(iter(texts), ngram_range, folder=folder, **options)
    expected = count_ngrams(texts, ngram_range, **options)
    assert_same(found, expected)
    assert found.folder == folder
    assert expected.folder is None


@settings(max_examples=80, deadline=None)
@given(
    TEXTS,
    RANGES,
    st.integers(1, 40),
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from([1, 3]),
)
def test_no_size_of_a_part_changes_a_number(
    tmp_path_factory, texts, ngram_range, characters, keys_per_part, tokens_at_once, n_jobs
):
    chunks = (scan(chunk, word_kind("unicode")) for chunk in chunked(texts, size=characters))
    found = count_in_streams(
        chunks,
        ngram_range,
        tmp_path_factory.getbasetemp(),
        n_jobs=n_jobs,
        keys_per_part=keys_per_part,
        tokens_at_once=tokens_at_once,
    )
    expected = count_ngrams(texts, ngram_range)
    for name in ("indptr", "indices", "counts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    assert found.n_columns == expected.n_columns
    assert found.words == expected.words
    assert [keys.tolist() for keys in found.keys] == [keys.tolist() for keys in expected.keys]


def test_more_than_32_bits_can_number_changes_no_number(tmp_path, monkeypatch):
    texts = ["to be or not to be", "", "be or not", "水 to be"]
    expected = count_ngrams(texts)
    monkeypatch.setattr(iterit.ngrams.streamed_counts, "LARGEST_INT32", 12)
    monkeypatch.setattr(iterit.ngrams.scattered_pairs, "LARGEST_INT32", 4)
    found = count_ngrams(texts, folder=tmp_path)
    assert found.indices.dtype == np.int64
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(weigh(found).data, weigh(expected).data)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60))
def test_keys_are_numbered_as_they_first_occur(keys):
    array = np.array(keys, dtype=np.uint64)
    numbers = np.empty(len(keys), dtype=np.int32)
    different = list(dict.fromkeys(keys))
    assert number_keys(array, numbers) == len(different)
    assert array[: len(different)].tolist() == different
    assert numbers.tolist() == [different.index(key) for key in keys]


def test_a_table_of_keys_grows():
    keys = np.random.default_rng(0).permutation(np.repeat(np.arange(5000, dtype=np.uint64), 3))
    expected = list(dict.fromkeys(keys.tolist()))
    numbers = np.empty(len(keys), dtype=np.int32)
    given_keys = keys.copy()
    assert number_keys(keys, numbers) == 5000
    assert keys[:5000].tolist() == expected
    assert [expected[number] for number in numbers] == given_keys.tolist()


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.data())
def test_picks_from_files_are_those_from_memory(tmp_path_factory, texts, data):
    """Whatever rows are candidates: all in their order, some, or all in another order."""
    texts = ["to be or not", *texts]
    rows = data.draw(
        st.none() | st.just(list(range(len(texts)))) | st.permutations(range(len(texts)))
        | st.lists(st.integers(0, len(texts) - 1), unique=True)
    )  # fmt: skip
    complexity = np.linspace(0.9, 0.3, len(texts))
    k = data.draw(st.integers(0, len(texts)))
    found, expected = (
        select(complexity, count_ngrams(texts, folder=folder), k, candidates=rows)
        for folder in (tmp_path_factory.getbasetemp(), None)
    )
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.table.equals(expected.table)


@pytest.mark.skipif(not ALPACA.exists(), reason="the shared data is not beside this checkout")
@pytest.mark.parametrize("tokens", ["unicode", "published"])
@pytest.mark.parametrize("n_rows", [2000, pytest.param(None, marks=pytest.mark.slow)])
def test_picks_of_alpaca_are_those_from_memory(tmp_path, tokens, n_rows):
    with gzip.open(ALPACA, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["output"] for line in islice(lines, n_rows)]
    complexity = np.random.default_rng(0).uniform(0.3, 0.998, len(texts))
    in_files = count_ngrams((text for text in texts), tokens=tokens, folder=tmp_path)
    in_memory = count_ngrams(texts, tokens=tokens)
    assert_same(in_files, in_memory)
    for rows in (None, np.arange(0, len(texts), 3)):
        ours, theirs = weigh(in_files, rows), weigh(in_memory, rows)
        np.testing.assert_array_equal(ours.data, theirs.data)
        np.testing.assert_array_equal(ours.indices, theirs.indices)
        found, expected = (
            select(complexity, counts, len(texts) // 20, candidates=rows) for counts in (in_files, in_memory)
        )
        assert found.table.equals(expected.table)
    assert os.listdir(tmp_path) == []


def test_all_rows_in_their_order_are_weighed_without_a_copy():
    counts = count_ngrams(["good day", "night"])
    assert weigh(counts, [0, 1]).indices is counts.indices
    with refused(ParameterError, parameter="rows"):
        weigh(counts, [0.0, 1.0])


def test_an_unknown_folder_is_refused(tmp_path):
    with refused(StorageError, parameter="folder", file=str(tmp_path / "none"), fix=str):
        count_ngrams(["a good day"], folder=tmp_path / "none")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with refused(StorageError, parameter="folder", file=str(tmp_path)):
        count_ngrams(["a good day"], folder=tmp_path)


@contextmanager
def files_of_at_most(n_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n_bytes", [100, 10_000, 40_000])
def test_a_disk_without_room_is_an_error_and_nothing_is_left(tmp_path, n_bytes):
    """A map of a file meets a full disk as a signal that kills: room is taken before."""
    texts = [f"word{number} and word{number + 1}" for number in range(2000)]
    with files_of_at_most(n_bytes), refused(StorageError, parameter="folder", file=str(tmp_path)):
        count_ngrams(texts, folder=tmp_path)
    assert os.listdir(tmp_path) == []
    assert count_ngrams(texts, folder=tmp_path).n_rows == 2000


def test_weights_that_the_disk_has_no_room_for_are_an_error(tmp_path):
    counts = count_ngrams([f"word{number} and more" for number in range(2000)], folder=tmp_path)
    with files_of_at_most(60_000), refused(StorageError, parameter="folder", file=str(tmp_path)):
        weigh(counts)
    assert weigh(counts).n_rows == 2000


def test_a_stream_that_breaks_off_leaves_nothing_behind(tmp_path):
    def broken():
        yield from ["a good day"] * 1000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_ngrams(broken(), folder=tmp_path)
    assert os.listdir(tmp_path) == []
    with refused(ParameterError, parameter="texts", row=1):
        count_ngrams(["a", 7], folder=tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_a_killed_process_leaves_nothing_behind(tmp_path):
    program = f"""
import os
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh

counts = count_ngrams((f"word{{n}} again" for n in range(1000)), folder={str(tmp_path)!r})
weights = weigh(counts)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


def test_more_prefixes_than_a_key_can_hold_are_refused():
    with refused(ParameterError, parameter="ngram_range", received=3, fix=str, mentions=["4,294,967,297"]):
        check_prefixes(2**32 + 1, 3)
