"""Collecting: what is recorded, refused, shortened, and that a killed run loses and repeats nothing."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from debias.errors import (
    ContextLengthError,
    LabelError,
    OverlapError,
    ParameterError,
    ResumeError,
    StorageError,
    TaskError,
)
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.collection.collection import collect, read_finished
from debias.inference.engine import Engine
from debias.inference.texts.tasks import Task, load_task
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT
from tests.support.question_task import LABELS, SHOWN, TASK, TEXTS
from tests.support.refusals import refused
from tests.support.tiny_models import naive_label_logprobs, tiny_engine


class CountingEngine(Engine):
    """Passes every call on to a real engine, counts prompts, and can be interrupted after some."""

    def __init__(self, engine: Engine, stop_after: int = 10**9) -> None:
        self.engine, self.stop_after, self.asked = engine, stop_after, []

    context_length = property(lambda self: self.engine.context_length)
    fingerprint = property(lambda self: self.engine.fingerprint)

    def encode(self, texts):
        return self.engine.encode(texts)

    def continuation_logprobs(self, prompts, continuations):
        return self.engine.continuation_logprobs(prompts, continuations)

    def label_logprobs(self, prompts, labels):
        if len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.extend(prompts)
        return self.engine.label_logprobs(prompts, labels)


def run(engine, texts=TEXTS, labels=LABELS, **options):
    return collect(engine, TASK, texts, labels, **{"demonstrations": SHOWN, "progress": False, **options})


@pytest.fixture(scope="module")
def engine():
    return tiny_engine("qwen2")


def test_probabilities_are_those_of_the_labels(engine):
    table = run(engine, seed=3, ids=[f"q{n}" for n in range(10)], metadata={"note": "mine"})
    naive = naive_label_logprobs(engine, [TASK.prompt(t, SHOWN) for t in TEXTS], TASK.continuations)
    expected = np.exp(naive)
    mass = expected.sum(axis=1)
    np.testing.assert_allclose(table.to_numpy(), expected / mass[:, None], atol=1e-4)
    np.testing.assert_allclose(table.label_mass, mass, atol=1e-4)
    assert table.classes == ("things", "places", "people") and list(table.labels) == LABELS
    assert list(table.ids)[:2] == ["q0", "q1"] and list(table.texts) == TEXTS
    facts = table.metadata
    assert facts["model"] == engine.fingerprint["model"] and facts["task"] == "answer-type"
    assert facts["shots"] == 1 and facts["seed"] == 3 and facts["demonstrations"] == ["row-9"]
    assert facts["note"] == "mine" and facts["normalised"] is True
    assert facts["template"]["labels"] == list(TASK.labels)
    assert {"debias", "python", "numpy", "torch", "transformers"} <= set(facts["versions"])
    assert facts["truncated"] == {"rows": 0, "ids": []} and facts["repeated_texts"] == 0


def test_little_label_mass_is_counted(engine):
    table = run(engine, low_mass=0.0)
    threshold = float(np.median(table.label_mass))
    facts = run(engine, low_mass=threshold).metadata["label_mass"]
    assert facts["rows_below"] == int((table.label_mass < threshold).sum()) > 0
    assert facts["threshold"] == threshold and table.metadata["label_mass"]["rows_below"] == 0
    assert facts["mean"] == pytest.approx(table.label_mass.mean(), abs=1e-5)


def test_repeated_texts_have_equal_rows_and_are_counted(engine):
    table = run(engine, [*TEXTS, TEXTS[0]], [*LABELS, "people"])
    assert table.metadata["repeated_texts"] == 1
    np.testing.assert_array_equal(table.to_numpy()[0], table.to_numpy()[-1])


def test_labels_may_be_positions_or_left_out(engine):
    assert list(run(engine, labels=np.array([0, 1, 2] * 3 + [0])).labels)[:3] == [
        "things",
        "places",
        "people",
    ]
    assert run(engine, labels=None).labels is None


def test_a_finished_table_is_read_back_without_the_model(engine, tmp_path):
    out = tmp_path / "opt.parquet"
    first = CountingEngine(engine)
    table = run(first, out=out, chunk_size=4)
    assert first.asked == [TASK.prompt(t, SHOWN) for t in TEXTS]
    assert sorted(os.listdir(tmp_path)) == ["opt.parquet", "opt.parquet.run"]
    second = CountingEngine(engine)
    again = run(second, out=out, chunk_size=3)
    assert second.asked == [] and again.equals(table) and ProbabilityTable.read(out).equals(table)


@pytest.mark.parametrize("stop_after", [0, 1, 4, 8])
def test_an_interrupted_run_goes_on_without_repeating_or_losing_a_row(engine, tmp_path, stop_after):
    out = tmp_path / "opt.parquet"
    whole = run(engine, chunk_size=2)
    first, second = CountingEngine(engine, stop_after), CountingEngine(engine)
    with pytest.raises(KeyboardInterrupt):
        run(first, out=out, chunk_size=2)
    assert not out.exists()
    table = run(second, out=out, chunk_size=5)  # the chunks of the beginning are kept
    assert first.asked + second.asked == [TASK.prompt(t, SHOWN) for t in TEXTS]
    np.testing.assert_allclose(table.to_numpy(), whole.to_numpy(), atol=1e-6)
    assert sorted(os.listdir(tmp_path)) == ["opt.parquet", "opt.parquet.run"]


KILLED = """
import sys, time
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
from tests.inference.collection.test_collect import CountingEngine, run
from tests.support.tiny_models import tiny_engine

class Slow(CountingEngine):
    def label_logprobs(self, prompts, labels):
        time.sleep(0.2)
        return super().label_logprobs(prompts, labels)

run(Slow(tiny_engine("qwen2")), out={out!r}, chunk_size=1)
"""


def test_a_run_killed_outright_goes_on(engine, tmp_path):
    out, root = tmp_path / "opt.parquet", ROOT
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(root=str(root), out=str(out))])

    def answers() -> int:
        store = tmp_path / "opt.parquet.run" / "answers.sqlite"
        try:
            with AnswerStore(store, read_only=True) as opened:
                return len(opened)
        except (StorageError, ResumeError):  # not there yet, or without its tables
            return 0

    try:
        deadline = time.monotonic() + 120
        while answers() < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = answers()
    assert 3 <= done < 10 and not out.exists()
    rest = CountingEngine(engine)
    table = run(rest, out=out)
    assert rest.asked == [TASK.prompt(t, SHOWN) for t in TEXTS[done:]]
    np.testing.assert_allclose(table.to_numpy(), run(engine).to_numpy(), atol=1e-5)


OTHER_ROWS = [
    ({"texts": TEXTS[:-1] + ["Who ?"]}, ["data.texts"]),
    ({"texts": TEXTS[:-1], "labels": LABELS[:-1]}, ["data.labels", "data.rows", "data.texts", "data.ids"]),
    ({"labels": ["people", *LABELS[1:]]}, ["data.labels"]),
    ({"labels": None}, ["data.labels"]),
    ({"ids": list("abcdefghij")}, ["data.ids"]),
]
OTHER_SETTINGS = [({"demonstrations": ()}, ["demonstrations"]), ({"too_long": "truncate"}, ["too_long"])]


@pytest.mark.parametrize("finished", [False, True])
def test_other_settings_are_refused_and_named(engine, tmp_path, finished):
    out = tmp_path / "opt.parquet"
    if finished:
        run(engine, out=out)
    else:
        with pytest.raises(KeyboardInterrupt):
            run(CountingEngine(engine, stop_after=4), out=out, chunk_size=2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for options, names in OTHER_SETTINGS:
        with refused(ResumeError, file=str, fix=str, received=names, mentions=names):
            run(engine, out=out, **options)
    with refused(ResumeError, file=str, fix=str, received=["engine.weights"]):
        run(tiny_engine("qwen2", seed=1), out=out)
    other = Task(**{**TASK.__dict__, "answer_prefix": "Type: "})
    words = ("'Answer Type: '", "'Type: '")
    with refused(ResumeError, received=["task.answer_prefix"], mentions=words):
        collect(engine, other, TEXTS, LABELS, demonstrations=SHOWN, out=out, progress=False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_finished_table_is_never_replaced_by_one_of_other_rows(engine, tmp_path):
    out = tmp_path / "opt.parquet"
    run(engine, out=out)
    written = out.read_bytes()
    for options, names in OTHER_ROWS:
        with refused(ResumeError, file=str(out), received=sorted(names), mentions="folder"):
            run(CountingEngine(engine, stop_after=0), out=out, **options)
    assert out.read_bytes() == written


def test_an_unfinished_run_may_go_on_with_other_rows(engine, tmp_path):
    out = tmp_path / "opt.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(CountingEngine(engine, stop_after=6), out=out, chunk_size=2)
    more, rest = ["Who ?", *reversed(TEXTS), "Where ?"], CountingEngine(engine)
    table = run(rest, more, ["people", *reversed(LABELS), "places"], out=out)
    assert rest.asked == [TASK.prompt(t, SHOWN) for t in more if t not in TEXTS[:6]]
    assert list(table.texts) == more and table.metadata["reused_rows"] == 0
    np.testing.assert_allclose(table.to_numpy()[1:-1], run(engine).to_numpy()[::-1], atol=1e-6)


def test_files_of_others_are_not_touched(engine, tmp_path):
    out, parts = tmp_path / "opt.parquet", tmp_path / "opt.parquet.run"
    ProbabilityTable([[0.5, 0.5]]).write(out)
    with refused(ResumeError, file=str(out), fix=str):
        run(engine, out=out)
    out.unlink()
    parts.mkdir()
    (parts / "mine.parquet").write_text("mine")
    with refused(ResumeError, file=str(parts), fix=str):
        run(engine, out=out)
    (parts / "answers.sqlite").write_text("mine")
    with refused(ResumeError, file=str(parts / "answers.sqlite"), fix=str):
        run(engine, out=out)
    assert (parts / "mine.parquet").read_text() == (parts / "answers.sqlite").read_text() == "mine"


def _limited(length):
    engine = tiny_engine("qwen2")
    engine.model.config.max_position_embeddings = length
    return engine


def test_prompts_that_are_too_long_are_named():
    engine = _limited(120)
    texts = [TEXTS[0], "Where is the Nile ? " * 30 + "Is it far ?", *TEXTS[1:]]
    with refused(ContextLengthError, row=1, received=int, fix=str, mentions="1 of 11"):
        run(CountingEngine(engine, stop_after=0), texts, labels=None)


def test_only_the_text_is_shortened(engine):
    short = CountingEngine(_limited(120))
    long = "Where is the Nile ? " * 30 + "Is it far ?"
    table = run(short, [TEXTS[0], long, "x" * 900], labels=None, too_long="truncate", ids=["a", "b", "c"])
    assert table.metadata["truncated"] == {"rows": 2, "ids": ["b", "c"]}
    assert list(table.texts)[1] == long
    opening, prompt = TASK.opening(SHOWN) + "Question: ", short.asked[1]
    assert short.asked[0] == TASK.prompt(TEXTS[0], SHOWN)
    assert prompt.startswith(opening + "Where is the Nile ? ") and prompt.endswith(" ?\nAnswer Type:")
    kept = prompt.removeprefix(opening).removesuffix(" ?\nAnswer Type:")
    assert long.startswith(kept) and long[len(kept)] == " "
    # It is the longest that fits: one word more is too long.
    longer = long[: long.index(" ", len(kept) + 1)] + " ?"
    room = 120 - max(len(tokens) for tokens in engine.encode(TASK.continuations))
    fits = [len(engine.encode([text])[0]) <= room for text in (prompt, TASK.prompt(longer, SHOWN))]
    assert fits == [True, False]
    assert short.asked[2].endswith("xx\nAnswer Type:")


def test_the_question_of_a_long_text_stays(engine):
    short, task = CountingEngine(_limited(400)), load_task("rte")
    collect(
        short, task, ["word " * 300 + "\nquestion: Who ? True or False?"], too_long="truncate", progress=False
    )
    assert short.asked[0].endswith("word\nquestion: Who ? True or False?\nanswer:")


def test_a_shorter_context_makes_another_table_of_shortened_texts(tmp_path):
    """What is left of a text depends on the room for it, so the table is another one."""
    texts = ["Where is the Nile ? " * 30 + "Is it far ?", *TEXTS]
    given = {"texts": texts, "labels": None, "too_long": "truncate"}
    out = tmp_path / "opt.parquet"
    before = run(_limited(120), out=out, **given)
    with refused(ResumeError, file=str(out), received=["context_length"], mentions=("120", "90")):
        run(_limited(90), out=out, **given)
    unfinished = tmp_path / "apart" / "opt.parquet"  # where no other run has answers
    unfinished.parent.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(CountingEngine(_limited(120), stop_after=4), out=unfinished, chunk_size=2, **given)
    with refused(ResumeError, received=["context_length"]):
        run(_limited(90), out=unfinished, **given)
    assert run(_limited(120), out=out, **given).equals(before)
    # Where nothing is shortened, the room decides nothing.
    run(_limited(120), out=tmp_path / "c.parquet")
    assert len(run(_limited(110), out=tmp_path / "c.parquet")) == len(TEXTS)


def test_another_part_to_keep_makes_another_table_of_shortened_texts(tmp_path):
    short, out = _limited(120), tmp_path / "opt.parquet"
    texts = ["Where is the Nile ? " * 30 + "\nHint: Is it far ?"]
    kept = Task(**{**TASK.__dict__, "keep_from": "\nHint: "})
    given = {"out": out, "too_long": "truncate", "progress": False}
    collect(short, TASK, texts, **given)
    with refused(ResumeError, file=str(out), received=["task.keep_from"]):
        collect(short, kept, texts, **given)
    request = {"too_long": "truncate", "request": None}
    with refused(ResumeError, file=str(out), received=["task.keep_from"]):
        read_finished(out, kept, texts, **request)
    assert read_finished(out, TASK, texts, **request) is not None


@pytest.mark.parametrize("keep_from", ["hint:", "\nhint:"])
def test_what_stands_before_the_part_that_stays_is_kept_apart_from_it(keep_from):
    """No two words become one where a text is cut."""
    short = CountingEngine(_limited(120))
    task = Task(**{**TASK.__dict__, "keep_from": keep_from})
    collect(short, task, ["word " * 200 + "last\nhint: Who ?"], too_long="truncate", progress=False)
    assert short.asked[0].endswith("word word\nhint: Who ?\nAnswer Type:")


def test_demonstrations_that_fill_the_context_are_an_error():
    with refused(ContextLengthError, row=0, fix=str):
        run(_limited(40), labels=None, too_long="truncate")


@pytest.mark.parametrize(
    ("options", "error", "fields"),
    [
        ({"texts": []}, ParameterError, {"parameter": "texts", "received": []}),
        ({"texts": "abc"}, ParameterError, {"parameter": "texts", "received": "abc"}),
        ({"texts": [*TEXTS[:9], 3]}, ParameterError, {"parameter": "texts", "row": 9, "received": 3}),
        ({"texts": [*TEXTS[:9], " "]}, TaskError, {"row": 9, "column": "text", "received": " "}),
        ({"texts": [*TEXTS[:9], "who  wrote it ?"]}, OverlapError, {"row": 9, "column": "text", "fix": str}),
        ({"labels": LABELS[:3]}, ParameterError, {"parameter": "labels", "received": 3}),
        ({"labels": [*LABELS[:9], "planets"]}, TaskError, {"row": 9, "received": "planets"}),
        ({"labels": [0] * 9 + [3]}, TaskError, {"row": 9, "column": "label", "received": 3}),
        ({"ids": ["a"]}, ParameterError, {"parameter": "ids", "received": 1}),
        ({"ids": ["a"] * 10}, ParameterError, {"parameter": "ids", "row": 1, "received": "a"}),
        ({"chunk_size": 0}, ParameterError, {"parameter": "chunk_size", "received": 0}),
        ({"low_mass": 2}, ParameterError, {"parameter": "low_mass", "received": 2}),
        ({"too_long": "cut"}, ParameterError, {"parameter": "too_long", "received": "cut"}),
        ({"too_short": "cut"}, ParameterError, {"parameter": "too_short"}),
        ({"out": "table.csv"}, ParameterError, {"parameter": "out", "received": "table.csv"}),
        ({"out": "no/such/folder/opt.parquet"}, ParameterError, {"parameter": "out", "fix": str}),
        ({"demonstrations": [("x", "towns")]}, TaskError, {"mentions": "towns"}),
    ],
)
def test_nothing_is_asked_when_something_is_wrong(engine, options, error, fields):
    asked = CountingEngine(engine)
    with refused(error, **fields):
        run(asked, **options)
    assert asked.asked == []


def test_labels_that_cannot_be_told_apart_are_refused_before_the_run(engine):
    task = Task("t", labels=["Number", "Number of things"], class_names=["a", "b"])
    asked = CountingEngine(engine)
    with refused(LabelError, mentions=("Number", "Number of things")):
        collect(asked, task, TEXTS, progress=False)
    assert asked.asked == []


def test_an_engine_that_shows_no_tokens_is_not_checked_by_tokens():
    class Blind(Engine):
        context_length, fingerprint = 10, {"model": "blind"}

        def continuation_logprobs(self, prompts, continuations):
            return [np.log([0.5 / len(text)]) for text in continuations]

    table = collect(Blind(), TASK, TEXTS, progress=False)
    expected = 1 / np.array([len(label) for label in TASK.continuations])
    np.testing.assert_allclose(table.to_numpy()[0], expected / expected.sum())


def test_the_progress_bar_goes_to_the_error_stream(engine, capfd):
    run(engine, progress=True)
    captured = capfd.readouterr()
    assert captured.out == "" and "answer-type" in captured.err and "10/10" in captured.err


def test_a_table_that_was_not_collected_is_refused_before_a_model_is_loaded(tmp_path):
    ProbabilityTable([[0.4, 0.6], [0.3, 0.7]], [0, 1]).write(tmp_path / "mine.parquet")
    with refused(ResumeError, file=str(tmp_path / "mine.parquet"), fix=str):
        read_finished(tmp_path / "mine.parquet", "agnews", ["a text"], request={"model": "any"})
