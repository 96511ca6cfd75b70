"""Trains a whole run of rounds on a CPU and compares ways to pick by their loss on held-out answers.

Run it from the repository root (more than an hour on two cores; rerun it to resume):

    python experiments/iterit_run.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Without a file it uses the project's own 400 instructions. Records are drawn by the seed; held-out
records share no text with them. Every way trains the same number of samples in the same number of steps
with the same schedule: ways that pick once train their picks in each round, and "all rows" draws new ones.
The loss is the mean negative log-likelihood (nats) of held-out answers in float32, over all tokens (so
long answers weigh more) and over records. Intervals are percentile bootstraps over held-out records, and
differences are paired. They do not cover another draw of records or another training seed; the seeds of
"random" indicate how much those matter. Writes experiments/results/iterit_run.csv and iterit_run.md.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, settings_of

from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.records.instruction_records import Records, read_records
from iterit.reports.rounds_report import RoundsReport
from iterit.rounds.round_state import n_picks_of
from iterit.scoring.complexity import score_complexity
from iterit.selection.selection import select
from iterit.templates.named_templates import template_for
from iterit.training.rescoring import model_to_score
from iterit.training.scoring_copy import scoring_copy
from iterit.training.setup.trainer_setup import make_trainer, trainable_folder
from iterit.training.setup.training_settings import TrainingSettings
from iterit.training.trainer import IterIT
from iterit.training.training_rows import PaddedBatch, TrainingRows, pad_token_of

OWN = RESULTS.parents[1] / "data" / "instructions.jsonl"
UNTRAINED, ITERIT = "untrained", "IterIT"
ROUNDS = {
    ITERIT: "published",
    "IterIT, length-neutral": "length_neutral",
    "IterIT, length-debiased": "length_debiased",
}
ONCE = {"one-shot IFD": "complexity", "longest": "longest"}


def draw(path: Path, settings: dict) -> tuple[Records, Records]:
    """Draw records to train on, and held-out ones that share no text with any."""
    records = read_records(path)
    n_drawn = min(settings["n_records"], round(0.8 * len(records)))
    order = np.random.default_rng(settings["seed"]).permutation(len(records))
    order = order[: 2 * (settings["n_records"] + settings["n_held_out"])]
    drawn = records.take(np.sort(order[:n_drawn]))
    known, questions = set(drawn.responses), {record.messages[0].content for record in drawn}
    rest = records.take(np.sort(order[n_drawn:]))
    apart = [
        row
        for row, record in enumerate(rest)
        if rest.responses[row] not in known and record.messages[0].content not in questions
    ]
    apart = np.random.default_rng(settings["seed"]).permutation(apart)[: settings["n_held_out"]]
    return drawn, rest.take(np.sort(apart))


class Comparison:
    """Trains each way and measures it, keeping what is done."""

    def __init__(self, path: Path, work: Path, settings: dict) -> None:
        self.work, self.settings = work, settings
        work.mkdir(parents=True, exist_ok=True)
        self.records, self.held_out = draw(path, settings)
        self.training = TrainingSettings(
            rounds=settings["rounds"], seed=settings["seed"], **settings["training"]
        )
        self.model = trainable_folder("demo", work)
        self.n_picks = n_picks_of(settings["ratio"], len(self.records))
        self.n_samples = self.n_picks * settings["rounds"]
        self.words = np.array([len(text.split()) for text in self.records.responses])

    def trainer(self, name: str, rounds: int) -> object:
        """Make a trainer of so many epochs."""
        settings = TrainingSettings(**{**vars(self.training), "rounds": rounds})
        return make_trainer(self.model, self.work / name.replace(" ", "_"), settings)

    def measure(self, trainer: object) -> pd.DataFrame:
        """Mean negative log-likelihood of each held-out answer, in float32."""
        engine = TransformersEngine(scoring_copy(trainer.model, torch.float32), trainer.processing_class)
        template = template_for(trainer.processing_class)
        encoded = template.encode_all(self.held_out, max_tokens=self.settings["max_tokens"])
        spans = [[(span.start, span.stop) for span in one.spans] for one in encoded]
        found = engine.span_logprobs([one.input_ids for one in encoded], spans)
        losses = {"loss": [-own.mean() for own in found], "n_tokens": list(map(len, found))}
        return pd.DataFrame(losses)[[len(own) > 0 for own in found]]

    def in_rounds(self, name: str, mode: str) -> tuple[np.ndarray, dict, object]:
        """Train round by round."""
        trainer = self.trainer(name, self.settings["rounds"])
        iterit = IterIT(
            self.records,
            self.settings["ratio"],
            mode=mode,
            seed=self.settings["seed"],
            max_tokens=self.settings["max_tokens"],
            score_dtype=self.settings["score_dtype"],
            cache=self.work / "scores",
            show_progress=False,
        )
        iterit.attach(trainer)
        trainer.train()
        report = RoundsReport(iterit.rounds.checkpoint(), title=f"{name}: its rounds")
        facts = {"markdown": report.to_markdown(), "seconds": float(report.costs["seconds"].sum())}
        return iterit.rounds.state.picks["row"].to_numpy(), facts, trainer

    def fixed(self, name: str, rows: np.ndarray, epochs: int) -> tuple[np.ndarray, dict, object]:
        """Train the same rows in every epoch."""
        trainer = self.trainer(name, epochs)
        template = template_for(trainer.processing_class)
        examples = TrainingRows(template.encode_all(self.records, max_tokens=self.settings["max_tokens"]))
        trainer.train_dataset = torch.utils.data.Subset(examples, rows.tolist())
        trainer.data_collator = PaddedBatch(
            pad_token_of(trainer.processing_class, len(trainer.processing_class))
        )
        trainer.train()
        return np.tile(rows, epochs), {}, trainer

    def picked_once(self, mode: str) -> np.ndarray:
        """Rows that the untrained model's scores pick."""
        trainer = self.trainer("base", 1)
        limit, cache = self.settings["max_tokens"], self.work / "scores"
        with model_to_score(trainer.model, self.settings["score_dtype"]) as model:
            engine = TransformersEngine(model, trainer.processing_class)
            scores = score_complexity(self.records, engine, max_tokens=limit, cache=cache, step=0)
        return select(scores, count_ngrams(self.records.responses), self.n_picks, mode=mode).rows

    def ways(self) -> dict:
        """All ways by their names, each a function that trains."""
        found = {UNTRAINED: lambda: (np.empty(0, np.int64), {}, self.trainer("base", 1))}
        for name, mode in ROUNDS.items():
            found[name] = lambda name=name, mode=mode: self.in_rounds(name, mode)
        epochs = self.settings["rounds"]
        for name, mode in ONCE.items():
            found[name] = lambda name=name, mode=mode: self.fixed(name, self.picked_once(mode), epochs)
        for seed in self.settings["random_seeds"]:
            order = np.random.default_rng([seed, 1]).permutation(len(self.records))
            name = f"random, seed {seed}"
            found[name] = lambda name=name, order=order: self.fixed(name, order[: self.n_picks], epochs)
        for seed in self.settings["all_seeds"]:
            order = np.random.default_rng([seed, 2]).permutation(len(self.records))
            name = f"all rows, seed {seed}"
            found[name] = lambda name=name, order=order: self.fixed(name, order[: self.n_samples], 1)
        return found

    def run(self, only: list[str], train: bool = True) -> dict[str, tuple[pd.DataFrame, dict]]:
        """Train and measure what was not yet, of these ways or of all."""
        done = {}
        for name, way in self.ways().items():
            target = self.work / f"{name.replace(' ', '_')}.parquet"
            if (only and name not in only) or not (train or target.with_suffix(".json").exists()):
                continue
            if not target.with_suffix(".json").exists():
                rows, facts, trainer = way()
                self.measure(trainer).to_parquet(target)
                distinct = np.unique(rows)
                facts |= {"samples": len(rows), "distinct": len(distinct)}
                facts["words"] = float(self.words[rows].mean()) if len(rows) else float(self.words.mean())
                target.with_suffix(".json").write_text(json.dumps(facts))
            done[name] = (pd.read_parquet(target), json.loads(target.with_suffix(".json").read_text()))
            print(f"{name}: {per_token(done[name][0]):.4f} nats per token", flush=True)
        return done


def per_token(losses: pd.DataFrame, weights: np.ndarray | int = 1) -> float:
    """Mean over the tokens of all held-out answers: long answers count for more."""
    tokens = losses["n_tokens"].to_numpy() * weights
    return float((losses["loss"].to_numpy() * tokens).sum() / tokens.sum())


def per_record(losses: pd.DataFrame, weights: np.ndarray | int = 1) -> float:
    """Mean over held-out records of the mean over each one's tokens."""
    counts = np.ones(len(losses)) * weights
    return float((losses["loss"].to_numpy() * counts).sum() / counts.sum())


MEASURES = {"per token": per_token, "per record": per_record}


def bootstrap(done: dict, settings: dict) -> pd.DataFrame:
    """Losses with intervals, and differences from the mean of the random picks."""
    rng = np.random.default_rng(settings["seed"])
    n = len(next(iter(done.values()))[0])
    draws = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(settings["n_resamples"])]
    random = [name for name in done if name.startswith("random")]
    table = pd.DataFrame(
        [
            {
                "way": name,
                "trained samples": facts["samples"],
                "different records": facts["distinct"],
                "mean words of answers": facts["words"],
            }
            for name, (_, facts) in done.items()
        ]
    )
    for measure, mean in MEASURES.items():
        at = {name: mean(losses) for name, (losses, _) in done.items()}
        resampled = {name: np.array([mean(losses, w) for w in draws]) for name, (losses, _) in done.items()}
        reference = np.mean([resampled[name] for name in random], axis=0)
        gaps = {name: own - reference for name, own in resampled.items()}
        middle = np.mean([at[name] for name in random])
        table[f"loss {measure}"] = [at[name] for name in done]
        for end, quantile in (("low", 0.025), ("high", 0.975)):
            table[f"loss {measure}, {end}"] = [np.quantile(resampled[name], quantile) for name in done]
        table[f"minus random {measure}"] = [at[name] - middle for name in done]
        for end, quantile in (("low", 0.025), ("high", 0.975)):
            table[f"minus random {measure}, {end}"] = [np.quantile(gaps[name], quantile) for name in done]
    return table


def page(table: pd.DataFrame, done: dict, comparison: Comparison) -> str:
    """Write the page of results."""
    settings, ranked = comparison.settings, table.sort_values("loss per token")
    minutes = done[ITERIT][1]["seconds"] / 60
    lines = [
        "# A whole run of rounds on a CPU, and ways to pick compared\n",
        f"{len(comparison.records):,} records, {comparison.n_picks} picks per round, {settings['rounds']}"
        f" rounds, SmolLM2-135M-Instruct with LoRA. {machine('torch', 'transformers')}."
        f" The run of rounds took {minutes:.1f} minutes (claim of less than {settings['minutes']}:"
        f" {'holds' if minutes < settings['minutes'] else 'does **not** hold'})."
        f" {len(comparison.held_out):,} held-out records; every way trains the same number of samples.\n",
        *(ranking(table, measure) for measure in MEASURES),
        "A difference is unclear if its interval covers zero.\n",
        "| way | samples | records | words | loss per token | minus random"
        " | loss per record | minus random |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in ranked.to_dict("records"):
        cells = [row["way"], f"{row['trained samples']:,}", f"{row['different records']:,}"]
        cells.append(f"{row['mean words of answers']:.0f}")
        for measure in MEASURES:
            cells.append("{:.4f} ({:.4f}–{:.4f})".format(*ends(row, f"loss {measure}")))
            cells.append("{:+.4f} ({:+.4f} to {:+.4f})".format(*ends(row, f"minus random {measure}")))
        lines.append(f"| {' | '.join(cells)} |")
    own = (
        done[ITERIT][1]["markdown"]
        .replace(f"{comparison.work}/base", "demo")
        .replace("\n## ", "\n### ")
        .replace("# IterIT", "## IterIT", 1)
    )
    return "\n".join(lines) + "\n\n" + own


def ends(row: dict, name: str) -> tuple[float, float, float]:
    """Return a number and the ends of its interval."""
    return row[name], row[f"{name}, low"], row[f"{name}, high"]


def ranking(table: pd.DataFrame, measure: str) -> str:
    """Say who has the lowest loss, and where IterIT stands."""
    trained = table[table["way"] != UNTRAINED].sort_values(f"loss {measure}")["way"].tolist()
    place = trained.index(ITERIT) + 1
    return (
        f"Loss {measure}: lowest {trained[0]}, highest {trained[-1]}; IterIT is {place} of {len(trained)}.\n"
    )


def main() -> None:
    """Train, compare and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=OWN, help="instruction records")
    parser.add_argument(
        "--work", type=Path, default=Path("iterit-run-work"), help="folder of intermediate results"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument(
        "--only", nargs="+", default=[], help="ways to train now; a later run trains the rest"
    )
    parser.add_argument("--report", action="store_true", help="report what was trained, without training")
    parser.add_argument("--tiny", action="store_true", help="a few records, as a smoke test")
    options = parser.parse_args()
    settings = settings_of(__file__)
    if options.tiny:
        settings |= settings["tiny"]
    warnings.simplefilter("ignore", UserWarning)
    comparison = Comparison(options.file, options.work, settings)
    done = comparison.run(options.only, train=not options.report)
    if options.only:
        return
    if ITERIT not in done:
        parser.error(f"--report needs {ITERIT}, which has not been trained yet")
    table = bootstrap(done, settings)
    options.out.mkdir(exist_ok=True)
    table.to_csv(options.out / "iterit_run.csv", index=False, float_format="%.5f")
    (options.out / "iterit_run.md").write_text(page(table, done, comparison), encoding="utf-8")
    print((options.out / "iterit_run.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
