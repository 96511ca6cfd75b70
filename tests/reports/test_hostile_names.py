"""Pages made of hostile names: the same tags and attributes as of plain names, and nothing that steers."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from debias.reports.comparison import MethodSettings, compare_tables, comparison_html, comparison_markdown
from debias.tables.table import ProbabilityTable
from tests.support.hostile import PIECES, STEERING, hostile_texts
from tests.support.small_reports import report
from tests.support.small_tables import skewed_table

LOADS = {"src", "srcset", "action", "formaction", "poster", "data", "background", "srcdoc"}


class Page(HTMLParser):
    """The tags of a page with the names of their attributes, and the links."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.links = set(), set()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags |= {(tag, name) for name, _ in attributes} | {(tag, "")}
        self.links |= {value for name, value in attributes if name in ("href", "xlink:href") or name in LOADS}


def check_page(source, plain):
    page = Page(source)
    assert page.tags <= Page(plain).tags
    own = Page(plain).links
    assert all(link in own or link.startswith(("#", "data:image/svg")) for link in page.links)
    assert not STEERING & set(source)


def check_markdown(source):
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    spans = {part.type for token in parser.parse(source) for part in token.children or []}
    code = [token.content for token in parser.parse(source) if token.type == "code_block"]
    assert all(one.startswith("@software{") for one in code) and len(code) <= 1  # how to cite, of ours
    blocks = {token.type for token in parser.parse(source) if token.type != "code_block"}
    assert spans <= {"text", "text_special", "softbreak", "strong_open", "strong_close"}
    assert not blocks & {"html_block", "fence", "blockquote_open", "ordered_list_open", "hr"}
    assert not STEERING & set(source)


@settings(max_examples=6, derandomize=True)
@given(hostile_texts.filter(str.strip))
def test_a_report_of_hostile_names(name):
    made = report((name, "Sports"), title=name)
    plain = report(("World", "Sports"), title="x")
    check_page(made.to_html(), plain.to_html())
    check_markdown(made.to_markdown())


@pytest.fixture(scope="module")
def comparisons():
    """Comparisons of a table with plain names, and with hostile ones."""

    def compared(names, model):
        table = skewed_table(200)
        labels = [names[str(label)] for label in table.labels]
        classes = [names[str(one)] for one in table.classes]
        metadata = {"model": model, "task": model}
        renamed = ProbabilityTable(table.probabilities.to_numpy(), labels, classes=classes, metadata=metadata)
        methods = ["uncorrected", "batch", "weight"]
        return compare_tables(
            [renamed.split(0.5)], methods, settings=MethodSettings(n_starts=1), n_resamples=5
        )

    plain = {str(one): f"class {k}" for k, one in enumerate(skewed_table(200).classes)}
    hostile = {one: f"{''.join(PIECES)}{k}".replace("\ud800", "") for k, one in enumerate(plain)}
    return compared(plain, "m"), compared(hostile, "".join(PIECES).replace("\ud800", ""))


def test_a_comparison_of_hostile_names(comparisons):
    plain, hostile = comparisons
    text = "".join(PIECES)
    check_page(comparison_html(hostile, text, [text]), comparison_html(plain, "x", ["x"]))
    check_markdown(comparison_markdown(hostile, text, [text]))
