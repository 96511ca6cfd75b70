"""Measures how long default fits take where there are many classes and few rows: proofs are bounded by work.

Run it from the repository root:

    python experiments/proof_work.py

Class probabilities are random. The seconds are those of the processor, on one thread, so that other
processes do not count. Writes experiments/results/proof_work.csv and .md.
"""

import time

import pandas as pd
from common import RESULTS, machine, markdown, random_table, settings_of

from debias import Debiaser, EnsembleDebiaser

ESTIMATORS = (EnsembleDebiaser, Debiaser)


def measure(estimator: type, n_classes: int, n_rows: int, seed: int) -> dict[str, object]:
    """Fit with default settings."""
    X, y = random_table(n_classes, n_rows, seed)
    began = time.process_time()
    fitted = estimator(n_jobs=1).fit(X, y)
    seconds = time.process_time() - began
    certificate = fitted.certificate_
    return {
        "classes": n_classes,
        "rows": n_rows,
        "estimator": estimator.__name__,
        "seconds of a core": round(seconds, 1),
        "certificate": "none" if certificate is None else certificate.status,
        "ended by": "" if certificate is None else certificate.limit,
    }


def main() -> None:
    """Measure all sizes and write the report."""
    settings = settings_of(__file__)
    for estimator in ESTIMATORS:
        measure(estimator, 3, 200, settings["seed"])  # compiles
        measure(estimator, 12, 100, settings["seed"])
    rows = []
    for n_classes, n_rows in settings["sizes"]:
        for estimator in ESTIMATORS:
            rows.append(measure(estimator, n_classes, n_rows, settings["seed"]))
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "proof_work.csv", index=False)
    text = f"""# The work of a proof with many classes and few rows

Settings: `experiments/proof_work.toml`; default fits of random tables, one thread.
{machine("numpy", "numba")}.

{markdown(table)}
"""
    (RESULTS / "proof_work.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
