"""The vocabulary read in bfloat16: against float64, where the processor is said to be such a one."""

import numpy as np
import pytest
import torch

from debias.inference.transformers.vocabulary import shifted_products
from debias.inference.transformers.vocabulary.projection import project


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def such_a_processor(monkeypatch):
    """Any processor computes it, if slowly."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)


@pytest.mark.parametrize("peak", [0.02, 0.3, 1.0])
def test_means_of_log_probabilities_are_those_of_float64(such_a_processor, peak):
    states, weight = drawn(200, 64).bfloat16().float() * 4, (peak * drawn(9000, 64, seed=1)).bfloat16()
    logits = states.double() @ weight.double().t()
    reads = torch.arange(200)
    tokens = torch.where(reads % 2 == 0, logits.argmax(1), reads * 41)  # the most probable, or any
    expected = torch.log_softmax(logits, -1)[reads, tokens].numpy()
    assert shifted_products.pays(states, weight)
    received = project(states, weight, None, reads, tokens, near=True)
    exact = project(states, weight, None, reads, tokens)
    np.testing.assert_allclose(exact, expected, atol=3e-5, rtol=0)
    assert 0 < np.abs(received - exact).max() < 0.1  # it is another way, and no token is far off
    assert np.abs(received - expected)[::2].max() < 5e-3  # where the token's own logit is near the sum
    assert np.abs((received - expected)[::2].mean()) < 5e-4


def test_several_tokens_of_one_state_and_small_vocabularies(such_a_processor):
    states, weight = drawn(3, 8).bfloat16().float(), drawn(5000, 8, seed=1).bfloat16()
    reads, tokens = torch.tensor([0, 0, 2, 1]), torch.tensor([7, 4999, 0, 3])
    exact = project(states, weight, None, reads, tokens)
    np.testing.assert_allclose(project(states, weight, None, reads, tokens, near=True), exact, atol=0.02)
    few = weight[:100]
    reads, tokens = reads, tokens.clamp(max=99)
    near = project(states, few, None, reads, tokens, near=True)
    np.testing.assert_array_equal(near, project(states, few, None, reads, tokens))  # one slice is exact


def test_where_it_is_not_taken(such_a_processor, monkeypatch):
    rough, fine = drawn(4, 8).bfloat16(), drawn(4, 8)
    assert not shifted_products.pays(fine, rough)
    assert not shifted_products.pays(rough.float(), rough.float())
    for able in ({}, {"avx512_bf16": True, "amx_tile": True}, {"avx512_bf16": True, "amx_bf16": True}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        assert not shifted_products.pays(rough.float(), rough)
