"""Pages of both packages in a real browser, at three widths, light and dark, and printed.

Slow: `make test-browser` installs Chromium from a wheel.
"""

from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest

from debias import CalibratedDebiaser, WeightDebiaser
from debias.reports.comparison import MethodSettings, compare_tables, comparison_html
from debias.reports.correction_report import Report
from debias.tables.table import ProbabilityTable
from iterit.reports.rounds_report import RoundsReport
from tests.support.browser import browse, measured, needs_browser
from tests.support.small_reports import HOSTILE, report
from tests.support.small_rounds import small_run
from tests.support.small_tables import skewed_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs_browser,
]


def fourteen():
    """A report of as many classes as a page shows a matrix of."""
    names = [f"Class of things {k}" for k in range(14)]
    truth = names * 30
    rng = np.random.default_rng(0)
    return Report(truth, rng.choice(names, 420), rng.choice(names, 420), names, n_resamples=20)


def long_names(kind="report"):
    """A page of classes with long names that cannot break at a space, and begin alike."""
    names = [f"transfer_not_received_by_recipient_{k}" for k in range(5)]
    truth = names * 30
    rng = np.random.default_rng(0)
    if kind == "report":
        before, after = rng.choice(names, 150), rng.choice(names, 150)
        return Report(truth, before, after, names, n_resamples=20).to_html()
    rows = rng.dirichlet(np.ones(5), size=150)
    ids = [f"row {row}" for row in range(150)]
    pair = ProbabilityTable(rows, truth, classes=names, ids=ids).split(0.5)
    compared = compare_tables([pair], ["uncorrected", "batch"], n_resamples=20)
    return comparison_html(compared, "Corrections and baselines")


def whole():
    """A report with everything that a page may have."""
    opt, test = skewed_table(400, texts=[f"text {row}" for row in range(400)]).split(0.5)
    debiaser = WeightDebiaser(n_weights=10).fit(opt.probabilities, opt.labels)
    return Report.from_debiaser(debiaser, test, fitted_on=opt, compare=True, n_examples=2, n_resamples=50)


def comparison():
    pair = skewed_table(200).split(0.5)
    methods = ["uncorrected", "batch", "logistic", "weight"]
    compared = compare_tables([pair], methods, settings=MethodSettings(n_starts=1), n_resamples=20)
    return comparison_html(compared, "Corrections and baselines")


PAGES = {
    "whole": lambda: whole().to_html(),
    "hostile": lambda: report((HOSTILE, "Sports")).to_html(),
    "fourteen": lambda: fourteen().to_html(),
    "comparison": comparison,
    "long": long_names,
    "long-comparison": lambda: long_names("comparison"),
    "rounds": lambda: RoundsReport(small_run(6)).to_html(),
}


class Elements(HTMLParser):
    """The names of a page's elements: a name in an attribute is no element."""

    def __init__(self, source):
        super().__init__()
        self.names = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, make in PAGES.items():
        (folder / f"{name}.html").write_text(make())
    return folder


@pytest.mark.parametrize("width", [390, 800, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_faint_small_unnamed_or_outside(pages, name, width, dark):
    found = measured(pages / f"{name}.html", width, dark)
    for fault in ("faint", "small", "unnamed", "outside", "hidden"):
        assert not found[fault], f"{fault}: {found[fault][:5]}"
    assert found["wide"] <= 0


def test_the_page_in_a_browser(pages, tmp_path):
    page = pages / "hostile.html"
    source, messages = browse(page)
    assert not messages
    elements = Elements(source).names
    assert elements.count("svg") == 3
    assert "script" not in elements
    shots = {}
    for name in ("light", "dark"):
        browse(page, f"--screenshot={tmp_path / name}.png", dark=name == "dark")
        shots[name] = matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3].mean(axis=-1)
    assert np.median(shots["light"]) > 0.9
    assert np.median(shots["dark"]) < 0.2
    assert (shots["light"] < 0.3).mean() > 0.003  # ink on the page
    assert (shots["dark"] > 0.7).mean() > 0.003


@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_printed(pages, tmp_path, name):
    target = tmp_path / "page.pdf"
    browse(pages / f"{name}.html", f"--pdf={target}", dark=True)
    assert target.read_bytes().startswith(b"%PDF")
    assert target.stat().st_size > 10_000


@pytest.mark.parametrize("width", [390, 1100])
def test_the_numbers_of_a_map_of_many_classes_can_be_read(tmp_path, width):
    rng = np.random.default_rng(0)
    truth = np.arange(1400) % 14
    logits = rng.normal(size=(1400, 14)) + 1.5 * np.eye(14)[truth] + 0.5 * rng.normal(size=(14, 14))[truth]
    table = ProbabilityTable(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth)
    opt, test = table.split(0.5)
    debiaser = CalibratedDebiaser(n_starts=1).fit(opt.probabilities, opt.labels)
    page = tmp_path / "page.html"
    page.write_text(Report.from_debiaser(debiaser, test, n_resamples=5).to_html(), encoding="utf-8")
    assert "How evidence for each class is moved" in page.read_text(encoding="utf-8")
    found = measured(page, width)
    assert not found["small"] and not found["outside"] and not found["faint"]
