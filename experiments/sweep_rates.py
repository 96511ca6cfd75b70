"""Compares sweeps on pairwise wins with sweeps on ranks, which evaluate the same choices.

Run it from the repository root:

    python experiments/sweep_rates.py

Class probabilities are random: the softmax of normal logits with a bias per class and a bonus for the
true class. Both ways sweep one class and a pair of classes in turns, and must agree to the last bit.
The search takes ranks where classes times words of a set of samples exceed the samples.
Writes experiments/results/sweep_rates.csv and .md.
"""

import time

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, random_table, rounded, settings_of

from debias.corrections.families import weights
from debias.search.counting.bit_tables import n_bytes_of_wins, wins_of
from debias.search.counting.sweeps import RankSweeper, Sweeper, WinSweeper, sweepers
from debias.search.objective import Objective
from debias.search.problem import build_problem

KINDS = ("one class", "a pair")


def microseconds(sweeper: Sweeper, kind: str, n_sweeps: int) -> float:
    """Return the time of a sweep; every sweep begins at another choice, as in a search that moves."""
    problem = sweeper.problem
    classes = (0,) if kind == "one class" else (0, problem.n_classes - 1)
    choice = np.array(problem.identity_choice)
    started = time.perf_counter()
    for turn in range(n_sweeps):
        choice[1] = turn % problem.n_corrections
        sweeper.values(choice, *classes)
    return 1e6 * (time.perf_counter() - started) / n_sweeps


def measure(n_classes: int, n_rows: int, n_steps: int, settings: dict) -> dict | None:
    """Return the figures of one size; None where the wins are too large."""
    rows = random_table(n_classes, n_rows, settings["seed"])
    problem = build_problem(*rows, weights(n_steps), Objective())
    if n_bytes_of_wins(problem) > settings["largest_mib"] << 20:
        return None
    on_wins, on_ranks = WinSweeper(problem, wins_of(problem)), RankSweeper(problem)
    row = {"classes": n_classes, "rows": n_rows, "corrections": n_steps}
    for kind in KINDS:
        classes = (0,) if kind == "one class" else (0, n_classes - 1)
        values = [one.values(problem.identity_choice, *classes) for one in (on_wins, on_ranks)]
        assert np.array_equal(*values)
        n_sweeps = settings["single_sweeps" if kind == "one class" else "pair_sweeps"]
        times = np.array(
            [
                [microseconds(one, kind, n_sweeps) for one in (on_wins, on_ranks)]
                for _ in range(settings["rounds"])
            ]
        )
        row[f"{kind}: wins, us"], row[f"{kind}: ranks, us"] = np.median(times, axis=0)
        row[f"{kind}: times faster by ranks"] = float(np.median(times[:, 0] / times[:, 1]))
    return row | {"taken": "ranks" if isinstance(sweepers(problem)(), RankSweeper) else "wins"}


def main() -> None:
    """Measure every size and write the results."""
    settings = settings_of(__file__)
    found = [
        measure(n_classes, n_rows, n_steps, settings)
        for n_classes, n_rows in settings["sizes"]
        for n_steps in settings["steps"]
    ]
    table = pd.DataFrame([row for row in found if row is not None])
    table.to_csv(RESULTS / "sweep_rates.csv", index=False, float_format="%.4f")
    lines = []
    for taken, inverse in (("ranks", False), ("wins", True)):
        ratios = [table.loc[table["taken"] == taken, f"{kind}: times faster by ranks"] for kind in KINDS]
        spans = ", and ".join(
            f"{one.median():.2f} times as fast for {kind} ({one.min():.2f} to {one.max():.2f})"
            for kind, one in zip(KINDS, [1 / one if inverse else one for one in ratios], strict=True)
        )
        other = "wins" if taken == "ranks" else "ranks"
        lines.append(
            f"- The search takes {taken} for {len(ratios[0])} sizes. They are, against {other}, {spans}."
        )
    text = f"""# Sweeps on pairwise wins and on ranks

Settings: `experiments/sweep_rates.toml`. {machine()}.

{chr(10).join(lines)}
- Figures are medians over sizes, with the lowest and the highest.

{markdown(rounded(table))}
"""
    (RESULTS / "sweep_rates.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
