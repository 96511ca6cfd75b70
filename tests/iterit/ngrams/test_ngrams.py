"""n-gram counts and weights: scikit-learn is the referee, in whatever way the work is split."""

import random

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

import iterit.ngrams.ngram_counts
from debias.errors import ParameterError
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.ngrams.tokenizer import scan
from iterit.ngrams.word_kinds import (
    ALONE_CHARACTERS,
    EXTENDING_CHARACTERS,
    JOINING_CHARACTERS,
    characters,
    word_kind,
)
from tests.support.refusals import refused

# Characters of words in many scripts, of the gaps between them, and of neither.
ALPHABET = "ab ABéÉßİΣς_-'.9٣½〇水が ไทย न मस्ते\u0301\u200d\ud83d\x00\n\u3000😀ffiŒ"
TEXTS = st.lists(st.text(st.one_of(st.sampled_from(ALPHABET), st.characters())), max_size=8)


def by_name(counts):
    """Return the counts as one dictionary per row."""
    matrix = counts.matrix
    return [
        {counts.ngram(c): int(n) for c, n in zip(row.indices, row.data, strict=True)}
        for row in (matrix[[i]] for i in range(counts.n_rows))
    ]


def scikit_learn_by_name(texts, **options):
    vectorizer = CountVectorizer(**options)
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError:  # no words at all
        return [{} for _ in texts]
    names = vectorizer.get_feature_names_out()
    rows = []
    for i in range(len(texts)):
        row = matrix[[i]]
        rows.append({str(names[c]): int(n) for c, n in zip(row.indices, row.data, strict=True)})
    return rows


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from([(1, 3), (1, 1), (2, 2), (2, 4), (3, 3)]))
def test_the_counts_are_those_of_scikit_learn(texts, ngram_range):
    counts = count_ngrams(texts, ngram_range, "published", n_jobs=1)
    assert by_name(counts) == scikit_learn_by_name(texts, ngram_range=ngram_range)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from(["every", "unicode"]))
def test_words_of_any_script_are_those_of_an_expression(texts, tokens):
    kind = word_kind(tokens)
    others = f"(?:(?!{ALONE_CHARACTERS}){JOINING_CHARACTERS})"
    alone = f"(?:(?={ALONE_CHARACTERS}){JOINING_CHARACTERS}{EXTENDING_CHARACTERS}*)"
    expression = f"{alone}|{others}(?:{others}|{EXTENDING_CHARACTERS})*"
    found = scan(texts, kind)
    words = [found.vocabulary[token] for token in found.tokens]
    expected = [regex.findall(expression, kind.prepare(text)) for text in texts]
    if tokens == "unicode":
        long = [[one for one in row if len(one) > 1 or regex.match(alone, one)] for row in expected]
        expected = [row or characters(kind.prepare(text)) for row, text in zip(long, texts, strict=True)]
    assert found.lengths.tolist() == [len(row) for row in expected]
    assert words == [word for row in expected for word in row]


def test_words_in_scripts_without_spaces_and_with_marks():
    texts = ["我喝水。", "水", "नमस्ते दुनिया", "Straße STRASSE", "สวัสดี", "みず を のむ", "コップ 1杯"]
    assert by_name(count_ngrams(texts, (1, 1))) == [
        {"我": 1, "喝": 1, "水": 1},
        {"水": 1},
        {"नमस्ते": 1, "दुनिया": 1},
        {"strasse": 2},
        {"ส": 2, "วั": 1, "ดี": 1},
        {"み": 1, "ず": 1, "を": 1, "の": 1, "む": 1},
        {"コップ": 1, "杯": 1},
    ]


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("A", ["a"]),
        ("B.", ["b"]),
        ("7", ["7"]),
        ("+", ["+"]),
        ("?", ["?"]),
        ("-", ["-"]),
        ("∞", ["∞"]),
        ("€", ["€"]),
        ("x = 4", ["x", "=", "4"]),
        ("👍🏽", ["👍🏽"]),
        ("👨‍👩‍👧 ❤️", ["👨‍👩‍👧", "❤️"]),
        ("न", ["न"]),
        ("나", ["나"]),
        ("é", ["é"]),
        (" \n\t", []),
    ],
)
def test_an_answer_of_one_letter_digit_sign_or_emoji_has_a_gram(text, grams):
    counts = count_ngrams(["some words", text, "word"], (1, 1))
    assert list(by_name(counts)[1]) == grams
    assert counts.n_words.tolist() == [2, len(grams), 1]
    ended = count_ngrams(["some words", text, "word"], (1, 1), end_of_text="<|endoftext|>")
    assert list(by_name(ended)[1]) == ["endoftext", *grams]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=127)), max_size=8))
def test_ascii_texts_with_words_are_cut_as_published(texts):
    texts = [text for text in texts if regex.search(r"\w\w", text)]
    counts, published = count_ngrams(texts), count_ngrams(texts, tokens="published")
    same(counts, published)
    assert (counts.words_per_token == 1).all()


def test_characters_of_a_script_without_spaces_are_less_than_words():
    counts = count_ngrams(["月亮绕着地球转。", "the moon", "moon 月亮", ""])
    assert counts.n_words.tolist() == [5, 2, 3, 0]
    assert counts.words_per_token.round(2).tolist() == [0.71, 1.0, 0.81, 1.0]


def some_texts(n=300, seed=0):
    source = random.Random(seed)
    words = ["".join(source.choices("abcdefgh", k=source.randint(1, 4))) for _ in range(200)]
    return [" ".join(source.choices(words, k=source.randint(0, 60))) for _ in range(n)]


@pytest.mark.parametrize("rows", [None, range(0, 300, 7), [5, 3, 3, 250]])
def test_weights_are_those_of_scikit_learn_on_the_same_slice(rows):
    texts = some_texts()
    counts = count_ngrams(texts)
    weights = weigh(counts, None if rows is None else np.array(rows))
    kept = texts if rows is None else [texts[row] for row in rows]
    vectorizer = TfidfVectorizer(ngram_range=(1, 3))
    expected = vectorizer.fit_transform(kept)
    column = {name: number for number, name in enumerate(vectorizer.get_feature_names_out())}
    columns = [column[counts.ngram(c)] for c in weights.indices]
    found = csr_array((weights.data, columns, weights.indptr), shape=expected.shape)
    assert np.array_equal(np.diff(found.indptr), np.diff(expected.indptr))
    assert abs(found - expected).max() < 1e-12


def same(one, other):
    for name in ("indptr", "indices", "counts", "n_words"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.words == other.words
    assert all(map(np.array_equal, one.keys, other.keys))


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_threads_and_chunks_change_nothing(n_jobs, monkeypatch):
    texts = [*some_texts(1000), "A", "水 A b", "b", "bb", *some_texts(1000, seed=1)]
    expected = count_ngrams(texts, n_jobs=1)
    same(count_ngrams(iter(texts), n_jobs=n_jobs), expected)
    monkeypatch.setattr(iterit.ngrams.ngram_counts, "chunked", lambda texts: ([text] for text in texts))
    same(count_ngrams(texts, n_jobs=n_jobs), expected)
    weights, others = weigh(expected, n_jobs=1), weigh(expected, n_jobs=n_jobs)
    assert np.array_equal(weights.data, others.data)


def test_more_than_32_bits_can_number(monkeypatch):
    texts = some_texts(200)
    expected = count_ngrams(texts)
    monkeypatch.setattr(iterit.ngrams.ngram_counts, "LARGEST_INT32", 100)
    wide = count_ngrams(texts)
    assert wide.indices.dtype == np.int64
    same(wide, expected)
    assert np.array_equal(weigh(wide).data, weigh(expected).data)


def test_many_words_stay_apart():
    words = [f"w{number:x}" for number in range(60_000)]
    found = scan([" ".join(words), " ".join(reversed(words))], word_kind("published"))
    assert found.vocabulary == words
    assert found.tokens.tolist() == [*range(60_000), *range(59_999, -1, -1)]


def test_the_end_of_text_string_becomes_a_word_of_every_row():
    counts = count_ngrams(["one two", ""], (1, 1), end_of_text="<|endoftext|>")
    assert by_name(counts) == [{"one": 1, "two": 1, "endoftext": 1}, {"endoftext": 1}]
    texts = ["one two<|endoftext|>", "<|endoftext|>"]
    assert by_name(counts) == scikit_learn_by_name(texts, ngram_range=(1, 1))


def test_texts_without_words():
    counts = count_ngrams(["", "a b c", "!"], tokens="published")
    assert counts.n_columns == 0
    assert weigh(counts).sums().tolist() == [0, 0, 0]
    assert count_ngrams([]).n_rows == 0
    assert weigh(count_ngrams([])).n_rows == 0


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("ngram_range", (2, 1)),
        ("ngram_range", (1.5, 2)),
        ("ngram_range", 3),
        ("tokens", "bytes"),
        ("n_jobs", 0),
        ("max_memory", "lots"),
        ("max_memory", 500),
    ],
)
def test_options_that_are_not_allowed(parameter, value):
    with refused(ParameterError, parameter=parameter, received=value):
        count_ngrams(["some text here", "and there"], **{parameter: value})


def test_memory_is_refused_before_it_is_taken():
    with refused(ParameterError, parameter="max_memory", fix=str, mentions="60 words"):
        count_ngrams(["word " * 60], max_memory="1 KB")


def test_texts_rows_and_columns_that_are_not_there():
    with refused(ParameterError, parameter="texts", received=None, row=1):
        count_ngrams(["text", None])
    with refused(ParameterError, parameter="texts", received="text"):
        count_ngrams("text")
    counts = count_ngrams(["some text"])
    for wrong in (-1, counts.n_columns):
        with refused(ParameterError, parameter="column", received=wrong):
            counts.ngram(wrong)
    with refused(ParameterError, parameter="rows", received=[0.5]):
        weigh(counts, [0.5])
    with refused(ParameterError, parameter="rows", received=1):
        weigh(counts, [0, 1])


@pytest.mark.parametrize("mark", ["\u00ad", "\u2060", "\ufeff"])
@pytest.mark.parametrize("tokens", ["unicode", "every"])
def test_characters_that_no_one_sees_do_not_cut_words(mark, tokens):
    found = count_ngrams([f"co{mark}operate is{mark}land", "cooperate island"], tokens=tokens)
    assert (found.matrix[0] != found.matrix[1]).nnz == 0
    assert count_ngrams([mark], tokens=tokens).matrix.nnz == 0
