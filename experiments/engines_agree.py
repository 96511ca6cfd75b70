"""Compares the answers and the speed of every engine on the same prompts.

Run it in the environment that `make test-vllm` creates:

    .venv-vllm/bin/python experiments/engines_agree.py

TransformersEngine in float32 is the reference. vLLM runs in this process, and as a server on 127.0.0.1
that OpenAIEngine queries. The labels have one token each, or several tokens with shared first ones.
Loading is not timed; each engine answers a few prompts as a warm-up.
Writes experiments/results/engines_agree.csv and .md.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
from common import RESULTS, machine, make_prompts, markdown, settings_of

from debias.inference.engine import Engine
from debias.inference.models.export import exported_model
from debias.inference.openai.openai_engine import OpenAIEngine
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.vllm.vllm_engine import VLLMEngine

SETTINGS = settings_of(__file__)


@contextlib.contextmanager
def served(folder: Path, dtype: str) -> Iterator[str]:
    """Address of a vLLM server of the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "demo"]
    command += ["--dtype", dtype, "--max-model-len", "1024", "--enforce-eager"]
    command += ["--hf-overrides", '{"head_dtype": "float32"}']
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | settings, start_new_session=True
        )
        try:
            wait_for(process, f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(process: subprocess.Popen, address: str) -> None:
    """Wait until a server is ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(1200):
        if process.poll() is not None:
            raise SystemExit("the server ended before it was ready")
        with contextlib.suppress(urllib.error.URLError, OSError), opener.open(address, timeout=5):
            return
        time.sleep(0.5)
    raise SystemExit("the server was not ready in time")


def ask(name: str, engine: Engine, jobs: dict[str, tuple], kept: dict) -> None:
    """Answer every job, and keep answers and seconds."""
    for kind, (prompts, labels) in jobs.items():
        engine.label_logprobs(prompts[:4], labels)
        started = time.perf_counter()
        scores = engine.label_scores(prompts, labels)
        kept[kind, name] = scores, time.perf_counter() - started
        print(kind, name, f"{len(prompts) / kept[kind, name][1]:.1f} prompts/s", flush=True)


def measure(jobs: dict[str, tuple]) -> dict:
    """Ask every engine."""
    kept: dict = {}
    with exported_model("demo") as folder:
        for dtype in ("float32", "bfloat16"):
            ask(f"transformers, {dtype}", TransformersEngine(folder, dtype=dtype, device="cpu"), jobs, kept)
        dtype = SETTINGS["vllm_dtype"]
        with VLLMEngine(folder, dtype=dtype, max_model_len=1024, enforce_eager=True) as engine:
            ask(f"vLLM, {dtype}", engine, jobs, kept)
        with served(Path(folder), dtype) as address:
            ask(f"vLLM served, {dtype}", OpenAIEngine(address, "demo", tokenizer=folder), jobs, kept)
            if SETTINGS["top"]:
                engine = OpenAIEngine(address, "demo", style="completions", top=20)
                few = {kind: job for kind, job in jobs.items() if kind == "one token"}
                ask(f"vLLM served, {dtype}, its top 20 alone", engine, few, kept)
    return kept


def table_of(jobs: dict[str, tuple], kept: dict) -> pd.DataFrame:
    """One row per job and engine."""
    rows = []
    for (kind, name), (scores, seconds) in kept.items():
        exact = kept[kind, "transformers, float32"][0].logprobs
        known = ~scores.is_bound if scores.is_bound is not None else np.ones(exact.shape, dtype=bool)
        gap = np.abs(scores.logprobs - exact)[known]
        bounds_hold = (scores.logprobs >= exact - 0.5)[~known].all() if (~known).any() else True
        rows.append(
            {
                "labels": kind,
                "engine": name,
                "prompts": len(exact),
                "prompts per second": round(len(exact) / seconds, 1),
                "mean difference, nats": f"{gap.mean():.5f}",
                "largest difference": f"{gap.max():.4f}",
                "same argmax, %": round(
                    100 * float((scores.logprobs.argmax(1) == exact.argmax(1)).mean()), 1
                ),
                "bounds": int((~known).sum()),
                "bounds hold": bool(bounds_hold),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Measure and write the report."""
    single, labels = make_prompts(SETTINGS["task"], SETTINGS["single"], SETTINGS)
    several = single[: SETTINGS["several"]]
    jobs = {"one token": (single, labels), "several tokens": (several, tuple(SETTINGS["labels"]))}
    table = table_of(jobs, measure(jobs)).sort_values("labels", kind="stable")
    table.to_csv(RESULTS / "engines_agree.csv", index=False)
    text = f"""# The same prompts through every engine

SmolLM2-135M-Instruct, {len(single)} {SETTINGS["task"].upper()} prompts with the task's labels, and
{len(several)} of them with the labels {", ".join(repr(one) for one in SETTINGS["labels"])}.
{SETTINGS["shots"]}-shot. {machine("torch", "transformers")}.
Differences are from TransformersEngine in float32, over the log-probabilities that are not bounds. A bound
holds if the float32 answer exceeds it by no more than the error of bfloat16 (0.5).

{markdown(table)}
"""
    (RESULTS / "engines_agree.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
