"""Show 1: 2,600 of 52,002 Alpaca rows, by the lazy search and by the plain definition.

Run it from the repository root, with nothing else running:

    python experiments/selection_speed.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Every part runs in a process of its own, so that its memory can be told. The plain definition is
SciPy's: for each pick, sum all rows, take the first highest score, multiply the weights of its
n-grams in the whole matrix. Writes experiments/results/selection_speed.csv and .md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from million_rows import most_memory, read_responses
from search_quality import markdown

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import Weights, weigh
from iterit.selection.lazy_greedy import lazy_greedy

HERE = Path(__file__).parent


def plain(weights: Weights, complexity: np.ndarray, k: int, decay: float) -> list[int]:
    """Pick as the definition says."""
    matrix = weights.matrix.copy()
    ones = np.ones(matrix.shape[1])
    left = np.ones(len(complexity), dtype=bool)
    picked = []
    for _ in range(k):
        score = np.where(left, complexity * (matrix @ ones), -1.0)
        row = int(np.argmax(score))
        picked.append(row)
        left[row] = False
        hit = np.zeros(matrix.shape[1], dtype=bool)
        hit[matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]] = True
        matrix.data[hit[matrix.indices]] *= decay
    return picked


def some_complexity(n: int, settings: dict) -> np.ndarray:
    """Return seeded uniform numbers in place of IFD."""
    random = np.random.default_rng(settings["seed"])
    return random.uniform(settings["lowest"], settings["highest"], size=n)


def timed(work, turns: int = 1):
    """Return a result and the median of the seconds it took."""
    seconds = []
    for _ in range(turns):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return result, median(seconds)


def measure(part: str, path: Path, settings: dict) -> dict:
    """Run one part, and say what it took."""
    texts = read_responses(path)
    small = weigh(count_ngrams(["compiles all that is compiled", "before it is timed"]))
    lazy_greedy(small, np.ones(2), 2, 0.1)
    k, decay, turns = settings["k"], settings["decay"], settings["turns"]
    complexity = some_complexity(len(texts), settings)
    grams = tuple(settings["ngram_range"])
    begin = most_memory()
    if part == "scikit-learn":
        from sklearn.feature_extraction.text import TfidfVectorizer

        matrix, counting = timed(lambda: TfidfVectorizer(ngram_range=grams).fit_transform(texts))
        return {"counting, s": counting, "entries": matrix.nnz, "GiB added": most_memory() - begin}
    counts, counting = timed(lambda: count_ngrams(texts, grams), 1 if part == "plain" else turns)
    weights, weighing = timed(lambda: weigh(counts), 1 if part == "plain" else turns)
    if part == "plain":
        rows, picking = timed(lambda: plain(weights, complexity, k, decay))
        more = {}
    else:
        picks, picking = timed(lambda: lazy_greedy(weights, complexity, k, decay), turns)
        rows = picks.rows.tolist()
        more = {"bounds": picks.n_bounds, "sums": picks.n_sums}
    result = {"counting, s": counting, "weighing, s": weighing, "picking, s": picking}
    return {
        **result,
        "GiB added": most_memory() - begin,
        "entries": len(counts.indices),
        "rows": rows,
        **more,
    }


def in_a_process(part: str, path: Path) -> dict:
    """Run one part in a process of its own."""
    command = [sys.executable, __file__, str(path), "--part", part]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure the parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="Alpaca as JSON lines, gzipped")
    parser.add_argument("--part", choices=["lazy", "plain", "scikit-learn"])
    arguments = parser.parse_args()
    settings = tomllib.loads((HERE / "selection_speed.toml").read_text())
    if arguments.part:
        print(json.dumps(measure(arguments.part, arguments.file, settings)))
        return
    parts = {part: in_a_process(part, arguments.file) for part in ("lazy", "plain", "scikit-learn")}
    write(parts, settings)


def write(parts: dict, settings: dict) -> None:
    """Write what was measured."""
    lazy, slow = parts["lazy"], parts["plain"]
    equal = lazy["rows"] == slow["rows"]
    columns = ["counting, s", "weighing, s", "picking, s", "GiB added"]
    names = {"lazy": "iterit", "plain": "plain definition", "scikit-learn": "TfidfVectorizer"}
    table = pd.DataFrame([{"": name, **{c: parts[p].get(c) for c in columns}} for p, name in names.items()])
    table = table.astype(dict.fromkeys(columns, float))
    results = HERE / "results"
    table.to_csv(results / "selection_speed.csv", index=False, float_format="%.3f")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    k, faster = settings["k"], slow["picking, s"] / lazy["picking, s"]
    text = f"""# The picks of the plain definition, sooner

Settings: `experiments/selection_speed.toml`. {machine}; medians of {settings["turns"]} turns, the plain
definition once. {lazy["entries"]:,} entries.

{markdown(table.astype(object).where(table.notna(), ""))}

The {k:,} picks and their order are {"equal" if equal else "NOT EQUAL"}. The search is {faster:,.0f} times
faster: for each pick it bounds {lazy["bounds"] / k:.1f} rows and sums {lazy["sums"] / k:.2f} exactly.
TfidfVectorizer counts and weighs at once. The memory is what a process held at its peak
above what it held with the texts read and everything compiled.
"""
    (results / "selection_speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
