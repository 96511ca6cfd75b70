"""Measures what parsing a GGUF file once saves when the demo model is loaded.

Run it from the repository root (about six minutes on a free core):

    python experiments/model_loading.py

Loads the model in turns, as the package does and as transformers does alone, each time in a new process, and
compares seconds of processor time. Writes experiments/results/model_loading.md.
"""

import contextlib
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, settings_of

WAYS = ("parsed once", "transformers alone")


def seconds_of(way: str) -> float:
    """Load the model in this process."""
    import torch  # noqa: F401  what is imported is not measured
    import transformers  # noqa: F401

    from debias.inference.models import loading

    if way == WAYS[1]:
        loading.parsed_once = contextlib.nullcontext
    start = time.process_time()
    loading.load_model("demo", dtype="float32")
    return time.process_time() - start


def main() -> None:
    """Measure and write the results."""
    if sys.argv[1:]:
        print(seconds_of(sys.argv[1]))
        return
    taken = pd.DataFrame(
        [
            {
                way: float(subprocess.check_output([sys.executable, __file__, way]))
                for way in WAYS[:: 1 - 2 * (n % 2)]
            }
            for n in range(settings_of(__file__)["pairs"])
        ]
    )[list(WAYS)]
    ratios = taken[WAYS[1]] / taken[WAYS[0]]
    spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
    table = taken.round(1).assign(ratio=ratios.round(2))
    table.index = pd.RangeIndex(1, len(table) + 1, name="pair")
    lines = [
        "# Loading the demo model\n",
        f"{machine('torch', 'transformers', 'gguf')}.\n",
        f"Parsed once, the model is loaded {np.median(ratios):.2f} times as fast (median; {spread})."
        " Seconds of processor time of loading, without imports:\n",
        markdown(table) + "\n",
    ]
    (RESULTS / "model_loading.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
