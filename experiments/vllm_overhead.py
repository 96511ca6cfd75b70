"""Measures what VLLMEngine adds to the time of a bare ``LLM.generate`` call with the same parameters.

Run it in the environment that `make test-vllm` creates:

    .venv-vllm/bin/python experiments/vllm_overhead.py

Both call the same LLM in the same process, interleaved, with the order swapped from round to round. The
engine gets texts and labels, and its time covers tokenization, the requests and the table; the bare call
gets token prompts and sampling parameters that were made beforehand. The prefix cache is emptied before
each call. The overhead is the median ratio of the rounds, less one.
"""

import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
from common import RESULTS, machine, make_prompts, markdown, settings_of

from debias.inference.labels import split_labels
from debias.inference.vllm.vllm_engine import VLLMEngine

SETTINGS = settings_of(__file__)
Turn = Callable[[], np.ndarray]


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
    """Return one row per round and system, interleaved."""
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
    """Return the report in Markdown."""
    ours, bare = (
        times[times["system"] == name].set_index("round")["seconds"]
        for name in ("VLLMEngine", "LLM.generate")
    )
    ratios = [float(ratio) for ratio in ours / bare]
    overhead = statistics.median(ratios) - 1
    verdict = "holds" if overhead < SETTINGS["claim"] else "does NOT hold"
    speeds = times.groupby("system")["prompts_per_second"].agg(["min", "median", "max"]).reset_index()
    speeds.columns = ["system", "least prompts/s", "median", "most"]
    versions = ", ".join(f"{name} {version}" for name, version in engine.versions().items())
    return "\n".join(
        [
            "# Overhead of VLLMEngine over the bare call",
            "",
            f"SmolLM2-135M-Instruct, {SETTINGS['prompts']} {SETTINGS['task'].upper()} prompts of"
            f" {n_tokens:.0f} tokens on average, {SETTINGS['shots']}-shot, {SETTINGS['dtype']},"
            f" {SETTINGS['rounds']} interleaved rounds. {machine()}, {versions}.",
            "",
            markdown(speeds),
            "",
            f"Time of VLLMEngine divided by that of LLM.generate:"
            f" {', '.join(f'{one:.3f}' for one in ratios)}; median {statistics.median(ratios):.3f}.",
            f"The claim of less than {SETTINGS['claim']:.0%} overhead {verdict}: {overhead:+.1%}.",
            f"Largest difference between their log-probabilities, with the prefix cache emptied before each:"
            f" {apart:.1e}.",
            "",
        ]
    )


def main() -> None:
    """Measure and write the report."""
    prompts, labels = make_prompts(SETTINGS["task"], SETTINGS["prompts"], SETTINGS)
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
    times.to_csv(RESULTS / "vllm_overhead.csv", index=False)
    (RESULTS / "vllm_overhead.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
