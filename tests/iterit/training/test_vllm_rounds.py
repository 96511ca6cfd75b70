"""Rounds whose records a real vLLM scores, with the current adapter: against the trainer's own model.

`make test-vllm` runs this in an environment of its own.
"""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from debias.inference.models.export import export_model
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.training.saving.checkpoints import read_checkpoint

ROWS = [
    {
        "instruction": f"What comes after {n}?",
        "input": "",
        "output": f"After {n} comes {n + 1}, said the teacher.",
    }
    for n in range(16)
]
NEEDED = ("vllm", "peft")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # vLLM's own, of torch and of forks
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in NEEDED),
        reason="vllm is not installed: make test-vllm",
    ),
]


def test_each_round_is_scored_by_vllm_with_the_adapter_as_it_is(tmp_path):
    import transformers
    from peft import PeftModel

    from debias.inference.vllm.vllm_engine import VLLMEngine
    from iterit.records.instruction_records import Records
    from iterit.scoring.complexity import score_complexity
    from iterit.training.setup.trainer_setup import make_trainer
    from iterit.training.setup.training_settings import TrainingSettings
    from iterit.training.trainer import IterIT

    folder = export_model("demo", tmp_path / "base")
    settings = TrainingSettings(
        rounds=2, lora_rank=8, learning_rate=5e-3, batch_size=2, gradient_accumulation=1, device="cpu"
    )
    trainer = make_trainer(folder, tmp_path / "run", settings)
    options = {"enable_lora": True, "max_lora_rank": 8, "max_model_len": 256}
    with VLLMEngine(folder, dtype="float32", **options) as engine:
        iterit = IterIT(ROWS, ratio=0.25, engine=engine, show_progress=False)
        iterit.attach(trainer)
        trainer.train()
    state = iterit.rounds.state
    step = iterit.rounds.history[1]["step"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    records = Records.from_rows(ROWS)
    for number, n_scored in enumerate((16, 12)):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        if number:
            model = PeftModel.from_pretrained(model, tmp_path / "run" / f"checkpoint-{step}")
        scores = state.scores[state.scores["round"] == number]
        own = score_complexity(records, TransformersEngine(model, tokenizer), rows=scores["row"])
        np.testing.assert_allclose(scores["ifd"], own["ifd"], rtol=1e-2)
        assert len(scores) == n_scored
    moved = state.newest()["ifd"] - state.scores[state.scores["round"] == 0].set_index("row")["ifd"]
    assert moved.abs().max() > 0.05  # it is not the untrained model that scored


def test_the_command_line_has_vllm_score_the_rounds(tmp_path):
    """In a process of its own, as vLLM is started."""
    export_model("demo", tmp_path / "base")
    (tmp_path / "your.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    words = (
        "train your.jsonl --model base --out run --engine vllm --rounds 2 --ratio 0.25 --lora-rank 4"
        " --score-dtype float32 --learning-rate 5e-3 --batch-size 2 --gradient-accumulation 1 --device cpu"
    )
    done = subprocess.run(
        [sys.executable, "-m", "iterit.cli", *words.split()],
        capture_output=True, text=True, cwd=tmp_path, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 rounds of 4 picks from 16 records" in done.stdout
    kept = read_checkpoint(tmp_path / "run")
    assert kept.settings["scored_by"] == "VLLMEngine"
    moved = kept.state.newest()["ifd"] - kept.state.scores.query("round == 0").set_index("row")["ifd"]
    assert moved.abs().max() > 0.05
