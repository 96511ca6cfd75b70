"""The pass for layers of the Llama kind: against plain formulas, the plain pass, and what changes a model."""

import numpy as np
import peft
import pytest
import torch
from numpy.testing import assert_allclose

from debias.inference.labels import chain_tree
from debias.inference.transformers.cpu_llama import layer_kernels, llama_pass
from debias.inference.transformers.cpu_llama.batch_layout import lay_out_batch
from debias.inference.transformers.passes.buffers import as_array
from debias.inference.transformers.passes.forward import Forward
from debias.inference.transformers.passes.model_pass import Capabilities
from debias.inference.transformers.passes.packing import PackedSequence, Row
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.transformers.vocabulary.float_kernels import log_sum_exp
from tests.support.prompt_rows import rows_of_many_lengths
from tests.support.tiny_models import (
    LABELS,
    PROMPTS,
    byte_tokenizer,
    naive_label_logprobs,
    tiny_engine,
    tiny_model,
)

OURS = Capabilities(projects=True, shares=True, branches=True, layers=True)
DTYPES = {torch.float32: 2e-6, torch.bfloat16: 2**-8}


def numbers(dtype, *shape, seed=0):
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3).to(dtype)


@pytest.mark.parametrize(("dtype", "near"), DTYPES.items())
def test_norms_against_the_formula(dtype, near):
    states, weight = numbers(dtype, 7, 33), numbers(dtype, 33, seed=1)
    out = torch.empty_like(states)
    layer_kernels.normalise(as_array(states), as_array(weight), 1e-5, as_array(out))
    wide = states.double()
    expected = wide / (wide.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight.double()
    assert_allclose(out.double(), expected, rtol=near, atol=1e-6)


@pytest.mark.parametrize(("dtype", "near"), DTYPES.items())
def test_gates_against_the_formula_also_far_out(dtype, near):
    gates = torch.cat([numbers(dtype, 300), torch.tensor([-300, -88, -87, 0, 87, 88, 300]).to(dtype)])
    values = numbers(dtype, 307, seed=1)
    expected = torch.nn.functional.silu(gates.double()) * values.double()
    layer_kernels.gate(as_array(gates), as_array(values))
    assert_allclose(gates.double(), expected, rtol=near, atol=1e-6)


def test_bfloat16_is_rounded_as_torch_rounds_it():
    exact = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(1, 5000)
    out = torch.empty(1, 5000, dtype=torch.bfloat16)
    layer_kernels.normalise(as_array(ones), as_array(exact), 0.0, as_array(out))
    assert torch.equal(out[0], exact.bfloat16())


@pytest.mark.parametrize(("dtype", "near"), DTYPES.items())
def test_rotations_against_complex_numbers(dtype, near):
    heads = numbers(dtype, 5, 3, 8)
    angles = torch.linspace(0, 7, 20, dtype=torch.float64).view(5, 4)
    turned = (
        torch.complex(*heads.double().split(4, -1)) * torch.polar(torch.ones_like(angles), angles)[:, None]
    )
    layer_kernels.rotate(as_array(heads), angles.cos().float().numpy(), angles.sin().float().numpy())
    assert_allclose(heads.double(), torch.cat([turned.real, turned.imag], -1), rtol=near, atol=near * 10)


@pytest.mark.parametrize("width", [3, 6, 8, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_heads_are_copied_to_their_sequences_and_back(dtype, width):
    lengths, n_key_heads, group = [3, 5, 1], 2, 3
    n_tokens, n_heads, room = sum(lengths), n_key_heads * group, 16
    sequences = np.repeat(np.arange(3), lengths)
    places = np.concatenate([np.arange(n) for n in lengths])
    heads = numbers(dtype, n_tokens, n_heads, width)
    laid = torch.zeros(3 * room * n_heads * width, dtype=dtype)
    source, target = (llama_pass._words(one, width) for one in (heads, laid))
    layer_kernels.lay_out(source, sequences * room, np.full(n_tokens, room), places, target)
    own = laid.view(3, n_heads, room, width)
    for token, (sequence, place) in enumerate(zip(sequences, places, strict=True)):
        assert torch.equal(own[sequence, :, place], heads[token])
    assert (own == 0).sum() >= (3 * room - n_tokens) * n_heads * width
    back = torch.empty(n_tokens, n_key_heads, group, width, dtype=dtype)
    by_group = as_array(own.reshape(3 * n_key_heads, group, room, width))
    layer_kernels.gather(0, sequences, places, by_group, as_array(back))
    assert torch.equal(back.view_as(heads), heads)


@pytest.mark.parametrize(("dtype", "near"), DTYPES.items())
def test_two_softmaxes_are_joined_as_one(dtype, near):
    n_key_heads, group, n_tokens, n_shared, width = 2, 3, 5, 4, 8
    scores = numbers(torch.float64, n_key_heads, group, n_tokens, n_shared + n_tokens) * 4
    scores[0, 0, 0, :n_shared] -= 300  # one of both counts for nothing
    scores[0, 0, 1, n_shared:] -= 300
    values = numbers(torch.float64, n_key_heads, 1, n_shared + n_tokens, width, seed=1)
    expected = scores.softmax(-1) @ values
    shared, own = scores[..., :n_shared], scores[..., n_shared:]
    parts = []
    for part, seen in ((own, values[:, :, n_shared:]), (shared, values[:, :, :n_shared])):
        parts += [as_array((part.softmax(-1) @ seen).to(dtype)), part.logsumexp(-1).float().numpy()]
    out = torch.empty(n_tokens, n_key_heads, group, width, dtype=dtype)
    tokens = np.arange(n_tokens)
    layer_kernels.join(0, np.zeros(n_tokens, np.int64), tokens, *parts, as_array(out))
    assert_allclose(out.permute(1, 2, 0, 3).double(), expected, rtol=0, atol=near * 30)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [16, 512, 528])
def test_a_long_sequence_needs_no_mask_and_attends_as_a_short_one_does(dtype, width):
    queries, keys, values = (numbers(dtype, 2, n, width, 8, seed=n) for n in (3, 1, 1))
    (block,) = lay_out_batch([chained(width)], dtype).blocks
    mask = block.mask_of_heads(1, 3, dtype)
    assert (mask is None) == (width > 512)
    found = llama_pass._flash(queries, keys, values, mask, 0.5, folds=block.folds)
    later = torch.ones(width, width, dtype=torch.bool).triu_(1)
    scores = (queries.double() @ keys.double().transpose(-1, -2) * 0.5).masked_fill(later, float("-inf"))
    assert_allclose(
        found.norms, scores.logsumexp(-1), rtol=1e-5, atol=1e-5 if dtype == torch.float32 else 1e-3
    )
    answers = torch.from_numpy(found.answers)
    answers = answers.double() if dtype == torch.float32 else answers.view(dtype).double()
    assert_allclose(
        answers, scores.softmax(-1) @ values.double(), atol=1e-4 if dtype == torch.float32 else 0.05
    )


def test_the_mask_of_a_long_tree_is_not_repeated_for_every_head():
    sequence = PackedSequence()
    sequence.add(0, list(range(1, 600)), chain_tree((5, 6)))
    sequence.add(1, [7], chain_tree((8,)))
    (block,) = lay_out_batch([sequence], torch.float32).blocks
    assert block.mask is not None
    assert block.mask_of_heads(2, 4, torch.float32).shape == (2, 1, block.width, block.width)


def chained(n_tokens):
    sequence = PackedSequence()
    sequence.add(0, list(range(1, n_tokens)), chain_tree((0,)))
    return sequence


def test_sums_of_exponentials_against_torch_also_far_apart():
    logits = numbers(torch.float32, 6, 501)
    logits[0, 3], logits[1] = 500.0, -400.0
    logits[2, ::2] = float("-inf")
    out = torch.empty(6, dtype=torch.float64)
    log_sum_exp(logits.numpy(), out.numpy())
    assert_allclose(out, torch.logsumexp(logits.double(), -1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("budget", [1, 40, 4096])
@pytest.mark.parametrize("opening", [0, 9, 16, 33])
def test_rows_have_the_answers_that_they_have_alone(name, budget, opening):
    model = tiny_model(name)
    rows = rows_of_many_lengths(17, opening=opening)
    alone = Forward(model, 1, Capabilities()).score(rows)
    together = Forward(model, budget, OURS).score(rows)
    for expected, received in zip(alone, together, strict=True):
        assert_allclose(received, expected, atol=1e-4, rtol=0)


def test_all_rows_alike_and_rows_longer_than_a_line():
    model = tiny_model("llama")
    for rows in (
        [Row([7, 8, 9], chain_tree((5,)))] * 3,
        [Row(list(range(5, 5 + n)) * 2, chain_tree((5, 6))) for n in (30, 40, 50, 60, 90)],
    ):
        alone = Forward(model, 1, Capabilities()).score(rows)
        for expected, received in zip(alone, Forward(model, 4096, OURS).score(rows), strict=True):
            assert_allclose(received, expected, atol=1e-4, rtol=0)


def test_in_bfloat16_it_is_nearer_to_float32_than_the_models_own_code():
    exact = tiny_engine("qwen2").label_logprobs(PROMPTS, LABELS)
    rough = tiny_model("qwen2").to(torch.bfloat16)
    engine = TransformersEngine(rough, byte_tokenizer())
    assert engine.shortcuts["layers"] is True
    ours = abs(engine.label_logprobs(PROMPTS, LABELS) - exact).mean()
    theirs = abs(naive_label_logprobs(engine, PROMPTS, LABELS) - exact).mean()
    assert 0 < ours < theirs


def test_an_adapter_that_is_put_in_later_is_heard():
    engine = tiny_engine("llama")
    before = engine.label_logprobs(PROMPTS, LABELS)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "o_proj", "down_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(engine.model, settings).eval()
    after = engine.label_logprobs(PROMPTS, LABELS)
    assert engine._forward.passes[0].fits(branches=True)
    assert abs(after - before).max() > 0.1
    assert_allclose(after, naive_label_logprobs(engine, PROMPTS, LABELS), atol=1e-4, rtol=0)
    with adapted.disable_adapter():
        assert_allclose(engine.label_logprobs(PROMPTS, LABELS), before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("where", ["model.layers.1", "model.norm", "model.layers.0.self_attn", "model"])
def test_a_hook_is_called_since_the_models_own_code_runs_again(where):
    engine = tiny_engine("llama")
    before = engine.label_logprobs(PROMPTS, LABELS)
    calls = []
    hook = engine.model.get_submodule(where).register_forward_hook(lambda *call: calls.append(1))
    assert_allclose(engine.label_logprobs(PROMPTS, LABELS), before, atol=1e-4, rtol=0)
    assert calls
    hook.remove()
    calls.clear()
    engine.label_logprobs(PROMPTS, LABELS)
    assert not calls


def test_a_hook_on_a_projection_may_change_what_it_gives():
    engine = tiny_engine("llama")
    engine.model.model.layers[0].mlp.up_proj.register_forward_hook(lambda module, inputs, output: output * 2)
    expected = naive_label_logprobs(engine, PROMPTS, LABELS)
    assert_allclose(engine.label_logprobs(PROMPTS, LABELS), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "phi", "opt"])
def test_other_kinds_say_what_differs(name):
    assert "Llama kind" in tiny_engine(name).shortcuts["layers"]


def test_weights_that_change_are_used_at_once():
    engine = tiny_engine("llama")
    before = engine.label_logprobs(PROMPTS, LABELS)
    with torch.no_grad():
        for weight in engine.model.parameters():
            weight.mul_(1.1)
    expected = naive_label_logprobs(engine, PROMPTS, LABELS)
    received = engine.label_logprobs(PROMPTS, LABELS)
    assert abs(received - before).max() > 0.01
    assert_allclose(received, expected, atol=1e-4, rtol=0)


def test_arithmetic_is_counted_as_it_is_done(monkeypatch):
    from debias.inference.benchmark import measure_engine

    engine = tiny_engine("qwen2")
    flops = []

    def counted(function):
        def call(module, inputs, out):
            flops.append(2 * len(inputs) * module.weight.numel())
            return function(module, inputs, out)

        return call

    for name in ("product", "add_product"):
        monkeypatch.setattr(llama_pass, name, counted(getattr(llama_pass, name)))
    speed = measure_engine(engine, PROMPTS, LABELS, rounds=1)
    reads = 2 * engine.model.get_output_embeddings().weight.numel() * speed.token_counts.reads
    # The first of two passes goes before the clock runs; both are alike.
    assert speed.achieved * speed.seconds * 1e9 == pytest.approx(sum(flops) / 2 + reads)
