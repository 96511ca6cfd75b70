"""The commands that are disturbed: their inputs, their words, what they write, and how that is compared."""

import csv
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

WORDS = ["Who", "wrote", "the", "book", "How", "many", "planets", "are", "there", "in", "Nile", "good", "bad"]
CLASSES = ("bad", "fine", "great")


@dataclass(frozen=True)
class Job:
    """A command in a folder of its own.

    Attributes
    ----------
    name : str
        As in the table.
    program, words
        What is run.
    inputs : tuple of str
        Files of the workshop that it needs.
    outputs : tuple of str
        Files that must be byte for byte those of an undisturbed run.
    work : str
        What it makes step by step and keeps: answers, scores, steps, or nothing.
    kept : tuple of str
        What else may be in the folder in the end.
    """

    name: str
    program: str
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    work: str = ""
    kept: tuple[str, ...] = ()
    place: str = field(default="")

    def prepare(self, workshop: Path, folder: Path) -> Path:
        """Make a folder with the inputs of the command, and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.inputs:
            source = workshop / name
            if source.is_dir():
                (folder / name).symlink_to(source)
            else:
                shutil.copy(source, folder / name)
        return folder


def differences(job: Job, folder: Path, expected: Path) -> list[str]:
    """Return what is not as in the folder of an undisturbed run."""
    found = []
    for name in job.outputs:
        ours, theirs = folder / name, expected / name
        if not ours.exists():
            found.append(f"{name} is missing")
        elif _content(ours) != _content(theirs):
            found.append(f"{name} differs")
    allowed = {*job.inputs, *(name.split("/")[0] for name in (*job.outputs, *job.kept)), "events"}
    strangers = sorted({path.name for path in folder.iterdir()} - allowed)
    return found + ([f"left behind: {', '.join(strangers)}"] if strangers else [])


def unfinished(job: Job, folder: Path, expected: Path) -> list[str]:
    """Return the outputs that are there and not whole: a killed command leaves none."""
    return [
        f"{name} is there and is not whole"
        for name in job.outputs
        if "/" not in name
        and (folder / name).exists()
        and _content(folder / name) != _content(expected / name)
    ]


def _content(path: Path) -> object:
    """Return what a file holds, without the seconds that something took."""
    whole = path.read_bytes()
    if path.suffix == ".csv" and b",fit_seconds," in whole:
        rows = [*csv.reader(whole.decode(errors="replace").splitlines())]
        at = rows[0].index("fit_seconds")
        return [row[:at] + row[at + 1 :] for row in rows]
    if path.suffix == ".json" and b'"search_seconds"' in whole:
        try:
            document = json.loads(whole)
        except ValueError:  # cut off
            return whole
        return {key: value for key, value in document.items() if key not in ("search_seconds", "checksum")}
    return whole


def text(generator: random.Random, most: int) -> str:
    """Return some words."""
    return " ".join(generator.choices(WORDS, k=generator.randint(1, most)))


def make_inputs(workshop: Path, n_records: int, n_texts: int, n_rows: int) -> None:
    """Write what the commands read: a tiny model, records, texts, a task, tables and a correction."""
    from tests.support.tiny_models import byte_tokenizer, tiny_model

    tiny_model("llama").save_pretrained(workshop / "model")
    byte_tokenizer().save_pretrained(workshop / "model")
    generator = random.Random(0)
    records = [
        {"instruction": text(generator, 8), "input": "", "output": text(generator, 12)}
        for _ in range(n_records)
    ]
    (workshop / "your.jsonl").write_text("\n".join(map(json.dumps, records)))
    lines = [f"{text(generator, 9)} {number},{CLASSES[number % 3]}" for number in range(n_texts)]
    (workshop / "texts.csv").write_text("\n".join(["text,label", *lines]))
    (workshop / "mood.toml").write_text(f'name = "mood"\nlabels = {json.dumps(CLASSES)}\n')
    from debias.tables.table import ProbabilityTable

    for seed, name in enumerate(("opt.parquet", "test.parquet")):
        drawn = np.random.default_rng(seed)
        values = drawn.dirichlet((4.0, 2.0, 1.0), size=n_rows)
        answers = (values * (0.5, 1.0, 1.5)).argmax(axis=1)
        labels = [
            CLASSES[k] for k in np.where(drawn.random(n_rows) < 0.3, drawn.integers(0, 3, n_rows), answers)
        ]
        ids = [f"{name}-{number}" for number in range(n_rows)]
        texts = [f"{name} text {number}" for number in range(n_rows)]
        ProbabilityTable(values, labels, classes=CLASSES, ids=ids, texts=texts).write(workshop / name)


COLLECT = ("collect", "mood.toml", "--data", "texts.csv", "--shots", "0", "--out", "mood.parquet")
TRAIN = (
    "train", "your.jsonl", "--model", "./model", "--device", "cpu", "--ratio", "0.2", "--max-ifd", "5",
    "--rounds", "3", "--batch-size", "4", "--gradient-accumulation", "1", "--save-steps", "1", "--out", "run",
)  # fmt: skip
TRAINED = tuple(f"run/iterit/{name}.parquet" for name in ("picks", "scores", "order", "records"))


def jobs(url: str) -> dict[str, Job]:
    """Return the commands by name, given the address of a server."""
    texts, tables = ("texts.csv", "mood.toml"), ("opt.parquet", "test.parquet")
    served = ("--engine", "openai", "--model", "toy", "--base-url", url)
    own: Callable[..., Job] = Job
    found = [
        own("collect", "debias", (*COLLECT, "--model", "./model", "--device", "cpu"), (*texts, "model"),
            ("mood.parquet",), "answers", ("mood.parquet.run",), "mood.parquet.run"),
        own("collect from a server", "debias", (*COLLECT, *served), texts, ("mood.parquet",), "answers",
            ("mood.parquet.run",), "mood.parquet.run"),
        own("score", "iterit", ("score", "your.jsonl", "--model", "./model", "--device", "cpu"),
            ("your.jsonl", "model"), ("scores.parquet",), "scores", ("iterit-scores",), "iterit-scores"),
        own("train", "iterit", TRAIN, ("your.jsonl", "model"),
            (*TRAINED, "run/model/adapter_model.safetensors"), "steps", ("run",), "run"),
        own("split", "debias", ("split", "opt.parquet", "--opt-out", "a.parquet", "--test-out", "b.parquet"),
            ("opt.parquet",), ("a.parquet", "b.parquet")),
        own("fit", "debias", ("fit", "opt.parquet", "--method", "ensemble", "--out", "c.json"),
            ("opt.parquet",), ("c.json",)),
        own("frontier", "debias", ("frontier", "opt.parquet", "--method", "weight", "--out", "f.csv"),
            ("opt.parquet",), ("f.csv",)),
        own("apply", "debias", ("apply", "test.parquet", "--correction", "c.json", "--out", "p.csv"),
            ("test.parquet", "c.json"), ("p.csv",)),
        own("certify", "debias", ("certify", "c.json", "test.parquet", "--out", "g.json"),
            ("test.parquet", "c.json"), ("g.json",)),
        own("report", "debias", ("report", "test.parquet", "--correction", "c.json", "--out", "r.html"),
            ("test.parquet", "c.json"), ("r.html",)),
        own("compare", "debias", ("compare", "opt.parquet", "--test", "test.parquet", "--out", "k.csv"),
            tables, ("k.csv",)),
        own("select", "iterit", ("select", "your.jsonl", "--scores", "s.parquet", "--ratio", "0.2", "--why",
            "w.csv"), ("your.jsonl", "s.parquet"), ("selected.jsonl", "w.csv")),
        own("rounds report", "iterit", ("report", "finished", "--out", "rounds.html"), ("finished",),
            ("rounds.html",)),
    ]  # fmt: skip
    return {job.name: job for job in found}
