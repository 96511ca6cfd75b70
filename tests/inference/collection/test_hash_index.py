"""The index of digests against a dictionary, equal halves included."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from debias.inference.collection.hash_index import DigestIndex, SeenTexts

HALVES = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(st.lists(st.lists(HALVES, max_size=8), max_size=12), st.lists(HALVES, max_size=8))
def test_the_first_place_is_found(blocks, wanted):
    index, expected, place = DigestIndex(), {}, 0
    for block in blocks:
        places = np.arange(place, place + len(block))
        index.add(np.array(block, dtype=np.uint64).reshape(-1, 2), places)
        for one, where in zip(block, places.tolist(), strict=True):
            expected.setdefault(one, where)
        place += len(block)
        found = index.find(np.array(wanted, dtype=np.uint64).reshape(-1, 2))
        assert found.tolist() == [expected.get(one, -1) for one in wanted]
    assert len(index) == place


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=10))
def test_texts_are_seen_once(batches):
    seen, expected, row = SeenTexts(), {}, 0
    for batch in batches:
        found = seen.first_rows(batch)
        for text, where in zip(batch, found, strict=True):
            assert where == expected.get(text, -1)
            expected.setdefault(text, row)
            row += 1
