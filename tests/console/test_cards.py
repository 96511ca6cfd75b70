"""Cards in notebooks: readable, small, and safe whatever the names in the data are."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from sklearn import config_context

from debias import ProbabilityTable, WeightDebiaser, certify
from debias.console.notebooks.card import card
from debias.reports.comparison import MethodSettings, compare_tables
from debias.search.certificate import Certificate
from iterit import count_ngrams, select
from tests.support.hostile import PIECES, STEERING, hostile_texts, visible_words
from tests.support.small_tables import skewed_table

VOID = {"input", "br", "img", "link"}
HOSTILE = "".join(PIECES).replace("\ud800", "")


class Shown(HTMLParser):
    """The tags, the attributes by name, and the text of a piece of a page."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = set(), set(), [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def things(names, source):
    """Everything that has a card, with these names of classes and sources."""
    table = skewed_table(120)
    labels = [names[str(label)] for label in table.labels]
    classes = [names[str(one)] for one in table.classes]
    metadata = {"model": classes[0], "task": source}
    table = ProbabilityTable(table.probabilities.to_numpy(), labels, classes=classes, metadata=metadata)
    opt, test = table.split(0.5)
    debiaser = WeightDebiaser(n_weights=5).fit(opt.probabilities, opt.labels)
    certify(debiaser, test, keep=True)
    compared = compare_tables(
        [(opt, test)], ["uncorrected", "batch"], settings=MethodSettings(n_starts=1), n_resamples=5
    )
    picked = select([0.9, 0.5, 1.3], count_ngrams(["a b", "b c", "c"]), k=5, sources=[source] * 3)
    unfitted = WeightDebiaser(classes=classes)
    return [table, debiaser, unfitted, debiaser.certificate_, debiaser.guarantee_, compared, picked]


@pytest.fixture(scope="module")
def pairs():
    plain = {str(one): f"class {k}" for k, one in enumerate(skewed_table(20).classes)}
    hostile = {one: f"{HOSTILE}{k}" for k, one in enumerate(plain)}
    return list(zip(things(plain, "web"), things(hostile, HOSTILE), strict=True))


def test_no_name_is_ever_markup_or_steers(pairs):
    for plain, hostile in pairs:
        ours, theirs = (Shown(one._repr_html_()) for one in (plain, hostile))
        assert theirs.tags <= ours.tags and theirs.attributes <= ours.attributes
        assert not STEERING & set(hostile._repr_html_())
        assert type(hostile).__name__ in repr(hostile) or isinstance(hostile, Certificate)


def test_cards_are_small_and_take_the_colours_of_the_notebook(pairs):
    for plain, _ in pairs:
        shown = plain._repr_html_()
        if "sk-" in shown:  # scikit-learn's diagram has its own style
            shown = shown[shown.rindex("</style>") :] if "</style>" in shown else shown
        assert len(shown) < 60_000
        own = re.findall(r'<div style="border[^>]*>.*', plain._repr_html_(), re.DOTALL)
        for part in own:
            assert "background" not in part and not re.search(r"[^\w]color:", part)
            assert len(part) < 8000


def test_a_debiaser_shows_its_card_once_it_is_fitted_and_text_where_that_is_asked_for(pairs):
    fitted, unfitted = pairs[1][0], pairs[2][0]
    for one in (fitted, unfitted):
        bundle = one._repr_mimebundle_()
        assert bundle["text/plain"] == repr(one)
        assert ("Proved for the fitted rows" in bundle["text/html"]) == (one is fitted)
        assert "sk-" in bundle["text/html"]
    with config_context(display="text"):
        assert "text/html" not in fitted._repr_mimebundle_()
        assert not hasattr(fitted, "_repr_html_")


def test_a_card_says_what_it_is_given(pairs):
    table = pairs[0][0]
    text = " ".join(Shown(table._repr_html_()).text)
    assert "120 rows" in text and "2 classes" in text and "labelled" in text
    assert "class 0" in text and "web" in text
    certificate = Certificate("optimal", 2, 1000.25, 1000.25, 9216)
    assert certificate.proved in " ".join(Shown(certificate._repr_html_()).text)
    assert "1000.25" not in certificate._repr_html_()
    compared = " ".join(Shown(pairs[5][0]._repr_html_()).text)
    assert all(sentence in compared for sentence in pairs[5][0].verdict)


@examples(max_examples=60, deadline=None)
@given(hostile_texts)
def test_any_text_is_shown_as_it_is(text):
    text = text.encode("utf-8", "replace").decode()
    shown = Shown(card(text, [(text, text)], header=[text], rows=[[text]], lines=[text]))
    assert shown.tags == {"div", "strong", "span", "table", "thead", "tbody", "tr", "th", "td", "p"}
    said = visible_words("".join(shown.text))
    assert said.count(visible_words(text)) >= 5 or not visible_words(text)


def test_long_tables_are_cut():
    shown = card("t", header=["a"], rows=[[n] for n in range(30)])
    assert "and 16 more" in shown and ">13<" in shown and ">14<" not in shown
    wide = ProbabilityTable(np.full((2, 40), 1 / 40))
    assert "and 26 more" in wide._repr_html_()


def test_a_sentence_is_not_cut_but_a_cell_is():
    sentence, cell = f"{'word ' * 300}end.", "x" * 600
    shown = Shown(card(sentence, header=["a"], rows=[[cell]], lines=[sentence]))
    assert shown.text.count(sentence) == 2
    assert cell not in shown.text and any(text.endswith("x…") for text in shown.text)
