"""Show 2: a million rows, 50,000 picks: time of each part and the most memory.

Run it from the repository root, with nothing else running:

    python experiments/million_rows.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Responses are drawn from the file with replacement, each word left out with a small chance, by a
seed; complexity is uniform, by the same seed. Writes experiments/results/million_rows.csv and .md.
"""

import argparse
import gzip
import json
import os
import platform
import resource
import time
import tomllib
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
from search_quality import markdown

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.selection.lazy_greedy import lazy_greedy

HERE = Path(__file__).parent


def read_responses(path: Path) -> list[str]:
    """Return the responses of an Alpaca file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["output"] for line in lines]


def resampled(texts: list[str], settings: dict) -> list[str]:
    """Draw texts with replacement, and leave words out."""
    random = np.random.default_rng(settings["seed"])
    words = [text.split(" ") for text in texts]
    drawn = random.integers(len(texts), size=settings["rows"])
    return [
        " ".join(compress(words[row], (random.random(len(words[row])) >= settings["dropout"]).tolist()))
        for row in drawn
    ]


def most_memory() -> float:
    """Return the most memory this process ever held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure the parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="Alpaca as JSON lines, gzipped")
    path = parser.parse_args().file
    settings = tomllib.loads((HERE / "million_rows.toml").read_text())
    small = weigh(count_ngrams(["compiles all that is compiled", "before it is timed"]))
    lazy_greedy(small, np.ones(2), 2, 0.1)
    parts = []

    def part(name, work, *arguments, **options):
        started, worked = time.perf_counter(), time.process_time()
        result = work(*arguments, **options)
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        parts.append([name, seconds, worked, most_memory()])
        return result

    texts = part("making the rows (not of iterit)", resampled, read_responses(path), settings)
    counts = part("counting", count_ngrams, texts, tuple(settings["ngram_range"]))
    weights = part("weighing", weigh, counts)
    random = np.random.default_rng(settings["seed"])
    complexity = random.uniform(settings["lowest"], settings["highest"], size=len(texts))
    picks = part("picking", lazy_greedy, weights, complexity, settings["k"], settings["decay"])
    table = pd.DataFrame(parts, columns=["part", "seconds", "seconds of cores", "peak so far, GiB"])
    total = table[["seconds", "seconds of cores"]][1:].sum()
    table.loc[len(table)] = ["counting, weighing and picking", *total, most_memory()]
    assert len(set(picks.rows.tolist())) == settings["k"]
    results = HERE / "results"
    table.to_csv(results / "million_rows.csv", index=False, float_format="%.2f")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    size, picked = counts.n_bytes + weights.data.nbytes, settings["k"]
    text = f"""# A million rows

Settings: `experiments/million_rows.toml`. {machine}, one process.

{counts.n_rows:,} responses, {counts.n_words.sum():,} words, {counts.n_columns:,} different n-grams of 1 to 3
words, {len(counts.indices):,} entries; {picked:,} picks, decay {settings["decay"]}.

{markdown(table)}

Seconds of cores are those that the cores worked for this process, whatever else the machine did.
Counts and weights are {size / 2**30:.2f} GiB of the peak. For each pick, {picks.n_bounds / picked:.1f} rows
were bounded and {picks.n_sums / picked:.2f} summed exactly; the plain definition sums all {counts.n_rows:,}.
Responses that were drawn twice are alike but for the words they lost, so there are fewer different
n-grams than a million unrelated responses would have, and more rows share them.
"""
    (results / "million_rows.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
