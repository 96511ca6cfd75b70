"""Prompts per second of TransformersEngine and of lm-evaluation-harness, measured in turns.

Run, in an environment of its own (the harness brings many packages):

    python -m venv .venv-throughput
    .venv-throughput/bin/pip install -c constraints-cpu.txt -e . "lm-eval[hf]==0.4.13"
    .venv-throughput/bin/pip install --no-deps -r requirements-demo.txt
    .venv-throughput/bin/python experiments/inference_throughput.py

Both get the same prompts, labels, weights, precision and threads, in the same process; loading is
not timed, and each has one pass before the clock runs. The harness keeps its own shortcuts
(sorting by length, one forward for all one-token labels of a prompt). The best rounds decide, as other
work on a machine only slows a round down; all are in the CSV. How far each system is from the same
model in float32 is reported as well.
"""

import os
import platform
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from debias.inference.demonstrations import draw_demonstrations
from debias.inference.loading import load_model, quiet
from debias.inference.sources import load_split
from debias.inference.tasks import load_task
from debias.inference.transformers import TransformersEngine

HERE = Path(__file__).resolve().parent
SETTINGS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
RESULTS = HERE / "results" / "inference_throughput"
Score = Callable[[], np.ndarray]


def make_prompts() -> tuple[list[str], tuple[str, ...]]:
    """Prompts of held-in rows with one drawn demonstration, and the labels with their space."""
    task = load_task(SETTINGS["task"])
    count = SETTINGS["prompts"] + SETTINGS["shots"]
    split = load_split(task, SETTINGS["split"], limit=count, seed=SETTINGS["seed"])
    shown, rows = draw_demonstrations(
        task, split.texts, split.labels, SETTINGS["shots"], seed=SETTINGS["seed"]
    )
    return [task.prompt(split.texts[row], shown) for row in rows[: SETTINGS["prompts"]]], task.continuations


def save_plain_copy(folder: str) -> None:
    """Write the demo weights as an ordinary model that both systems can load."""
    model, tokenizer = load_model("demo", dtype="float32")
    settings = model.config.to_dict()
    settings.pop("quantization_config", None)
    config = type(model.config).from_dict(settings)
    plain = transformers.AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def harness(folder: str, prompts: list[str], labels: tuple[str, ...]) -> Score:
    """Log-probabilities of all labels by the harness's own back end."""
    with quiet():
        back_end = HFLM(
            pretrained=folder, dtype=SETTINGS["dtype"], batch_size=SETTINGS["harness_batch"], device="cpu"
        )
    pairs = [(prompt, label) for prompt in prompts for label in labels]
    requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]

    def score() -> np.ndarray:
        answers = back_end.loglikelihood(requests, disable_tqdm=True)
        return np.array([value for value, _ in answers]).reshape(len(prompts), len(labels))

    return score


def engine(folder: str, prompts: list[str], labels: tuple[str, ...], dtype: str) -> Score:
    """Log-probabilities of all labels by this project."""
    ours = TransformersEngine(folder, dtype=dtype, device="cpu")
    return lambda: ours.label_logprobs(prompts, labels)


def timed(score: Score) -> float:
    """Seconds of one pass over all prompts."""
    start = time.perf_counter()
    score()
    return time.perf_counter() - start


def measure(systems: dict[str, Score]) -> pd.DataFrame:
    """One row per round and system, in turns."""
    rows = []
    for number in range(SETTINGS["rounds"]):
        for name, score in systems.items():
            load, seconds = os.getloadavg()[0], timed(score)
            speed = SETTINGS["prompts"] / seconds
            rows.append(
                {
                    "round": number,
                    "system": name,
                    "seconds": round(seconds, 3),
                    "prompts_per_second": round(speed, 1),
                    "load_before": round(load, 2),
                }
            )
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def normalised(scores: np.ndarray) -> np.ndarray:
    """Class probabilities of label log-probabilities."""
    values = np.exp(scores - scores.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def agreement(answers: dict[str, np.ndarray], exact: np.ndarray) -> pd.DataFrame:
    """How far each system's class probabilities are from float32, and how often argmax agrees."""
    reference = normalised(exact)
    rows: list[dict[str, Any]] = []
    for name, scores in answers.items():
        own = normalised(scores)
        rows.append(
            {
                "system": name,
                "mean absolute difference to float32": round(float(np.abs(own - reference).mean()), 5),
                "largest difference": round(float(np.abs(own - reference).max()), 4),
                "same argmax": round(float((own.argmax(1) == reference.argmax(1)).mean()), 4),
            }
        )
    return pd.DataFrame(rows)


def machine() -> str:
    """One line about where this ran."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0].split(":", 1)[1].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads;"
        f" Python {platform.python_version()}, torch {torch.__version__},"
        f" transformers {transformers.__version__}"
    )


def write_report(times: pd.DataFrame, close: pd.DataFrame) -> str:
    """Write CSV and Markdown; return the Markdown."""
    speeds = (
        times.groupby("system", sort=False)["prompts_per_second"].agg(["min", "median", "max"]).reset_index()
    )
    pivot = times.pivot(index="round", columns="system", values="prompts_per_second")
    first, second = times["system"].unique()
    ratios = (pivot[first] / pivot[second]).tolist()
    # Other work on the machine only ever slows a round down, so the best rounds are compared.
    best = speeds["max"].iloc[0] / speeds["max"].iloc[1]
    verdict = "reached" if best >= SETTINGS["claim"] else "NOT reached"
    text = "\n".join(
        [
            "# Prompts per second, TransformersEngine against lm-evaluation-harness",
            "",
            f"SmolLM2-135M-Instruct, {SETTINGS['prompts']} {SETTINGS['task'].upper()} prompts,"
            f" {SETTINGS['shots']}-shot, {SETTINGS['dtype']}, {SETTINGS['rounds']} rounds in turns."
            f" {machine()}.",
            "",
            _markdown(speeds),
            "",
            f"Best round against best round: {best:.2f} times; {SETTINGS['claim']:g} times: {verdict}.",
            f"Ratio per round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median"
            f" {statistics.median(ratios):.2f}.",
            "",
            _markdown(close),
            "",
        ]
    )
    times.to_csv(RESULTS.with_suffix(".csv"), index=False)
    RESULTS.with_suffix(".md").write_text(text)
    return text


def _markdown(frame: pd.DataFrame) -> str:
    """Return a Markdown table."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Measure and write the report."""
    prompts, labels = make_prompts()
    with tempfile.TemporaryDirectory() as folder:
        save_plain_copy(folder)
        systems = {
            "debias TransformersEngine": engine(folder, prompts, labels, SETTINGS["dtype"]),
            "lm-evaluation-harness 0.4.13 (hf)": harness(folder, prompts, labels),
        }
        answers = {name: score() for name, score in systems.items()}
        exact = engine(folder, prompts, labels, "float32")()
        times = measure(systems)
    print(write_report(times, agreement(answers, exact)))


if __name__ == "__main__":
    main()
