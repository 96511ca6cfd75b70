"""A newcomer's path, timed: an empty environment, a CSV of other people's shape, a guaranteed correction.

Run it from the repository root (about five minutes on two cores, most of them the installation):

    python experiments/first_hour.py demo-output

The folder holds the tables that `make demo` collected. Rows of them are written as three CSVs in shapes that
other programs write, and every command of docs/five-minutes.md is run on each, in processes of their own.
No model is loaded. Writes experiments/results/first_hour.csv and first_hour.md.
"""

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, rounded, settings_of

from debias import ProbabilityTable

ROOT = Path(__file__).resolve().parents[1]
INSTALL = "pip install -c constraints-cpu.txt ."


def shapes(
    table: pd.DataFrame, classes: list[str], rng: np.random.Generator
) -> dict[str, tuple[pd.DataFrame, dict, str]]:
    """Return a frame, how pandas writes it, and the options that the page names for it, by shape."""
    named = pd.Series(table["label"], dtype=str)
    spreadsheet = (
        table[classes].round(4).assign(label=named, comment=[f"row; {n}" for n in range(len(table))])
    )
    scores = table[classes].set_axis([f"p_{name}" for name in classes], axis=1)
    scores = scores.assign(y_true=[classes.index(label) for label in named])
    wide = pd.DataFrame({"timestamp": pd.date_range("2026-01-01", periods=len(table), freq="h")})
    wide = pd.concat([wide, table[classes]], axis=1)
    wide["prediction"] = table[classes].idxmax(axis=1)
    wide["confidence"] = table[classes].max(axis=1)
    wide = wide.assign(
        annotator=rng.integers(5, size=len(table)), gold=named, n_tokens=rng.integers(5, 200, len(table))
    )
    names = ",".join(classes)
    return {
        "a spreadsheet: semicolons, decimal commas": (
            spreadsheet,
            {"sep": ";", "decimal": ",", "index": False},
            f"--classes {names}",
        ),
        "predict_proba: p_World ..., integer labels": (scores, {"index": False}, "--label-column y_true"),
        "pandas: an index, columns of other things": (wide, {}, f"--label-column gold --classes {names}"),
    }


def timed(command: str, folder: Path, environment: dict[str, str]) -> tuple[np.ndarray, str]:
    """Run a command in a folder; return seconds by the clock and of processors, and its output."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"$ {command}\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return np.array([time.perf_counter() - begun, computed]), done.stdout


def main() -> None:
    """Install, run every step on every table, and write the times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    given, settings = parser.parse_args(), settings_of(__file__)
    rng = np.random.default_rng(settings["seed"])
    parts = [ProbabilityTable.read(path) for path in sorted(given.folder.glob("*-1000.parquet"))]
    classes = [str(name) for name in parts[0].classes]
    table = pd.concat([part.probabilities.assign(label=part.labels) for part in parts], ignore_index=True)
    table = table.iloc[rng.permutation(len(table))[: settings["n_rows"]]].reset_index(drop=True)
    rows: list[dict] = []
    guarantees: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        environment = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NUMBA_CACHE_DIR")
        }
        made, _ = timed(f"{sys.executable} -m venv {work / 'venv'}", ROOT, environment)
        environment["PATH"] = f"{work / 'venv' / 'bin'}{os.pathsep}{environment['PATH']}"
        installed, _ = timed(f"{work / 'venv' / 'bin' / 'python'} -m {INSTALL} --quiet", ROOT, environment)
        for shape, (frame, writing, options) in shapes(table, classes, rng).items():
            folder = work / f"table {len(guarantees)}"
            folder.mkdir()
            frame.to_csv(folder / "probabilities.csv", **writing)
            new = frame.drop(columns=[name for name in ("label", "gold", "y_true") if name in frame])
            new.to_csv(folder / "new.csv", **writing)
            named = options[options.find("--classes") :] if "--classes" in options else ""
            seconds = {"install": made + installed}
            for command in (
                f"debias split probabilities.csv {options}",
                "debias fit opt.parquet",
                "debias certify correction.json test.parquet --opt opt.parquet",
                "debias report test.parquet --fitted-on opt.parquet",
                f"debias apply new.csv --out predictions.csv {named}",
            ):
                step = command.split()[1]
                seconds[step], printed = timed(command, folder, environment)
                print(f"{shape}: {command}: {seconds[step].round(1)}", flush=True)
                if step == "certify":
                    said = next(line for line in printed.splitlines() if line.startswith("Guaranteed"))
                    guarantees[shape] = said
            for kind, clock in enumerate(("by the clock", "of processors")):
                each = {step: value[kind] for step, value in seconds.items()}
                rows.append({"table": shape, "seconds": clock, **each, "in all": sum(each.values())})
    frame = pd.DataFrame(rows)
    frame.to_csv(RESULTS / "first_hour.csv", index=False)
    slowest = frame.loc[frame["seconds"] == "by the clock", "in all"].max()
    told = "\n".join(f"- {shape}: {said}" for shape, said in guarantees.items())
    text = f"""# A newcomer's path: from a CSV without a model to a guaranteed correction

Seconds of each step, in processes of their own; {settings["n_rows"]:,} rows of the demo's tables, in three
shapes that other programs write. The first table pays for compiling the search, once per machine. The slowest
took {slowest:.0f} seconds by the clock, installation included; wanted: at most {settings["most_seconds"]}.
Load of the machine in the last 15 minutes, by this and by other work: {os.getloadavg()[2]:.0f} processes.
Settings: `experiments/first_hour.toml`. {machine("numpy", "numba")}.

{markdown(rounded(frame, {name: 1 for name in frame.columns if name not in ("table", "seconds")}))}

What `certify` says of each:

{told}
"""
    (RESULTS / "first_hour.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
