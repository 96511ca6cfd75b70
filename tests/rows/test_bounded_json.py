"""JSON that may be hostile: parsed as by :mod:`json`, or refused before it costs anything."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.rows.bounded_json import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


@given(VALUES, st.booleans())
def test_what_json_writes_is_parsed(value, escaped):
    text = json.dumps(value, ensure_ascii=escaped)
    assert parse_json(text) == parse_json(text.encode()) == parse_json("\ufeff" + text) == value


@pytest.mark.parametrize(
    "text", ["[" * 100 + "]" * 100, json.dumps(["[" * 500, '\\"' + "{[" * 500]), "[[]," * 99 + "1" + "]" * 99]
)
def test_brackets_count_outside_strings_and_only_while_open(text):
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 101 + "]" * 101,
        '{"a":' * 20_000,
        '["[",' * 101 + "1" + "]" * 101,
        '[{"a": 1}, ' + "[" * 100_000 + "]" * 100_000 + "]",
        r'{"\ud800": 1}',
        r'["\udc00\ud800"]',
        '["\ud800"]',
        b'["\xed\xa0\x80"]',
        "9" * 5000,
        "",
        "{",
        '"' + '\\"' * 100_000,
    ],
)
def test_what_is_hostile_or_cut_is_a_value_error_at_little_cost(text):
    tracemalloc.start()
    with pytest.raises(ValueError):
        parse_json(text)
    assert tracemalloc.get_traced_memory()[1] < 20 * len(text) + 2**20
    tracemalloc.stop()


def test_a_whole_pair_of_surrogates_is_a_character():
    assert parse_json(r'["\ud83d\ude00"]') == ["\U0001f600"]
