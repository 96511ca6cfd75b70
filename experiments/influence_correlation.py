"""Compares influence by loss drops with exact dot products of gradients, record by record.

Run (the demo model comes from its wheel):

    python experiments/influence_correlation.py ../shared/data/instructions
    python experiments/influence_correlation.py ../shared/data/instructions --rows 20 --results small

The folder holds alpaca_52k.jsonl.gz, the pool, and dolly_3k.json, the query. The referee computes the
gradient of every record's answer loss by a backward pass of its own, in float32, and its dot product
with the mean gradient of the query: over all weights, and over the adapter that the product trains (its
files are read). The product takes one pass over the pool before and one after its step on the query.
Rows that were measured are kept: the next run resumes an interrupted one. Delete the CSV to start over.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, settings_of
from scipy.stats import spearmanr

from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records, read_records
from iterit.scoring.answer_losses import answer_losses
from iterit.scoring.loss_drop import loss_drop
from iterit.templates.named_templates import template_for
from iterit.training.query_steps import trained_on

SETTINGS = settings_of(__file__)
ADAPTER = "adapter"


def drawn(path: Path, n_rows: int, max_tokens: int, tokenizer: Any) -> Records:
    """Draw records from those whose tokens fit into a limit."""
    records = read_records(str(path))
    order = np.random.default_rng(SETTINGS["seed"]).permutation(len(records))
    lengths = template_for(tokenizer).encode_all(records, order[: 8 * n_rows]).lengths
    order = order[: len(lengths)][lengths <= max_tokens]
    return records.take(np.sort(order[:n_rows]))


class Referee:
    """Gradients of an untrained adapter, or of all weights, by backward passes."""

    def __init__(self, kind: str, adapter: Path) -> None:
        from peft import PeftModel

        engine = TransformersEngine("demo", dtype="float32", device="cpu")
        self.template = template_for(engine.tokenizer)
        self.model: Any = engine.model.requires_grad_(True)
        if kind == ADAPTER:
            self.model = PeftModel.from_pretrained(engine.model, adapter, is_trainable=True)
            for name, parameter in self.model.named_parameters():
                if "lora_B" in name:
                    parameter.data.zero_()
        self.model.eval()
        self.query: dict[str, torch.Tensor] = {}

    def gradient(self, record: Any) -> dict[str, torch.Tensor]:
        """Return the gradient of the mean loss of a record's answer tokens."""
        one = self.template.encode(record, SETTINGS["max_tokens"])
        self.model.zero_grad()
        places = [place for place, label in enumerate(one.labels) if label != -100]
        before = torch.tensor([place - 1 for place in places])
        logits = self.model(input_ids=torch.tensor([one.input_ids]), logits_to_keep=before).logits[0]
        own = logits.log_softmax(-1)[range(len(places)), [one.input_ids[place] for place in places]]
        (-own.mean()).backward()
        return {name: one.grad for name, one in self.model.named_parameters() if one.grad is not None}

    def see(self, records: Records) -> None:
        """Keep the mean gradient of the query."""
        for record in records:
            for name, own in self.gradient(record).items():
                self.query[name] = self.query.get(name, 0) + own / len(records)

    def dot(self, record: Any) -> float:
        """Dot product of a record's gradient with the query's."""
        return sum(float((own * self.query[name]).sum()) for name, own in self.gradient(record).items())


def read_table(path: Path) -> pd.DataFrame:
    """Read what was measured before."""
    return (
        pd.read_csv(path, index_col="row") if path.exists() else pd.DataFrame(index=pd.Index([], name="row"))
    )


def exact_influences(
    table: pd.DataFrame, kind: str, pool: Records, query: Records, folder: Path
) -> Iterator[pd.DataFrame]:
    """Yield the table with the dot products of the records, as they come."""
    column = f"exact, {kind}"
    known = table[column].dropna() if column in table else pd.Series(dtype=float)
    rows = [row for row in range(len(pool)) if row not in known.index]
    if rows:
        referee = Referee(kind, folder)
        referee.see(query)
    started = time.perf_counter()
    for first in range(0, len(rows), 25):
        some = rows[first : first + 25]
        for row in some:
            known.loc[row] = referee.dot(pool[row])
        print(
            kind,
            first + len(some),
            f"{(time.perf_counter() - started) / (first + len(some)):.2f} s",
            flush=True,
        )
        yield table.reindex(range(len(pool))).rename_axis("row").assign(**{column: known})


def measure(pool: Records, query: Records, path: Path) -> pd.DataFrame:
    """Return exact influences and drops, one column each; what was measured before is kept."""
    table, limit = read_table(path), SETTINGS["max_tokens"]
    engine = TransformersEngine("demo", dtype="float32", device="cpu")
    options: dict[str, Any] = {"max_tokens": limit, "show_progress": False}
    with tempfile.TemporaryDirectory() as folder:
        before, adapter = None, Path(folder) / "adapter"
        runs = [(name, *own) for name, every in SETTINGS["runs"].items() for own in every]
        for kind, drop, steps in runs:
            column = f"{kind}, {drop:g} nats, {steps} steps"
            trained = None
            if column not in table or (kind == ADAPTER and not adapter.exists()):
                rank = SETTINGS["rank"] if kind == ADAPTER else None
                out = adapter if kind == ADAPTER and not adapter.exists() else None
                trained = trained_on(
                    engine, query, out, steps=steps, query_drop=drop, max_tokens=limit, lora_rank=rank
                )
                print(column, trained.losses, trained.learning_rates, flush=True)
            if column not in table:
                before = answer_losses(pool, engine, **options) if before is None else before
                after = answer_losses(pool, trained.engine, **options)
                value = loss_drop(before, after)["value"]
                table = table.reindex(value.index).assign(**{column: value})
                table.to_csv(path)
        for kind in SETTINGS["runs"]:
            for grown in exact_influences(table, kind, pool, query, adapter):
                grown.to_csv(path)
                table = grown
    return table


def intervals(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Spearman rank correlation with its 95 % percentile interval by bootstrap over records."""
    random = np.random.default_rng(SETTINGS["seed"])
    draws = [random.integers(len(a), size=len(a)) for _ in range(SETTINGS["draws"])]
    low, high = np.quantile([spearmanr(a[one], b[one]).statistic for one in draws], [0.025, 0.975])
    return float(spearmanr(a, b).statistic), float(low), float(high)


def report(table: pd.DataFrame, results: Path) -> str:
    """Write and return the Markdown."""
    found = []
    for kind in SETTINGS["runs"]:
        exact = f"exact, {kind}"
        for column in [one for one in table if not one.startswith("exact")]:
            own = table[[exact, column]].dropna()
            middle, low, high = intervals(own[exact].to_numpy(), own[column].to_numpy())
            found.append(
                {
                    "exact, over": kind,
                    "drop after training": column,
                    "records": len(own),
                    "rank correlation": f"{middle:.4f}",
                    "95 % interval": f"{low:.4f} to {high:.4f}",
                    "mean drop of the pool": f"{own[column].mean():.5f}",
                }
            )
    default = found[[one["drop after training"] for one in found].index(SETTINGS["default"])]
    reached = float(default["95 % interval"].split()[0]) >= SETTINGS["claim"]
    text = "\n".join(
        [
            "# Influence by loss drops against exact dot products of gradients",
            "",
            f"SmolLM2-135M-Instruct in float32, {len(table)} Alpaca records of at most"
            f" {SETTINGS['max_tokens']} tokens, {SETTINGS['query']} Dolly records as the query. Exact: a"
            " backward pass for each record."
            f" Intervals: bootstrap over records, {SETTINGS['draws']} draws. {machine('torch', 'peft')}.",
            "",
            markdown(pd.DataFrame(found)),
            "",
            f"- The default ({SETTINGS['default']}) against the gradients of the same parameters:"
            f" {default['rank correlation']} (claim of {SETTINGS['claim']:g}:"
            f" {'reached' if reached else 'NOT reached'}).",
            "- Rows where the exact gradients are of other parameters than were trained tell how well one"
            " stands for the other.",
            "",
        ]
    )
    results.with_suffix(".md").write_text(text)
    return text


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where alpaca_52k.jsonl.gz and dolly_3k.json are")
    parser.add_argument("--rows", type=int, default=SETTINGS["rows"])
    parser.add_argument("--results", type=Path, default=RESULTS / "influence_correlation")
    given = parser.parse_args()
    from debias.inference.models.loading import load_model

    tokenizer, limit = load_model("demo", dtype="float32", device="cpu")[1], SETTINGS["max_tokens"]
    pool = drawn(given.folder / "alpaca_52k.jsonl.gz", given.rows, limit, tokenizer)
    query = drawn(given.folder / "dolly_3k.json", SETTINGS["query"], limit, tokenizer)
    print(report(measure(pool, query, given.results.with_suffix(".csv")), given.results))


if __name__ == "__main__":
    main()
