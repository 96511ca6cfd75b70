"""``debias frontier`` end to end: what is printed, written, plotted and picked, against counting by hand."""

import itertools
import json
import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from debias import EnsembleDebiaser, WeightDebiaser, load
from debias.cli import app
from debias.corrections import weights
from debias.corrections.decision_rule import correct, decide
from debias.metrics.scores import cobias
from debias.reports.frontier_plot import frontier_plot
from debias.reports.tradeoffs import thinned, tradeoffs_of
from debias.tables.table import ProbabilityTable
from tests.support.published_tables import CLASSES, published_path


def noisy_table(n=400, seed=0, n_classes=3, **parts):
    """Classes of different sizes that are hard to tell apart: much to trade."""
    rng = np.random.default_rng(seed)
    y = np.minimum(rng.geometric(0.5, size=n) - 1, n_classes - 1)
    logits = rng.normal(size=(n, n_classes)) + np.eye(n_classes)[y] + np.arange(n_classes) / 2
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ProbabilityTable(values, y, classes=[*"abcdefgh"][:n_classes], **parts)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two tables that share no row."""
    monkeypatch.chdir(tmp_path)
    opt, test = noisy_table(400, texts=[f"text {row}" for row in range(400)]).split(0.5)
    opt.write("opt.parquet")
    test.write("test.parquet")
    return tmp_path


def run(*arguments, columns=110):
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["frontier", *map(str, arguments)])


def works(*arguments, **options):
    result = run(*arguments, **options)
    assert result.exit_code == 0, result.stderr
    return " ".join(result.stdout.split())


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line


def enumerated(table, n_weights):
    """Pairs of accuracy and COBias of all choices of weights that no other beats, one after another."""
    P, y = table.to_numpy(), table.label_indices
    pairs = []
    for choice in itertools.product(weights(n_weights), repeat=P.shape[1]):
        predicted = decide(correct(P, choice), P)
        pairs.append((np.mean(predicted == y), cobias(y, predicted)))
    return sorted({p for p in pairs if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in pairs)})


def test_the_complete_frontier_is_the_enumerated_one(folder):
    said = works("opt.parquet", "--method", "weight", "--n-weights", 8, "--complete", "--out", "f.csv")
    expected = enumerated(ProbabilityTable.read("opt.parquet"), 8)
    assert len(expected) > 3
    written = pd.read_csv("f.csv")
    np.testing.assert_allclose(written[["accuracy", "cobias"]].to_numpy()[::-1], expected)
    assert f"there are only these {len(expected)} rows." in said
    assert written["row"].tolist() == list(range(len(expected)))
    assert (written["accuracy"].diff().dropna() < 0).all()
    assert (written["cobias"].diff().dropna() < 0).all()


def test_marks_are_of_the_default_objective_and_the_largest_product_of_gains(folder):
    works("opt.parquet", "--out", "f.csv", "--complete")
    table, written = ProbabilityTable.read("opt.parquet"), pd.read_csv("f.csv").fillna({"mark": ""})
    debiaser = EnsembleDebiaser().fit(table.probabilities, table.labels)
    predicted = debiaser.predict(table.probabilities)
    (default,) = written.index[written["mark"].str.contains("default")]
    assert written.loc[default, "accuracy"] == pytest.approx((predicted == table.labels).mean())
    assert written.loc[default, "cobias"] == pytest.approx(cobias(table.labels, predicted))
    before = table.probabilities.idxmax(axis=1)
    gains = [
        max(0, row.accuracy - (before == table.labels).mean())
        * max(0, cobias(table.labels, before) - row.cobias)
        for row in written.itertuples()
    ]
    (most,) = written.index[written["mark"].str.contains("dominates most")]
    assert most == np.argmax(gains)


def test_a_picked_row_keeps_its_promise(folder):
    works("opt.parquet", "--out", "f.csv", "--test", "test.parquet")
    written = pd.read_csv("f.csv")
    for row in {0, len(written) // 2, len(written) - 1}:
        said = works("opt.parquet", "--pick", row, "--correction", f"{row}.json")
        assert f"Picked from the frontier by hand (row {row})." in said
        debiaser = load(f"{row}.json")
        assert json.loads(Path(f"{row}.json").read_text())["picked_row"] == row
        for name, prefix in (("opt", ""), ("test", "test_")):
            done = CliRunner().invoke(
                app, ["apply", f"{name}.parquet", "--correction", f"{row}.json", "--out", f"{name}.csv"]
            )
            assert done.exit_code == 0, done.stderr
            predicted = pd.read_csv(f"{name}.csv")
            right = (predicted["prediction"] == predicted["label"]).mean()
            assert right == pytest.approx(written[f"{prefix}accuracy"][row], abs=1e-12)
            gap = cobias(predicted["label"], predicted["prediction"])
            assert gap == pytest.approx(written[f"{prefix}cobias"][row], abs=1e-12)
        names = [c.name for c in debiaser.corrections_]
        assert names == [written[f"correction_{label}"][row] for label in debiaser.classes_]
    done = CliRunner().invoke(app, ["report", "test.parquet", "--correction", "0.json", "--out", "r.md"])
    assert done.exit_code == 0, done.stderr
    page = Path("r.md").read_text(encoding="utf-8")
    assert "| picked by hand | row 0 of the frontier |" in page
    assert "| proved |" not in page


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot_is_a_picture_of_the_frontier(folder, suffix):
    said = works("opt.parquet", "--plot", f"f.{suffix}", "--test", "test.parquet", "--pick", 0)
    assert f"Wrote f.{suffix}." in said
    if suffix == "svg":
        page = Path("f.svg").read_text(encoding="utf-8")
        assert page.startswith("<?xml")
        assert len(page) > 10_000
        return
    pixels = matplotlib.image.imread("f.png")
    assert min(pixels.shape[:2]) > 500
    assert (pixels[0, 0] == 1).all()  # white, not transparent
    assert len(np.unique((pixels[:, :, :3] * 255).astype(int).reshape(-1, 3), axis=0)) > 50
    assert 0.02 < (pixels[:, :, :3].min(axis=2) < 0.9).mean() < 0.5


def test_the_plot_holds_the_rows_and_the_points_that_matter():
    table = noisy_table(300)
    found = tradeoffs_of(EnsembleDebiaser().fit(table.probabilities, table.labels))
    (axes,) = frontier_plot(found, picked=1).axes
    lines = {line.get_label(): line for line in axes.lines}
    stairs = lines["frontier (every choice)"]
    assert stairs.get_drawstyle() == "steps-pre"
    expected = 100 * found.rows[["accuracy", "cobias"]].to_numpy()[::-1]
    np.testing.assert_allclose(stairs.get_xydata(), expected)
    for label, figures in (
        ("uncorrected model", found.uncorrected),
        ("choice of the default objective", found.chosen),
        ("picked, row 1", found.rows.iloc[1]),
    ):
        np.testing.assert_allclose(
            lines[label].get_xydata(), [[100 * figures["accuracy"], 100 * figures["cobias"]]]
        )
        (x, y), (left, right), (low, high) = lines[label].get_xydata()[0], axes.get_xlim(), axes.get_ylim()
        assert left <= x <= right
        assert low <= y <= high


def test_figures_on_a_test_table_are_those_of_its_rows(folder):
    works("opt.parquet", "--test", "test.parquet", "--out", "f.csv", "--method", "weight")
    opt, test = (ProbabilityTable.read(f"{name}.parquet") for name in ("opt", "test"))
    debiaser = WeightDebiaser().fit(opt.probabilities, opt.labels)
    written = pd.read_csv("f.csv")
    assert len(written) == len(debiaser.frontier_)
    for row in written.index:
        predicted = debiaser.pick(row).predict(test.probabilities)
        assert written["test_accuracy"][row] == pytest.approx((predicted == test.labels).mean())
        assert written["test_cobias"][row] == pytest.approx(cobias(test.labels, predicted))


def test_nothing_to_choose_is_said(folder):
    ProbabilityTable([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]], [0, 0, 1, 1]).write("good.parquet")
    said = works("good.parquet", "--plot", "f.png")
    assert "No choice is more accurate or more even than the uncorrected model." in said
    ProbabilityTable([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], [0, 0, 1]).write("one.parquet")
    assert "there is no trade-off" in works("one.parquet")


def test_what_is_not_shown_and_not_complete_is_said(folder):
    noisy_table(300, n_classes=5).write("five.parquet")
    settings = ("five.parquet", "--n-starts", 2, "--time-limit", 1e-9)
    said = works(*settings)
    assert "Not complete:" in said
    assert "--complete evaluates every choice" in said
    noisy_table(3000).write("long.parquet")
    said = works("long.parquet")
    n_rows = int(re.search(r"only these (\d+) rows", said)[1])
    assert n_rows > 25
    n_shown = int(re.search(rf"(\d+) of {n_rows} rows are shown.*; --out frontier.csv writes all", said)[1])
    assert 15 <= n_shown <= 23
    assert "; all are in f.csv." in works("long.parquet", "--out", "f.csv")
    assert len(pd.read_csv("f.csv")) == n_rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["opt.parquet", "--test", "opt.parquet"], "200"),
        (["opt.parquet", "--test", "part.parquet"], "50"),
        (["opt.parquet", "--test", "unlabelled.parquet"], "labels"),
        (["unlabelled.parquet"], "labels"),
        (["opt.parquet", "--plot", "f.pdf"], "--plot"),
        (["opt.parquet", "--out", "f.parquet"], "--out"),
        (["opt.parquet", "--pick", "0", "--correction", "f.txt"], "--correction"),
        (["opt.parquet", "--correction", "f.json"], "--pick ROW"),
        (["opt.parquet", "--pick", "9999"], "9999"),
        (["opt.parquet", "--pick", "-1"], "--pick"),
        (["opt.csv", "--out", "opt.csv"], "--out"),
        (["opt.parquet", "--time-limit", "0"], "--time-limit"),
        (["opt.parquet", "--plot", "nowhere/f.png"], "'nowhere'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_no_file(folder, arguments, message):
    opt = ProbabilityTable.read("opt.parquet")
    opt.write("opt.csv")
    opt.take(slice(0, 50)).write("part.parquet")
    ProbabilityTable(opt.probabilities).write("unlabelled.parquet")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert message in refused(*arguments)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_narrow_screen_shows_whole_numbers(folder):
    assert "…" not in works("opt.parquet", "--test", "test.parquet", columns=60)


@given(st.integers(1, 500), st.integers(2, 50), st.data())
def test_thinned_rows_are_few_and_hold_the_ends_and_what_is_wanted(n_rows, most, data):
    wanted = data.draw(st.lists(st.integers(0, n_rows - 1), max_size=3))
    rows = thinned(n_rows, wanted, most)
    assert rows == sorted(set(rows))
    assert {0, n_rows - 1, *wanted} <= set(rows)
    assert len(rows) <= min(n_rows, most) + len(wanted)
    assert set(rows) <= set(range(n_rows))


def test_a_real_table_from_its_frontier_to_predictions(tmp_path, monkeypatch):
    opt, test = (published_path("pubmedqa", split) for split in ("opt", "test"))
    monkeypatch.chdir(tmp_path)
    names = ",".join(CLASSES["pubmedqa"])
    common = (opt, "--classes", names, "--complete")
    said = works(*common, "--test", test, "--plot", "f.png", "--out", "f.csv")
    assert "Complete: every choice was evaluated" in said
    written = pd.read_csv("f.csv")
    assert len(written) > 20
    works(*common, "--pick", 3)
    rows = ProbabilityTable.read(test, classes=CLASSES["pubmedqa"])
    right = (load("picked.json").predict(rows.probabilities) == rows.labels).mean()
    assert right == pytest.approx(written["test_accuracy"][3])


def test_every_test_point_is_in_the_plot_and_points_have_the_numbers_of_their_rows(folder):
    opt, test = (ProbabilityTable.read(f"{name}.parquet") for name in ("opt", "test"))
    easier = np.where(np.eye(3)[test.label_indices] > 0, 0.9, 0.05)  # far more accurate than the fitted rows
    easier[::9] = [0.2, 0.3, 0.5]
    test = ProbabilityTable(easier, test.labels.to_numpy(), classes=list(test.classes))
    found = tradeoffs_of(WeightDebiaser(n_weights=8).fit(opt.probabilities, opt.labels), test)
    (axes,) = frontier_plot(found).axes
    points = {line.get_label(): line for line in axes.lines}["same choices, test table"].get_xydata()
    assert len(points) == len(found.rows)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert ((points[:, 0] >= left) & (points[:, 0] <= right)).all()
    assert ((points[:, 1] >= low) & (points[:, 1] <= high)).all()
    numbers = [int(text.get_text()) for text in axes.texts]
    assert set(numbers) <= set(range(len(found.rows)))
    assert {int(points[:, 0].argmax()), int(points[:, 1].argmin())} <= set(numbers)
