"""What a benchmark counts: tokens and padding by hand, arithmetic by a hook on every matrix."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from debias.cli import app
from debias.errors import ParameterError
from debias.inference.benchmark import matrix_product_peak, measure_engine
from debias.inference.engine import Engine
from tests.support.refusals import refused
from tests.support.tiny_models import LABELS, PROMPTS, tiny_engine


class Even(Engine):
    context_length, fingerprint = 100, {"model": "even"}

    def continuation_logprobs(self, prompts, continuations):
        return [np.log([0.5]) for _ in continuations]


@pytest.mark.parametrize("name", ["qwen2", "gpt_neox", "mamba"])
def test_tokens_and_padding_are_those_that_the_model_saw(name):
    engine = tiny_engine(name)
    seen = []
    engine.label_logprobs(PROMPTS[:2], LABELS)
    before = engine.token_counts
    engine.model.get_input_embeddings().register_forward_hook(lambda *call: seen.append(call[1][0].numel()))
    engine.label_logprobs(PROMPTS, LABELS)
    done = engine.token_counts - before
    assert done.tokens + done.padding == sum(seen)
    if engine.shortcuts["packs"] is True:
        assert done.padding == 0


@pytest.mark.parametrize("name", ["qwen2", "phi"])
def test_arithmetic_is_that_of_every_matrix_that_was_called(name):
    engine = tiny_engine(name)
    flops = []

    def note(module, inputs, output):
        flops.append(2 * inputs[0].numel() // inputs[0].shape[-1] * module.weight.numel())

    for module in engine.model.get_decoder().modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(note)
    speed = measure_engine(engine, PROMPTS, LABELS, rounds=1)
    reads = 2 * engine.model.get_output_embeddings().weight.numel() * speed.token_counts.reads
    # The first of two passes goes before the clock runs; both are alike.
    assert speed.achieved * speed.seconds * 1e9 == pytest.approx(sum(flops) / 2 + reads)
    assert speed.share_of_peak == pytest.approx(speed.achieved / speed.peak)
    assert 0 < speed.fastest <= speed.seconds <= speed.slowest
    assert speed.prompt_tokens == sum(map(len, engine.encode(PROMPTS)))


def test_the_peak_is_a_product_that_can_be_done_again():
    engine = tiny_engine("qwen2")
    assert matrix_product_peak(engine) > 0


def test_an_engine_that_counts_nothing_is_timed_all_the_same():
    speed = measure_engine(Even(), ["a"] * 5, [" x", " y"])
    assert speed.token_counts is None and speed.share_of_peak is None and speed.prompts_per_second > 0
    assert json.dumps(speed.to_dict())


@pytest.mark.parametrize(
    ("prompts", "rounds", "name", "value"), [([], 1, "prompts", []), (["a"], 0, "rounds", 0)]
)
def test_nothing_to_measure_is_refused(prompts, rounds, name, value):
    with refused(ParameterError, parameter=name, received=value):
        measure_engine(Even(), prompts, [" x"], rounds)


def test_the_command_prints_and_writes_its_figures(tmp_path, demo_loaded_once):
    out = tmp_path / "speed.json"
    result = CliRunner().invoke(
        app, ["bench-engine", "trec", "--prompts", "2", "--rounds", "1", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    for words in ("prompts per second", "share of that peak", "padding, share of computed tokens"):
        assert words in result.output
    found = json.loads(out.read_text())
    assert found["n_prompts"] == 2 and 0 <= found["padding"] < 1
