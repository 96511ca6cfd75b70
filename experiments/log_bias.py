"""Compares continuous log-biases with stepped weights: the objective, and figures on held-out rows.

Run it from the repository root:

    python experiments/log_bias.py ../shared/data/probabilities

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Every method is
fitted on the opt rows alone. z is evaluated literally, from the probabilities, on both. Writes
experiments/results/log_bias.csv and .md.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read, settings_of

from debias.corrections.correction import Correction, Triangle
from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import Family, ensemble, gaussians, sigmoids, trapezoids, weights
from debias.corrections.shapes import scale
from debias.metrics.scores import cobias
from debias.search.descent.coordinate_descent import descend
from debias.search.log_bias.log_bias_descent import descend_log_bias, polish
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import build_problem

IDENTITY = Triangle(0, 1, 1, id=17)
UNCORRECTED, STEPS, LOG_BIAS, ENSEMBLE = "uncorrected", "weights, 30 steps", "log-bias", "ensemble"
FAMILIES = {
    STEPS: weights(30),
    "weights, 90 steps": weights(90),
    ENSEMBLE: ensemble(30),
    "ensemble + shapes": ensemble(30) | trapezoids() | gaussians() | sigmoids(),
}
POLISHED = (ENSEMBLE, "ensemble + shapes")
ORDER = [UNCORRECTED, STEPS, "weights, 90 steps", LOG_BIAS, ENSEMBLE, f"{ENSEMBLE}, polished"]
ORDER += ["ensemble + shapes", "ensemble + shapes, polished"]


def fit(probabilities: np.ndarray, y: np.ndarray, settings: dict) -> dict[str, list[Correction]]:
    """Return the corrections that each method chooses."""
    objective, seed = Objective(**settings["objective"]), settings["seed"]
    identities = [IDENTITY] * probabilities.shape[1]
    biases = descend_log_bias(probabilities, probabilities, y, objective, settings["n_starts"], seed).biases
    found = {UNCORRECTED: identities, LOG_BIAS: scale(identities, np.exp(biases))}
    for name, family in FAMILIES.items():
        found[name] = choose(probabilities, y, family, objective, settings)
    for name in POLISHED:
        factors = polish(correct(probabilities, found[name]), probabilities, y, objective, random_state=seed)
        found[f"{name}, polished"] = scale(found[name], factors)
    return found


def choose(
    probabilities: np.ndarray, y: np.ndarray, family: Family, objective: Objective, settings: dict
) -> list[Correction]:
    """Search a family by descent."""
    problem = build_problem(probabilities, y, family, objective)
    best = descend(problem, settings["n_starts"], settings["seed"], settings["n_jobs"]).best
    return [family[index] for index in best.choice]


def measure(task: str, folder: Path, settings: dict) -> list[dict]:
    """Fit every method on one table."""
    objective = Objective(**settings["objective"])
    sides = {side: read(folder / f"{task}_shot1_seed0" / f"{side}.txt") for side in ("opt", "test")}
    rows = []
    found = fit(*sides["opt"], settings)
    for name in ORDER:
        corrections = found[name]
        row = {"task": task, "classes": len(corrections), "method": name}
        for side, (probabilities, y) in sides.items():
            predicted = decide(correct(probabilities, corrections), probabilities)
            row[f"z {side}"] = objective(*confusion_counts(y, predicted, len(corrections)))
            row[f"accuracy {side}"] = (predicted == y).mean()
            row[f"COBias {side}"] = cobias(y, predicted)
        rows.append(row | {"corrections": "; ".join(correction.name for correction in corrections)})
    return rows


def main() -> None:
    """Measure every task and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with TASK_shot1_seed0/opt.txt and test.txt")
    folder = parser.parse_args().folder
    settings = settings_of(__file__)
    table = pd.DataFrame([row for task in settings["tasks"] for row in measure(task, folder, settings)])
    table.to_csv(RESULTS / "log_bias.csv", index=False, float_format="%.6f")
    table["pair"] = [f"{a:.3f} / {b:.3f}" for a, b in table[["accuracy test", "COBias test"]].to_numpy()]

    def wide(column: str) -> pd.DataFrame:
        return table.pivot(index="task", columns="method", values=column).loc[settings["tasks"], ORDER]

    gain = wide("z opt")[STEPS] - wide("z opt")[LOG_BIAS]
    words = [
        f"{task} {'beats' if g > 1e-9 else 'ties' if g > -1e-9 else 'loses'}" for task, g in gain.items()
    ]
    text = f"""# Continuous log-biases and other shapes

Settings: `experiments/log_bias.toml`: {settings["n_starts"]} starts, objective {settings["objective"]}.
Every method is fitted on the opt rows alone; lower z is better. "Shapes" are the trapezoids, Gaussians
and sigmoids; "polished" multiplies each of the ensemble's corrections by a continuous factor.
{machine()}.

## z on the opt rows

{markdown(wide("z opt").map("{:.6f}".format))}

The log-bias, compared with the scale of 30 steps: {", ".join(words)}.

## z on the test rows

{markdown(wide("z test").map("{:.6f}".format))}

## Accuracy / COBias on the test rows

{markdown(wide("pair"))}
"""
    (RESULTS / "log_bias.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
