"""Compares the selection modes on Alpaca: the length of the picks, and the rows that modes share.

Run it from the repository root:

    python experiments/selection_modes.py ../shared/data/instructions/alpaca_52k.jsonl.gz

Complexity is seeded and uniform: it says nothing about a row, so modes differ in diversity alone.
Writes experiments/results/selection_modes.csv and .md.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read_responses, rounded, settings_of, some_complexity

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.selection.embeddings import ngram_embeddings
from iterit.selection.modes import MODES
from iterit.selection.selection import select


def main() -> None:
    """Pick by every mode and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="Alpaca as JSON lines, gzipped")
    texts = read_responses(parser.parse_args().file)
    settings = settings_of(__file__)
    counts = count_ngrams(texts, settings["ngram_range"], "published")
    complexity = some_complexity(len(texts), settings)
    vectors = ngram_embeddings(counts, settings["n_dimensions"])
    select(complexity, counts, 2, candidates=range(9), embeddings=vectors, mode="facility_location")
    random = np.random.default_rng(settings["seed"])
    few = np.sort(random.choice(len(texts), settings["facility_rows"], replace=False))
    lines, published = [], set()
    for mode, how in MODES.items():
        if not set(how.needs) <= {"complexity"}:  # it picks by a signal that texts alone do not give
            continue
        started = time.perf_counter()
        options, k = {"mode": mode, "decay": settings["decay"]}, settings["k"]
        if mode == "facility_location":
            options |= {"embeddings": vectors, "candidates": few}
            k = k * len(few) // len(texts)
        picked = select(complexity, counts, k, **options)
        seconds = time.perf_counter() - started
        rows = set(picked.rows.tolist())
        published = published or rows
        words = picked.table["words"].astype(int)
        lines.append(
            {
                "mode": mode,
                "seconds": seconds,
                "words, mean": float(words.mean()),
                "words, median": float(words.median()),
                "complexity, mean": float(picked.table["complexity"].mean()),
                "shared with published": len(rows & published) / len(rows),
            }
        )
    table = pd.DataFrame(lines)
    table.to_csv(RESULTS / "selection_modes.csv", index=False, float_format="%.3f")
    text = f"""# What each mode picks

Settings: `experiments/selection_modes.toml`. {settings["k"]:,} of {len(texts):,} rows; all responses have
{counts.n_words.mean():.0f} words on average (words of two or more characters). Complexity is uniform
and says nothing about the rows, so lengths show what the diversity of each mode prefers. Seconds
include the weights. Facility location uses {settings["n_dimensions"]} dimensions of a truncated SVD of
the same n-grams and picks the same share of only {len(few):,} rows, because it compares all pairs.
{machine()}.

{markdown(rounded(table))}

The mean weight of a row of norm 1 falls with the square root of its number of n-grams, so
`length_debiased` picks answers of one or two words. Dividing by that root instead (`length_neutral`)
makes the mode nearly independent of length.
"""
    (RESULTS / "selection_modes.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
