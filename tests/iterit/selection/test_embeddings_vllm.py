"""Vectors of texts by a real vLLM: the last hidden state of each text, as transformers computes it.

`make test-vllm` runs this in an environment of its own.
"""

import importlib.util

import numpy as np
import pytest

TEXTS = ["a good day", "what a night this was", "good day to you all"]
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # vLLM's own, of torch and of forks
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"
    ),
]


def test_vllm_gives_the_vectors_of_its_model(tmp_path, monkeypatch):
    import torch
    import transformers

    from debias.inference.models.export import export_model
    from iterit.selection.embeddings import sentence_embeddings

    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    folder = export_model("demo", tmp_path)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    last = []
    for text in TEXTS:
        with torch.inference_mode():
            states = model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state
        last.append(torch.nn.functional.normalize(states[0, -1], dim=0).numpy())
    from vllm import LLM

    llm = LLM(model=str(folder), runner="pooling", dtype="float32", max_model_len=256)
    try:
        found = sentence_embeddings(TEXTS, llm)
    finally:
        llm.llm_engine.engine_core.shutdown()
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.array(last), atol=1e-3)
