"""Tests whether anything beyond one bias per class is needed once the search is good.

Run it from the repository root; it resumes where it stopped (about ten minutes on one core):

    python experiments/beyond_bias.py ../shared/data/probabilities [--collected FOLDER] [--tiny]

The first folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format, or is that of
main_table.py; --collected is the folder of main_table.py, all of whose tables count as tables of their own.
All rows of a table are pooled; some are redrawn to fit on, and every figure is of the others. The log-bias
multiplies each class by one factor; the others choose stepped weights (DNIP), memberships (FuRud), either
(DCS), sloped weights (wide), or learn a map of the log-probabilities first (calibrated). Tables are the
units of the tests: the mean difference of a table's redraws is one number, whose sign is flipped in every
way. Writes experiments/results/beyond_bias.csv and .md.
"""

import argparse
from pathlib import Path

import pandas as pd
from claims.judging import FIGURES, Rows, figures, fit, one_shot_pairs, redraw, sign_flip
from claims.resuming import Kept
from claims.tables_of_tasks import whole_tables
from common import machine, markdown, rounded, settings_of


def measure(whole: Rows, size: int, draw: int, key: str, settings: dict) -> dict:
    """Fit one method on one redraw; return the figures of all other rows."""
    opt, rest = redraw(whole, size, [settings["seed"], size, draw])
    return figures(rest, fit(key, opt, settings["n_starts"], settings["seed"]).predict(rest.X))


def tests(table: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Return the paired differences from the log-bias by number of rows and method, with their p."""
    mean = table.groupby(["rows", "method", "table"], sort=False)[list(FIGURES)].mean().sort_index()
    drawn = table.set_index(["rows", "method", "table", "draw"])["z"].sort_index()
    lines = []
    for size in settings["sizes"]:
        for key in settings["methods"]:
            if (size, key) not in mean.index.droplevel(2):
                continue
            own, other = mean.loc[(size, key)], mean.loc[(size, settings["against"])]
            away = own - other.loc[own.index]
            line = {"rows": size, "method": key, "tables": len(away)}
            for name in FIGURES:
                points = 1 if name == "z" else 100
                line[name] = f"{points * away[name].mean():+.{3 if name == 'z' else 1}f}"
                line[f"p of {name}"] = f"{sign_flip(away[name].to_list()):.3f}"
            each = drawn.loc[(size, key)] - drawn.loc[(size, settings["against"])]
            line["lower z in every redraw"] = int((each.groupby(level=0).max() < 0).sum())
            line["higher z in every redraw"] = int((each.groupby(level=0).min() > 0).sum())
            lines.append(line)
    return pd.DataFrame(lines)


def by_table(table: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Return z of each table at the largest number of rows that it was fitted on."""
    most = table.groupby("table")["rows"].transform("max")
    own = table[table["rows"] == most]
    wide = own.pivot_table(index=["table", "rows"], columns="method", values="z", sort=False).reset_index()
    return rounded(wide, dict.fromkeys(wide.columns, 3) | {"rows": 0})


def main() -> None:
    """Measure every redraw, test, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--collected", type=Path, help="folder of main_table.py")
    parser.add_argument("--tiny", action="store_true", help="one table, to see that it runs; writes nothing")
    given, settings = parser.parse_args(), settings_of(__file__)
    settings |= settings["tiny"] if given.tiny else {}
    pairs = one_shot_pairs(given.folder, settings["tasks"]) if given.folder else {}
    tables = {task: opt + test for task, (opt, test) in pairs.items()}
    tables |= whole_tables(given.collected) if given.collected else {}
    kept = Kept("beyond_bias", ["table", "rows", "draw", "method"], keep=not given.tiny)
    keys = [settings["against"], *settings["methods"]]
    for name, whole in tables.items():
        for size in [size for size in settings["sizes"] if 2 * size <= len(whole.y)]:
            for draw in range(settings["n_redraws"]):
                for key in keys:
                    kept.measure((name, size, draw, key), measure, whole, size, draw, key, settings)
    table = kept.table()
    page = f"""# Is anything beyond one bias per class needed?

{machine("numpy", "scikit-learn", seconds=kept.seconds, commits=kept.commits)}.
Settings: `experiments/beyond_bias.toml`. Figures are of rows that nothing was fitted on; redraws of each
of {len(tables)} tables: {settings["n_redraws"]}; starts: {settings["n_starts"]}. That such descents reach the
proved optimum is measured in [proved_optima.md](proved_optima.md) and [search_quality.md](search_quality.md).

Mean difference from the log-bias over tables; z in its own unit (lower is better), all others in points. p is
exact: the signs of the tables' differences are flipped in every way, so that six tables give at least .031,
five at least .062. The last two columns count tables on which every redraw has a lower, or a higher, z.

{markdown(tests(table, settings))}

z by table, at the most rows that it was fitted on:

{markdown(by_table(table, settings))}
"""
    kept.write(page)


if __name__ == "__main__":
    main()
