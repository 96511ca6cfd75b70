"""Compares the speed of two checkouts of this project, part by part, interleaved on one machine.

    python experiments/two_checkouts.py OLD_CHECKOUT ../shared/data

Each measurement runs one checkout in its own process and reports the seconds of its work, without compiling
or loading a model; the start of a command counts in full. It uses only public names that both have. Writes
experiments/results/two_checkouts.csv and .md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from statistics import median

import pandas as pd
from common import machine, markdown

WITH_MODEL = ("collect TREC", "score records")

HERE = Path(__file__).resolve().parent

FIT = """
import sys, time, warnings
import numpy as np
from debias import EnsembleDebiaser
warnings.simplefilter("ignore")
rows = np.loadtxt(sys.argv[1])
X, y = rows[:, 3:], rows[:, 1].astype(int)
X = X / X.sum(axis=1, keepdims=True)
def fit(X, y):
    return EnsembleDebiaser(search=sys.argv[2], n_jobs=2).fit(X, y)
fit(X, y)
started = time.perf_counter()
found = fit(X, y)
print(time.perf_counter() - started, f"{found.objective_value_:.6f} {found.certificate_.status}")
"""

COLLECT = """
import pathlib, sys, time
import pandas as pd
from debias import TransformersEngine, collect
lines = pathlib.Path(sys.argv[1]).read_text().splitlines()[: int(sys.argv[2])]
engine = TransformersEngine("demo")
out = pathlib.Path(sys.argv[3]) / "table.parquet"
collect(engine, "trec", lines[:20], progress=False)
started = time.perf_counter()
table = collect(engine, "trec", lines, out=out, progress=False)
print(time.perf_counter() - started, f"{float(table.label_mass.mean()):.3f}")
"""

SELECT = """
import sys, time
from iterit.cli import app
def run(*words):
    try:
        app([*words], standalone_mode=False)
    except SystemExit as done:
        assert not done.code
folder = sys.argv[2]
run("select", "data/instructions.jsonl", "--mode", "diversity", "--out", f"{folder}/warm.jsonl")
started = time.perf_counter()
run("select", sys.argv[1], "--mode", "diversity", "--out", f"{folder}/picks.jsonl")
print(time.perf_counter() - started, sum(1 for line in open(f"{folder}/picks.jsonl")))
"""

SCORE = """
import sys, time
from debias import TransformersEngine
from iterit import read_records, score_complexity
records = read_records(["data/instructions.jsonl"])
engine = TransformersEngine("demo")
score_complexity(records, engine, rows=range(8), show_progress=False)
started = time.perf_counter()
scores = score_complexity(records, engine, rows=range(8, 8 + int(sys.argv[1])), show_progress=False)
print(time.perf_counter() - started, f"{scores.ifd.mean():.3f}")
"""

START = """
import subprocess, sys, time
started = time.perf_counter()
subprocess.run([sys.executable, *sys.argv[1:]], check=True, capture_output=True)
print(time.perf_counter() - started, "")
"""


def run(checkout: Path, program: str, arguments: list[str]) -> tuple[float, str]:
    """Run a program on a checkout; return the seconds of its work and what it found."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    seconds, _, found = done.stdout.strip().splitlines()[-1].partition(" ")
    return float(seconds), found


def parts_of(data: Path, folder: Path, settings: dict) -> dict[str, tuple[str, list[str]]]:
    """Return the programs by the names of what they measure."""
    tables = data / "probabilities"
    texts = folder / "trec.txt"
    texts.write_text("\n".join(read_texts()[: settings["prompts"]]))
    fits = {
        f"fit {task}, {search}": (FIT, [str(tables / f"{task}_shot1_seed0" / "opt.txt"), search])
        for search in settings["searches"]
        for task in settings["tasks"]
    }
    return {
        **fits,
        "collect TREC": (COLLECT, [str(texts), str(settings["prompts"]), str(folder)]),
        "iterit select": (SELECT, [str(data / "instructions" / "alpaca_52k.jsonl.gz"), str(folder)]),
        "score records": (SCORE, [str(settings["records"])]),
        "debias --help": (START, ["-m", "debias.cli", "--help"]),
        "import debias": (START, ["-c", "import debias"]),
    }


def read_texts() -> list[str]:
    """Return the texts of TREC, each in a line."""
    from debias.inference.texts.sources import load_split

    return [" ".join(str(text).split()) for text in load_split("trec", "opt")[0]]


def main() -> None:
    """Measure both checkouts in turns and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="the checkout to compare with")
    parser.add_argument("data", type=Path, help="the folder with probabilities/ and instructions/")
    parser.add_argument("--only", help="measure the parts whose name has this in it")
    parser.add_argument("--without-model", action="store_true", help="omit collecting and scoring")
    options = parser.parse_args()
    settings = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    checkouts = {"before": options.old.resolve(), "after": HERE.parent}
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        programs = parts_of(options.data.resolve(), Path(temporary), settings)
        for name, (program, arguments) in programs.items():
            if (options.only or "") not in name or (options.without_model and name in WITH_MODEL):
                continue
            seconds: dict[str, list[float]] = {which: [] for which in checkouts}
            found = {}
            for checkout in checkouts.values():
                run(checkout, program, arguments)  # compiles, fills the file cache
                clean(Path(temporary))
            for _ in range(settings["turns"]):
                for which, checkout in checkouts.items():
                    taken, found[which] = run(checkout, program, arguments)
                    seconds[which].append(taken)
                    clean(Path(temporary))
            ratio = median(b / a for a, b in zip(seconds["before"], seconds["after"], strict=True))
            rows.append(
                {
                    "part": name,
                    "before, s": f"{median(seconds['before']):.2f}",
                    "after, s": f"{median(seconds['after']):.2f}",
                    "ratio": f"{ratio:.2f}",
                    "slower": "yes" if ratio > settings["limit"] else "no",
                    "result before": found["before"],
                    "result after": found["after"],
                }
            )
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    if options.only:
        return
    out = HERE / "results" / "two_checkouts"
    table.to_csv(out.with_suffix(".csv"), index=False)
    out.with_suffix(".md").write_text(
        f"# Two checkouts, interleaved\n\n{time.strftime('%Y-%m-%d')}; {machine()}; medians of"
        f" {settings['turns']} rounds. The ratio is the median of the rounds' ratios.\n\n{markdown(table)}\n"
    )


def clean(folder: Path) -> None:
    """Remove what a run wrote, so that the next one starts afresh."""
    for path in folder.iterdir():
        if path.name != "trec.txt":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    main()
