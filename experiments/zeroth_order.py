"""Compares forward-only training with a correction, and with gradients, at equal cost, by class.

Run it from the repository root (about two hours of one core; each part is a process of its own, kept
as it comes, and not run again):

    python experiments/zeroth_order.py ../shared/data

SmolLM2-135M-Instruct in float32 on SST-5 and RTE, zero-shot prompts, the loss of class probabilities:
zero-shot, MeZO and Sparse MeZO on all weights, and a LoRA adapter by AdamW. Each is evaluated as it is, and
with a correction (DCS) after it. Budgets are seconds of processor time, and forward passes: AdamW is
evaluated when it has run as many rows forward as MeZO, and when it has used as many seconds. Peak memory is
that of the process while it trains. Writes experiments/results/zeroth_order.csv and .md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, rounded, settings_of
from scipy.special import softmax

from debias.estimators.debiasers import EnsembleDebiaser
from debias.inference.models.export import export_model
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task, load_task
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.zeroth_order.class_loss import ClassLoss
from debias.inference.zeroth_order.class_training import ClassTraining
from debias.inference.zeroth_order.forward_training import rows_of_step
from debias.inference.zeroth_order.zeroth_order_settings import ZerothOrderSettings
from debias.metrics.scores import class_accuracy, cobias

METHODS = ("zero-shot", "mezo", "sparse-mezo", "lora-adamw")
COLUMNS = [
    "task", "method", "budget", "correction", "accuracy", "COBias", "worst class", "steps", "rows forward",
    "CPU seconds", "peak GiB",
]  # fmt: skip


class Rows:
    """Labelled rows of a task, divided into those that train and those that correct, and test rows."""

    def __init__(self, name: str, data: Path, settings: dict[str, Any]) -> None:
        own = settings["tasks"][name]
        self.task: Task = load_task(name)
        given = {key: data / own[key] if key in own else None for key in ("labelled", "test")}
        seed = settings["seed"]
        labelled = load_split(self.task, "opt", own["n_labelled"], seed, data=given["labelled"])
        test = load_split(self.task, "test", own["n_test"], seed, data=given["test"])
        order = np.random.default_rng(seed).permutation(len(labelled.texts))
        n_correcting = round(settings["correction_share"] * len(order))
        self.correcting, self.training = order[:n_correcting], order[n_correcting:]
        self.prompts = [self.task.prompt(text) for text in labelled.texts]
        self.labels = np.array([self.task.class_names.index(one) for one in labelled.labels])
        self.test_prompts = [self.task.prompt(text) for text in test.texts]
        self.test_labels = np.array([self.task.class_names.index(one) for one in test.labels])

    def table(self, engine: TransformersEngine, prompts: list[str]) -> np.ndarray:
        """Class probabilities with the weights as they are now."""
        return softmax(engine.label_logprobs(prompts, self.task.continuations), axis=1)

    def evaluate(self, engine: TransformersEngine, rows: np.ndarray) -> list[dict[str, Any]]:
        """Scores on test rows, as they are and with a correction fitted on some labelled rows."""
        test = self.table(engine, self.test_prompts)
        fitted = EnsembleDebiaser(search="descent", n_jobs=1, random_state=0).fit(
            self.table(engine, [self.prompts[row] for row in rows]), self.labels[rows]
        )
        names = list(range(len(self.task.labels)))
        answer = []
        for correction, predicted in (
            ("none", test.argmax(1)),
            (f"DCS, {len(rows)} labels", fitted.predict(test)),
        ):
            own = class_accuracy(self.test_labels, predicted, labels=names)
            answer.append(
                {
                    "correction": correction,
                    "accuracy": float((predicted == self.test_labels).mean()),
                    "COBias": float(cobias(self.test_labels, predicted, labels=names)),
                    "worst class": float(own.min()),
                }
            )
        return answer


def peak() -> float:
    """Peak memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def by_forwards(rows: Rows, engine: TransformersEngine, method: str, settings: dict[str, Any]) -> list[dict]:
    """Train by MeZO or Sparse MeZO, until the seconds are used up."""
    loss = ClassLoss(
        engine,
        [rows.prompts[row] for row in rows.training],
        rows.labels[rows.training],
        rows.task.continuations,
    )
    chosen = ZerothOrderSettings(
        optimizer=method,
        batch_size=settings["batch_size"],
        epsilon=settings["epsilon"],
        sparsity=settings["sparsity"],
        seed=settings["seed"],
    )
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        training = ClassTraining(engine, loss, chosen, Path(folder) / "run")
        while time.process_time() - begun < settings["train_seconds"]:
            measured = training.step()
            print(
                f"{training.n_steps}: loss {measured.loss:.4f}, g {measured.step.projected:.2f}", flush=True
            )
        cost = {
            "budget": "seconds and forwards",
            "steps": training.n_steps,
            "rows forward": training.training.n_forwards * settings["batch_size"],
            "CPU seconds": time.process_time() - begun,
            "peak GiB": peak(),
            "rate": training.rate,
        }
    return [cost | one for one in rows.evaluate(engine, rows.correcting)]


def by_gradients(rows: Rows, engine: TransformersEngine, settings: dict[str, Any], equal: int) -> list[dict]:
    """Train an adapter by AdamW: evaluated after as many rows forward, and after as many seconds."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(settings["seed"])
    config = LoraConfig(
        r=settings["rank"],
        lora_alpha=2 * settings["rank"],
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(engine.model, config)
    tuned = TransformersEngine(model, engine.tokenizer)
    encoded = tuned.label_rows([rows.prompts[row] for row in rows.training], rows.task.continuations)
    assert all(len(path) == 1 for _, tree in encoded for path in tree.paths), "labels of one token"
    labels = torch.from_numpy(rows.labels[rows.training])
    optimizer = torch.optim.AdamW(
        [one for one in model.parameters() if one.requires_grad], lr=settings["adamw_rate"], weight_decay=0.0
    )
    found: list[dict] = []
    step, spent = 0, 0.0
    size = settings["batch_size"]
    while True:
        for budget, is_due in (
            ("forwards", step * size >= equal),
            ("seconds", spent >= settings["train_seconds"]),
        ):
            if is_due and budget not in {one["budget"] for one in found}:
                cost = {
                    "budget": budget,
                    "steps": step,
                    "rows forward": step * size,
                    "CPU seconds": spent,
                    "peak GiB": peak(),
                }
                model.eval()
                found += [cost | one for one in rows.evaluate(tuned, rows.correcting)]
        if len(found) == 4:
            return found
        begun = time.process_time()
        model.train()
        batch = rows_of_step(len(encoded), size, settings["seed"], step)
        loss = class_loss(model, [encoded[row] for row in batch], labels[batch])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step, spent = step + 1, spent + time.process_time() - begun
        print(f"{step}: loss {loss.item():.4f}, {spent:.0f} s", flush=True)


def class_loss(model: Any, batch: list[Any], labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over labels of one token: the vocabulary cancels, so it is not computed."""
    contexts = [context for context, _ in batch]
    width = max(map(len, contexts))
    ids = torch.tensor([context + [0] * (width - len(context)) for context in contexts])
    base = model.get_base_model()
    states = base.model(input_ids=ids, use_cache=False).last_hidden_state
    last = states[torch.arange(len(contexts)), torch.tensor([len(one) - 1 for one in contexts])]
    tree = batch[0][1]
    tokens = torch.tensor([tree.edges[path[0]][1] for path in tree.paths])
    return torch.nn.functional.cross_entropy(last @ base.lm_head.weight[tokens].T, labels)


def run_part(name: str, method: str, data: Path, model: str, kept: Path) -> None:
    """Run one method on one task, and keep its scores."""
    settings = settings_of(__file__)
    torch.set_num_threads(1)
    rows = Rows(name, data, settings)
    engine = TransformersEngine(model, dtype="float32")
    if method == "zero-shot":
        everything = np.arange(len(rows.prompts))
        found = [
            {"budget": "none", "steps": 0, "rows forward": 0, "CPU seconds": 0.0, "peak GiB": peak(), **one}
            for one in rows.evaluate(engine, everything)
        ]
    elif method == "lora-adamw":
        other = json.loads((kept / f"{name}.mezo.json").read_text())
        found = by_gradients(rows, engine, settings, other[0]["rows forward"])
    else:
        found = by_forwards(rows, engine, method, settings)
    found = [{"task": name, "method": method, **one} for one in found]
    (kept / f"{name}.{method}.json").write_text(json.dumps(found))


def write(kept: Path, out: Path) -> None:
    """Write what there is."""
    settings = settings_of(__file__)
    parts = [kept / f"{name}.{method}.json" for name in settings["tasks"] for method in METHODS]
    done = [path for path in parts if path.exists()]
    found = pd.DataFrame([one for path in done for one in json.loads(path.read_text())])
    found.to_csv(out / "zeroth_order.csv", index=False)
    missing = [path.stem for path in parts if not path.exists()]
    measured = found.reindex(columns=["task", "method", "rate"]).dropna().drop_duplicates()
    said = ", ".join(f"{name} {method}: {rate:.2g}" for name, method, rate in measured.to_numpy())
    text = (
        "# Forward-only training, a correction, and gradients, at equal cost\n\n"
        f"SmolLM2-135M-Instruct in float32, {machine('torch', 'transformers', 'peft')}, one thread. Budget of"
        f" each training: {settings['train_seconds']} s of processor time on one core, batches of"
        f" {settings['batch_size']} rows; {settings['correction_share']:.0%} of the labelled rows correct,"
        " the others train, and the correction of the untrained model uses all of them. Sparse MeZO does NOT"
        f" touch {settings['sparsity']:.0%} of the weights. Learning rates of forward-only training are half"
        f" of the best for the curvature measured before the first step ({said}). A step of AdamW also runs"
        " backward, which counts in its seconds and not in its rows forward.\n\n"
        f"{markdown(rounded(found[COLUMNS]))}\n\n"
        "The paper claims (arXiv 2402.15751) for LLaMA-7B with 1,000 labelled rows: RTE 71.7 with MeZO and"
        " 80.7 with Sparse MeZO, 3.5 times fewer steps to the same accuracy; a run there has up to 20,000"
        " steps. The budget here is hundreds of times smaller and the model fifty times: this page says what"
        " half an hour of one core gives, and neither confirms nor refutes that claim.\n"
        + (f"\nNot run: {', '.join(missing)}.\n" if missing else "")
    )
    (out / "zeroth_order.md").write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Run the parts that are not yet run, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with rte/train.jsonl and rte/val.jsonl")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--kept", type=Path, default=Path("zeroth-order-parts"), help="folder of the parts")
    parser.add_argument("--part", nargs=3, metavar=("TASK", "METHOD", "MODEL"), help="run one part alone")
    options = parser.parse_args()
    options.kept.mkdir(exist_ok=True)
    if options.part:
        run_part(options.part[0], options.part[1], options.data, options.part[2], options.kept)
        return
    model = options.kept / "model"
    if not (model / "tokenizer.json").exists():
        export_model("demo", model)
    for name in settings_of(__file__)["tasks"]:
        for method in METHODS:
            if not (options.kept / f"{name}.{method}.json").exists():
                words = [sys.executable, __file__, str(options.data), "--kept", str(options.kept)]
                environment = os.environ | {"OMP_NUM_THREADS": "1"}
                subprocess.run([*words, "--part", name, method, str(model)], check=True, env=environment)
                write(options.kept, options.out)
    write(options.kept, options.out)


if __name__ == "__main__":
    main()
