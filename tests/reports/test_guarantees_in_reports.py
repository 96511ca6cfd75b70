"""Guarantees in reports: on every page beside the intervals, and nowhere if rows were fitted on."""

import html
import re

import pytest

from debias import ProbabilityTable, WeightDebiaser
from debias.guarantees.certification import certify
from debias.guarantees.guarantee import NOT_THE_SAME
from debias.reports.correction_report import Report
from tests.support.commands import works
from tests.support.small_reports import HOSTILE
from tests.support.small_tables import skewed_table


def words(page):
    """Return the text of a page, without tags and breaks of lines."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture(scope="module")
def tables():
    return skewed_table(400, texts=[f"text {row}" for row in range(400)]).split(0.5)


@pytest.fixture(scope="module")
def debiaser(tables):
    return WeightDebiaser(n_starts=2).fit(tables[0].probabilities, tables[0].labels)


@pytest.mark.parametrize("fitted_on_is_known", [True, False])
def test_every_page_has_each_sentence_and_every_bound(fitted_on_is_known, debiaser, tables):
    opt, test = tables
    fitted_on = opt if fitted_on_is_known else None
    report = Report.from_debiaser(debiaser, test, fitted_on=fitted_on, level=0.9, n_resamples=50)
    expected = certify(debiaser, test, confidence=0.9, opt=fitted_on)
    assert report.guarantee == expected
    for page in (words(report.to_html()), words(report.to_markdown())):
        assert "Guaranteed on new rows" in page
        for sentence in [*expected.sentences(), NOT_THE_SAME]:
            assert sentence in page


def test_fitted_rows_give_no_guarantee(debiaser, tables):
    opt, test = tables
    mixed = ProbabilityTable(
        [*opt.to_numpy()[:20], *test.to_numpy()], [*opt.labels[:20], *test.labels], classes=opt.classes
    )
    for table in (opt, opt.take(range(50, 150)), mixed):
        report = Report.from_debiaser(debiaser, table, n_resamples=50)
        assert report.guarantee is None
        assert "Guaranteed" not in report.to_html() + report.to_markdown()


def test_a_class_name_is_only_a_name(tables):
    names = ["no", HOSTILE]
    opt, test = (
        ProbabilityTable(one.to_numpy(), one.label_indices.tolist(), classes=names) for one in tables
    )
    debiaser = WeightDebiaser(n_starts=2).fit(opt.probabilities, opt.labels)
    report = Report.from_debiaser(debiaser, test, n_resamples=50)
    assert HOSTILE in " ".join(report.guarantee.sentences())
    assert HOSTILE not in report.to_html()


def test_the_screen_shows_it_too(debiaser, tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    debiaser.save("correction.json")
    tables[1].write("test.parquet")
    shown = " ".join(works("report", "test.parquet", "--n-resamples", 50).stdout.split())
    for sentence in certify(debiaser, tables[1]).sentences():
        assert sentence in shown
