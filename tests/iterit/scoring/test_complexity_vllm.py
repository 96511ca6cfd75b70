"""IFD by a real vLLM, against transformers; `make test-vllm` runs this."""

import importlib.util

import pytest

from debias.inference.models.export import exported_model
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records
from iterit.scoring.complexity import score_complexity

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # vLLM's own, of torch and of forks
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"
    ),
]
RECORDS = Records.from_rows(
    [
        {"instruction": "Name the capital of France.", "input": "", "output": "Paris"},
        {"question": "How many legs has a spider?", "answer": "A spider has eight legs."},
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello, how can I help you?"},
                {"role": "user", "content": "Count to three."},
                {"role": "assistant", "content": "One, two, three."},
            ]
        },
    ]
)


def test_vllm_scores_as_transformers_does(tmp_path):
    from debias.inference.vllm.vllm_engine import VLLMEngine

    with exported_model("demo") as folder:
        expected = score_complexity(
            RECORDS, TransformersEngine(folder, dtype="float32", device="cpu"), show_progress=False
        )
        with VLLMEngine(folder, dtype="float32", max_model_len=512) as engine:
            scores = [
                score_complexity(RECORDS, engine, cache=tmp_path, show_progress=False) for _ in range(2)
            ]
    assert scores[0]["n_tokens"].tolist() == expected["n_tokens"].tolist()
    assert (scores[0]["conditional"] - expected["conditional"]).abs().max() < 1e-3
    assert (scores[0]["direct"] - expected["direct"]).abs().max() < 1e-3
    assert scores[1].equals(scores[0])
