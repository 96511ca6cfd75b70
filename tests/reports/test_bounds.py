"""Reports on corrections that were fitted within bounds: kept, missed, and never a placeholder."""

import re

import pytest

from debias import Constrained, WeightDebiaser
from debias.errors import InfeasibleWarning
from debias.reports.correction_report import Report
from debias.reports.provenance import describe_provenance, notes_on_rows
from tests.support.small_tables import skewed_table


@pytest.fixture(scope="module")
def tables():
    return skewed_table(400, texts=[f"text {row}" for row in range(400)]).split(0.5)


def fitted(goal, table):
    return WeightDebiaser(objective=goal).fit(table.probabilities, table.labels)


def test_the_page_names_bounds_and_whether_they_are_kept_on_other_rows(tables):
    opt, test = tables
    debiaser = fitted(Constrained(max_cobias=0.3, min_accuracy=0.2), opt)
    settings = describe_provenance(debiaser, test)["Correction"]
    assert settings["bounds"] == "COBias at most 30 points, accuracy at least 20 %"
    assert settings["objective weights"]["error"] == 1.0
    texts = [finding.text for finding in notes_on_rows(debiaser, test)]
    assert texts[-1] == f"The bounds are also satisfied on these rows: {settings['bounds']}."
    page = Report.from_debiaser(debiaser, test, n_resamples=10).to_markdown()
    assert settings["bounds"] in page
    assert "too:" not in "".join(finding.text for finding in notes_on_rows(debiaser, opt))


def test_bounds_missed_on_other_rows_are_a_warning(tables):
    opt, test = tables
    debiaser = fitted(Constrained(max_cobias=0.02), opt)
    assert debiaser.feasible_
    predicted = debiaser.predict(test.probabilities)
    first, second = ((predicted[test.labels == name] == name).mean() for name in test.classes)
    last = notes_on_rows(debiaser, test)[-1]
    assert last.kind == "warning"
    assert last.text.startswith("Satisfied on the fitted rows, but not on these: COBias at most 2 points (")
    reached = float(re.search(r"\((.*) is reached", last.text)[1])
    assert reached == pytest.approx(100 * abs(first - second), abs=0.05)
    assert reached > 2


def test_out_of_bounds_comes_first_and_the_placeholder_is_not_shown(tables):
    opt, test = tables
    with pytest.warns(InfeasibleWarning, match="COBias at most 1 point "):
        debiaser = fitted(Constrained(max_cobias=0.01, min_accuracy=0.95), opt)
    settings = describe_provenance(debiaser, test)["Correction"]
    assert {settings[f"objective {side} (fitted rows)"] for side in ("before", "after")} == {"out of bounds"}
    report = Report.from_debiaser(debiaser, test, n_resamples=10)
    assert "OUT OF BOUNDS: COBias at most 1 point (" in report.findings[0].text
    assert report.findings[0].kind == "warning"
    for page in (report.to_markdown(), report.to_html()):
        assert "OUT OF BOUNDS" in page
        assert str(debiaser.objective_value_)[:6] not in page
        assert f"{debiaser.objective_value_:,.4f}"[:7] not in page
