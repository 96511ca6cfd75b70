"""Rows that callers pass as arrays, Series and frames: their order counts, whatever their index."""

import hashlib
import math

import numpy as np
import pandas as pd
import pytest

from debias.errors import EngineError, ParameterError, TaskError
from debias.inference.collection.collection import collect, collect_stream
from debias.inference.engine import Engine
from debias.inference.texts.demonstrations import draw_demonstrations
from debias.inference.texts.task_labels import read_task_labels
from debias.inference.texts.tasks import Task

TASK = Task("mood", labels=["bad", "good"])
SHUFFLED = pd.DataFrame(
    {"text": ["dull", "fine", "grim"], "label": ["bad", "good", "bad"], "id": ["x", "y", "z"]},
    index=[2, 0, 1],
)


class Hashed(Engine):
    context_length, fingerprint = 1000, {"model": "hashed"}

    def continuation_logprobs(self, prompts, continuations):
        pairs = zip(prompts, continuations, strict=True)
        return [np.array([math.log((hashlib.md5((p + c).encode()).digest()[0] + 1) / 600)]) for p, c in pairs]


def test_labels_and_ids_of_a_shuffled_frame_stay_with_their_texts():
    rows = SHUFFLED
    table = collect(Hashed(), TASK, rows.text, rows.label, ids=rows.id, progress=False)
    listed = collect(Hashed(), TASK, list(rows.text), list(rows.label), ids=list(rows.id), progress=False)
    assert table.labels.tolist() == ["bad", "good", "bad"]
    assert table.ids.tolist() == ["x", "y", "z"]
    assert table.to_numpy().tolist() == listed.to_numpy().tolist()


@pytest.mark.parametrize("index", ([2, 0, 1], [7, 8, 9], ["a", "b", "c"]))
def test_positions_in_a_series_are_read_in_its_order(index):
    assert read_task_labels(TASK, pd.Series([0, 1, 0], index=index)) == ["bad", "good", "bad"]
    with pytest.raises(TaskError) as caught:
        read_task_labels(TASK, pd.Series(["bad", "so", "good"], index=index))
    assert caught.value.row == 1


def test_demonstrations_of_a_shuffled_frame_have_their_own_labels():
    rows = pd.concat([SHUFFLED.assign(text=SHUFFLED.text + str(copy)) for copy in range(4)])
    rows = rows.set_axis(np.random.default_rng(0).permutation(len(rows)), axis=0)
    shown, remaining = draw_demonstrations(TASK, rows.text, rows.label, 6)
    listed = draw_demonstrations(TASK, list(rows.text), list(rows.label), 6)
    assert shown == listed[0]
    assert remaining.tolist() == listed[1].tolist()


@pytest.mark.parametrize(
    "texts", (SHUFFLED[["text"]], {"dull": "bad"}, {"dull", "fine"}, np.array([["dull"]]), b"dull", None)
)
def test_frames_and_other_things_without_one_text_per_row_are_refused(texts, tmp_path):
    for ask in (
        lambda: collect(Hashed(), TASK, texts, progress=False),
        lambda: Hashed().label_logprobs(texts, TASK.continuations),
    ):
        with pytest.raises(ParameterError) as caught:
            ask()
        assert caught.value.parameter in ("texts", "prompts")


def test_a_frame_is_no_stream_of_rows(tmp_path):
    with pytest.raises(ParameterError) as caught:
        collect_stream(Hashed(), TASK, SHUFFLED, out=tmp_path / "mood.parquet", progress=False)
    assert caught.value.parameter == "rows"
    assert "to_dict" in caught.value.fix
    collect_stream(Hashed(), TASK, SHUFFLED.to_dict("records"), out=tmp_path / "mood.parquet", progress=False)


@pytest.mark.parametrize("missing", (None, float("nan"), pd.NA, np.float32("nan")))
def test_missing_ids_and_labels_are_named(missing, tmp_path):
    with pytest.raises(ParameterError) as caught:
        collect(Hashed(), TASK, ["dull", "fine"], ids=["x", missing], progress=False)
    assert (caught.value.row, caught.value.column) == (1, "id")
    with pytest.raises(TaskError) as caught:
        collect(Hashed(), TASK, ["dull", "fine"], ["bad", missing], progress=False)
    assert (caught.value.row, caught.value.column) == (1, "label")
    if missing is not None:  # a mapping may give no id
        rows = [{"id": 1, "text": "dull"}, {"id": missing, "text": "fine"}]
        with pytest.raises(ParameterError) as caught:
            collect_stream(Hashed(), TASK, rows, out=tmp_path / "mood.parquet", progress=False)
        assert (caught.value.row, caught.value.column) == (1, "id")


def test_labels_may_be_any_iterable_in_order():
    labels = (name for name in ["bad", "good"])
    table = collect(Hashed(), TASK, ["dull", "fine"], labels, progress=False)
    assert table.labels.tolist() == ["bad", "good"]


@pytest.mark.parametrize(
    "demonstrations", ([{"text": "a", "label": "bad"}], [3], None, pd.DataFrame([("a", "bad")]))
)
def test_demonstrations_of_another_form_are_refused(demonstrations):
    with pytest.raises(ParameterError) as caught:
        collect(Hashed(), TASK, ["dull"], demonstrations=demonstrations, progress=False)
    assert caught.value.parameter == "demonstrations"


def test_half_a_character_is_refused_wherever_it_stands(tmp_path):
    for options in (
        {"texts": ["fine", "dull \ud83d"]},
        {"texts": ["x"], "demonstrations": [("\ud83d", "bad")]},
    ):
        with pytest.raises(TaskError) as caught:
            collect(Hashed(), TASK, **options, progress=False)
        assert caught.value.column == "text"
    for options in ({"texts": ["x"], "ids": ["\ud83d"]}, {"rows": [{"id": "\ud83d", "text": "x"}]}):
        ask = collect_stream if "rows" in options else collect
        with pytest.raises(ParameterError) as refused:
            ask(Hashed(), TASK, **options, out=tmp_path / "t.parquet", progress=False)
        assert (refused.value.column, refused.value.row) == ("id", 0)


def test_settings_are_said_in_words():
    with pytest.raises(ParameterError) as caught:
        collect(Hashed(), TASK, ["dull"], votes=0, progress=False)
    assert "a VoteSettings" in caught.value.allowed
    assert "class" not in caught.value.allowed


def test_an_answer_that_is_no_text_is_named():
    class Silent(Hashed):
        def sampled_answers(self, asked, sampling, on_answers=None):
            return [[None] * len(one.numbers) for one in asked]

    with pytest.raises(EngineError) as caught:
        collect(Silent(), TASK, ["dull"], votes=2, progress=False)
    assert (caught.value.parameter, caught.value.received) == ("sampled_answers", None)
