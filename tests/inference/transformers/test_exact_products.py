"""Products by the units for bfloat16: only where they are exact, and only for a while."""

import numpy as np
import pytest
import torch

from debias.inference.transformers.vocabulary.exact_products import products_of_bfloat16
from debias.inference.transformers.vocabulary.projection import project

matmul = getattr(torch.backends.mkldnn, "matmul", None)
pytestmark = pytest.mark.skipif(matmul is None, reason="this release of torch has no such setting")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("biased", [False, True])
def test_log_probabilities_are_those_of_float64(biased):
    states, weight = drawn(40, 64).bfloat16().float() * 4, drawn(5000, 64, seed=1).bfloat16()
    bias = drawn(5000, seed=2).bfloat16() if biased else None
    reads, tokens = torch.arange(40), torch.arange(40) * 7
    logits = states.double() @ weight.double().t() + (0 if bias is None else bias.double())
    expected = torch.log_softmax(logits, -1)[reads, tokens]
    received = project(states, weight, bias, reads, tokens)
    np.testing.assert_allclose(received, expected, atol=2e-5, rtol=0)


def test_numbers_that_would_be_rounded_are_left_alone():
    rough, fine = drawn(4, 8).bfloat16(), drawn(4, 8)
    for states, weight, expected in (
        (rough.float(), rough, True),
        (fine, rough, False),
        (rough.float(), rough.float(), False),
    ):
        with products_of_bfloat16(states, weight) as used:
            assert used is expected
            assert (matmul.fp32_precision == "bf16") is expected


def test_the_setting_is_put_back_even_after_an_error():
    before = matmul.fp32_precision
    rough = drawn(4, 8).bfloat16()
    with pytest.raises(KeyboardInterrupt), products_of_bfloat16(rough.float(), rough):
        raise KeyboardInterrupt
    assert matmul.fp32_precision == before
    assert torch.get_float32_matmul_precision() == "highest"
