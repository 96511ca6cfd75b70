"""Measures corrections learned under one prompt or number format and used under another.

Run it from the repository root; it resumes where it stopped:

    python experiments/transfer.py FOLDER [--data ../shared/data] [--collect] [--read]

FOLDER is that of main_table.py and letters.py. For every pair of prompts of a task that differ in one thing
(the seed of the solved examples, their number, words or letters as options, the numbers of the model), each
method is fitted on the opt rows of the one and measured on the test rows of the other. Beside it stand the
correction of the other prompt itself, and one that is fitted on the opt rows of all of them together. Writes
experiments/results/transfer.csv and .md.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from claims.judging import Rows, figures, fit, rows_of, sign_flip
from claims.resuming import Kept
from claims.tables_of_tasks import Asked, Collected, claim_tasks, collect_all
from common import machine, markdown, settings_of

from debias.inference.models.loading import load_model
from debias.inference.transformers.transformers_engine import TransformersEngine

OWN, OTHER, TOGETHER, NONE = "its own", "another one's", "one for all", "none"


def quantised_engine(name: str, dtype: str, bits: int) -> TransformersEngine:
    """Load a model and round the weights of its layers to a few bits, with one scale per row of a matrix."""
    import torch

    model, tokenizer = load_model(name, dtype=dtype)
    most = 2 ** (bits - 1) - 1
    head = model.get_output_embeddings()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Linear) and layer is not head:
                scale = layer.weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / most
                layer.weight.copy_((layer.weight / scale).round() * scale)
    return TransformersEngine(model, tokenizer)


def asked_of(task: str, prompt: list[Any]) -> Asked:
    """Return the prompt that the settings name."""
    shots, seed, variant = prompt
    return (
        Asked(f"{task}-letters", shots, seed) if variant == "letters" else Asked(task, shots, seed, variant)
    )


def measure(known: dict, pairs: dict[str, tuple[Rows, Rows]], settings: dict) -> list[dict]:
    """Fit on each prompt and on all together; return figures of every prompt's test rows."""
    lines = []

    def add(method: str, source: str, target: str, learned: str, predicted: Any) -> None:
        line = {"method": method, "learned under": source, "used under": target, "correction": learned}
        lines.append(known | line | figures(pairs[target][1], predicted))

    everything = sum((opt for opt, _ in list(pairs.values())[1:]), next(iter(pairs.values()))[0])
    for key in settings["methods"]:
        together = fit(key, everything, settings["n_starts"], settings["seed"])
        for target, (_, test) in pairs.items():
            add(key, "", target, NONE, test.X.argmax(axis=1))
            add(key, "all", target, TOGETHER, together.predict(test.X))
        for source, (opt, _) in pairs.items():
            one = fit(key, opt, settings["n_starts"], settings["seed"])
            for target, (_, test) in pairs.items():
                add(key, source, target, OWN if source == target else OTHER, one.predict(test.X))
    return lines


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean figures by kind, method and where the correction comes from, and p against its own."""
    lines = []
    for (kind, method), own in table.groupby(["kind", "method"], sort=False):
        by_task = own.groupby(["correction", "task"])[["accuracy", "cobias", "z"]].mean()
        tasks = own["task"].drop_duplicates()
        line = {"kind": kind, "tasks": len(tasks), "method": method}
        for learned in (NONE, OWN, OTHER, TOGETHER):
            one = by_task.loc[learned]
            pair = f"{100 * one['accuracy'].mean():.1f} / {100 * one['cobias'].mean():.1f}"
            line[f"{learned}: accuracy / COBias"] = pair
        gain = (by_task.loc[NONE]["z"] - by_task.loc[OWN]["z"]).mean()
        for learned in (OTHER, TOGETHER):
            share = (by_task.loc[NONE]["z"] - by_task.loc[learned]["z"]).mean() / gain if gain > 0 else None
            line[f"gain in z kept, {learned}, %"] = "" if share is None else f"{100 * share:.0f}"
        away = by_task.loc[OTHER]["z"] - by_task.loc[OWN]["z"]
        line["p, another one's against its own"] = f"{sign_flip(away.to_list()):.3f}"
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    """Collect what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="folder with rte, ddi and pubmedqa")
    parser.add_argument("--collect", action="store_true", help="only collect the tables of the rounded model")
    parser.add_argument("--read", action="store_true", help="measure the tables that are there")
    given, settings = parser.parse_args(), settings_of(__file__)
    main_settings = settings_of(str(Path(__file__).with_name("main_table.py")))["collected"]
    words = claim_tasks(settings["tasks"], given.data, given.folder)
    letters = {f"{name}-letters": task.with_letters() for name, task in words.items()}
    collected = Collected(given.folder, main_settings, words | letters)
    own = settings["quantised"]
    shots, seed = own["prompt"]
    rounded = [Asked(name, shots, seed, f"{own['bits']}bit") for name in own["tasks"] if name in words]
    if not given.read and not all(map(collected.are_there, rounded)):
        engine = quantised_engine(main_settings["model"], main_settings["dtype"], own["bits"])
        collect_all(collected, rounded, engine)
    if given.collect:
        return
    measurements = Kept("transfer", ["kind", "task", "prompts"])
    measured = []
    for kind, prompts in settings["kinds"].items():
        for name in words:
            there = [
                asked for asked in (asked_of(name, one) for one in prompts) if collected.are_there(asked)
            ]
            if len(there) < 2:
                continue
            pairs = {asked.words: tuple(map(rows_of, collected.read(asked))) for asked in there}
            known = {"kind": kind, "task": name, "prompts": "; ".join(pairs)}
            measurements.measure(tuple(known.values()), measure, known, pairs, settings)
            measured.append(tuple(known.values()))
    table = measurements.table().set_index(measurements.keys).loc[measured].reset_index()
    page = f"""# Corrections used under another prompt or number format

{machine("torch", "transformers", "numpy", seconds=measurements.seconds, commits=measurements.commits)}.
Settings: `experiments/transfer.toml`. SmolLM2-135M-Instruct, float32; "quantisation" rounds the weights of
its layers to {own["bits"]} bits. Mean over tasks, in points; z is what the corrections minimise. p is exact,
over tasks: few of them cannot give a small one.

{markdown(kept(table))}

Prompts that were there:

{chr(10).join(f"- {kind}: {prompts}" for kind, _, prompts in measured)}
"""
    measurements.write(page)


if __name__ == "__main__":
    main()
