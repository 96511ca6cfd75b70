"""Several prompts, shots and seeds in one run: each table is the one that is collected alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError, ResumeError
from debias.inference.collection.collection import collect
from debias.inference.collection.grid import CollectedGrid, collect_many, uncorrected
from debias.inference.texts.prompted_rows import load_prompted_rows
from debias.inference.texts.tasks import Task
from debias.metrics.scores import class_accuracy, cobias_from_accuracies
from debias.tables.table import ProbabilityTable
from tests.support.plain_engine import PlainEngine
from tests.support.refusals import refused

WORDS = {"labels": ["bad", "fine", "great"], "question_prefix": "Text: ", "answer_prefix": "Mood: "}
TASK = Task("mood", **WORDS)
OTHER = Task("feeling", **{**WORDS, "answer_prefix": "Feeling: "})


@pytest.fixture
def data(tmp_path):
    """Opt rows of a task of one's own."""
    path = tmp_path / "opt.csv"
    labels = ["bad", "fine", "great", "fine"] * 10
    pd.DataFrame({"text": [f"text {n}" for n in range(40)], "label": labels}).to_csv(path, index=False)
    return path


def many(engine, folder: Path, data: Path, tasks=(TASK,), **options) -> CollectedGrid:
    chosen = {"shots": [0, 1, "per-class"], "seeds": [0, 1], "data": data, "progress": False, **options}
    return collect_many(engine, tasks, out=folder, **chosen)


def test_each_table_is_the_one_that_is_collected_alone(tmp_path, data):
    made = many(PlainEngine(), tmp_path / "tables", data, limit=20)
    expected = [(0, 0), (1, 0), (1, 1), ("per-class", 0), ("per-class", 1)]
    assert [path.name for path in made.paths] == [
        "mood_opt_shot0.parquet",
        "mood_opt_shot1_seed0.parquet",
        "mood_opt_shot1_seed1.parquet",
        "mood_opt_per-class_seed0.parquet",
        "mood_opt_per-class_seed1.parquet",
    ]
    for path, (shots, seed) in zip(made.paths, expected, strict=True):
        rows = load_prompted_rows(TASK, "opt", shots, seed=seed, limit=20, data=data)
        alone = tmp_path / "alone"
        alone.mkdir(exist_ok=True)
        collect(
            PlainEngine(),
            TASK,
            rows.texts,
            rows.labels,
            demonstrations=rows.demonstrations,
            ids=rows.ids,
            out=alone / path.name,
            seed=seed,
            metadata={"split": "opt"},
            progress=False,
        )
        assert path.read_bytes() == (alone / path.name).read_bytes()


def test_the_summary_is_that_of_the_tables(tmp_path, data):
    made = many(PlainEngine(), tmp_path / "tables", data, tasks=[TASK, OTHER])
    assert len(made.by_table) == 10 and len(made.by_setting) == 6
    for row in made.by_table.to_dict("records"):
        table = ProbabilityTable.read(row["path"])
        predicted = table.probabilities.idxmax(axis=1)
        by_class = class_accuracy(table.labels, predicted, list(table.classes))
        assert row["rows"] == len(table) and row["task"] == table.metadata["task"]
        assert row["accuracy"] == pytest.approx((predicted == table.labels).mean())
        assert row["cobias"] == pytest.approx(cobias_from_accuracies(by_class))
        assert pd.isna(row["seed"]) == (row["shots"] == "0")
    one = made.by_setting.set_index(["task", "shots"]).loc[("mood", "1")]
    own = made.by_table[(made.by_table["task"] == "mood") & (made.by_table["shots"] == "1")]
    assert one["tables"] == 2
    assert one["accuracy_mean"] == pytest.approx(own["accuracy"].mean())
    assert one["cobias_std"] == pytest.approx(abs(np.diff(own["cobias"])[0]) / np.sqrt(2))
    assert made.by_setting["accuracy_std"].isna().tolist() == [True, False, False] * 2
    assert set(made.read()) == {path.stem for path in made.paths}


def test_an_interrupted_run_goes_on_at_the_table_it_was_at(tmp_path, data):
    whole = many(PlainEngine(), tmp_path / "whole", data, chunk_size=8)
    first, second = PlainEngine(fail_after=100, error=KeyboardInterrupt()), PlainEngine()
    with pytest.raises(KeyboardInterrupt) as caught:
        many(first, tmp_path / "tables", data, chunk_size=8)
    assert Path(caught.value.kept.folder).name == "mood_opt_shot1_seed1.parquet.run"
    made = many(second, tmp_path / "tables", data, chunk_size=8)
    for path, expected in zip(made.paths, whole.paths, strict=True):
        assert path.read_bytes() == expected.read_bytes()
    assert sum(made.by_table["rows"]) == len(first.asked) + len(second.asked)
    third = PlainEngine()
    assert many(third, tmp_path / "tables", data).by_table.equals(made.by_table) and third.asked == []
    with refused(ResumeError, file=str(tmp_path / "tables" / "mood_opt_shot0.parquet"), mentions="data.rows"):
        many(third, tmp_path / "tables", data, limit=10)


def test_rows_without_labels_have_no_accuracy(tmp_path):
    path = tmp_path / "new.csv"
    pd.DataFrame({"text": ["a", "b"]}).to_csv(path, index=False)
    made = many(PlainEngine(), tmp_path / "tables", path, shots=[0])
    assert made.by_table["accuracy"].isna().all() and made.by_setting["cobias_mean"].isna().all()
    assert np.isnan(uncorrected(ProbabilityTable([[0.5, 0.5]]))).all()


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"shots": []}, {"parameter": "shots", "received": []}),
        ({"shots": "per-class"}, {"parameter": "shots", "received": "per-class"}),
        ({"seeds": [0, 1, 0]}, {"parameter": "seeds", "received": 0}),
        ({"tasks": [TASK, TASK]}, {"parameter": "tasks", "received": "mood", "fix": str}),
        ({"tasks": [Task("my mood", **WORDS), Task("my-mood", **WORDS)]}, {"parameter": "tasks", "fix": str}),
        ({"shots": 1}, {"parameter": "shots", "received": 1}),
        ({"seeds": [None]}, {"parameter": "seeds", "received": None}),
        ({"seeds": [-1]}, {"parameter": "seeds", "received": -1}),
        ({"seeds": ["0"]}, {"parameter": "seeds", "received": "0"}),
        ({"seed": 3}, {"parameter": "seed", "received": 3}),
        ({"shard": "1/2"}, {"parameter": "shard", "received": "1/2"}),
        ({"shots": [0, 41]}, {"parameter": "shots", "received": 41, "mentions": "40"}),
        ({"limit": 0}, {"parameter": "limit", "received": 0}),
        ({"out": "x.parquet"}, {"parameter": "out", "received": "x.parquet"}),
        ({"out": "no/such"}, {"parameter": "out", "received": "no/such", "fix": str}),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(tmp_path, data, monkeypatch, options, fields):
    monkeypatch.chdir(tmp_path)
    engine, tasks = PlainEngine(), options.pop("tasks", [TASK])
    with refused(ParameterError, **fields):
        many(engine, options.pop("out", "tables"), data, tasks=tasks, **options)
    assert engine.asked == [] and not Path("tables").exists()
