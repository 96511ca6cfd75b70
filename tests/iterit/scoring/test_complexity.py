"""IFD: equal to a plain loop with full logits, by any engine; cut, empty and kept scores are as said."""

import re
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from debias.errors import EngineError, ParameterError, RecordsError, ResumeError, StorageError
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.engine import MOST_OPERATIONS, Engine
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records
from iterit.scoring.complexity import score_complexity
from iterit.scoring.score_cache import Score, ScoreCache
from iterit.templates.named_templates import template_for
from iterit.templates.template import Template
from tests.support.paths import ROOT
from tests.support.refusals import refused
from tests.support.small_templates import (
    BRACKETS,
    CHATML,
    HEADERS,
    STRICT,
    THOUGHTS,
    chat_tokenizer,
    pair_tokenizer,
)
from tests.support.tiny_models import tiny_engine, tiny_model

ROWS: list[dict[str, Any]] = [
    {"instruction": "Who wrote the book?", "input": "", "output": "Person"},
    {"instruction": "How many planets are there?", "input": "in the sky", "output": "Number of things, é😀"},
    {"question": "Where is the Nile?", "answer": "not good at all, very bad" * 4},
    {
        "messages": [
            {"role": "user", "content": "Who?"},
            {"role": "assistant", "content": "good"},
            {"role": "user", "content": "And the sky above the river?"},
            {"role": "assistant", "content": "Number of places, many of them"},
        ]
    },
    {"instruction": "Who wrote it?", "output": "Person"},
]
RECORDS = Records.from_rows(ROWS)
KINDS = {"chatml": CHATML, "headers": HEADERS, "brackets": BRACKETS, "thoughts": THOUGHTS, "alpaca": None}
COLUMNS = ["conditional", "direct"]


def quiet_scores(*args: Any, **options: Any) -> pd.DataFrame:
    return score_complexity(*args, show_progress=False, **options)


def naive_loss(model: Any, template: Template, before: str, text: str) -> tuple[float, int]:
    """Sum of negative log-likelihoods of the tokens of a text, and how many: full logits, no batch."""
    batch = template.tokenizer(before + text, return_offsets_mapping=True)  # with the tokenizer's own opening
    tokens = batch["input_ids"]
    own = [place for place, (_, end) in enumerate(batch["offset_mapping"]) if end > len(before)]
    if own[0] == 0:  # nothing stands before it: the end-of-text token does
        tokens, own = [template.tokenizer.eos_token_id, *tokens], [place + 1 for place in own]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens])).logits.float()[0]
    table = -torch.log_softmax(logits, -1)
    return sum(float(table[place - 1, tokens[place]]) for place in own), len(own)


def naive_scores(model: Any, template: Template, records: Records) -> pd.DataFrame:
    """IFD row by row, turn by turn."""
    rows = []
    for record in records:
        turns = template.turns(record)
        conditional = [naive_loss(model, template, turn.prompt, turn.answer) for turn in turns]
        direct = [naive_loss(model, template, turn.opening, turn.answer) for turn in turns]
        n_tokens = sum(n for _, n in conditional)
        assert n_tokens == sum(n for _, n in direct)
        a, b = (sum(loss for loss, _ in one) / n_tokens for one in (conditional, direct))
        rows.append((np.exp(a - b), a, b, n_tokens))
    return pd.DataFrame(rows, columns=["ifd", "conditional", "direct", "n_tokens"])


def assert_close(scores: pd.DataFrame, expected: pd.DataFrame, tolerance: float = 1e-4) -> None:
    """The same tokens, and likelihoods within the tolerance."""
    assert scores["n_tokens"].tolist() == expected["n_tokens"].tolist()
    gaps = (scores[COLUMNS].to_numpy() - expected[COLUMNS].to_numpy()).__abs__()
    assert gaps.max() < tolerance, gaps
    np.testing.assert_allclose(scores["ifd"], expected["ifd"], rtol=2 * tolerance)


class InTexts(Engine):
    """Another engine as one that takes texts only."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.n_asked = engine, 0

    @property
    def context_length(self) -> int:
        return self.engine.context_length

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {"texts": self.engine.fingerprint}

    def continuation_logprobs(self, prompts, continuations):
        self.n_asked += len(prompts)
        return self.engine.continuation_logprobs(prompts, continuations)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "gemma2", "dynamic_rotary", "mamba"])
def test_scores_are_those_of_a_plain_loop(architecture, kind):
    tokenizer = chat_tokenizer(KINDS[kind], opens=kind == "brackets")
    engine = tiny_engine(architecture, tokenizer)
    template = template_for(tokenizer)
    expected = naive_scores(engine.model, template, RECORDS)
    scores = quiet_scores(RECORDS, engine)
    assert_close(scores, expected)
    assert scores["ifd"].dtype == np.float32 and scores.index.tolist() == [0, 1, 2, 3, 4]
    assert scores["status"].tolist() == ["ifd_ge_1" if ifd >= 1 else "ok" for ifd in expected["ifd"]]


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_that_takes_texts_gives_the_same(kind):
    tokenizer = chat_tokenizer(KINDS[kind], opens=kind == "brackets")
    engine = tiny_engine("qwen2", tokenizer)
    template = template_for(tokenizer)
    assert_close(
        quiet_scores(RECORDS, InTexts(engine), template=template, max_tokens=500),
        quiet_scores(RECORDS, engine),
    )


def test_the_demo_model_against_a_plain_loop(demo_engine):
    assert_close(
        quiet_scores(RECORDS, demo_engine),
        naive_scores(demo_engine.model, template_for(demo_engine.tokenizer), RECORDS),
    )


def test_one_token_by_hand():
    """A model that gives every token but one the same probability."""

    class Two(Engine):
        context_length, fingerprint = 100, {"model": "two"}

        def continuation_logprobs(self, prompts, continuations):
            return [
                np.log([0.5 if "q" in p else 0.25] * len(c))
                for p, c in zip(prompts, continuations, strict=True)
            ]

    records = Records.from_rows([{"question": "q", "answer": "a"}, {"question": "r", "answer": "ab"}])
    scores = quiet_scores(records, Two(), template=template_for(chat_tokenizer(CHATML)))
    assert scores["ifd"].tolist() == [0.5, 1.0] and scores["status"].tolist() == ["ok", "ifd_ge_1"]
    np.testing.assert_allclose(scores["conditional"], -np.log([0.5, 0.25]))
    np.testing.assert_allclose(scores["direct"], -np.log([0.25, 0.25]))


def test_what_is_too_long_is_cut_as_in_training_and_what_is_gone_has_no_score():
    tokenizer = pair_tokenizer()
    engine = tiny_engine("qwen2", tokenizer)
    rows = [
        {"question": "xyz", "answer": "ab" * 3},  # 3 tokens, then 3 and the end
        {"question": "xyz" * 3, "answer": "ab"},
        {"question": "x", "answer": "ab"},
        {"messages": chat("x", "ab", "xyz", "cdcd")},
    ]
    records = Records.from_rows(rows)
    scores = quiet_scores(records, engine, max_tokens=5)
    assert scores["status"].tolist()[:2] + scores["status"].tolist()[3:] == ["truncated"] * 3
    assert scores["n_tokens"].tolist() == [2, 0, 2, 2]
    assert scores.loc[1, ["ifd", *COLUMNS]].isna().all() and scores.loc[[0, 2, 3], "ifd"].notna().all()
    template = template_for(tokenizer)
    for row, end in ((0, 5), (3, 3)):
        encoded = template.encode(records[row], max_tokens=5)
        assert [label != -100 for label in encoded.labels] == [
            n >= len(rows[row].get("question", "x")) and n < end for n in range(5)
        ]
        logits = engine.model(input_ids=torch.tensor([encoded.input_ids])).logits.detach()[0].log_softmax(-1)
        places = [n for n, label in enumerate(encoded.labels) if label != -100]
        mean = -np.mean([float(logits[n - 1, encoded.input_ids[n]]) for n in places])
        assert scores.loc[row, "conditional"] == pytest.approx(mean, abs=1e-4)


def chat(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": c} for n, c in enumerate(contents)]


def test_engines_of_texts_get_texts_that_are_cut_alike():
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("qwen2", tokenizer)
    both = [
        quiet_scores(RECORDS, one, template=template_for(tokenizer), max_tokens=75)
        for one in (engine, InTexts(engine))
    ]
    assert both[0]["status"].tolist() == both[1]["status"].tolist() and "truncated" in set(both[0]["status"])
    assert_close(both[1], both[0])


def test_the_context_of_the_model_is_a_limit_too():
    tokenizer = chat_tokenizer(None)
    engine = TransformersEngine(tiny_model("qwen2", tokenizer, max_position_embeddings=64), tokenizer)
    scores = quiet_scores(RECORDS, engine)
    assert "truncated" in set(scores["status"])
    pd.testing.assert_frame_equal(scores, quiet_scores(RECORDS, engine, max_tokens=1000))


def test_an_answer_without_tokens_is_empty():
    tokenizer = chat_tokenizer(CHATML)
    records = Records.from_rows([{"question": "q", "answer": "\u200b"}, {"question": "q", "answer": "a"}])
    engine = tiny_engine("qwen2", tokenizer)
    for one in (engine, InTexts(engine)):
        scores = quiet_scores(records, one, template=template_for(tokenizer))
        assert (
            scores["status"][0] == "empty"
            and scores["n_tokens"].tolist()[0] == 0
            and np.isnan(scores["ifd"][0])
        )
        assert scores["n_tokens"][1] == 2
    assert quiet_scores(records.take([0]), engine)["status"].tolist() == ["empty"]


def test_a_record_that_the_template_cannot_take_has_no_score_and_the_others_do(tmp_path):
    tokenizer = chat_tokenizer(STRICT)
    two = {"question": "q", "answer": "a", "system": "Be kind."}
    records = Records.from_rows([two, ROWS[-1], two])
    engine = tiny_engine("qwen2", tokenizer)
    for _ in range(2):  # the second time the cache knows the one that was scored
        scores = quiet_scores(records, engine, cache=tmp_path)
        assert [status == "refused" for status in scores["status"]] == [True, False, True]
        assert np.isnan(scores["ifd"]).tolist() == [True, False, True]
        assert list(scores.attrs["refused"]) == [0, 2] and "System role" in scores.attrs["refused"][0]
    with refused(RecordsError, row=0):
        quiet_scores(records, engine, rows=[0, 2])


def test_rows_are_scored_in_the_order_asked_for_and_equal_ones_once():
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("qwen2", tokenizer)
    whole = quiet_scores(RECORDS, engine)
    pd.testing.assert_frame_equal(
        quiet_scores(RECORDS, engine, rows=[3, 0]), whole.loc[[3, 0]], atol=1e-5, rtol=0
    )
    before = engine.token_counts
    once = (engine.token_counts, quiet_scores(RECORDS, engine, rows=[0]))[1]
    single = engine.token_counts - before
    twice = quiet_scores(RECORDS.take([0, 0, 0]), engine)
    assert (engine.token_counts - before) - single == single and twice["ifd"].nunique() == 1
    assert twice["ifd"][0] == once["ifd"][0]
    assert quiet_scores(RECORDS, engine, rows=[]).empty


def test_each_conversation_and_the_shared_system_text_are_computed_once():
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("qwen2", tokenizer)
    rows = [{"messages": chat(f"q{n}", "good " * 8, f"r{n}", "bad " * 8)} for n in range(100)]
    records = Records.from_rows(rows)
    template = template_for(tokenizer)
    held = template.encode_all(records)
    system = len(tokenizer("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nq")["input_ids"])
    scores = quiet_scores(records, engine)
    # Each conversation once, without what all share, and each answer after its opening.
    wholes = held.lengths.sum() - 100 * (system + 1)
    openings = sum(len(one.direct(span)) for one in held for span in one.spans)
    alone = openings + sum(one.n_answer_tokens for one in held) - 200
    assert engine.token_counts.tokens <= wholes + alone + 2 * system
    assert engine.token_counts.padding == 0
    assert engine.token_counts.reads <= held.lengths.sum()
    assert scores["n_tokens"].sum() == sum(one.n_answer_tokens for one in held)
    encoded = quiet_scores(records, engine, encoded=held)
    pd.testing.assert_frame_equal(encoded, scores, atol=1e-5, rtol=0)


def test_a_second_run_asks_nothing(tmp_path):
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("qwen2", tokenizer)
    first = quiet_scores(RECORDS, engine, rows=[0, 2], cache=tmp_path / "scores")
    work = engine.token_counts
    pd.testing.assert_frame_equal(
        quiet_scores(RECORDS, engine, rows=[2, 0], cache=tmp_path / "scores"), first.loc[[2, 0]]
    )
    assert engine.token_counts == work
    turned = Records.from_rows(reversed(ROWS))
    again = quiet_scores(turned, engine, cache=tmp_path / "scores")
    assert again.loc[[4, 2]].to_numpy().tolist() == first.to_numpy().tolist()
    asked = InTexts(engine)
    for _ in range(2):
        quiet_scores(RECORDS, asked, template=template_for(tokenizer), cache=tmp_path / "scores")
    assert asked.n_asked == 2 * 6


@pytest.mark.parametrize("changed", ["weights", "step", "template", "max_tokens", "text"])
def test_what_decides_a_score_is_what_it_is_kept_under(tmp_path, changed):
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("qwen2", tokenizer)
    options: dict[str, Any] = {"cache": tmp_path, "step": 1, "max_tokens": 500}
    quiet_scores(RECORDS, engine, **options)
    records = RECORDS
    if changed == "weights":
        with torch.no_grad():
            engine.model.get_input_embeddings().weight[0, 0] += 1
    elif changed == "template":
        options["template"] = template_for(tokenizer, "alpaca")
    elif changed == "text":
        records = Records.from_rows([row | {"system": "Be short."} for row in ROWS])
    else:
        options[changed] += 1
    work = engine.token_counts
    fresh = quiet_scores(records, engine, **options | {"cache": None})
    single = engine.token_counts - work
    kept = quiet_scores(records, engine, **options)
    assert engine.token_counts - work - single == single and single.tokens > 0
    pd.testing.assert_frame_equal(kept, fresh, atol=1e-5, rtol=0)


def test_an_interruption_keeps_what_was_scored(tmp_path):
    tokenizer = chat_tokenizer(CHATML)
    template = template_for(tokenizer)

    class Stopped(InTexts):
        max_batch_tokens = 1  # one record at a time

        def continuation_logprobs(self, prompts, continuations):
            if self.n_asked >= 4:
                raise KeyboardInterrupt
            return super().continuation_logprobs(prompts, continuations)

    engine = tiny_engine("qwen2", tokenizer)
    stopped = Stopped(engine)
    with pytest.raises(KeyboardInterrupt):
        quiet_scores(RECORDS, stopped, template=template, cache=tmp_path)
    asked = InTexts(engine)
    scores = quiet_scores(RECORDS, asked, template=template, cache=tmp_path)
    assert stopped.n_asked >= 4 and asked.n_asked == 2 * 6 - stopped.n_asked
    assert_close(scores, quiet_scores(RECORDS, engine))


@pytest.mark.parametrize("tokens", [1, 300, 1e9])
def test_what_was_scored_is_kept_before_a_slow_processor_has_computed_for_half_a_minute(
    tmp_path, monkeypatch, tokens
):
    tokenizer = chat_tokenizer(CHATML)
    records = Records.from_rows([row | {"system": str(n)} for n in range(12) for row in ROWS])
    n_kept = []

    class Slow(InTexts):
        def operations_per_token(self):
            return MOST_OPERATIONS / tokens

    class Watched(ScoreCache):
        def add(self, scores):
            scores = list(scores)
            n_kept.append(len(scores))
            super().add(scores)

    monkeypatch.setattr("iterit.scoring.score_run.ScoreCache", Watched)
    engine = Slow(tiny_engine("qwen2", tokenizer))
    template = template_for(tokenizer)
    quiet_scores(records, engine, template=template, cache=tmp_path)
    longest = 2 * max(len(template.encode(record)) for record in records)
    assert max(n_kept) <= max(1, tokens)
    if tokens == 1:
        assert set(n_kept) == {1}
    elif tokens == 300:
        assert len(n_kept) >= sum(n_kept) * longest // 2 // 300 // 2
    else:
        assert len(n_kept) <= 2


def test_a_damaged_file_of_scores_is_named(tmp_path):
    engine = tiny_engine("qwen2", chat_tokenizer(CHATML))
    quiet_scores(RECORDS, engine, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:5000])
    with refused(ResumeError, file=str(file), fix=str):
        quiet_scores(RECORDS, engine, cache=tmp_path)


def test_scores_of_an_earlier_version_are_named(tmp_path):
    (tmp_path / "00ff-0123.parquet").write_text("")
    with pytest.warns(UserWarning, match=re.escape(str(tmp_path))):
        ScoreCache(tmp_path, {}).__exit__(None, None, None)


def test_processes_share_a_folder_and_lose_nothing(tmp_path):
    code = (
        "import sys; from iterit.scoring.score_cache import *\n"
        "for n in range(50):\n"
        "    with ScoreCache(sys.argv[1], {'model': sys.argv[2]}) as cache:\n"
        "        cache.add([(f'{n:02x}', Score(n, 1.0, 3, n % 2 == 0))])\n"
    )
    names = ["a", "a", "b"]
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], cwd=ROOT) for name in names
    ]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    for name in ("a", "b", "c"):
        with ScoreCache(tmp_path, {"model": name}) as cache:
            found = cache.find([f"{n:02x}" for n in range(60)])
        expected = {} if name == "c" else {f"{n:02x}": Score(n, 1.0, 3, n % 2 == 0) for n in range(50)}
        assert found == expected
    assert [path.name for path in tmp_path.iterdir()] == ["scores.sqlite"]


def test_scores_that_cannot_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    with refused(StorageError, file=str(tmp_path / "file"), fix=str):
        ScoreCache(tmp_path / "file", {})


def test_an_engine_that_gives_no_log_probabilities_is_told_of():
    class Broken(InTexts):
        def continuation_logprobs(self, prompts, continuations):
            return [np.array([np.nan]) for _ in prompts]

    tokenizer = chat_tokenizer(CHATML)
    with refused(EngineError, row=2, fix=str):
        quiet_scores(RECORDS, Broken(tiny_engine("gpt2", tokenizer)), template=template_for(tokenizer))


def test_parameters_are_checked():
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("gpt2", tokenizer)
    with refused(ParameterError, parameter="template", mentions="InTexts"):
        quiet_scores(RECORDS, InTexts(engine))
    for rows in ([9], [-1], [0.5], 3):
        with refused(ParameterError, parameter="rows"):
            quiet_scores(RECORDS, engine, rows=rows)
    with refused(ParameterError, parameter="max_tokens", received=0):
        quiet_scores(RECORDS, engine, max_tokens=0)
    other = template_for(tokenizer, "alpaca").encode_all(RECORDS)
    with refused(ParameterError, parameter="encoded", fix=str):
        quiet_scores(RECORDS, engine, encoded=other)


SCRIPT = """
import sys, time
from tests.iterit.scoring.test_complexity import InTexts, RECORDS, quiet_scores
from tests.support.tiny_models import tiny_engine
from tests.support.small_templates import CHATML, chat_tokenizer
from iterit.templates.named_templates import template_for

class Slow(InTexts):
    max_batch_tokens = 1
    def continuation_logprobs(self, prompts, continuations):
        print("asked", flush=True)
        time.sleep(0.2)
        return super().continuation_logprobs(prompts, continuations)

tokenizer = chat_tokenizer(CHATML)
engine = Slow(tiny_engine("qwen2", tokenizer))
quiet_scores(RECORDS, engine, template=template_for(tokenizer), cache=sys.argv[1])
"""


def test_ctrl_c_keeps_what_was_scored(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    ) as process:
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert process.returncode != 0
    with AnswerStore(tmp_path / "scores.sqlite", read_only=True) as store:
        assert 2 <= len(store) < 5
