"""plot(): it draws into given axes, returns them, shows what its table says, and only it needs matplotlib."""

import sys

import numpy as np
import pytest

from debias import WeightDebiaser, load
from debias.console.notebooks.drawing import blank
from debias.console.notebooks.frontier_drawing import Mark, draw_frontier
from debias.errors import MissingDependencyError
from debias.reports.comparison import MethodSettings, compare_tables
from debias.reports.tradeoffs import tradeoffs_of
from tests.support.hostile import PIECES, STEERING
from tests.support.refusals import refused
from tests.support.small_reports import report
from tests.support.small_tables import skewed_table


@pytest.fixture(scope="module")
def tables():
    return skewed_table(200).split(0.5)


@pytest.fixture(scope="module")
def debiaser(tables):
    return WeightDebiaser(n_weights=10).fit(tables[0].probabilities, tables[0].labels)


@pytest.fixture(scope="module")
def things(tables, debiaser):
    methods = ["uncorrected", "batch", "weight"]
    compared = compare_tables([tables], methods, settings=MethodSettings(n_starts=1), n_resamples=9)
    return {
        "report": report().plot,
        "comparison": compared.plot,
        "tradeoffs": tradeoffs_of(debiaser, tables[1]).plot,
        "frontier": debiaser.plot_frontier,
        "_compared": compared,
    }


@pytest.mark.parametrize("name", ["report", "comparison", "tradeoffs", "frontier"])
def test_it_draws_into_given_axes_or_new_ones(things, name, monkeypatch):
    figure, axes = blank(5, 4)
    assert things[name](ax=axes) is axes and axes.lines
    new = things[name]()
    assert new.figure is not figure and len(new.lines) == len(axes.lines)
    assert new.get_xlabel() and new.get_legend() is not None
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with refused(MissingDependencyError, mentions="matplotlib"):
        things[name]()


def test_the_frontier_is_the_frame(debiaser, tables):
    lines = {line.get_label(): line for line in debiaser.plot_frontier().lines}
    rows = debiaser.frontier_.iloc[::-1]
    np.testing.assert_allclose(lines["frontier"].get_xdata(), 100 * rows["accuracy"])
    np.testing.assert_allclose(lines["frontier"].get_ydata(), 100 * rows["cobias"])
    found = tradeoffs_of(debiaser)
    assert lines["uncorrected model"].get_xdata()[0] == pytest.approx(100 * found.uncorrected["accuracy"])
    picked = found.plot(picked=0)
    assert "picked, row 0" in [line.get_label() for line in picked.lines]


def test_a_correction_from_a_file_has_no_frontier_to_plot(debiaser, tmp_path):
    debiaser.save(tmp_path / "c.json")
    with pytest.raises(AttributeError):
        load(tmp_path / "c.json").plot_frontier()


def test_the_comparison_shows_every_method_that_was_measured(things):
    compared = things["_compared"]
    axes = compared.plot()
    frame = compared.frames["table 1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(frame.index)
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["accuracy, %"].get_xdata(), 100 * frame["accuracy"])


def test_hostile_names_are_text_in_plots():
    names = ("".join(PIECES[:60]).replace("\ud800", ""), "$x^2$")
    labels = report(names).plot().get_yticklabels()
    assert labels[1].get_text() == "$x^2$" and not labels[1].get_parse_math()
    assert not STEERING & set(labels[0].get_text())


def test_every_row_of_a_crowded_frontier_has_its_numbers():
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.linspace(74, 70, 16), np.linspace(16, 5, 16)])
    rows = np.vstack([rows, [[2.0, 0.0]]])
    measured = rows + rng.normal(scale=0.5, size=rows.shape)
    figure, axes = blank(7.2, 4.6)
    draw_frontier(axes, rows, [Mark((54.0, 60.0), "uncorrected", {})], label="rows", measured=measured)
    assert sorted(int(text.get_text()) for text in axes.texts) == sorted([*range(16)] * 2)
    places = np.array([axes.transData.transform(text.get_position()) for text in axes.texts])
    gaps = np.abs(places[:, None] - places[None]).max(axis=2)
    assert gaps[~np.eye(len(gaps), dtype=bool)].min() > 8  # pixels
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    inside = measured[:16]
    assert ((inside > (left, low)) & (inside < (right, high))).all()
    assert "1 row of lower accuracy omitted" in axes.get_xlabel()
