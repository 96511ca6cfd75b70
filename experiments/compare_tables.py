"""Compares every correction with every baseline on real tables, and prints the verdicts on one page.

Run it from the repository root:

    python experiments/compare_tables.py ../shared/data/probabilities [TASK ...]

The folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format. Every method is
fitted on the opt rows and measured on the test rows, as `debias compare` does. Writes
experiments/results/compare_tables.csv and .md; with named tasks it only prints.
"""

import argparse
import warnings
from pathlib import Path

from common import RESULTS, machine, settings_of

from debias.errors import FewRowsWarning
from debias.reports.comparison import Comparison, MethodSettings, compare_tables, comparison_markdown
from debias.search.objective import Objective
from debias.tables.table import ProbabilityTable

RESULT = Path("compare_tables")


def compared(tasks: list[str], folder: Path, settings: dict) -> Comparison:
    """Compare on all tasks in one call."""
    pairs = [
        tuple(
            ProbabilityTable.read(folder / f"{task}_shot1_seed0" / f"{side}.txt", classes=settings[task])
            for side in ("opt", "test")
        )
        for task in tasks
    ]
    chosen = MethodSettings(
        objective=Objective(**settings["objective"]),
        n_starts=settings["n_starts"],
        n_jobs=settings["n_jobs"],
        seed=settings["seed"],
        metric=settings["metric"],
    )
    return compare_tables(
        pairs,
        names=tasks,
        slow=settings["slow"],
        settings=chosen,
        n_resamples=settings["n_resamples"],
        seed=settings["seed"],
        on_method=lambda name: print(f"fitting: {name}", flush=True),
    )


def main() -> None:
    """Compare, and write the results where all tasks were measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("tasks", nargs="*", help="some tasks only; nothing is written then")
    given, settings = parser.parse_args(), settings_of(__file__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewRowsWarning)
        found = compared(given.tasks or settings["tasks"], given.folder, settings)
    lines = [f"Settings: experiments/compare_tables.toml. {machine('scikit-learn', 'numpy')}."]
    page = comparison_markdown(found, "Corrections and baselines on real tables", lines)
    if not given.tasks:
        found.to_frame().to_csv((RESULTS / RESULT).with_suffix(".csv"), float_format="%.6f")
        (RESULTS / RESULT).with_suffix(".md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
