"""What the experiments on the papers' claims share: tests, mixes, kept rows, and no leaked answer."""

import importlib
import itertools
import json
import sys

import numpy as np
import pytest

from debias.inference.texts.tasks import load_task
from tests.support.paths import ROOT

EXPERIMENTS = ROOT / "experiments"


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)


@pytest.mark.parametrize("seed", range(3))
def test_signs_are_flipped_in_every_way(seed):
    from claims.judging import sign_flip

    values = np.random.default_rng(seed).normal(0.5, 1, size=7)
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=7)
    ]
    expected = sum(one >= abs(values.sum()) - 1e-12 for one in sums) / 2**7
    assert sign_flip(values.tolist()) == expected


def test_the_least_p_of_six_tables_that_agree():
    from claims.judging import sign_flip

    assert sign_flip([0.1] * 6) == 2 / 64
    assert sign_flip([0.0] * 6) == sign_flip([]) == 1.0
    assert sign_flip([0.1, float("nan")]) == 1.0  # a table that was not measured says nothing
    assert sign_flip([0.1] * 30) < 0.001  # too many patterns to try: drawn ones


def test_redrawn_rows_and_the_others_are_all_rows():
    from claims.judging import Rows, figures, redraw

    y = np.arange(50) % 2
    whole = Rows(np.column_stack([np.linspace(0, 1, 50), 1 - np.linspace(0, 1, 50)]), y)
    opt, rest = redraw(whole, 20, [0, 1])
    assert sorted([*opt.X[:, 0], *rest.X[:, 0]]) == sorted(whole.X[:, 0])
    assert figures(rest, rest.y) | {"z": None} == {
        "z": None, "accuracy": 1.0, "cobias": 0.0, "balanced": 1.0, "worst": 1.0,
    }  # fmt: skip
    half = figures(Rows(np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])), np.array([0, 0, 0, 1]))
    assert (half["accuracy"], half["cobias"], half["worst"]) == (0.75, 0.5, 0.5)


def test_mixes():
    from mix_shift import shifted

    mix, accuracies = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.9, 0.1, 0.5, np.nan])
    np.testing.assert_allclose(shifted("even", mix, accuracies), [1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(shifted("reversed", mix, accuracies), [0.2, 0.3, 0.5, 0])
    np.testing.assert_allclose(
        shifted("weakest class half", mix, accuracies), [0.25 / 0.7, 0.5, 0.1 / 0.7, 0]
    )
    assert shifted("as fitted", mix, accuracies) is mix


def test_measurements_are_kept_and_not_made_twice(tmp_path, monkeypatch):
    from claims import resuming

    monkeypatch.setattr(resuming, "RESULTS", tmp_path)
    made = []

    def measure(table, draw):
        made.append((table, draw))
        return [{"method": "a", "z": 0.5}, {"method": "b", "z": 0.25}]

    for _ in range(2):
        kept = resuming.Kept("some", ["table", "draw"])
        for key in (("x", 0), ("x", 1)):
            kept.measure(key, measure, *key)
    assert made == [("x", 0), ("x", 1)]
    assert kept.table()[["table", "draw", "method", "z"]].to_numpy().tolist() == [
        ["x", 0, "a", 0.5], ["x", 0, "b", 0.25], ["x", 1, "a", 0.5], ["x", 1, "b", 0.25],
    ]  # fmt: skip
    kept.write("page")
    assert (tmp_path / "some.md").read_text() == "page"


def test_pubmedqa_is_divided_by_its_test_ids_and_shows_no_answer(tmp_path):
    from claims.tables_of_tasks import claim_tasks

    items = {
        str(number): {
            "QUESTION": f"Is it {number}?",
            "CONTEXTS": [f"context {number}"],
            "LONG_ANSWER": "SECRET",
            "reasoning_required_pred": "SECRET",
            "final_decision": ("yes", "no", "maybe")[number % 3],
        }
        for number in range(12)
    }
    held_out = {str(number): "yes" for number in range(0, 12, 2)}
    (tmp_path / "pubmedqa").mkdir()
    (tmp_path / "pubmedqa" / "ori_pqal.json").write_text(json.dumps(items))
    (tmp_path / "pubmedqa" / "test_ground_truth.json").write_text(json.dumps(held_out))
    from debias.inference.texts.sources import load_split

    task = claim_tasks(["pubmedqa"], tmp_path, tmp_path)["pubmedqa"]
    for split, first in (("test", 0), ("opt", 1)):
        rows = load_split(task, split)
        assert [text.split("Is it ")[1].split("?")[0] for text in rows.texts] == [
            str(number) for number in range(first, 12, 2)
        ]
        assert rows.labels == [items[str(number)]["final_decision"] for number in range(first, 12, 2)]
        assert not any("SECRET" in text for text in rows.texts)


def test_tasks_without_their_data_are_omitted(tmp_path):
    from claims.tables_of_tasks import claim_tasks

    names = ["trec", "sst5", "agnews", "rte", "ddi", "pubmedqa"]
    assert list(claim_tasks(names, None, tmp_path)) == ["trec", "sst5", "agnews"]
    assert list(claim_tasks(names, tmp_path, tmp_path)) == ["trec", "sst5", "agnews"]
    (tmp_path / "mine.toml").write_text('labels = ["a", "b"]\n[sources.opt]\nfile = "o.csv"\n')
    assert list(claim_tasks([str(tmp_path / "mine.toml")], None, tmp_path)) == ["mine"]


def test_rows_are_the_same_for_every_prompt_but_those_it_shows(tmp_path):
    from claims.tables_of_tasks import Asked, Collected

    settings = {"rows_seed": 0, "rows": {"trec": 5}}
    collected = Collected(tmp_path, settings, {"trec": load_task("trec")})
    rows = collected._rows(load_task("trec"), "test")
    first = collected._first(rows, set(), "trec")
    assert first == collected._first(rows, {"no such text"}, "trec-letters")
    shown = {" ".join(rows.texts[first[0]].split()).casefold()}
    assert set(first[1:]) < set(collected._first(rows, shown, "trec"))
    assert first[0] not in collected._first(rows, shown, "trec")
    assert Asked("trec", 0, 0).words == "trec 0-shot"
    assert collected.path(Asked("trec", 1, 2, "4bit"), "opt").name == "trec_opt_shot1_seed2_4bit.parquet"


@pytest.fixture(scope="module")
def small_tables(tmp_path_factory):
    """A folder with one table in the published text format: index, label, argmax, probabilities."""
    folder = tmp_path_factory.mktemp("probabilities")
    rng = np.random.default_rng(0)
    (folder / "rte_shot1_seed0").mkdir()
    for split in ("opt", "test"):
        y = rng.integers(2, size=150)
        first = 1 / (1 + np.exp(rng.normal(size=150) - 2 + 2 * y))
        rows = np.column_stack([np.arange(150), y, first < 0.5, first, 1 - first])
        np.savetxt(folder / "rte_shot1_seed0" / f"{split}.txt", rows, fmt=["%d", "%d", "%d", "%.6f", "%.6f"])
    return folder


@pytest.mark.parametrize(
    "name",
    ["beyond_bias", "weak_and_strong", "mix_shift", pytest.param("ten_labels", marks=pytest.mark.slow)],
)
def test_a_script_runs_on_one_small_table_and_writes_nothing(name, small_tables, monkeypatch, capsys):
    script = importlib.import_module(name)
    before = {path: path.stat().st_mtime_ns for path in (EXPERIMENTS / "results").iterdir()}
    monkeypatch.setattr(sys, "argv", [name, str(small_tables), "--tiny"])
    script.main()
    assert "| --- |" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (EXPERIMENTS / "results").iterdir()} == before


def test_a_correction_used_where_it_was_learned_is_its_own(small_tables):
    import transfer
    from claims.judging import one_shot_pairs

    (pair,) = one_shot_pairs(small_tables, ["rte", "trec"]).values()
    settings = {"methods": ["batch"], "n_starts": 1, "seed": 0}
    lines = transfer.measure({"kind": "seed", "task": "rte"}, {"a": pair, "b": pair[::-1]}, settings)
    of_kind = {kind: [line for line in lines if line["correction"] == kind] for kind in ("none", "its own")}
    assert [line["used under"] for line in of_kind["its own"]] == ["a", "b"]
    assert [line["correction"] for line in lines].count("another one's") == 2
    assert of_kind["its own"][0]["z"] < of_kind["none"][0]["z"]


def test_what_was_measured_is_read_back(tmp_path):
    from claims.measured import read_measured, write_measured

    from debias.reports.comparison import compare_tables
    from debias.tables.table import ProbabilityTable

    opt = ProbabilityTable([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0, 0])
    test = ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0])
    made = compare_tables([(opt, test)], ["uncorrected", "batch"], names=["a"]).tables[0]
    write_measured(tmp_path / "measured" / "a.json", made)
    back = read_measured(tmp_path / "measured" / "a.json")
    assert (back.name, back.classes, back.n_opt, back.rows) == ("a", made.classes, 4, made.rows)
    assert [one.method.key for one in back.measurements] == ["uncorrected", "batch"]
    for name, predicted in made.predictions().items():
        np.testing.assert_array_equal(back.predictions()[name], predicted)


def test_relative_changes():
    from claims.papers import relative

    assert (relative(0.4, 0.5), relative(0.5, 0.25), relative(0.0, 0.5)) == ("+25", "-50", "")
