"""Rows and demonstrations: the same demonstrations for every split, and none of them among the rows."""

import pandas as pd
import pytest

from debias.errors import ParameterError, TaskError
from debias.inference.texts.prompted_rows import load_prompted_rows
from debias.inference.texts.tasks import Task
from tests.support.refusals import refused

TASK = Task("mood", labels=["good", "bad"])


@pytest.fixture
def files(tmp_path):
    frame = pd.DataFrame({"text": [f"text {k}" for k in range(30)], "label": ["good", "bad"] * 15})
    frame.iloc[:20].to_csv(tmp_path / "opt.csv", index=False)
    test = pd.concat([frame.iloc[20:], pd.DataFrame({"text": ["TEXT  1"], "label": ["bad"]})])
    test.to_csv(tmp_path / "test.csv", index=False)
    frame[["text"]].to_csv(tmp_path / "unlabelled.csv", index=False)
    return tmp_path


def test_both_splits_share_their_demonstrations_and_hold_none(files):
    for seed in range(20):
        opt = load_prompted_rows(TASK, "opt", "per-class", seed=seed, data=files / "opt.csv")
        test = load_prompted_rows(
            TASK, "test", "per-class", seed=seed, data=files / "test.csv", shots_data=files / "opt.csv"
        )
        assert opt.demonstrations == test.demonstrations
        assert [shown.label for shown in opt.demonstrations] == ["good", "bad"]
        shown = {one.text for one in opt.demonstrations}
        assert not shown & set(opt.texts)
        assert len(opt.texts) == 18
        # "TEXT  1" of the test rows is "text 1" of the opt rows but for case and spaces
        assert ("TEXT  1" in test.texts) == ("text 1" not in shown)


def test_a_limit_keeps_order_and_changes_no_demonstration(files):
    whole = load_prompted_rows(TASK, "opt", 1, seed=4, data=files / "opt.csv")
    some = load_prompted_rows(TASK, "opt", 1, seed=4, data=files / "opt.csv", limit=5)
    assert some.demonstrations == whole.demonstrations
    assert len(some.texts) == 5
    positions = [whole.ids.index(one) for one in some.ids]
    assert positions == sorted(positions)
    assert some.labels == [whole.labels[position] for position in positions]
    assert load_prompted_rows(TASK, "opt", 1, seed=4, data=files / "opt.csv", limit=99) == whole


def test_no_shots_need_no_labels(files):
    rows = load_prompted_rows(TASK, "new", 0, data=files / "unlabelled.csv")
    assert rows.labels is None
    assert rows.demonstrations == ()
    with refused(ParameterError, parameter="shots_data", fix=str):
        load_prompted_rows(TASK, "opt", 1, data=files / "unlabelled.csv")


def test_a_label_column_that_is_absent_is_refused_before_a_model_is_asked(files):
    (files / "other.csv").write_text("text,Label,stars\nfine,good,3\n")
    named = Task("mood", labels=["good", "bad"], label_column="feeling")
    for task, name in ((TASK, "other.csv"), (named, "other.csv"), (named, "unlabelled.csv")):
        with refused(TaskError, parameter="label_column", column=task.label_column, fix=str):
            load_prompted_rows(task, "new", 0, data=files / name)
        assert load_prompted_rows(task, "new", 0, data=files / name, unlabelled=True).labels is None
    with refused(TaskError, mentions=("Label", "stars", "unlabelled=True")):
        load_prompted_rows(TASK, "new", 0, data=files / "other.csv")


def test_what_leaves_nothing_is_refused(files):
    with refused(ParameterError, parameter="limit", received=0):
        load_prompted_rows(TASK, "opt", 0, data=files / "opt.csv", limit=0)
    with refused(TaskError, fix=str, mentions="'opt'"):
        load_prompted_rows(TASK, "test", 1, data=files / "test.csv")
    pd.DataFrame({"text": ["text 0"], "label": ["good"]}).to_csv(files / "one.csv", index=False)
    only = {"data": files / "one.csv", "shots_data": files / "opt.csv"}
    refusals = 0
    for seed in range(60):
        try:
            load_prompted_rows(TASK, "test", 1, seed=seed, **only)
        except ParameterError as error:
            refusals += "so none is left" in str(error)
    assert 0 < refusals < 60  # one of twenty texts is drawn
