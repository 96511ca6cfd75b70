"""Times the selection of 2,600 of 52,002 Alpaca rows by the lazy search and by the plain definition.

Run it from the repository root, with nothing else running:

    python experiments/selection_speed.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Every part runs in its own process, so that its memory can be measured. The plain definition uses SciPy:
for each pick, sum all rows, take the first row with the highest score, and multiply the weights of its
n-grams in the whole matrix. Writes experiments/results/selection_speed.csv and .md.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from common import (
    RESULTS,
    machine,
    markdown,
    most_memory,
    read_responses,
    rounded,
    settings_of,
    some_complexity,
)

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import Weights, weigh
from iterit.selection.lazy_greedy import lazy_greedy


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


def timed(work, turns: int = 1):
    """Return a result and the median of the seconds it took."""
    seconds = []
    for _ in range(turns):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return result, median(seconds)


def measure(part: str, path: Path, settings: dict) -> dict:
    """Run one part; return its seconds and memory."""
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
    counts, counting = timed(lambda: count_ngrams(texts, grams, "published"), 1 if part == "plain" else turns)
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
    """Run one part in its own process."""
    command = [sys.executable, __file__, str(path), "--part", part]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure the parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="Alpaca as JSON lines, gzipped")
    parser.add_argument("--part", choices=["lazy", "plain", "scikit-learn"])
    arguments = parser.parse_args()
    settings = settings_of(__file__)
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
    table.to_csv(RESULTS / "selection_speed.csv", index=False, float_format="%.3f")
    k, faster = settings["k"], slow["picking, s"] / lazy["picking, s"]
    text = f"""# The lazy search against the plain definition

Settings: `experiments/selection_speed.toml`. {machine()}; medians of {settings["turns"]} runs, the plain
definition once. {lazy["entries"]:,} entries.

{markdown(rounded(table.astype(object).where(table.notna(), "")))}

The {k:,} picks and their order are {"equal" if equal else "NOT EQUAL"}. The search is {faster:,.0f} times
faster: per pick it bounds {lazy["bounds"] / k:.1f} rows and sums {lazy["sums"] / k:.2f} exactly.
TfidfVectorizer counts and weighs in one step. Memory is the peak of the process less what it held
once the texts were read and everything was compiled.
"""
    (RESULTS / "selection_speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
