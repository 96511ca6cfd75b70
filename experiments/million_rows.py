"""Times each part of selecting 50,000 of a million rows, and measures peak memory.

Run it from the repository root, with nothing else running:

    python experiments/million_rows.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Responses are drawn from the file with replacement, and each word is dropped with a small
probability; complexity is uniform. Both use the same seed. Writes
experiments/results/million_rows.csv and .md.
"""

import argparse
import time
from itertools import compress
from pathlib import Path

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
from iterit.ngrams.ngram_weights import weigh
from iterit.selection.lazy_greedy import lazy_greedy


def resampled(texts: list[str], settings: dict) -> list[str]:
    """Draw texts with replacement, and drop words."""
    random = np.random.default_rng(settings["seed"])
    words = [text.split(" ") for text in texts]
    drawn = random.integers(len(texts), size=settings["rows"])
    return [
        " ".join(compress(words[row], (random.random(len(words[row])) >= settings["dropout"]).tolist()))
        for row in drawn
    ]


def main() -> None:
    """Measure the parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="Alpaca as JSON lines, gzipped")
    path = parser.parse_args().file
    settings = settings_of(__file__)
    small = weigh(count_ngrams(["compiles all that is compiled", "before it is timed"]))
    lazy_greedy(small, np.ones(2), 2, 0.1)
    parts = []

    def part(name, work, *arguments, **options):
        started, worked = time.perf_counter(), time.process_time()
        result = work(*arguments, **options)
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        parts.append([name, seconds, worked, most_memory()])
        return result

    texts = part("making the rows (not part of iterit)", resampled, read_responses(path), settings)
    counts = part("counting", count_ngrams, texts, tuple(settings["ngram_range"]))
    weights = part("weighing", weigh, counts)
    complexity = some_complexity(len(texts), settings)
    picks = part("picking", lazy_greedy, weights, complexity, settings["k"], settings["decay"])
    table = pd.DataFrame(parts, columns=["part", "seconds", "core seconds", "peak so far, GiB"])
    total = table[["seconds", "core seconds"]][1:].sum()
    table.loc[len(table)] = ["counting, weighing and picking", *total, most_memory()]
    assert len(set(picks.rows.tolist())) == settings["k"]
    table.to_csv(RESULTS / "million_rows.csv", index=False, float_format="%.2f")
    arrays = (counts.indptr, counts.indices, counts.counts, counts.n_words, *counts.keys, weights.data)
    size, picked = sum(array.nbytes for array in arrays), settings["k"]
    text = f"""# A million rows

Settings: `experiments/million_rows.toml`. {machine()}, one process.

{counts.n_rows:,} responses, {counts.n_words.sum():,} words, {counts.n_columns:,} distinct n-grams of 1 to 3
words, {len(counts.indices):,} entries; {picked:,} picks, decay {settings["decay"]}.

{markdown(rounded(table))}

Core seconds are the time that the cores worked for this process, whatever else the machine did.
Counts and weights take {size / 2**30:.2f} GiB of the peak. Per pick, {picks.n_bounds / picked:.1f} rows
were bounded and {picks.n_sums / picked:.2f} summed exactly; the plain definition sums all {counts.n_rows:,}.
Responses that were drawn twice differ only in the words they lost. A million unrelated responses would
have more distinct n-grams, and fewer rows would share them.
"""
    (RESULTS / "million_rows.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
