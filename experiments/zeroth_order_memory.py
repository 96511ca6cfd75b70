"""Measures the memory of forward-only training against inference, LoRA and full fine-tuning, at one batch.

Run it from the repository root (some minutes on one core; each kind of step is a process of its own):

    python experiments/zeroth_order_memory.py

SmolLM2-135M-Instruct in float32, batches of random tokens. Peak resident memory is that of the whole
process, by the operating system, from after the model is loaded. Allocation counts are torch's: the largest
sum of what the tensors of a step hold at once, beside the weights. Writes
experiments/results/zeroth_order_memory.md.
"""

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, rounded, settings_of
from torch.profiler import ProfilerActivity, profile

from debias.inference.labels import label_tree
from debias.inference.models.export import export_model
from debias.inference.models.new_adapter import with_seeded_adapter
from debias.inference.transformers.passes.packing import Row
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.zeroth_order.forward_training import ForwardTraining
from debias.inference.zeroth_order.perturbed_forward import PerturbedForward
from debias.inference.zeroth_order.run_log import RunHeader, RunLog
from debias.inference.zeroth_order.trained_part import TrainedPart

KINDS = ("inference", "MeZO", "Sparse MeZO", "MeZO, adapter", "LoRA, AdamW", "full, AdamW")
MIB = 2**20


def rows_of(settings: dict[str, Any], vocabulary: int) -> list[Row]:
    """Random rows, each with two labels of one token."""
    random = np.random.default_rng(settings["seed"])
    tokens = random.integers(10, vocabulary, size=(settings["n_rows"], settings["n_tokens"]))
    return [Row(own.tolist(), label_tree(((11,), (12,)))) for own in tokens]


def step_of(kind: str, model: str, settings: dict[str, Any]) -> Callable[[], object]:
    """Return what takes a step of a kind."""
    engine = TransformersEngine(model, dtype="float32")
    rows = rows_of(settings, engine.model.config.vocab_size)
    if "adapter" in kind or "LoRA" in kind:
        adapted = with_seeded_adapter(engine.model, settings["rank"])
        engine = TransformersEngine(adapted, engine.tokenizer)
    if kind == "inference":
        return lambda: engine.forward.score(rows)
    if "MeZO" in kind:
        part = TrainedPart.of(engine.model, 0.75 if "Sparse" in kind else 0.0)
        header = RunHeader("", part.thresholds_digest(), 1e-3)
        training = ForwardTraining(PerturbedForward(engine.model, part, engine.forward), RunLog(None, header))
        return lambda: training.step(
            [lambda: -sum(float(one.sum()) for one in engine.forward.score(rows))], 1e-9
        )
    return gradient_step(engine.model, rows)


def gradient_step(model: Any, rows: list[Row]) -> Callable[[], object]:
    """Return a step of AdamW on the same rows; the vocabulary is computed at the last position only."""
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-9)
    ids = torch.tensor([row.context for row in rows])
    base = model.get_base_model() if hasattr(model, "get_base_model") else model

    def step() -> None:
        model.train()
        states = base.model(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
        logits = base.lm_head(states)
        torch.nn.functional.cross_entropy(logits, torch.full((len(ids),), 11)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def resident() -> int:
    """Resident memory now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def most_allocated(step: Callable[[], object]) -> int:
    """Largest sum of the bytes that torch holds at once in a step, counted from its beginning."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    held = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def measure(kind: str, model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Memory of a kind of step."""
    torch.set_num_threads(1)
    step = step_of(kind, model, settings)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident()
    begun = time.process_time()
    for _ in range(settings["n_repeats"]):
        step()
    seconds = (time.process_time() - begun) / settings["n_repeats"]
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    return {
        "step": kind,
        "peak resident MiB": int(status) / 1024,
        "before the steps": before / MIB,
        "allocated in a step, MiB": most_allocated(step) / MIB,
        "CPU seconds": seconds,
        "highest of the process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure each kind in a process of its own, and write the results as they come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--model", help="folder of the model; a copy of the demo model by default")
    parser.add_argument("--kind", choices=KINDS, help="measure one kind alone, and print it")
    options = parser.parse_args()
    settings = settings_of(__file__)
    if options.kind:
        print(json.dumps(measure(options.kind, options.model, settings)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or str(export_model("demo", Path(folder) / "model"))
        found = []
        for kind in KINDS:
            words = [sys.executable, __file__, "--model", model, "--kind", kind]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            write(pd.DataFrame(found), settings, options.out)


def write(found: pd.DataFrame, settings: dict[str, Any], out: Path) -> None:
    """Write what there is, each beside inference."""
    shown = found.drop(columns="highest of the process")
    shown.insert(2, "of inference", shown["peak resident MiB"] / shown["peak resident MiB"].iloc[0])
    text = (
        "# Memory of training by forward passes, against inference and gradients\n\n"
        f"SmolLM2-135M-Instruct (134.5 million weights, 513 MiB) in float32, a batch of {settings['n_rows']}"
        f" rows of {settings['n_tokens']} tokens, one thread. {machine('torch', 'transformers', 'peft')}."
        " Peak resident: the whole process, from after the model is loaded. Allocated: the largest sum of"
        " what torch holds at once in a step, beside weights and what earlier steps keep; the states of AdamW"
        " are kept, so they are in the resident memory only. Gradients are computed with the vocabulary at"
        f" one position of each row.\n\n{markdown(rounded(shown, {'of inference': 3}))}\n"
    )
    (out / "zeroth_order_memory.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
