"""Attention over segments against one softmax over all scores, and rows that cannot see each other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.inference.transformers.passes.forward import Forward
from debias.inference.transformers.passes.model_pass import Capabilities
from debias.inference.transformers.passes.varlen_attention import (
    AttentionPlan,
    Segments,
    attending_by,
)
from tests.support.prompt_rows import rows_of_many_lengths
from tests.support.tiny_models import tiny_engine, tiny_model


class Configuration:
    _attn_implementation = "sdpa"


def naive(query, key, value, sees, scale):
    """Softmax over all scores of one sequence, keys repeated for their heads."""
    group = query.shape[1] // key.shape[1]
    keys, values = (one.repeat_interleave(group, dim=1) for one in (key, value))
    scores = query @ keys.transpose(-1, -2) * scale
    return (torch.softmax(scores.masked_fill(~sees, -torch.inf), -1) @ values).transpose(1, 2)


@settings(deadline=None, max_examples=60)
@given(
    pieces=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.booleans()), min_size=1, max_size=4),
    n_shared=st.sampled_from([0, 1, 7]),
    heads=st.sampled_from([(4, 2), (3, 3), (6, 1)]),
    seed=st.integers(0, 1000),
)
def test_segments_against_one_softmax(pieces, n_shared, heads, seed):
    generator = torch.Generator().manual_seed(seed)
    segments, blocks, start = [], [], 0
    for length, count, masked in pieces:
        sees = torch.ones(length, length, dtype=torch.bool).tril().repeat(count, 1, 1)
        if masked:
            sees &= torch.rand(sees.shape, generator=generator) < 0.6
            sees |= torch.eye(length, dtype=torch.bool)
        mask = torch.zeros(sees.shape).masked_fill(~sees, -torch.inf) if masked else None
        segments.append(Segments(start, length, count, mask))
        blocks.extend(sees)
        start += length * count
    n_heads, n_key_heads = heads

    def draw(n, n_tokens):
        return torch.randn(1, n, n_tokens, 8, generator=generator)

    query, key, value = draw(n_heads, start), draw(n_key_heads, start), draw(n_key_heads, start)
    before = draw(n_key_heads, n_shared), draw(n_key_heads, n_shared)
    with attending_by(AttentionPlan(segments), Configuration()):
        received = torch.ops.debias.attend_to_segments(query, key, value, *before, 0.4)
    sees = torch.cat([torch.ones(start, n_shared, dtype=torch.bool), torch.block_diag(*blocks).bool()], 1)
    whole = (torch.cat(pair, dim=2) for pair in zip(before, (key, value), strict=True))
    torch.testing.assert_close(received, naive(query, *whole, sees, 0.4), atol=2e-6, rtol=1e-5)


def test_the_models_own_attention_is_back_afterwards_even_after_an_error():
    configuration = Configuration()
    with pytest.raises(KeyboardInterrupt), attending_by(AttentionPlan([]), configuration):
        assert configuration._attn_implementation != "sdpa"
        raise KeyboardInterrupt
    assert configuration._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["gpt2", "qwen2", "gpt_neox", "phi"])
@pytest.mark.parametrize("budget", [1, 40, 4096])
def test_rows_in_one_line_do_not_see_each_other(name, budget):
    model = tiny_model(name)
    rows = rows_of_many_lengths(17)
    alone = Forward(model, 1, Capabilities()).score(rows)
    together = Forward(
        model, budget, Capabilities(projects=True, shares=True, branches=True, packs=True)
    ).score(rows)
    for expected, received in zip(alone, together, strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-4, rtol=0)


def test_no_token_is_padding_and_what_is_shared_goes_through_once():
    engine = tiny_engine("qwen2")
    rows = rows_of_many_lengths(40, opening=30)
    seen = []
    engine.model.get_input_embeddings().register_forward_hook(lambda *call: seen.append(call[1][0].numel()))
    engine._forward.score(rows)
    contexts = {tuple(row.context[:n]) for row in rows for n in range(1, len(row.context) + 1)}
    inner = sum(len(row.tree.nodes) for row in rows)
    alone = sum(len(row.context) for row in rows)
    assert sum(seen) <= alone - 29 * 30 + inner  # the opening once, every other token at most once
    assert sum(seen) >= len(contexts)  # fewer would leave something out


def test_keys_of_a_beginning_are_taken_away_again():
    engine = tiny_engine("qwen2")
    engine._forward.score(rows_of_many_lengths(5))
    assert not any("_debias_prefix" in module.__dict__ for module in engine.model.modules())


@pytest.mark.slow
def test_compiled_layers_give_the_same_answers():
    engine = tiny_engine("phi")
    rows = rows_of_many_lengths(20)
    before = engine._forward.score(rows)
    said = engine._forward.compile()
    if said is not True and "compiler" in said.lower():
        pytest.skip(f"no compiler here: {said}")
    assert said is True
    for expected, received in zip(before, engine._forward.score(rows), strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-4, rtol=0)


def test_what_cannot_be_compiled_says_why():
    assert "no padding" in tiny_engine("mamba")._forward.compile()
    assert "faster" in tiny_engine("qwen2")._forward.compile()
