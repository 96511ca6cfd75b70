"""What VLLMEngine adds to the time of the bare ``LLM.generate`` call with the same parameters.

Run, in the environment that `make test-vllm` makes:

    .venv-vllm/bin/python experiments/vllm_overhead.py

Both ask the same LLM in the same process, in turns, the order swapped from round to round: the engine
gets texts and labels, and its time covers tokenisation, the requests and the table; the bare call gets
token prompts and sampling parameters that were made before the clock runs. The prefix cache is emptied
before each turn. The overhead is the median of the rounds' ratios, less one.
"""

import os
import platform
import statistics
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd

from debias.inference.labels import split_labels
from debias.inference.texts.demonstrations import draw_demonstrations
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import load_task
from debias.inference.vllm.vllm_engine import VLLMEngine

HERE = Path(__file__).resolve().parent
SETTINGS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
RESULTS = HERE / "results" / "vllm_overhead"
Turn = Callable[[], np.ndarray]


def make_prompts() -> tuple[list[str], tuple[str, ...]]:
    """Prompts of rows with drawn demonstrations, and the labels with their space."""
    task = load_task(SETTINGS["task"])
    count = SETTINGS["prompts"] + SETTINGS["shots"]
    split = load_split(task, SETTINGS["split"], limit=count, seed=SETTINGS["seed"])
    shown, rows = draw_demonstrations(
        task, split.texts, split.labels, SETTINGS["shots"], seed=SETTINGS["seed"]
    )
    return [task.prompt(split.texts[row], shown) for row in rows[: SETTINGS["prompts"]]], task.continuations


def bare_call(engine: VLLMEngine, prompts: list[str], labels: tuple[str, ...]) -> Turn:
    """Return the call that a user of vLLM would write for labels of one token."""
    from vllm import SamplingParams

    split = split_labels(engine.encode, prompts, labels)
    (ids,) = {tuple(token for (token,) in tokens) for _, tokens in split}
    requests = [{"prompt_token_ids": context} for context, _ in split]
    parameters = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=list(ids), detokenize=False)

    def turn() -> np.ndarray:
        outputs = engine.llm.generate(requests, parameters, use_tqdm=False)
        return np.array([[one.outputs[0].logprobs[0][token].logprob for token in ids] for one in outputs])

    return turn


def measure(engine: VLLMEngine, turns: dict[str, Turn]) -> pd.DataFrame:
    """One row per round and system, in turns."""
    rows = []
    for number in range(SETTINGS["rounds"]):
        order = list(turns) if number % 2 == 0 else list(turns)[::-1]
        for name in order:
            engine.llm.reset_prefix_cache()
            start = time.perf_counter()
            turns[name]()
            seconds = time.perf_counter() - start
            speed = SETTINGS["prompts"] / seconds
            rows.append(
                {
                    "round": number,
                    "system": name,
                    "seconds": round(seconds, 4),
                    "prompts_per_second": round(speed, 1),
                }
            )
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def report(times: pd.DataFrame, engine: VLLMEngine, n_tokens: float, apart: float) -> str:
    """Return what was found, in Markdown."""
    ours, bare = (
        times[times["system"] == name].set_index("round")["seconds"]
        for name in ("VLLMEngine", "LLM.generate")
    )
    ratios = [float(ratio) for ratio in ours / bare]
    overhead = statistics.median(ratios) - 1
    verdict = "holds" if overhead < SETTINGS["claim"] else "does NOT hold"
    speeds = times.groupby("system")["prompts_per_second"].agg(["min", "median", "max"]).reset_index()
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in speeds.to_numpy()]
    versions = ", ".join(f"{name} {version}" for name, version in engine.versions().items())
    return "\n".join(
        [
            "# What VLLMEngine adds to the bare call",
            "",
            f"SmolLM2-135M-Instruct, {SETTINGS['prompts']} {SETTINGS['task'].upper()} prompts of"
            f" {n_tokens:.0f} tokens on average, {SETTINGS['shots']}-shot, {SETTINGS['dtype']},"
            f" {SETTINGS['rounds']} rounds in turns. {platform.processor() or platform.machine()},"
            f" {os.cpu_count()} cores; Python {platform.python_version()}, {versions}.",
            "",
            "| system | least prompts/s | median | most |",
            "| --- | --- | --- | --- |",
            *lines,
            "",
            f"Time of VLLMEngine over that of LLM.generate: {', '.join(f'{one:.3f}' for one in ratios)};"
            f" median {statistics.median(ratios):.3f}.",
            f"The claim of less than {SETTINGS['claim']:.0%} overhead {verdict}: {overhead:+.1%}.",
            f"Largest difference between their log-probabilities, the prefix cache emptied before each:"
            f" {apart:.1e}.",
            "",
        ]
    )


def main() -> None:
    """Measure and write the report."""
    prompts, labels = make_prompts()
    with VLLMEngine(
        "demo", dtype=SETTINGS["dtype"], max_model_len=SETTINGS["max_model_len"], enforce_eager=True
    ) as engine:
        turns = {
            "VLLMEngine": lambda: engine.label_logprobs(prompts, labels),
            "LLM.generate": bare_call(engine, prompts, labels),
        }
        engine.facts()
        answers = []
        for turn in turns.values():
            engine.llm.reset_prefix_cache()
            answers.append(turn())
        apart = float(np.abs(answers[0] - answers[1]).max())
        times = measure(engine, turns)
        n_tokens = float(np.mean([len(tokens) for tokens in engine.encode(prompts)]))
        text = report(times, engine, n_tokens, apart)
    times.to_csv(RESULTS.with_suffix(".csv"), index=False)
    RESULTS.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
