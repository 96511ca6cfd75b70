"""Text to tokens: what is remembered, and that nobody can change it."""

import pytest

from debias.inference import tokenization
from debias.inference.tokenization import Tokenization
from tests.support.tiny_models import byte_tokenizer

TEXTS = ["Where is the Nile ?", "", "Who wrote it ?", "Where is the Nile ?"]


class Counting:
    """The real tokenizer, and the texts that it was given."""

    def __init__(self):
        self.tokenizer, self.given = byte_tokenizer(), []

    def __call__(self, texts, **options):
        self.given.extend([texts] if isinstance(texts, str) else texts)
        return self.tokenizer(texts, **options)


@pytest.fixture
def counting():
    tokens = Tokenization(Counting())
    tokens.tokenizer.given.clear()
    return tokens


def test_a_text_is_tokenised_once(counting):
    plain = [byte_tokenizer()(text)["input_ids"] for text in TEXTS]
    assert counting.encode_plain(TEXTS) == plain
    assert counting.encode_plain([*TEXTS[::-1], "Who"])[:4] == plain[::-1]
    assert sorted(counting.tokenizer.given) == sorted({*TEXTS, "Who"})


def test_who_changes_an_answer_changes_no_other(counting):
    first = counting.encode_plain(TEXTS)
    expected = [list(tokens) for tokens in first]
    for tokens in first:
        tokens.append(-1)
    second = counting.encode_plain(TEXTS)
    assert second == expected
    second[0].append(-1)
    assert counting.encode_plain(TEXTS) == expected


def test_memory_is_bounded(counting, monkeypatch):
    monkeypatch.setattr(tokenization, "_TOKENS_KEPT", 60)
    expected = [byte_tokenizer()(f"Who {n} ?")["input_ids"] for n in range(50)]
    assert [counting.encode_plain([f"Who {n} ?"])[0] for n in range(50)] == expected
    assert 0 < sum(map(len, counting._known.values())) <= 60
    assert counting.encode_plain(["Where is the Nile at night ? " * 20])[0]
    assert sum(map(len, counting._known.values())) <= 60
