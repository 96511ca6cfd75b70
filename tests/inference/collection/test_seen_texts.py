"""Texts that came before, against a dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from debias.inference.collection.collected_rows import SeenTexts


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=10))
def test_texts_are_seen_once(batches):
    seen, expected, row = SeenTexts(), {}, 0
    for batch in batches:
        found = seen.first_rows(batch)
        for text, where in zip(batch, found, strict=True):
            assert where == expected.get(text, -1)
            expected.setdefault(text, row)
            row += 1
