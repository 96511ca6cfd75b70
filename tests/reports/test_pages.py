"""Pages and plots: what they show, that they load nothing, and that a class name is never code."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score

from debias import Debiaser, WeightDebiaser
from debias.console.notebooks.inline_svg import inline_svg
from debias.corrections.correction import Triangle, Weight
from debias.errors import MissingDependencyError
from debias.pages.citation import citation
from debias.pages.markdown import escape, markdown_table
from debias.reports.correction_report import Report
from debias.reports.figures import CorrectionDetails
from debias.reports.findings import NOT_SOCIAL_BIAS
from debias.reports.plots import accuracy_plot, correction_plot, matrix_plot
from tests.support.refusals import refused
from tests.support.small_reports import HOSTILE, report
from tests.support.small_tables import skewed_table

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Every tag with its attributes, the text, and whether tags are closed in order."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_loads_nothing():
    source = report().to_html().replace(citation(), "")  # an address to read, not to load
    page = Page(source)
    assert page.open == []
    assert not page.all("script")
    assert not page.all("img")
    assert not page.all("iframe")
    for _, attributes in page.tags:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", source)


def test_the_page_can_be_read_without_seeing_it():
    page = Page(report().to_html())
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("title")
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert len(svg["aria-label"]) > 20
    assert len(page.all("svg")) == 3
    assert all(header["scope"] in ("row", "col") for header in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    used = {attributes["href"][1:] for attributes in page.all("use")}
    assert used <= set(ids)


def test_the_page_shows_the_figures_and_says_what_they_mean():
    text = " ".join(" ".join(Page(report().to_html()).text).split()).replace("\xa0", " ")
    for shown in (
        *("Accuracy by class", "World", "triangle (0, 0.5, 1)", "weight 5/30", "World is raised."),
        *("66.7", "95.8", "COBias, points (lower is better)", "scale of 0 to 100", "4,600"),
        NOT_SOCIAL_BIAS,
    ):
        assert shown in text, shown


def test_the_page_is_for_light_and_dark():
    source = report().to_html()
    assert "prefers-color-scheme: dark" in source
    svg = "".join(re.findall(r"<svg.*?</svg>", source, re.DOTALL))
    assert "var(--ink)" in svg
    assert not re.search(r"#[0-9a-f]{6}", svg.replace("#ffffff", ""))  # only patches that are transparent


@pytest.mark.parametrize(
    "name", [HOSTILE, "a & b", '" onload="x', "{{ 7 * 7 }}", "$x^2$", "日本語", "x" * 300]
)
def test_a_class_name_is_only_a_name(name):
    made = report((name, "Sports"), title=f"On {name}")
    page = Page(made.to_html())
    assert page.open == []
    assert not page.all("script")
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert any(name in text for text in page.text)
    assert any(name in svg["aria-label"] for svg in page.all("svg"))
    assert "<script" not in made.to_markdown()


def test_no_plots_of_corrections_where_none_are_known():
    page = Page(report(details=CorrectionDetails()).to_html())
    assert len(page.all("svg")) == 1
    assert "Settings and provenance" not in " ".join(page.text)


def test_many_classes_get_a_list_of_moves_and_not_a_matrix():
    names = [f"class {k}" for k in range(16)]
    rng = np.random.default_rng(0)
    truth = names * 20
    made = Report(truth, rng.choice(names, 320), truth, names, n_resamples=20)
    text = " ".join(Page(made.to_html()).text)
    assert "from \\ to" not in text
    assert "more kinds of moves" in text


def test_the_same_report_is_the_same_page():
    assert report().to_html() == report().to_html()


def test_the_accuracy_plot_shows_the_table():
    by_class = report().by_class
    figure = accuracy_plot(by_class)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    for side in ("before", "after"):
        np.testing.assert_allclose(lines[side].get_xdata(), 100 * by_class[side])
    before, after = ([s[0][0], s[1][0]] for s in figure.axes[0].collections[1].get_segments())
    np.testing.assert_allclose(before, 100 * by_class.iloc[0][["before_low", "before_high"]].astype(float))
    np.testing.assert_allclose(after, 100 * by_class.iloc[1][["before_low", "before_high"]].astype(float))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["World", "Sports"]
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top  # the first class is on top


@pytest.mark.parametrize("correction", [Triangle(0.125, 0.25, 0.375), Triangle(0, 0, 1), Weight(7, 30)])
def test_the_correction_plot_shows_the_function(correction):
    figure = correction_plot(correction)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    x = lines["corrected"].get_xdata()
    assert {0, 0.125, 0.25, 0.375, 1} <= set(x)
    np.testing.assert_array_equal(lines["corrected"].get_ydata(), correction(x))
    np.testing.assert_array_equal(lines["unchanged"].get_xdata(), lines["unchanged"].get_ydata())
    assert lines["unchanged"].get_linestyle() == "--"
    assert not figure.axes[0].patches


def test_the_correction_plot_shows_where_the_probabilities_are():
    own, others = [0.11] * 3 + [0.9], [0.5]
    stairs = correction_plot(Weight(7, 30), own, others).axes[0].patches
    assert len(stairs) == 2
    heights, edges, _ = stairs[1].get_data()
    assert heights.max() == pytest.approx(3 * heights[heights > 0].min())
    assert edges[np.argmax(heights)] <= 0.11 <= edges[np.argmax(heights) + 1]
    assert len(correction_plot(Weight(7, 30), [], None).axes[0].patches) == 0


def test_figures_leave_no_global_state():
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    svg = inline_svg(correction_plot(Weight(7, 30)), "one", "A correction & more.")
    assert svg.startswith('<svg role="img" aria-label="A correction &amp; more."')
    assert "<metadata" not in svg


def test_without_matplotlib_only_plots_fail(monkeypatch):
    made = report()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with refused(MissingDependencyError, mentions=("matplotlib", ".md")):
        made.to_html()
    assert made.to_markdown()


def test_markdown_tables_keep_their_columns():
    made = report(("a|b", "c\nd"))
    tables = re.findall(r"(?:^\|.*\|$\n?)+", made.to_markdown(), re.MULTILINE)
    assert len(tables) == 7
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert "a\\|b" in made.to_markdown()


def test_markdown_says_what_the_page_says():
    made = report()
    source = made.to_markdown()
    assert made.remarks
    for finding in made.findings:  # the table of overall figures tells the others
        assert (escape(finding.text) in source) == (finding.metric is None)
    assert NOT_SOCIAL_BIAS in source
    assert "| World | triangle (0, 0.5, 1) | 60 | 33.3 (" in source
    assert "- World is raised." in source
    assert markdown_table(["a"], []) == "| a |\n| --- |"


def test_on_a_phone_no_column_is_hidden_and_text_of_plots_can_be_read():
    names = ["Abbreviation of something", *(f"class {k}" for k in range(9))]
    truth = names * 20
    made = Report(truth, np.random.default_rng(0).choice(names, 200), truth, names, n_resamples=20)
    for source in (made.to_html(), report().to_html()):
        for table in re.findall(r"<table.*?</table>", source, re.DOTALL):
            wide = len(re.findall(r"<t[hd]\b", re.search(r"<tr>.*?</tr>", table, re.DOTALL)[0])) > 2
            assert ('class="stack' in table) == wide
            assert all("data-label=" in cell for cell in re.findall(r"<td\b[^>]*>", table)) or not wide
        plots = re.findall(r"<svg.*?</svg>", source, re.DOTALL)
        assert plots
        for position, svg in enumerate(plots):
            width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
            room = 320 - 2 * 12 - (2 * 17 if position else 0)  # the narrowest phone, less paddings
            scale = min(room, width * 4 / 3) / width
            sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", svg)]
            assert sizes and min(sizes) * scale >= 11


def test_what_the_figures_on_top_say_is_not_said_again():
    made = report()
    page = " ".join(Page(made.to_html()).text)
    told = [finding for finding in made.findings if finding.metric]
    assert {finding.metric for finding in told} == {"accuracy", "cobias", "worst_class_accuracy", "macro_f1"}
    for finding in told:
        assert finding.text.replace(" %", "\xa0%") not in page
    assert made.remarks
    assert all(finding.text.replace(" %", "\xa0%") in page for finding in made.remarks)


def test_researchers_get_scores_of_classes_and_confusion_matrices():
    made = report()
    truth, after = made.rows["label"], made.rows["after"]
    expected = precision_score(truth, after, labels=["World", "Sports"], average=None)
    np.testing.assert_allclose(made.scores[("precision", "after")], expected)
    np.testing.assert_allclose(made.scores[("recall", "after")], made.by_class["after"])
    macro = made.overall.loc["macro_f1", ["before", "after"]].astype(float)
    np.testing.assert_allclose(made.scores["f1"].mean(), macro)
    matrix = confusion_matrix(truth, after, labels=["World", "Sports"])
    np.testing.assert_array_equal(made.confusions["after"], matrix)
    for page in (" ".join(Page(made.to_html()).text), made.to_markdown()):
        for shown in (
            "Confusion matrix before",
            "Confusion matrix after",
            "F1 after",
            f"{100 * expected[0]:.1f}",
        ):
            assert shown in page


def test_the_page_names_the_model_and_its_revision():
    table = skewed_table(
        n=200,
        metadata={
            "model": "org/small",
            "collection": {"engine": {"engine": "transformers", "weights": "a05d17f4", "dtype": "float32"}},
            "engine": {"revision": "0123abcd"},
        },
    )
    debiaser = WeightDebiaser(n_weights=3).fit(table.probabilities, table.labels)
    made = Report.from_debiaser(debiaser, table, n_resamples=20)
    for page in (" ".join(Page(made.to_html()).text), made.to_markdown()):
        for shown in ("org/small", "revision 0123abcd", "weights a05d17f4", "float32"):
            assert shown in page


def test_a_base_that_moves_no_evidence_has_no_picture_of_it():
    opt, test = skewed_table(400).split(0.5)
    for method, shown in (("batch", False), ("calibrated", True)):
        debiaser = Debiaser(method=method).fit(opt.probabilities, opt.labels)
        page = Report.from_debiaser(debiaser, test, n_resamples=5).to_html()
        assert "Base applied before the corrections" in page
        assert ("How evidence for each class is moved" in page) == shown
        assert ("What the map adds" in page) == shown


def test_numbers_of_a_map_of_many_classes_are_short():
    matrix = np.zeros((7, 7))
    matrix[0, :6] = [0.04, -0.06, 0.94, -1.25, 10.04, -20.3]
    texts = [text.get_text() for text in matrix_plot(matrix, list("abcdefg")).axes[0].texts]
    assert texts[:7] == ["0", "-.1", ".9", "-1.2", "10.0", "-20.3", "0"]
