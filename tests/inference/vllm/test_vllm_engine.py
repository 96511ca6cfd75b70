"""The vLLM back end on the real vLLM, against TransformersEngine on the same weights.

`make test-vllm` runs this in an environment of its own. Two LLMs serve all tests: one in float32
that the engine builds, one in bfloat16 that is built here as a user would.
"""

import copy
import importlib.util
import json
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from debias.errors import ContextLengthError, EngineError, LabelError, ModelError, ParameterError
from debias.inference.engine import Engine
from debias.inference.models.export import export_model
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.vllm.vllm_asking import Ways
from debias.inference.vllm.vllm_engine import VLLMEngine
from debias.inference.vllm.vllm_start import ENVIRONMENT
from debias.inference.votes.sampling import Asked, Sampling
from tests.support.refusals import refused
from tests.support.small_adapter import merge_adapter, write_adapter

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # vLLM's own, of torch and of forks
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"
    ),
]

FLOAT32 = 2e-3
BFLOAT16 = 0.35
"""Farthest that a log-probability in bfloat16 may be from the one in float32, in nats."""

OPENING = (
    "Please classify the questions by whether their answer is a number, a place or a person.\n\n"
    "Question: How many legs has a spider ?\nAnswer Type: Number\n\n"
    "Question: Where is the Louvre ?\nAnswer Type: Location\n\n"
)
PROMPTS = [
    f"{OPENING}Question: {text} ?\nAnswer Type:"
    for text in (
        "Who wrote Faust",
        "How many planets are there",
        "In which city does the president of France live when he is not travelling",
        "What is an atom",
        "Where",
        "When was the university of Ulm founded",
    )
]
SINGLE = (" Number", " Location", " Person", " Description")
SEVERAL = (" a natural number", " Abbreviation of a term", " Transylvania", " Person")
LONG = " word and another one of them," * 24
SHARED = (" number of things", " number of people", " number", " numbering", " place of birth", " place")


def start(model, **options):
    """Arguments that keep an LLM small."""
    return {"model": model, "max_model_len": 512, "enforce_eager": True, **options}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_model("demo", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def engine():
    """An engine that builds its own LLM, in float32, with room for adapters."""
    options = {"enable_lora": True, "max_lora_rank": 8, "max_logprobs": -1, "kv_cache_memory_bytes": 1 << 30}
    with VLLMEngine(**start("demo", dtype="float32", **options)) as made:
        yield made


@pytest.fixture(scope="module")
def users_llm(folder):
    """An LLM as a user builds one, in bfloat16, with the settings that vLLM has by itself."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "VLLM_CPU_KVCACHE_SPACE": "1"}.items():
            patch.setenv(name, value)
        from vllm import LLM

        llm = LLM(**start(str(folder), dtype="bfloat16"))
        yield llm
        llm.llm_engine.engine_core.shutdown()


@pytest.mark.parametrize("labels", [SINGLE, SEVERAL, SHARED], ids=["single", "several", "shared"])
def test_labels_agree_with_transformers(engine, demo_engine, labels):
    expected = demo_engine.label_logprobs(PROMPTS, labels)
    received = engine.label_logprobs(PROMPTS, labels)
    np.testing.assert_allclose(received, expected, atol=FLOAT32, rtol=0)
    assert expected.std() > 0.5


def test_texts_agree_with_transformers(engine, demo_engine):
    texts = [LONG, " An answer that explains itself, and then some more of it.", "", " 12"]
    prompts = [*PROMPTS[:3], "2 + 10 ="]
    expected = demo_engine.continuation_logprobs(prompts, texts)
    received = engine.continuation_logprobs(prompts, texts)
    assert [len(one) for one in received] == [len(one) for one in expected]
    np.testing.assert_allclose(np.concatenate(received), np.concatenate(expected), atol=FLOAT32, rtol=0)
    sums = Engine.label_logprobs(engine, PROMPTS[:2], SHARED)
    np.testing.assert_allclose(sums, engine.label_logprobs(PROMPTS[:2], SHARED), atol=FLOAT32, rtol=0)


def test_every_way_of_asking_gives_the_same(engine):
    engine.facts()
    usual = engine._asker.ways
    texts = [LONG, " Transylvania and then some more of it."]
    expected = engine.label_logprobs(PROMPTS, SHARED)
    expected_texts = np.concatenate(engine.continuation_logprobs(PROMPTS[:2], texts))
    try:
        for ways in (
            Ways("logprob_token_ids", "none"),
            Ways("logprobs", "prompt_logprobs"),
            Ways("logprobs", "none"),
        ):
            engine._asker.ways = ways
            np.testing.assert_allclose(
                engine.label_logprobs(PROMPTS, SHARED), expected, atol=FLOAT32, rtol=0, err_msg=str(ways)
            )
            received = np.concatenate(engine.continuation_logprobs(PROMPTS[:2], texts))
            np.testing.assert_allclose(received, expected_texts, atol=FLOAT32, rtol=0, err_msg=str(ways))
    finally:
        engine._asker.ways = usual


def test_how_vllm_is_asked_is_found_out_and_said(engine):
    facts = engine.facts()
    assert facts["label_tokens"] == "logprob_token_ids"
    # On a CPU vLLM runs its older model runner, which refuses spans; elsewhere they are to be had.
    runner = engine.llm.llm_engine.vllm_config.use_v2_model_runner
    assert facts["texts"] == ("prompt_logprob_token_ids" if runner else "prompt_logprobs")
    if not runner:
        assert "V2 model runner" in facts["refused"]["prompt_logprob_token_ids"]
    assert facts["prefix_cache_block"] == engine._asker.block > 0


def test_more_labels_than_one_request_takes(engine, demo_engine):
    labels = [f" {word}" for word in _words(engine, 150)]
    expected = demo_engine.label_logprobs(PROMPTS[:2], labels)
    np.testing.assert_allclose(engine.label_logprobs(PROMPTS[:2], labels), expected, atol=FLOAT32, rtol=0)


def _words(engine, count):
    """Words that are one token each after a space."""
    tokenizer = engine._tokens.tokenizer
    words = (tokenizer.convert_ids_to_tokens(token) for token in range(1000, 20000))
    found = [word[1:] for word in words if word.startswith("Ġ") and word[1:].isalpha() and word.isprintable()]
    return list(dict.fromkeys(found))[:count]


def test_answers_have_seeds_of_their_own_and_the_frequencies_of_the_probabilities(engine, demo_engine):
    sampling = Sampling(1.0, max_tokens=1, seed=0)
    asked = [Asked(prompt, tuple(range(200))) for prompt in PROMPTS[:2]]
    answers = engine.sampled_answers(asked, sampling)
    assert engine.sampled_answers([Asked(PROMPTS[1], (3, 4, 9))], sampling) == [
        [answers[1][number] for number in (3, 4, 9)]
    ]
    assert engine.sampled_answers(asked[:1], Sampling(1.0, max_tokens=1, seed=1)) != answers[:1]
    expected = np.exp(demo_engine.label_logprobs(PROMPTS[:2], SINGLE))
    found = np.array([[own.count(label) / 200 for label in SINGLE] for own in answers])
    assert np.abs(found - expected).max() < 4.5 * np.sqrt(0.25 / 200)
    with refused(ContextLengthError, received=int):
        engine.sampled_answers([Asked(LONG * 20, (0,))], sampling)


def test_prompts_of_answers_with_seeds_are_computed_whole_on_a_cpu(engine, monkeypatch):
    """vLLM would end where a step has room for a part of a prompt: a seeded answer goes back then."""
    sampling = Sampling(1.0, max_tokens=2, seed=0)
    asked = [Asked(prompt, tuple(range(60))) for prompt in PROMPTS[:3]]
    expected = engine.sampled_answers(asked, sampling)
    scheduler = engine._asker.llm.llm_engine.vllm_config.scheduler_config
    n_tokens = [len(engine._tokens.context(tokens)) for tokens in engine._tokens.encode_plain(PROMPTS[:3])]
    monkeypatch.setattr(scheduler, "max_num_batched_tokens", 2 * max(n_tokens))
    same = [
        a == b
        for x, y in zip(engine.sampled_answers(asked, sampling), expected, strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    assert np.mean(same) > 0.95  # batches are others, which now and then changes a token
    monkeypatch.setattr(scheduler, "max_num_batched_tokens", max(n_tokens) - 1)
    with refused(EngineError, received=max(n_tokens), mentions="max_num_batched_tokens"):
        engine.sampled_answers(asked, sampling)


def test_an_answer_that_lacks_a_number_is_asked_for_again_and_never_a_zero(engine):
    engine.facts()
    usual, most = engine._asker.ways, engine._asker.most_logprobs
    again = engine._asker.n_asked_again
    try:
        engine._asker.ways, engine._asker.most_logprobs = Ways("logprobs", "none"), 1
        with refused(EngineError, received=PROMPTS[0][-60:], mentions="max_logprobs=-1"):
            engine.label_logprobs(PROMPTS[:1], SINGLE)
    finally:
        engine._asker.ways, engine._asker.most_logprobs = usual, most
    assert engine.facts()["asked_again"] == again + 1


def test_an_llm_that_the_user_built_in_bfloat16(users_llm, demo_engine):
    for options in ({}, {"scoring": "first-token"}):
        engine = VLLMEngine(users_llm, **options)
        for labels in (SINGLE, SEVERAL):
            expected = demo_engine.label_logprobs(PROMPTS, labels)
            if options:
                tokens = [engine.encode([label])[0][0] for label in labels]
                words = [engine._tokens.decode([token]) for token in tokens]
                expected = demo_engine.label_logprobs(PROMPTS, words)
            received = engine.label_logprobs(PROMPTS, labels)
            np.testing.assert_allclose(received, expected, atol=BFLOAT16, rtol=0)
            assert _same_order(received, expected, beyond=2 * BFLOAT16)
    assert engine.fingerprint["dtype"] == engine.fingerprint["head_dtype"] == "bfloat16"
    engine.close()
    assert engine.label_logprobs(PROMPTS[:1], SINGLE).shape == (1, 4)  # what others built is left open


def _same_order(received, expected, beyond):
    """Whether classes stand in the same order wherever they are far enough apart."""
    apart = expected[:, :, None] - expected[:, None, :]
    ours = received[:, :, None] - received[:, None, :]
    return bool((ours[apart > beyond] > 0).all())


def test_rounded_logits_show_as_steps_and_a_float32_output_layer_has_none(users_llm, engine):
    # Logits are below 32 here, so that bfloat16 leaves differences that are multiples of 2**-12
    # whenever a logit is not below 1/32; those of float32 fall anywhere.
    rounded = VLLMEngine(users_llm).label_logprobs(PROMPTS, SINGLE)
    steps = (rounded[:, 1:] - rounded[:, :1]) * 2**12
    np.testing.assert_allclose(steps, steps.round(), atol=0.05)
    exact = engine.label_logprobs(PROMPTS, SINGLE)
    steps = (exact[:, 1:] - exact[:, :1]) * 2**12
    assert np.abs(steps - steps.round()).max() > 0.2


def test_a_wrong_llm_is_refused(users_llm, monkeypatch, tmp_path):
    with refused(ParameterError, parameter="model", received=3):
        VLLMEngine(3)
    with refused(ParameterError, parameter="max_model_len", mentions="dtype"):
        VLLMEngine(users_llm, dtype="float32", max_model_len=10)
    with refused(ParameterError, parameter="tokenizer", received="some/tokenizer"):
        VLLMEngine(users_llm, "some/tokenizer")
    for name, value in (("logprobs_mode", "processed_logprobs"), ("runner_type", "pooling")):
        with monkeypatch.context() as patch:
            patch.setattr(users_llm.llm_engine.model_config, name, value)
            with refused(ParameterError, parameter="model", received=value):
                VLLMEngine(users_llm)
    with refused(ParameterError, parameter="adapter", received=4):
        VLLMEngine(users_llm).use_adapter(
            write_adapter(tmp_path, users_llm.llm_engine.model_config.hf_config)
        )


def test_an_adapter_changes_scores_as_merged_weights_do(engine, demo_engine, tmp_path):
    plain, mark = engine.label_logprobs(PROMPTS, SHARED), engine.fingerprint
    config = demo_engine.model.config
    first = write_adapter(tmp_path / "first", config, seed=1)
    second = write_adapter(tmp_path / "second", config, seed=2, rank=8)
    answers = {}
    try:
        for adapter in (first, second):
            engine.use_adapter(adapter)
            answers[adapter] = engine.label_logprobs(PROMPTS, SHARED)
            merged = copy.deepcopy(demo_engine.model)
            merge_adapter(merged, adapter)
            expected = TransformersEngine(merged, demo_engine.tokenizer).label_logprobs(PROMPTS, SHARED)
            np.testing.assert_allclose(answers[adapter], expected, atol=FLOAT32, rtol=0)
            assert np.abs(answers[adapter] - plain).max() > 0.1
        assert engine.fingerprint["adapter"] != mark["adapter"]
        engine.use_adapter(first)
        np.testing.assert_allclose(engine.label_logprobs(PROMPTS, SHARED), answers[first], atol=1e-4, rtol=0)
    finally:
        engine.use_adapter(None)
    np.testing.assert_allclose(engine.label_logprobs(PROMPTS, SHARED), plain, atol=1e-4, rtol=0)
    assert engine.fingerprint == mark


def test_an_adapter_that_is_changed_in_place_is_read_again(engine, demo_engine, tmp_path):
    config = demo_engine.model.config
    path, other = write_adapter(tmp_path / "one", config, 1), write_adapter(tmp_path / "other", config, 2)
    try:
        engine.use_adapter(other)
        expected = engine.label_logprobs(PROMPTS, SINGLE)
        engine.use_adapter(path)
        before, mark = engine.label_logprobs(PROMPTS, SINGLE), engine.fingerprint
        write_adapter(path, config, 2)
        after = engine.label_logprobs(PROMPTS, SINGLE)
        np.testing.assert_allclose(after, expected, atol=1e-4, rtol=0)
        assert np.abs(after - before).max() > 0.1
        assert engine.fingerprint["adapter"] != mark["adapter"]
        with refused(ParameterError, parameter="adapter", received=16, mentions="rank 8"):
            engine.use_adapter(write_adapter(tmp_path / "large", config, rank=16))
        with refused(ModelError, parameter="adapter", received=str(tmp_path)):
            engine.use_adapter(tmp_path)
    finally:
        engine.use_adapter(None)


def test_a_damaged_adapter_is_an_error_and_the_engine_goes_on(engine, demo_engine, tmp_path):
    expected = engine.label_logprobs(PROMPTS[:2], SINGLE)
    path = write_adapter(tmp_path / "damaged", demo_engine.model.config)
    weights = path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    try:
        with refused(ModelError, parameter="adapter", file=str(weights)):
            engine.use_adapter(path)
        write_adapter(path, demo_engine.model.config)
        weights.rename(weights.with_suffix(".bin"))  # what vLLM itself finds out
        with refused(ModelError, parameter="adapter", received=str(path)):
            engine.use_adapter(path)
        other = copy.deepcopy(demo_engine.model.config)
        other.hidden_size = 64
        with refused(ModelError, parameter="adapter", received=64, mentions="576"):
            engine.use_adapter(write_adapter(tmp_path / "other", other))
    finally:
        engine.use_adapter(None)
    np.testing.assert_allclose(engine.label_logprobs(PROMPTS[:2], SINGLE), expected, atol=1e-4, rtol=0)


def test_the_fingerprint_says_what_decides_answers(engine, users_llm):
    other = VLLMEngine(users_llm)
    assert engine.fingerprint["model"] == "demo"
    assert engine.fingerprint["weights"] == other.fingerprint["weights"]  # the same numbers in both folders
    assert engine.fingerprint["tokenizer"] == other.fingerprint["tokenizer"]
    for key in ("dtype", "head_dtype", "model"):
        assert engine.fingerprint[key] != other.fingerprint[key]
    assert VLLMEngine(users_llm).fingerprint == other.fingerprint
    assert VLLMEngine(users_llm, scoring="first-token").fingerprint != other.fingerprint
    assert set(engine.versions()) == {"vllm", "torch", "transformers", "tokenizers"}
    assert engine.encode(["a"]) == other.encode(["a"])


def test_new_weights_make_a_new_fingerprint_and_nothing_is_read_of_the_old(users_llm):
    engine = VLLMEngine(users_llm)
    mark, before = engine.fingerprint, engine.label_logprobs(PROMPTS, SINGLE)
    engine.weights_changed()
    assert engine.fingerprint["weights"] not in (mark["weights"], None)
    engine.weights_changed("known")
    assert engine.fingerprint["weights"] == "known"
    output = users_llm.generate([{"prompt_token_ids": engine.encode(PROMPTS[:1])[0]}], use_tqdm=False)
    assert output[0].num_cached_tokens == 0
    np.testing.assert_allclose(engine.label_logprobs(PROMPTS, SINGLE), before, atol=BFLOAT16, rtol=0)


def test_what_prompts_share_is_computed_once(engine):
    from vllm import SamplingParams

    engine.weights_changed("demo")
    try:
        engine.label_logprobs(PROMPTS, SINGLE)
        prompt = {"prompt_token_ids": engine.encode(PROMPTS[:1])[0]}
        once = SamplingParams(max_tokens=1, temperature=0.0)
        scored = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        assert engine.llm.generate([prompt], once, use_tqdm=False)[0].num_cached_tokens > 0
        # A prompt that is scored itself reads nothing from the cache.
        assert engine.llm.generate([prompt], scored, use_tqdm=False)[0].num_cached_tokens == 0
    finally:
        engine._weights = ""


def test_prompts_that_are_too_long_are_refused_and_the_longest_are_not(engine, demo_engine):
    with refused(ContextLengthError, received=int, mentions=(512, "word word")):
        engine.label_logprobs(["word " * 600], SINGLE)
    with refused(ContextLengthError, received=int, mentions="512"):
        engine.continuation_logprobs(["a"], [" word" * 600])
    for words in (" word", " word" * 120):
        spare = engine.context_length - len(engine.encode([words])[0])
        prompt = " and" * spare
        assert len(engine.encode([prompt + words])[0]) == engine.context_length
        (expected,) = demo_engine.continuation_logprobs([prompt], [words])
        (received,) = engine.continuation_logprobs([prompt], [words])
        np.testing.assert_allclose(received, expected, atol=FLOAT32, rtol=0)


def test_what_is_asked_wrongly(engine):
    for call, name, value in (
        (lambda: engine.label_logprobs("one", SINGLE), "prompts", "one"),
        (lambda: engine.label_logprobs(["a"], []), "labels", []),
        (lambda: engine.continuation_logprobs(["a"], []), "continuations", 0),
    ):
        with refused(ParameterError, parameter=name, received=value):
            call()
    assert engine.label_logprobs([], SINGLE).shape == (0, 4)
    engine.scoring = "first-token"
    try:
        with refused(LabelError, parameter="scoring"):
            engine.label_logprobs(PROMPTS, SHARED)
    finally:
        engine.scoring = "label"


def test_an_empty_prompt_begins_with_the_tokenizers_own_token(engine, demo_engine):
    expected = demo_engine.label_logprobs([""], SINGLE)
    np.testing.assert_allclose(engine.label_logprobs([""], SINGLE), expected, atol=FLOAT32, rtol=0)


def test_an_interrupted_question_leaves_nothing_behind(engine):
    expected = engine.label_logprobs(PROMPTS, SINGLE)
    many = [f"{prompt} {number}" for prompt in PROMPTS for number in range(50)]
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.label_logprobs(many, SINGLE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    np.testing.assert_allclose(engine.label_logprobs(PROMPTS, SINGLE), expected, atol=1e-4, rtol=0)


def test_requests_of_others_are_not_mixed_with_ours(users_llm):
    engine = VLLMEngine(users_llm)
    users_llm.enqueue([{"prompt_token_ids": [1, 2, 3]}], use_tqdm=False)
    for call in (lambda: engine.label_logprobs(PROMPTS, SINGLE), engine.facts):
        with refused(EngineError, mentions="wait_for_completion"):
            call()
    assert len(users_llm.wait_for_completion(use_tqdm=False)) == 1
    assert np.isfinite(engine.label_logprobs(PROMPTS, SINGLE)).all()


PROGRAM = """
    import sys
    from debias.errors import EngineError
    from debias.inference.vllm.vllm_engine import VLLMEngine

    if __name__ == "__main__":
        engine = VLLMEngine(
            {folder!r}, max_model_len=256, enforce_eager=True, kv_cache_memory_bytes=1 << 28, dtype="bfloat16"
        )
        print(engine.label_logprobs(["The capital of France is"], [" Paris", " Rome"]).round(1).tolist())
        print(engine.fingerprint["head_dtype"])
        if "close" in sys.argv:
            engine.close()
            try:
                engine.label_logprobs(["a"], [" b"])
            except EngineError as error:
                print(error)
"""


@pytest.mark.parametrize("ending", ["close", "leave"])
def test_the_program_ends_without_an_error(folder, tmp_path, ending):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM).format(folder=str(folder)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program, ending], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    np.testing.assert_allclose(json.loads(lines[0]), [[-0.3, -7.55]], atol=0.25)  # of weights in bfloat16
    assert lines[1] == "float32"
    assert lines[2:] == (["the engine is closed; make a new one."] if ending == "close" else [])
    # On a busy machine vLLM kills workers that end slowly; Python then clears their shared memory and warns.
    for word in ("Traceback", "Error", "ERROR", "terminate called"):
        assert word not in done.stderr, done.stderr
