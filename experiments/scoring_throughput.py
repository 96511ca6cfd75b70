"""Compares the rows scored per second by iterit and by a plain transformers loop, interleaved by block.

Run (the demo model comes from its wheel):

    python experiments/scoring_throughput.py ../shared/data/instructions/alpaca_52k.jsonl.gz
    python experiments/scoring_throughput.py instructions.jsonl --rows 64 --results small

The plain loop takes eight rows at a time in file order, pads them to the longest, computes all logits of
the question with its answer and of the answer alone, and reads the answer's tokens from them. Both
systems have the same weights, precision, threads, texts and tokens, and both times include tokenization.
Measured blocks are kept: the next run resumes an interrupted one. Delete the CSV to start over.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, settings_of

from debias.inference.benchmark import matrix_product_peak
from debias.inference.models.export import exported_model
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records, read_records
from iterit.scoring.complexity import score_complexity
from iterit.templates.named_templates import template_for
from iterit.templates.template import Template

SETTINGS = settings_of(__file__)
OURS, PLAIN = "iterit", "plain loop"
Score = Callable[[Sequence[int]], pd.DataFrame]


def plain_losses(model: Any, template: Template, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Mean negative log-likelihoods of texts after others: one padded batch, all logits."""
    tokenizer = template.tokenizer
    texts = [before + text for before, text in pairs]
    batch = tokenizer(
        texts,
        padding=True,
        padding_side="right",
        return_tensors="pt",
        return_offsets_mapping=True,
        truncation=True,
        max_length=SETTINGS["max_tokens"],
    )
    borders = torch.tensor([[len(before)] for before, _ in pairs])
    answers = (batch["offset_mapping"][:, :, 1] > borders) & (batch["attention_mask"] == 1)
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), batch["input_ids"][:, 1:].flatten(), reduction="none"
    ).view(len(pairs), -1)
    read = answers[:, 1:]
    return ((losses * read).sum(1) / read.sum(1)).tolist()


def plain_loop(records: Records, model: Any, template: Template) -> Score:
    """IFD of rows in file order, a few at a time."""

    def score(rows: Sequence[int]) -> pd.DataFrame:
        found = []
        for start in range(0, len(rows), SETTINGS["batch"]):
            turns = [template.turns(records[row])[0] for row in rows[start : start + SETTINGS["batch"]]]
            conditional = plain_losses(model, template, [(turn.prompt, turn.answer) for turn in turns])
            direct = plain_losses(model, template, [(turn.opening, turn.answer) for turn in turns])
            found.extend(zip(conditional, direct, strict=True))
        table = pd.DataFrame(found, columns=["conditional", "direct"], index=pd.Index(rows, name="row"))
        return table.assign(ifd=np.exp(table["conditional"] - table["direct"]))

    return score


def ours(records: Records, engine: TransformersEngine, template: Template) -> Score:
    """IFD of rows by iterit."""
    limit = SETTINGS["max_tokens"]
    return lambda rows: score_complexity(
        records, engine, template=template, rows=rows, max_tokens=limit, show_progress=False
    )


def drawn_rows(records: Records, n_rows: int) -> list[np.ndarray]:
    """Blocks of rows, drawn at random and in file order."""
    chosen = np.random.default_rng(SETTINGS["seed"]).choice(
        len(records), min(n_rows, len(records)), replace=False
    )
    return np.array_split(np.sort(chosen), min(SETTINGS["blocks"], len(chosen)))


def measure(
    systems: dict[str, Score], blocks: Sequence[np.ndarray], engine: Any, results: Path
) -> pd.DataFrame:
    """Return one row per block and system, interleaved; skip blocks that were measured before."""
    path = results.with_suffix(".csv")
    table = pd.read_csv(path) if path.exists() else pd.DataFrame()
    n_rows = sum(map(len, blocks))
    if not table.empty:
        table = table[table["of_rows"] == n_rows]
    until = time.monotonic() + 60 * SETTINGS["minutes"]
    for number, rows in enumerate(blocks):
        if time.monotonic() > until or (not table.empty and number in set(table["block"])):
            continue
        found = []
        for name in (OURS, PLAIN) if number % 2 else (PLAIN, OURS):
            work, started = engine.token_counts, time.perf_counter()
            scores = systems[name](rows.tolist())
            seconds, done = time.perf_counter() - started, engine.token_counts - work
            found.append(
                {
                    "block": number,
                    "of_rows": n_rows,
                    "system": name,
                    "rows": len(rows),
                    "seconds": round(seconds, 3),
                    "rows_per_second": round(len(rows) / seconds, 2),
                    "tokens": done.tokens,
                    "padding": done.padding,
                    "reads": done.reads,
                    "mean_ifd": round(float(scores["ifd"].mean()), 4),
                    "load": round(os.getloadavg()[0], 2),
                }
            )
            print(found[-1], flush=True)
        table = pd.concat([table, pd.DataFrame(found)], ignore_index=True)
        table.to_csv(path, index=False)
    return table.sort_values(["block", "system"])


def agreement(systems: dict[str, Score], exact: Score, rows: Sequence[int]) -> pd.DataFrame:
    """How near each system is to the same model in float32."""
    reference = exact(rows)
    found = []
    for name, score in systems.items():
        own = score(rows)
        gap = (own["conditional"] - reference["conditional"]).abs()
        found.append(
            {
                "system": name,
                "conditional: mean difference to float32, nats": f"{gap.mean():.5f}",
                "largest": f"{gap.max():.5f}",
                "IFD: mean difference": f"{(own['ifd'] - reference['ifd']).abs().mean():.5f}",
                "rank correlation of IFD": f"{own['ifd'].corr(reference['ifd'], method='spearman'):.5f}",
            }
        )
    return pd.DataFrame(found)


def arithmetic(table: pd.DataFrame, model: Any) -> float:
    """Return the arithmetic of the model's matrices in our blocks, in GFLOP/s."""
    own = table[table["system"] == OURS]
    layers = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name)
    vocabulary = model.get_output_embeddings().weight.numel()
    wanted = layers * own["tokens"].sum() + vocabulary * own["reads"].sum()
    return float(2e-9 * wanted / own["seconds"].sum())


def report(table: pd.DataFrame, close: pd.DataFrame, achieved: float, peak: float, results: Path) -> str:
    """Write and return the Markdown."""
    sums = table.groupby("system")[["rows", "seconds", "tokens", "padding", "reads"]].sum()
    speed = sums["rows"] / sums["seconds"]
    ratio, claim = speed[OURS] / speed[PLAIN], SETTINGS["claim"]
    blocks = table.pivot(index="block", columns="system", values="rows_per_second")
    ratios = (blocks[OURS] / blocks[PLAIN]).round(2)
    shown = table.groupby("system")["rows_per_second"].agg(["min", "median", "max"]).round(2).reset_index()
    shown.insert(1, "rows per second", [f"{speed[name]:.1f}" for name in shown["system"]])
    n_rows, of_rows = int(sums.loc[OURS, "rows"]), int(table["of_rows"].iloc[0])
    own = sums.loc[OURS]
    text = "\n".join(
        [
            "# Rows scored per second, iterit against a plain loop",
            "",
            f"SmolLM2-135M-Instruct, {SETTINGS['dtype']}, {n_rows} of {of_rows} drawn rows in {len(blocks)}"
            f" blocks, interleaved; the plain loop takes {SETTINGS['batch']} rows at a time in file order and"
            f" computes all logits. {machine('torch', 'transformers')}.",
            "",
            markdown(shown),
            "",
            f"- Throughput over all rows: {ratio:.2f}x"
            f" (claim of {claim:g}x: {'reached' if ratio >= claim else 'NOT reached'}); by block"
            f" {ratios.min():.2f} to {ratios.max():.2f}, median {ratios.median():.2f}.",
            f"- iterit ran {own['tokens'] / own['rows']:.0f} tokens per row through the model,"
            f" {own['padding']:.0f} of padding in total, and read {own['reads'] / own['rows']:.0f}"
            " positions per row.",
            f"- Arithmetic: {achieved:.0f} GFLOP/s, {100 * achieved / peak:.0f} % of the"
            f" {peak:.0f} that plain matrix products of the model's widths reach on this machine.",
            "",
            "## Difference from float32",
            "",
            markdown(close),
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
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS / "scoring_throughput",
        help="where to write, without a suffix",
    )
    given = parser.parse_args()
    records = read_records(given.records)
    blocks = drawn_rows(records, given.rows)
    with exported_model("demo") as folder:
        compare(records, blocks, folder, given.results)


def compare(records: Records, blocks: Sequence[np.ndarray], folder: Path, results: Path) -> None:
    """Measure both systems with a model."""
    engine = TransformersEngine(folder, dtype=SETTINGS["dtype"], device="cpu")
    template = template_for(engine.tokenizer)
    own_copy = TransformersEngine(folder, dtype=SETTINGS["dtype"], device="cpu").model
    systems = {OURS: ours(records, engine, template), PLAIN: plain_loop(records, own_copy, template)}
    for score in systems.values():
        score(blocks[0].tolist()[: SETTINGS["batch"]])
    table = measure(systems, blocks, engine, results)
    exact_rows = np.concatenate(blocks)[:: max(1, len(np.concatenate(blocks)) // SETTINGS["exact_rows"])]
    exact = TransformersEngine(folder, dtype="float32", device="cpu")
    few = exact_rows[: SETTINGS["exact_rows"]].tolist()
    close = agreement(systems, ours(records, exact, template), few)
    peak = matrix_product_peak(engine)
    print(report(table, close, arithmetic(table, engine.model), peak, results))


if __name__ == "__main__":
    main()
