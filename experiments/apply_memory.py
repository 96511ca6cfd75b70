"""Measures the memory of ``debias apply`` by the number of rows: it must not grow.

Run it from the repository root:

    python experiments/apply_memory.py

Each table is drawn with the same seed and written as a collection writes it, a block of rows after the
other; every command runs in a process of its own. Writes experiments/results/apply_memory.csv and .md.
"""

import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, settings_of

from debias import EnsembleDebiaser
from debias.tables.formats.parquet_table import ParquetTableWriter
from debias.tables.table_parts import TableParts

APPLY = """
import resource, sys
from debias.cli import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write_rows(path: Path, n_rows: int, settings: dict) -> None:
    """Write a table of random rows, block by block: as a collection does, or as pandas writes text."""
    rng = np.random.default_rng(settings["seed"])
    names = tuple(f"class {k}" for k in range(settings["n_classes"]))
    if path.suffix != ".parquet":
        with open(path, "w", encoding="utf-8") as file:
            for first in range(0, n_rows, settings["block"]):
                rows = np.arange(first, min(first + settings["block"], n_rows))
                frame = pd.DataFrame(rng.dirichlet(np.ones(len(names)), len(rows)), columns=list(names))
                frame.insert(0, "id", rows.astype(str))
                if path.suffix == ".csv":
                    frame.to_csv(file, index=False, header=first == 0)
                else:
                    frame.to_json(file, orient="records", lines=True, double_precision=15)
        return
    with ParquetTableWriter(path) as writer:
        for first in range(0, n_rows, settings["block"]):
            rows = np.arange(first, min(first + settings["block"], n_rows))
            P = rng.dirichlet(np.ones(len(names)), len(rows))
            block = TableParts(P, names, ids=rows.astype(str).astype(object), metadata={"normalised": True})
            writer.write(block)
        writer.finish(TableParts(P, names, metadata={"normalised": True}, ids_given=True))


def main() -> None:
    """Apply a correction to ever more rows, and write what that took."""
    settings = settings_of(__file__)
    rng = np.random.default_rng(settings["seed"])
    names = [f"class {k}" for k in range(settings["n_classes"])]
    P = pd.DataFrame(rng.dirichlet(np.ones(len(names)), 500), columns=names)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        EnsembleDebiaser(search="descent").fit(P, rng.choice(names, 500)).save(f"{folder}/c.json")
        for kind, n_rows in product(settings["kinds"], settings["rows"]):
            table = Path(folder, f"rows.{kind}")
            write_rows(table, n_rows, settings)
            command = [
                "apply",
                str(table),
                "--correction",
                f"{folder}/c.json",
                "--out",
                f"{folder}/p.parquet",
            ]
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", APPLY, *command], capture_output=True, text=True)
            seconds = time.perf_counter() - started
            assert done.returncode == 0, done.stderr
            peak = int(done.stderr.split()[-1]) / 1024**2
            size = table.stat().st_size / 1024**2
            table.unlink()
            lines.append([kind, f"{n_rows:,}", round(size), round(peak, 2), round(n_rows / seconds)])
    frame = pd.DataFrame(lines, columns=["format", "rows", "table, MiB", "peak, GiB", "rows per second"])
    frame.to_csv(RESULTS / "apply_memory.csv", index=False)
    text = "# Memory of `debias apply`\n\nSettings: `experiments/apply_memory.toml`. "
    text += f"{machine('pandas', 'pyarrow')}."
    text += "\n\nOne process each; the peak holds the interpreter and its libraries.\n\n"
    (RESULTS / "apply_memory.md").write_text(f"{text}{markdown(frame)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
