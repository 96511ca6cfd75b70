"""Measures how closely a copy that scores in bfloat16 follows the trained weights, by kind of rounding.

Run it from the repository root (about five minutes on two cores):

    python experiments/scoring_copies.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Trains an adapter for one epoch on records drawn by the seed, on top of weights in bfloat16, the format
of most checkpoints. IFD of other records by the trained weights in float32 is the reference for
copies in bfloat16: rounded to nearest, rounded stochastically as `iterit` does, and the latter with the
vocabulary computed in float32. Writes experiments/results/scoring_copies.md.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, settings_of

from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.transformers.vocabulary import shifted_products
from iterit.records.instruction_records import Records, read_records
from iterit.scoring.complexity import score_complexity
from iterit.templates.named_templates import template_for
from iterit.training.scoring_copy import scoring_copy
from iterit.training.setup.trainer_setup import make_trainer, trainable_folder
from iterit.training.setup.training_settings import TrainingSettings
from iterit.training.training_rows import PaddedBatch, TrainingRows

Copy = Callable[[object], object]


def to_nearest(model: object) -> object:
    """Copy a model with its weights rounded to nearest; rotary frequencies keep their precision."""
    copied = scoring_copy(model, torch.float32)
    for parameter in copied.parameters():
        parameter.data = parameter.data.bfloat16()
    return copied


def stochastically(model: object) -> object:
    """Copy a model as iterit does."""
    return scoring_copy(model, torch.bfloat16)


class Scoring:
    """IFD of the same records by copies of a model."""

    def __init__(self, records: Records, rows: np.ndarray, tokenizer: object, max_tokens: int) -> None:
        self.records, self.rows, self.tokenizer, self.max_tokens = records, rows, tokenizer, max_tokens

    def __call__(self, model: object) -> np.ndarray:
        """Score."""
        engine = TransformersEngine(model, self.tokenizer)
        options = {"rows": self.rows, "max_tokens": self.max_tokens, "show_progress": False}
        return score_complexity(self.records, engine, **options)["ifd"].to_numpy(np.float64)

    def in_float32(self, model: object) -> np.ndarray:
        """Score with the weights themselves."""
        return self(scoring_copy(model, torch.float32))


def measure(score: Scoring, model: object, before: np.ndarray) -> tuple[pd.DataFrame, str]:
    """Compare copies of a trained model with the model itself."""
    exact = score.in_float32(model)
    with mock.patch.object(shifted_products, "pays", lambda *_: False):
        found = {
            "to nearest": score(to_nearest(model)),
            "stochastically, vocabulary in float32": score(stochastically(model)),
        }
    found["stochastically, as iterit scores"] = score(stochastically(model))
    rows = []
    for name, own in found.items():
        error = own - exact
        rows.append(
            {
                "weights rounded": name,
                "mean error of IFD": f"{error.mean():+.5f}",
                "mean size": f"{np.abs(error).mean():.5f}",
                "largest": f"{np.abs(error).max():.5f}",
                "correlation of moves": f"{np.corrcoef(own - before, exact - before)[0, 1]:.5f}",
            }
        )
    gap = np.abs(found["stochastically, as iterit scores"] - found["stochastically, vocabulary in float32"])
    moved = (
        f"{(exact - before).mean():+.4f} on average, {np.abs(exact - before).mean():.4f} in absolute value"
    )
    notes = (
        f"Training changed IFD by {moved}. Computing the vocabulary in bfloat16 changes IFD by"
        f" {gap.mean():.6f} on average, {gap.max():.6f} at most (0 on processors that use float32 there)."
    )
    return pd.DataFrame(rows), notes


def main() -> None:
    """Train, compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="instruction records")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    settings = settings_of(__file__)
    records = read_records(options.file)
    order = np.random.default_rng(settings["seed"]).permutation(len(records))
    trained, others = (
        order[: settings["n_trained"]],
        np.sort(order[settings["n_trained"] :][: settings["n_scored"]]),
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(
            trainable_folder("demo", folder), folder, TrainingSettings(rounds=1, **settings["training"])
        )
        score = Scoring(records, others, trainer.processing_class, settings["max_tokens"])
        before = score.in_float32(trainer.model)
        template = template_for(trainer.processing_class)
        examples = template.encode_all(records, trained, max_tokens=settings["max_tokens"])
        trainer.train_dataset = TrainingRows(examples)
        trainer.data_collator = PaddedBatch(trainer.processing_class.eos_token_id)
        trainer.train()
        table, notes = measure(score, trainer.model, before)
    text = (
        "# Copies that score in bfloat16, against the trained weights in float32\n\n"
        f"SmolLM2-135M-Instruct in bfloat16 with an adapter that was trained on {len(trained)} records for"
        f" one epoch; IFD of {len(others)} other records. {machine('torch', 'transformers')}.\n\n"
        f"{markdown(table)}\n\n{notes}\n"
    )
    options.out.mkdir(exist_ok=True)
    (options.out / "scoring_copies.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
