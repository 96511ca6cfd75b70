"""A real vLLM loads recovered adapters, and pruned models without whole layers.

`make test-vllm` runs this in an environment of its own.
"""

import importlib.util

import numpy as np
import pytest

from debias.inference.models.export import export_model
from debias.inference.transformers.transformers_engine import TransformersEngine

PROMPTS = ["The capital of France is", "Water freezes at", "Two and two make"]
ANSWERS = [" Paris, as every child knows.", " zero degrees.", " four, and not five."]
NEEDED = ("vllm", "peft")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # vLLM's own, of torch and of forks
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in NEEDED),
        reason="vllm is not installed: make test-vllm",
    ),
]


@pytest.mark.parametrize("keep_first", [0, 4])
def test_vllm_scores_with_the_recovered_adapter_as_peft_does(keep_first, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from debias.inference.vllm.vllm_engine import VLLMEngine
    from iterit.training.pruned.adapter_recovery import recover
    from iterit.training.pruned.cutting import load_pruned
    from iterit.training.pruned.prune_settings import PruneSettings
    from iterit.training.pruned.pruning import prune
    from tests.support.pruned_models import with_random_adapter

    base = export_model("demo", tmp_path / "base")
    prune(base, tmp_path / "small", PruneSettings(share=0.5, keep_first=keep_first, keep_last=0))
    adapted = with_random_adapter(load_pruned(tmp_path / "small"), r=8)
    adapted.save_pretrained(tmp_path / "adapter")
    recover(tmp_path / "adapter", tmp_path / "recovered")
    tokenizer = AutoTokenizer.from_pretrained(base)
    whole = AutoModelForCausalLM.from_pretrained(base)
    plain = TransformersEngine(whole, tokenizer).continuation_logprobs(PROMPTS, ANSWERS)
    large = PeftModel.from_pretrained(whole, tmp_path / "recovered").eval()
    expected = TransformersEngine(large, tokenizer).continuation_logprobs(PROMPTS, ANSWERS)
    options = {"dtype": "float32", "max_model_len": 256}
    with VLLMEngine(base, enable_lora=True, max_lora_rank=8, **options) as engine:
        engine.use_adapter(tmp_path / "recovered")
        found = engine.continuation_logprobs(PROMPTS, ANSWERS)
    for own, other, before in zip(found, expected, plain, strict=True):
        np.testing.assert_allclose(own, other, atol=2e-2)
        assert np.abs(other - before).max() > 0.1  # the adapter does something
    if keep_first:
        return
    small = TransformersEngine(load_pruned(tmp_path / "small").eval(), tokenizer)
    with VLLMEngine(tmp_path / "small", **options) as engine:
        found = engine.continuation_logprobs(PROMPTS, ANSWERS)
    for own, other in zip(found, small.continuation_logprobs(PROMPTS, ANSWERS), strict=True):
        np.testing.assert_allclose(own, other, atol=2e-2)
