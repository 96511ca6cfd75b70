"""How far the figures of ``debias demo`` move where probabilities are rounded otherwise.

Run it after ``make demo``: python experiments/demo_range.py demo-output
Settings are in demo_range.toml. Each table of the demo is moved by normal noise in its log-probabilities,
as another processor or another precision moves it; the whole fit is repeated.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, rounded, settings_of

from debias import Debiaser, ProbabilityTable
from debias.metrics import class_accuracy, cobias


def moved(table: ProbabilityTable, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return the probabilities of a table with noise in their logarithms."""
    frame = table.probabilities
    logs = np.log(frame.to_numpy()) + noise * rng.normal(size=frame.shape)
    values = np.exp(logs - logs.max(axis=1, keepdims=True))
    return pd.DataFrame(values / values.sum(axis=1, keepdims=True), columns=frame.columns)


def main() -> None:
    """Fit on each moved table, evaluate on the moved test rows, and write the ranges."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")
    opt, test = (ProbabilityTable.read(folder / f"{split}-1000.parquet") for split in ("opt", "test"))
    settings, rows = settings_of(__file__), []
    for noise in settings["noise"]:
        for seed in range(settings["draws"] if noise else 1):
            rng = np.random.default_rng(seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                debiaser = Debiaser(random_state=0).fit(moved(opt, noise, rng), opt.labels)
            predicted = debiaser.predict(moved(test, noise, rng))
            by_class = class_accuracy(test.labels, predicted)
            figures = {
                "accuracy": float((predicted == test.labels).mean()),
                "COBias": cobias(test.labels, predicted),
            }
            classes = dict(zip(map(str, by_class.index), by_class, strict=True))
            rows.append({"noise": noise, "seed": seed, "method": debiaser.method_, **figures, **classes})
            print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(RESULTS / "demo_range.csv", index=False)
    figures = [name for name in frame.columns if name not in ("noise", "seed", "method")]
    lines = []
    for noise, part in frame.groupby("noise"):
        ranges = {name: f"{100 * part[name].min():.1f} to {100 * part[name].max():.1f}" for name in figures}
        methods = ", ".join(sorted(set(part["method"])))
        lines.append({"noise": f"{noise:g}", "tables": len(part), "method": methods} | ranges)
    text = f"""# How far the figures of the demo move

Per cent on its 1,000 held-out texts. Noise is the standard deviation of what is added to each
log-probability of all 2,000 texts before the fit: 1e-5 is what float32 differs by between runs with other
numbers of threads, 1e-2 is the size of a rounding error of bfloat16.
Settings: `experiments/demo_range.toml`. {machine("numpy", "scikit-learn")}.

{markdown(rounded(pd.DataFrame(lines)))}
"""
    (RESULTS / "demo_range.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
