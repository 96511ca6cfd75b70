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
from functools import cached_property
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
from iterit.training.queries.query_steps import QuerySteps, trained_on

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
    """Gradients of all weights, or of an adapter before its first step, by backward passes."""

    def __init__(self, adapter: Path | None) -> None:
        from peft import PeftModel

        engine = TransformersEngine("demo", dtype="float32", device="cpu")
        self.template = template_for(engine.tokenizer)
        self.model: Any = engine.model.requires_grad_(True)
        if adapter is not None:
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
        own = logits.log_softmax(-1)[list(range(len(places))), [one.input_ids[place] for place in places]]
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


class Measured:
    """Exact influences and drops, a column each, in a file: what was measured before is kept.

    Parameters
    ----------
    pool, query : Records
    path : Path
        Of the CSV.
    until : float
        Time of the monotonic clock after which no other record's gradient is begun.
    """

    def __init__(self, pool: Records, query: Records, path: Path, until: float) -> None:
        self.pool, self.query, self.path, self.until = pool, query, path, until
        empty = pd.DataFrame(index=pd.RangeIndex(len(pool), name="row"))
        self.table = pd.read_csv(path, index_col="row") if path.exists() else empty
        if len(self.table) != len(pool):
            raise SystemExit(f"{path} holds {len(self.table)} records, not {len(pool)}: delete it, or --rows")
        self.engine = TransformersEngine("demo", dtype="float32", device="cpu")

    def keep(self, column: str, values: pd.Series) -> None:
        """Add a column, or what is new in it."""
        self.table[column] = values
        self.table.to_csv(self.path)

    @cached_property
    def before(self) -> pd.DataFrame:
        """Losses of the untrained model."""
        return answer_losses(self.pool, self.engine, max_tokens=SETTINGS["max_tokens"])

    def trained(self, kind: str, drop: float, steps: int, out: Path | None = None) -> QuerySteps:
        """Train on the query."""
        limit, rank = SETTINGS["max_tokens"], SETTINGS["rank"] if kind == ADAPTER else None
        found = trained_on(
            self.engine, self.query, out, steps=steps, query_drop=drop, max_tokens=limit, lora_rank=rank
        )
        print(kind, "losses", found.losses, "rates", found.learning_rates, flush=True)
        return found

    def drops(self, kind: str, drop: float, steps: int) -> None:
        """Measure how far losses fall with one training."""
        column = f"{kind}, {drop:g} nats, {steps} steps"
        if column not in self.table:
            engine = self.trained(kind, drop, steps).engine
            after = answer_losses(self.pool, engine, max_tokens=SETTINGS["max_tokens"])
            self.keep(column, loss_drop(self.before, after)["value"])

    def exact(self, kind: str) -> None:
        """Compute dot products of gradients, as far as time allows."""
        column = f"exact, {kind}"
        values = self.table.get(column, pd.Series(np.nan, index=self.table.index))
        rows = values.index[values.isna()].tolist()
        if not rows or time.monotonic() > self.until:
            return
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "adapter" if kind == ADAPTER else None
            if out is not None:
                self.trained(kind, 0.02, 1, out)  # only for its random half, which a step does not change
            referee = Referee(out)
        referee.see(self.query)
        started = time.monotonic()
        for n, row in enumerate(rows, start=1):
            values[row] = referee.dot(self.pool[row])
            if n % 20 == 0 or n == len(rows) or time.monotonic() > self.until:
                self.keep(column, values)
                print(f"{n} of {len(rows)}, {(time.monotonic() - started) / n:.2f} s each", flush=True)
            if time.monotonic() > self.until:
                return


def intervals(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Spearman rank correlation with its 95 % percentile interval by bootstrap over records."""
    random = np.random.default_rng(SETTINGS["seed"])
    draws = [random.integers(len(a), size=len(a)) for _ in range(SETTINGS["draws"])]
    low, high = np.quantile([spearmanr(a[one], b[one]).statistic for one in draws], [0.025, 0.975])
    return float(spearmanr(a, b).statistic), float(low), float(high)


def report(table: pd.DataFrame, results: Path) -> str:
    """Write and return the Markdown."""
    found = []
    for kind in [one for one in SETTINGS["runs"] if f"exact, {one}" in table]:
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
            f" Intervals: bootstrap over records, {SETTINGS['draws']} draws. {machine('torch', 'peft')}"
            " in the last call.",
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
    until = time.monotonic() + 60 * SETTINGS["minutes"]
    measured = Measured(pool, query, given.results.with_suffix(".csv"), until)
    for kind, runs in SETTINGS["runs"].items():
        measured.drops(kind, *runs[0])
        measured.exact(kind)
        print(report(measured.table, given.results))
    for kind, runs in SETTINGS["runs"].items():
        for run in runs[1:]:
            measured.drops(kind, *run)
            print(report(measured.table, given.results))


if __name__ == "__main__":
    main()
