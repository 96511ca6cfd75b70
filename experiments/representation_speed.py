"""Compares the records turned into vectors per second by iterit and by plain loops, in turns.

Run (the demo model comes from its wheel):

    python experiments/representation_speed.py ../shared/data/instructions/alpaca_52k.jsonl.gz
    python experiments/representation_speed.py instructions.jsonl --rows 32 --results small

Both plain loops take one record at a time. One asks the causal model for its hidden states, as published
code does, and so computes logits, too; the other asks the decoder below it only. All have the same weights,
threads, records and tokens, and each takes its turn in float32 and in bfloat16; every time includes
tokenization. Vectors are compared by their cosine to those of the plain loop in float32.
Measured blocks are kept: the next run resumes an interrupted one. Delete the CSV to start over.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, settings_of

from debias.inference.models.export import exported_model
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records, read_records
from iterit.scoring.representations import record_vectors
from iterit.templates.named_templates import template_for
from iterit.templates.template import Template

SETTINGS = settings_of(__file__)
OURS, PLAIN, DECODER = "iterit", "plain loop", "plain loop without logits"
WHOLE = "float32"
Key = tuple[str, str]
Vectors = Callable[[np.ndarray], np.ndarray]


def plain_loop(records: Records, model: Any, template: Template, logits: bool) -> Vectors:
    """Vectors of rows, one record at a time."""

    def vectors(rows: np.ndarray) -> np.ndarray:
        found = []
        for row in rows.tolist():
            tokens = torch.tensor([template.encode(records[row], SETTINGS["max_tokens"]).input_ids])
            with torch.no_grad():
                if logits:
                    states = model(input_ids=tokens, output_hidden_states=True).hidden_states[-1][0]
                else:
                    states = model.model(input_ids=tokens).last_hidden_state[0]
            weights = torch.arange(1.0, len(states) + 1)
            found.append((weights[:, None] * states.float()).sum(0) / weights.sum())
        return torch.stack(found).numpy()

    return vectors


def ours(records: Records, engine: TransformersEngine, template: Template) -> Vectors:
    """Vectors of rows by iterit."""
    options: dict[str, Any] = {"max_tokens": SETTINGS["max_tokens"], "show_progress": False}
    return lambda rows: record_vectors(records, engine, template=template, rows=rows, **options)


def measure(
    systems: dict[Key, Vectors], blocks: list[np.ndarray], engines: dict[str, Any], path: Path
) -> pd.DataFrame:
    """Return one row per block and system, in turns; skip blocks that were measured before."""
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"block": []})
    for number, rows in enumerate(blocks):
        if number in set(table["block"]):
            continue
        found, vectors = [], {}
        keys = [*systems][number % len(systems) :] + [*systems][: number % len(systems)]
        for name, dtype in keys:
            engine = engines[dtype]
            before, started, processor = engine.token_counts, time.perf_counter(), time.process_time()
            vectors[name, dtype] = systems[name, dtype](rows)
            seconds, own = time.perf_counter() - started, time.process_time() - processor
            found.append(
                {
                    "block": number,
                    "system": name,
                    "dtype": dtype,
                    "rows": len(rows),
                    "seconds": round(seconds, 3),
                    "processor_seconds": round(own, 3),
                    "tokens": (engine.token_counts - before).tokens,
                    "load": round(os.getloadavg()[0], 2),
                }
            )
        exact = vectors[PLAIN, WHOLE]
        for one in found:
            one["least_cosine"] = cosines(vectors[one["system"], one["dtype"]], exact).min()
            print(one, flush=True)
        table = pd.concat([table, pd.DataFrame(found)], ignore_index=True)
        table.to_csv(path, index=False)
    return table


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of one array to the same row of the other."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def report(table: pd.DataFrame, n_tokens: float, results: Path) -> str:
    """Write and return the Markdown."""
    sums = table.groupby(["system", "dtype"])[["rows", "seconds", "processor_seconds", "tokens"]].sum()
    speed, work = sums["rows"] / sums["seconds"], sums["rows"] / sums["processor_seconds"]
    shown = pd.DataFrame(
        {
            "system": [name for name, _ in sums.index],
            "computes in": [dtype for _, dtype in sums.index],
            "rows per second": speed.round(2).to_numpy(),
            "rows per second of the processor": work.round(2).to_numpy(),
            "iterit in the same precision is faster by": [
                f"{speed[OURS, dtype] / one:.2f}" for (_, dtype), one in speed.items()
            ],
            "least cosine": [
                f"{one:.6f}" for one in table.groupby(["system", "dtype"])["least_cosine"].min()
            ],
        }
    )
    claim, fastest = SETTINGS["claim"], SETTINGS["dtypes"][-1]
    n_rows = int(sums.loc[(OURS, WHOLE), "rows"])

    def line(said: str, ours: str, plain: str) -> str:
        ratio = speed[OURS, ours] / speed[PLAIN, plain]
        verdict = "reached" if ratio >= claim else "NOT reached"
        return f"- {said}: {ratio:.2f}x the plain loop (claim of {claim:g}x: {verdict})."

    text = "\n".join(
        [
            "# Records turned into vectors per second, iterit against plain loops",
            "",
            f"SmolLM2-135M-Instruct, {n_rows} drawn Alpaca records of {n_tokens:.0f} tokens on average, in"
            f" {table['block'].nunique()} blocks, in turns; the machine's load was {table['load'].min():g} to"
            f" {table['load'].max():g}. Cosines are to the plain loop in {WHOLE}."
            f" {machine('torch', 'transformers')}.",
            "",
            markdown(shown),
            "",
            *[line(f"Both in {dtype}", dtype, dtype) for dtype in SETTINGS["dtypes"]],
            line(f"iterit in {fastest}, its default here, against the plain loop in {WHOLE}", fastest, WHOLE),
            f"- iterit put {sums.loc[(OURS, WHOLE), 'tokens'] / n_rows:.0f} tokens per record through the"
            " model: what records begin with alike is computed once.",
            "",
        ]
    )
    results.with_suffix(".md").write_text(text)
    return text


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", help="instruction records, such as alpaca_52k.jsonl.gz")
    parser.add_argument("--rows", type=int, default=SETTINGS["rows"])
    parser.add_argument("--results", type=Path, default=RESULTS / "representation_speed")
    given = parser.parse_args()
    records = read_records(given.records)
    chosen = np.random.default_rng(SETTINGS["seed"]).choice(len(records), given.rows, replace=False)
    blocks = np.array_split(np.sort(chosen), SETTINGS["blocks"])
    systems: dict[Key, Vectors] = {}
    engines: dict[str, Any] = {}
    for dtype in SETTINGS["dtypes"]:
        with exported_model("demo") as folder:
            engine, other = (TransformersEngine(folder, dtype=dtype, device="cpu") for _ in range(2))
        template = template_for(engine.tokenizer)
        systems |= {
            (PLAIN, dtype): plain_loop(records, other.model, template, logits=True),
            (DECODER, dtype): plain_loop(records, other.model, template, logits=False),
            (OURS, dtype): ours(records, engine, template),
        }
        engines[dtype] = engine
    for vectors in systems.values():
        vectors(blocks[0][:2])
    table = measure(systems, blocks, engines, given.results.with_suffix(".csv"))
    lengths = template.encode_all(records, chosen, SETTINGS["max_tokens"]).lengths
    print(report(table, float(lengths.mean()), given.results))


if __name__ == "__main__":
    main()
