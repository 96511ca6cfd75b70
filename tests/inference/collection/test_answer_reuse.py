"""Answers are looked up before they are asked for: in this run, in others, and for equal prompts."""

import re
import shutil

import numpy as np
import pytest
import torch
from scipy.special import softmax

from debias.errors import ParameterError, ResumeError
from debias.inference.collection.collection import collect
from debias.inference.texts.tasks import Task
from debias.inference.transformers.transformers_engine import TransformersEngine
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine, uniform
from tests.support.question_task import TASK as QUESTIONS
from tests.support.question_task import TEXTS as ASKED
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer, naive_label_logprobs, tiny_model


def run(engine, texts=TEXTS, labels=LABELS, **options):
    return collect(engine, TASK, texts, labels, **{"progress": False, "chunk_size": 6, **options})


def test_other_runs_of_the_folder_are_asked_first(tmp_path):
    first = run(PlainEngine(), TEXTS[:30], LABELS[:30], out=tmp_path / "a.parquet")
    more = PlainEngine()
    table = run(more, TEXTS[:40], ["bad"] * 40, ids=[f"q{n}" for n in range(40)], out=tmp_path / "b.parquet")
    assert more.asked == [TASK.prompt(text) for text in TEXTS[30:40]]
    np.testing.assert_array_equal(table.to_numpy()[:30], first.to_numpy())
    assert table.metadata["reused_rows"] == 30
    none = PlainEngine()
    mixed = run(none, TEXTS[35:10:-1], LABELS[:25], out=tmp_path / "c.parquet")
    assert none.asked == [] and mixed.metadata["reused_rows"] == 25
    np.testing.assert_array_equal(mixed.to_numpy(), table.to_numpy()[35:10:-1])


def test_runs_that_are_named_are_asked_too(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    run(PlainEngine(), TEXTS[:20], LABELS[:20], out=tmp_path / "one" / "a.parquet")
    for number, named in enumerate(["one/a.parquet", "one/a.parquet.run", "one"]):
        out = tmp_path / "two" / f"{number}.parquet"
        engine = PlainEngine()
        run(engine, TEXTS[:20], LABELS[:20], out=out, reuse=[tmp_path / named], keep=False)
        assert engine.asked == []
        assert not out.with_name(out.name + ".run").exists()
    engine = PlainEngine()
    run(engine, TEXTS[:20], LABELS[:20], reuse=tmp_path / "one")
    assert engine.asked == []
    with refused(ParameterError, parameter="reuse", received=str(tmp_path / "nowhere"), fix=str):
        run(engine, out=tmp_path / "x.parquet", reuse=[tmp_path / "nowhere"])


def test_other_engines_labels_and_prompts_are_asked_anew(tmp_path):
    run(PlainEngine(), out=tmp_path / "a.parquet")
    other = PlainEngine(name="other")
    run(other, out=tmp_path / "b.parquet")
    assert len(other.asked) == 60
    shown = PlainEngine()
    run(shown, demonstrations=[("a text", "bad")], out=tmp_path / "c.parquet")
    assert len(shown.asked) == 60
    task = Task("mood", labels=["bad", "fine", "superb"], question_prefix="Text: ", answer_prefix="Mood: ")
    words = PlainEngine()
    collect(words, task, TEXTS, out=tmp_path / "d.parquet", progress=False)
    assert len(words.asked) == 60
    names = Task(
        "names",
        labels=["bad", "fine", "great"],
        class_names=["-", "0", "+"],
        question_prefix="Text: ",
        answer_prefix="Mood: ",
    )
    again = PlainEngine()
    collect(again, names, TEXTS, out=tmp_path / "e.parquet", progress=False)
    assert again.asked == []  # class names are no words of the prompt


def test_answers_of_a_run_at_work_are_used(tmp_path):
    class Within(PlainEngine):
        def label_scores(self, prompts, labels, on_answer=None):
            if len(self.asked) == 30:
                other = PlainEngine()
                run(other, out=tmp_path / "other.parquet")
                self.other = other.asked
            return super().label_scores(prompts, labels, on_answer)

    engine = Within()
    run(engine, out=tmp_path / "mood.parquet")
    assert engine.other == [TASK.prompt(text) for text in TEXTS[30:]]


def test_equal_prompts_are_asked_once(tmp_path):
    texts = [TEXTS[number % 7] for number in range(50)]
    for out in (None, tmp_path / "mood.parquet"):
        engine = PlainEngine()
        table = run(engine, texts, None, out=out, chunk_size=3)
        assert engine.asked == [TASK.prompt(text) for text in TEXTS[:7]]
        assert table.metadata["repeated_texts"] == 43
        np.testing.assert_array_equal(table.to_numpy()[:7], table.to_numpy()[42:49])


def test_bounds_are_counted_by_class(tmp_path):
    table = run(PlainEngine(singly=True), out=tmp_path / "mood.parquet")
    bound = np.array([[uniform(c + TASK.prompt(text)) < 0.1 for c in TASK.continuations] for text in TEXTS])
    expected = {name: int(n) for name, n in zip(TASK.class_names, bound.sum(axis=0), strict=True)}
    assert bound.any() and min(expected.values()) > 0
    assert table.metadata["bounds"] == {"rows": int(bound.any(axis=1).sum()), "labels": expected}
    again = run(PlainEngine(singly=True, fail_after=0), out=tmp_path / "again.parquet")
    assert again.metadata["bounds"] == table.metadata["bounds"]
    assert run(PlainEngine()).metadata["bounds"] == {"rows": 0, "labels": {}}


def test_answers_of_a_run_that_was_killed_are_used_and_a_damaged_one_is_named(tmp_path):
    run(PlainEngine(), out=tmp_path / "a.parquet")
    store = tmp_path / "a.parquet.run" / "answers.sqlite"
    (tmp_path / "b.parquet.run").mkdir()
    shutil.copy(store, tmp_path / "b.parquet.run")
    store.write_bytes(store.read_bytes()[:5000])
    engine = PlainEngine()
    with pytest.warns(UserWarning, match=re.escape(str(store))):
        run(engine, out=tmp_path / "c.parquet")
    assert engine.asked == []


def test_a_folder_that_cannot_be_written_is_read(tmp_path):
    """A store that was closed is one file: nothing is written beside it to read it."""
    run(PlainEngine(), out=tmp_path / "a.parquet")
    folder, engine = tmp_path / "a.parquet.run", PlainEngine()
    folder.chmod(0o555)
    try:
        run(engine, reuse=[folder])
        assert sorted(path.name for path in folder.iterdir()) == ["answers.sqlite", "lock"]
    finally:
        folder.chmod(0o755)
    assert engine.asked == []


def test_answers_of_another_adapter_are_asked_anew(tmp_path):
    """The weights of all adapters are there all the time: which are active, and how far, decides answers."""
    peft = pytest.importorskip("peft", reason="peft is not installed")
    torch.manual_seed(0)
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = peft.get_peft_model(tiny_model("llama"), lora, adapter_name="one").eval()
    model.add_adapter("two", lora)
    engine = TransformersEngine(model, byte_tokenizer())
    prompts = [QUESTIONS.prompt(text) for text in ASKED]
    tables = []

    def check(name):
        out = tmp_path / f"{name}.parquet"
        table = collect(engine, QUESTIONS, ASKED, out=out, progress=False)
        exact = naive_label_logprobs(engine, prompts, QUESTIONS.continuations)
        np.testing.assert_allclose(table.to_numpy(), softmax(exact, axis=1), atol=1e-4)
        assert table.metadata["reused_rows"] == 0
        assert not any(np.allclose(table.to_numpy(), other, atol=1e-4) for other in tables)
        tables.append(table.to_numpy())

    for name in ("one", "two"):
        model.set_adapter(name)
        check(name)
    with model.disable_adapter():
        check("neither")
    for module in model.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("two", 0.5)
    check("less of two")
    with pytest.raises(ResumeError, match="weights"):
        model.set_adapter("one")
        collect(engine, QUESTIONS, ASKED, out=tmp_path / "two.parquet", progress=False)
