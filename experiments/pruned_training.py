"""Trains adapters on a pruned model and on the whole one, and measures both on held-out answers.

Run it from the repository root (about half an hour of one core; rerun it to resume):

    python experiments/pruned_training.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Without a file it uses the project's own 400 instructions. The model is SmolLM2-135M-Instruct. Each way trains
the same records in the same order, once: on the whole model, or on one whose neurons and heads were pruned by
a share, whose adapter is then recovered for the whole one. Every step runs in a process of its own, so that
its peak memory is known; seconds are those of the processor. The loss is the mean negative log-likelihood
(nats) of held-out answers over all tokens, in float32. Intervals: percentile bootstrap over held-out records,
paired for differences; for rank correlations that of Bonett and Wright. They do not cover another draw of
records or another seed. Writes experiments/results/pruned_training.csv and pruned_training.md.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, most_memory, settings_of

from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records, read_records
from iterit.rounds.rank_agreement import rank_agreement
from iterit.scoring.complexity import score_complexity
from iterit.templates.named_templates import template_for
from iterit.training.pruned.adapter_recovery import recover
from iterit.training.pruned.cutting import load_causal_model
from iterit.training.pruned.prune_settings import AlignmentSettings, PruneSettings
from iterit.training.pruned.pruned_manifest import read_manifest
from iterit.training.pruned.pruning import Alignment, prune
from iterit.training.scoring_copy import scoring_copy
from iterit.training.setup.trainer_setup import make_trainer, trainable_folder
from iterit.training.setup.training_settings import TrainingSettings
from iterit.training.training_rows import PaddedBatch, TrainingRows, pad_token_of

OWN = RESULTS.parents[1] / "data" / "instructions.jsonl"
WHOLE = "whole"


class Data:
    """Records by what they are for; no answer is for two things."""

    def __init__(self, path: Path, settings: dict) -> None:
        records = read_records(path)
        order = np.random.default_rng(settings["seed"]).permutation(len(records))
        known: set[str] = set()
        self.parts: dict[str, Records] = {}
        places = iter(order.tolist())
        for name in ("train", "held_out", "texts", "general"):
            rows: list[int] = []
            for row in places:
                if records.responses[row] not in known:
                    known.add(records.responses[row])
                    rows.append(row)
                if len(rows) == settings[f"n_{name}"]:
                    break
            self.parts[name] = records.take(np.array(rows))
        self.scored = self.parts["train"].take(np.arange(min(settings["n_scored"], len(self.parts["train"]))))


class Way:
    """One way to train an adapter: the model that it is trained on, and what is measured."""

    def __init__(self, name: str, data: Data, work: Path, settings: dict) -> None:
        self.name, self.data, self.settings = name, data, settings
        self.base, self.work = work / "base", work
        self.folder = work / name.replace(" ", "_").replace("%", "percent").replace(",", "")
        self.model = self.base if name == WHOLE else self.folder / "small"

    def prune(self) -> dict:
        """Prune, and align where the name says so."""
        aligned = self.name.endswith("aligned")
        settings = PruneSettings(share=self.settings["shares"][self.name], **self.settings["pruning"])
        general = Alignment(
            self.data.parts["general"].responses, AlignmentSettings(**self.settings["alignment"])
        )
        prune(
            self.base,
            self.model,
            settings,
            texts=self.data.parts["texts"].responses,
            alignment=general if aligned else None,
        )
        facts = dict(read_manifest(self.model).aligned or {})
        return {"tokens aligned on": facts.get("n_tokens", 0)}

    def train(self) -> dict:
        """Train an adapter."""
        training = TrainingSettings(rounds=1, seed=self.settings["seed"], **self.settings["training"])
        trainer = make_trainer(self.model, self.folder / "run", training)
        template = template_for(trainer.processing_class)
        limit = self.settings["max_tokens"]
        trainer.train_dataset = TrainingRows(template.encode_all(self.data.parts["train"], max_tokens=limit))
        padding = pad_token_of(trainer.processing_class, len(trainer.processing_class))
        trainer.data_collator = PaddedBatch(padding)
        trainer.train()
        trainer.save_model(str(self.folder / "adapter"))
        model = trainer.model
        sizes = [(one.numel(), one.requires_grad) for one in model.parameters()]
        return {
            "parameters": sum(size for size, is_trained in sizes if not is_trained),
            "trained": sum(size for size, is_trained in sizes if is_trained),
        }

    def measure(self) -> dict:
        """Measure losses and difficulty; the whole model by itself only once."""
        from peft import PeftModel
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.base)
        own = load_causal_model(self.model, torch.float32).eval()
        losses = {"model": self.losses(own, tokenizer)}
        engine = TransformersEngine(own, tokenizer)
        limit = self.settings["max_tokens"]
        scores = score_complexity(self.data.scored, engine, max_tokens=limit, show_progress=False)
        scores.to_parquet(self.folder / "scores.parquet")
        losses["model + adapter"] = self.losses(
            PeftModel.from_pretrained(own, self.folder / "adapter"), tokenizer
        )
        if self.name != WHOLE:
            recover(self.folder / "adapter", self.folder / "recovered", pruned=self.model)
            whole = load_causal_model(self.base, torch.float32).eval()
            large = PeftModel.from_pretrained(whole, self.folder / "recovered")
            losses["whole + recovered"] = self.losses(large, tokenizer)
        pd.concat(losses, names=["measured"]).to_parquet(self.folder / "losses.parquet")
        return {name: per_token(table) for name, table in losses.items()}

    def losses(self, model: object, tokenizer: object) -> pd.DataFrame:
        """Mean negative log-likelihood of each held-out answer, in float32, an adapter merged in."""
        engine = TransformersEngine(scoring_copy(model, torch.float32), tokenizer)
        encoded = template_for(tokenizer).encode_all(
            self.data.parts["held_out"], max_tokens=self.settings["max_tokens"]
        )
        spans = [[(span.start, span.stop) for span in one.spans] for one in encoded]
        found = engine.span_logprobs([one.input_ids for one in encoded], spans)
        return pd.DataFrame({"loss": [-own.mean() for own in found], "n_tokens": list(map(len, found))})


def per_token(losses: pd.DataFrame, weights: np.ndarray | int = 1) -> float:
    """Mean over the tokens of all held-out answers."""
    tokens = losses["n_tokens"].to_numpy() * weights
    return float((losses["loss"].to_numpy() * tokens).sum() / tokens.sum())


def steps_of(name: str) -> tuple[str, ...]:
    """Return the steps of a way, in their order."""
    return ("train", "measure") if name == WHOLE else ("prune", "train", "measure")


def run_step(way: Way, step: str) -> None:
    """Do one step, and write what it took beside what it found."""
    way.folder.mkdir(parents=True, exist_ok=True)
    begun, processor = time.perf_counter(), time.process_time()
    found = getattr(way, step)()
    took = {
        "seconds": time.process_time() - processor,
        "wall seconds": time.perf_counter() - begun,
        "peak GiB": most_memory(),
    }
    (way.folder / f"{step}.json").write_text(json.dumps({**found, **took}))


def table_of(ways: list[Way], settings: dict) -> pd.DataFrame:
    """Return what was measured of the ways that are done."""
    rows = []
    whole = pd.read_parquet(ways[0].folder / "losses.parquet")
    scores = pd.read_parquet(ways[0].folder / "scores.parquet")["ifd"].to_numpy(np.float64)
    alone, own = whole.loc["model"], whole.loc["model + adapter"]
    n = len(alone)
    rng = np.random.default_rng(settings["seed"])
    draws = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(settings["n_resamples"])]

    def gap(one: pd.DataFrame, other: pd.DataFrame) -> str:
        middle = per_token(one) - per_token(other)
        ends = np.quantile([per_token(one, w) - per_token(other, w) for w in draws], (0.025, 0.975))
        return f"{middle:+.4f} ({ends[0]:+.4f} to {ends[1]:+.4f})"

    for way in ways:
        if not (way.folder / "measure.json").exists():
            continue
        took = {step: json.loads((way.folder / f"{step}.json").read_text()) for step in steps_of(way.name)}
        losses = pd.read_parquet(way.folder / "losses.parquet")
        is_whole = way.name == WHOLE
        large = own if is_whole else losses.loc["whole + recovered"]
        found = rank_agreement(
            pd.read_parquet(way.folder / "scores.parquet")["ifd"].to_numpy(np.float64), scores
        )
        rows.append(
            {
                "trained on": "the whole model" if is_whole else f"pruned {way.name}",
                "parameters, M": f"{took['train']['parameters'] / 1e6:.1f}",
                "its loss, untrained": f"{took['measure']['model']:.4f}",
                "its loss + adapter": f"{took['measure']['model + adapter']:.4f}",
                "whole model + adapter": f"{per_token(large):.4f}",
                "minus whole alone": gap(large, alone),
                "minus whole + own adapter": "–" if is_whole else gap(large, own),
                "rank corr. of IFD": "–"
                if is_whole
                else f"{found.correlation:.3f} ({found.low:.3f}–{found.high:.3f}), {found.n_rows} records",
                "peak GiB, training": f"{took['train']['peak GiB']:.2f}",
                "seconds, training": f"{took['train']['seconds']:.0f}",
                "seconds, pruning": "–" if is_whole else f"{took['prune']['seconds']:.0f}",
            }
        )
    return pd.DataFrame(rows)


def write(ways: list[Way], settings: dict, out: Path) -> None:
    """Write the results of what is done."""
    if not (ways[0].folder / "measure.json").exists():
        return
    table = table_of(ways, settings)
    table.to_csv(out / "pruned_training.csv", index=False)
    missing = [way.name for way in ways if not (way.folder / "measure.json").exists()]
    alone = pd.read_parquet(ways[0].folder / "losses.parquet").loc["model"]
    done = [way.folder / f"{step}.json" for way in ways for step in steps_of(way.name)]
    took = sum(json.loads(file.read_text())["seconds"] for file in done if file.exists())
    lines = [
        "# Train small, infer large: adapters of pruned models on the whole one\n",
        f"SmolLM2-135M-Instruct, LoRA of rank {settings['training']['lora_rank']},"
        f" {settings['n_train']} records trained once, {len(alone)} held out,"
        f" rule {settings['pruning']['rule']}, the first {settings['pruning']['keep_first']} and the last"
        f" {settings['pruning']['keep_last']} of 30 layers whole."
        f" {machine('torch', 'transformers', 'peft', seconds=took)} of one processor.\n",
        f"Loss of the whole model alone: {per_token(alone):.4f} nats per token. A negative difference is"
        " a lower loss; one whose interval covers zero is unclear. Seconds are those of the processor.\n",
        markdown(table),
        *([f"\nNot run: {', '.join(missing)}."] if missing else []),
    ]
    (out / "pruned_training.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run what was not run yet, each step in a process of its own, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=OWN, help="instruction records")
    parser.add_argument(
        "--work", type=Path, default=Path("pruned-training-work"), help="folder of intermediate results"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--report", action="store_true", help="write what was measured, and run nothing")
    parser.add_argument("--tiny", action="store_true", help="a few records, as a smoke test")
    parser.add_argument("--step", nargs=2, metavar=("WAY", "STEP"), help="do one step in this process")
    options = parser.parse_args()
    settings = settings_of(__file__)
    if options.tiny:
        settings |= settings["tiny"]
    warnings.simplefilter("ignore", UserWarning)
    data = Data(options.file, settings)
    ways = [Way(name, data, options.work, settings) for name in (WHOLE, *settings["shares"])]
    if options.step:
        run_step(next(way for way in ways if way.name == options.step[0]), options.step[1])
        return
    options.work.mkdir(parents=True, exist_ok=True)
    if not options.report:
        trainable_folder("demo", options.work)
    for way in ways:
        for step in steps_of(way.name):
            if not options.report and not (way.folder / f"{step}.json").exists():
                subprocess.run([sys.executable, *sys.argv, "--step", way.name, step], check=True)
                print(f"{way.name}: {step} done", flush=True)
        write(ways, settings, options.out)


if __name__ == "__main__":
    main()
