"""Compares the prompts per second of TransformersEngine and lm-evaluation-harness, interleaved.

Run it in a separate environment (the harness brings many packages):

    python -m venv .venv-throughput
    .venv-throughput/bin/pip install -c constraints-cpu.txt -e . "lm-eval[hf]==0.4.13"
    .venv-throughput/bin/pip install --no-deps -r requirements-demo.txt
    .venv-throughput/bin/python experiments/inference_throughput.py ../shared/data

The folder holds pubmedqa/ori_pqal.json; without it that task is omitted. Both systems get the same
prompts, labels, weights, precision and threads in the same process; loading is not timed, and each makes
one warm-up pass. The harness keeps its own shortcuts (sorting by length, one forward pass for all
one-token labels of a prompt). The best rounds are compared, because other work on the machine can only
slow a round down; the CSV holds all of them. The report also gives each system's difference from float32.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, make_prompts, markdown, settings_of
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from debias.inference.benchmark import measure_engine
from debias.inference.models.export import exported_model
from debias.inference.models.loading import quiet
from debias.inference.transformers.transformers_engine import TransformersEngine

SETTINGS = settings_of(__file__)
Score = Callable[[], np.ndarray]
OURS, OWN_CODE = "debias TransformersEngine", "the same, with the layers' own code"
HARNESS = "lm-evaluation-harness 0.4.13 (hf)"


def harness(folder: Path, prompts: list[str], labels: tuple[str, ...]) -> Score:
    """Log-probabilities of all labels by the harness's own back end."""
    with quiet():
        back_end = HFLM(
            pretrained=str(folder),
            dtype=SETTINGS["dtype"],
            batch_size=SETTINGS["harness_batch"],
            device="cpu",
        )
    pairs = [(prompt, label) for prompt in prompts for label in labels]
    requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]

    def score() -> np.ndarray:
        answers = back_end.loglikelihood(requests, disable_tqdm=True)
        return np.array([value for value, _ in answers]).reshape(len(prompts), len(labels))

    return score


def timed(score: Score) -> float:
    """Seconds of one pass over all prompts."""
    start = time.perf_counter()
    score()
    return time.perf_counter() - start


def measure(task: str, n_prompts: int, systems: dict[str, Score]) -> pd.DataFrame:
    """Return one row per round and system, interleaved."""
    rows = []
    for number in range(SETTINGS["rounds"]):
        for name, score in systems.items():
            load, seconds = os.getloadavg()[0], timed(score)
            rows.append(
                {
                    "task": task,
                    "round": number,
                    "system": name,
                    "seconds": round(seconds, 3),
                    "prompts_per_second": round(n_prompts / seconds, 1),
                    "load_before": round(load, 2),
                }
            )
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def normalised(scores: np.ndarray) -> np.ndarray:
    """Class probabilities of label log-probabilities."""
    values = np.exp(scores - scores.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def agreement(task: str, answers: dict[str, np.ndarray], exact: np.ndarray) -> pd.DataFrame:
    """How far each system's class probabilities are from float32, and how often argmax agrees."""
    reference = normalised(exact)
    rows: list[dict[str, Any]] = []
    for name, scores in answers.items():
        own = normalised(scores)
        rows.append(
            {
                "task": task,
                "system": name,
                "mean absolute difference to float32": round(float(np.abs(own - reference).mean()), 5),
                "largest difference": round(float(np.abs(own - reference).max()), 4),
                "same argmax": round(float((own.argmax(1) == reference.argmax(1)).mean()), 4),
            }
        )
    return pd.DataFrame(rows)


def profile(
    task: str, name: str, engine: TransformersEngine, prompts: list[str], labels: Any
) -> dict[str, Any]:
    """Return what part of the machine's peak is reached, and what the time is spent on."""
    speed = measure_engine(engine, prompts, labels, rounds=1)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that all is done in this thread, which is the one that is watched
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        started = time.perf_counter()
        engine.label_logprobs(prompts, labels)
        total = (time.perf_counter() - started) * 1e6
    torch.set_num_threads(n_threads)

    def share(*words: str) -> str:
        found = [e for e in seen.key_averages() if any(word in e.key for word in words)]
        return f"{100 * sum(e.self_cpu_time_total for e in found) / total:.0f}"

    products, attention = ("aten::mm", "aten::addmm", "linear"), ("attention", "attend_to_segments")
    known = [float(share(*words)) for words in (products, attention)]
    return {
        "task": task,
        "system": name,
        "tokens computed / of prompts, %": f"{100 * speed.token_counts.tokens / speed.prompt_tokens:.0f}",
        "padding, %": f"{100 * speed.padding:.1f}",
        "GFLOP/s": f"{speed.achieved:.0f}",
        "peak, GFLOP/s": f"{speed.peak:.0f}",
        "share of peak, %": f"{100 * speed.share_of_peak:.0f}",
        "time in matrix products, %": f"{known[0]:.0f}",
        "in attention, %": f"{known[1]:.0f}",
        "in the rest, %": f"{100 - sum(known):.0f}",
    }


def write_report(times: pd.DataFrame, close: pd.DataFrame, parts: pd.DataFrame) -> str:
    """Write CSV and Markdown; return the Markdown."""
    groups = times.groupby(["task", "system"], sort=False)["prompts_per_second"]
    speeds = groups.agg(["min", "median", "max"]).reset_index()
    lines = []
    for task, claim in SETTINGS["claims"].items():
        own = times[times.task == task].pivot(index="round", columns="system", values="prompts_per_second")
        if own.empty:
            continue
        for name in (OURS, OWN_CODE):
            ratios = (own[name] / own[HARNESS]).tolist()
            # Other work on the machine can only slow a round down, so the best rounds are compared.
            best = own[name].max() / own[HARNESS].max()
            verdict = "reached" if best >= claim else "NOT reached"
            said = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(
                f"- {task}, {name}: {best:.2f}x, best round against best round"
                f" (claim of {claim:g}x: {verdict}); per round {said};"
                f" median {statistics.median(ratios):.2f}."
            )
    counts = ", ".join(f"{count} {task}" for task, count in SETTINGS["prompts"].items())
    text = "\n".join(
        [
            "# Throughput of TransformersEngine, interleaved with lm-evaluation-harness",
            "",
            f"SmolLM2-135M-Instruct, {counts} prompts, {SETTINGS['shots']}-shot, {SETTINGS['dtype']},"
            f" {SETTINGS['rounds']} interleaved rounds. {machine('torch', 'transformers')}.",
            "",
            markdown(speeds),
            "",
            *lines,
            "",
            "## Where the time goes",
            "",
            "The peak is that of plain matrix products of the model's widths on all cores; shares of time"
            " are those of one core. The rest is normalization, rotary positions, activations, copies,"
            " sums over the vocabulary, tokenization and Python.",
            "",
            markdown(parts),
            "",
            "## Difference from float32",
            "",
            markdown(close),
            "",
        ]
    )
    times.to_csv(RESULTS / "inference_throughput.csv", index=False)
    (RESULTS / "inference_throughput.md").write_text(text)
    return text


def main() -> None:
    """Measure and write the report."""
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    times, close, parts = [], [], []
    with exported_model("demo") as folder:
        dtype = SETTINGS["dtype"]
        ours = TransformersEngine(folder, dtype=dtype, device="cpu")
        own_code = TransformersEngine(folder, dtype=dtype, device="cpu")
        own_code._forward.passes.pop(0)  # the pass for Llama
        exact = TransformersEngine(folder, dtype="float32", device="cpu")
        for task, count in SETTINGS["prompts"].items():
            if task == "pubmedqa" and given is None:
                continue
            data = given / "pubmedqa" / "ori_pqal.json" if given and task == "pubmedqa" else None
            prompts, labels = make_prompts(task, count, SETTINGS, data)
            systems = {
                OURS: lambda p=prompts, k=labels: ours.label_logprobs(p, k),
                OWN_CODE: lambda p=prompts, k=labels: own_code.label_logprobs(p, k),
                HARNESS: harness(folder, prompts, labels),
            }
            answers = {name: score() for name, score in systems.items()}
            few = slice(0, SETTINGS["exact_prompts"])
            reference = exact.label_logprobs(prompts[few], labels)
            close.append(agreement(task, {k: v[few] for k, v in answers.items()}, reference))
            times.append(measure(task, count, systems))
            for name, engine in ((OURS, ours), (OWN_CODE, own_code)):
                parts.append(profile(task, name, engine, prompts, labels))
    print(write_report(pd.concat(times), pd.concat(close), pd.DataFrame(parts)))


if __name__ == "__main__":
    main()
