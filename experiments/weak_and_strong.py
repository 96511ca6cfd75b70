"""Tests the papers' claim that weak classes choose sample-level corrections, and that these lift them.

Run it from the repository root; it resumes where it stopped (some minutes on one core):

    python experiments/weak_and_strong.py ../shared/data/probabilities [--collected FOLDER] [--tiny]

The first folder holds TASK_shot1_seed0/opt.txt and test.txt in the published text format, or is that of
main_table.py; --collected is the folder of main_table.py, all of whose tables are measured. All rows of a
table are pooled, some are redrawn to fit on. A class is weak where its uncorrected accuracy on those rows is
below the mean of the classes. DCS may choose a weight (class level) or a membership (sample level) for each
class; DNIP has weights only, FuRud memberships only. Gains are of held-out rows. Writes
experiments/results/weak_and_strong.csv and .md.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from claims.judging import Rows, class_accuracies, fit, one_shot_pairs, redraw, sign_flip
from claims.resuming import Kept
from claims.tables_of_tasks import whole_tables
from common import machine, markdown, settings_of

ALONE = {"weight": "weights only (DNIP)", "fuzzy": "memberships only (FuRud)", "ensemble": "either (DCS)"}
KINDS = {"identity": "unchanged", "weight": "weight"}


def measure(whole: Rows, draw: int, settings: dict) -> list[dict]:
    """Fit on one redraw; return a line for each class that has rows on both sides."""
    size = min(settings["most_rows"], len(whole.y) // 2)
    opt, rest = redraw(whole, size, [settings["seed"], draw])
    fitted = {key: fit(key, opt, settings["n_starts"], settings["seed"]) for key in ALONE}
    after = {key: class_accuracies(rest, one.predict(rest.X)) for key, one in fitted.items()}
    seen, before = (class_accuracies(rows, rows.X.argmax(axis=1)) for rows in (opt, rest))
    kinds = fitted["ensemble"].explain()["kind"].to_list()
    return [
        {
            "class": k,
            "weak": bool(seen[k] < np.nanmean(seen)),
            "kind": KINDS.get(kinds[k], "membership"),
            "before": before[k],
            **{key: values[k] for key, values in after.items()},
        }
        for k in range(whole.n_classes)
        if seen[k] == seen[k] and before[k] == before[k]
    ]


def choices(table: pd.DataFrame) -> pd.DataFrame:
    """Count what weak and strong classes chose."""
    named = table.assign(strength=np.where(table["weak"], "weak", "strong"))
    counts = named.groupby(["strength", "kind"]).size().unstack(fill_value=0)
    counts = counts.reindex(
        index=["weak", "strong"], columns=["unchanged", "weight", "membership"], fill_value=0
    )
    changed = counts[["weight", "membership"]].sum(axis=1)
    counts["membership, % of changed"] = (100 * counts["membership"] / changed.clip(lower=1)).round(1)
    return counts


def association(table: pd.DataFrame, settings: dict) -> tuple[float, float]:
    """Return the covariance, within tables, of weakness with membership, and its two-sided permutation p.

    A class of a table is one unit: how often it is weak, and how often it has a membership, over redraws. If
    the choice had nothing to do with weakness, classes of a table could be exchanged.
    """
    units = (
        table.assign(membership=table["kind"] == "membership")
        .groupby(["table", "class"], sort=False)[["weak", "membership"]]
        .mean()
    )
    groups = [own.to_numpy(dtype=float) for _, own in units.groupby(level=0, sort=False)]
    rng = np.random.default_rng(settings["seed"])

    def statistic(shuffled: bool) -> float:
        total = 0.0
        for own in groups:
            chosen = rng.permutation(own[:, 1]) if shuffled else own[:, 1]
            total += float((own[:, 0] - own[:, 0].mean()) @ chosen)
        return total

    found = statistic(False)
    drawn = np.array([statistic(True) for _ in range(settings["n_permutations"])])
    return found, float((1 + (np.abs(drawn) >= abs(found) - 1e-12).sum()) / (1 + len(drawn)))


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean gain of weak and strong classes by the corrections allowed, and p against weights."""
    lines = []
    for weak in (True, False):
        own = table[table["weak"] == weak]
        by_table = {key: (own[key] - own["before"]).groupby(own["table"], sort=False).mean() for key in ALONE}
        for key, name in ALONE.items():
            away = by_table[key] - by_table["weight"]
            lines.append(
                {
                    "classes": "weak" if weak else "strong",
                    "corrections": name,
                    "accuracy before": f"{100 * own['before'].groupby(own['table']).mean().mean():.1f}",
                    "gain, points": f"{100 * by_table[key].mean():+.1f}",
                    "more than weights": "" if key == "weight" else f"{100 * away.mean():+.1f}",
                    "on tables": "" if key == "weight" else f"{int((away > 0).sum())} of {len(away)}",
                    "p": "" if key == "weight" else f"{sign_flip(away.to_list()):.3f}",
                }
            )
    return pd.DataFrame(lines)


def gains_by_choice(table: pd.DataFrame) -> pd.DataFrame:
    """Return how weak and strong classes fare with DCS, by what each got."""
    named = table.assign(
        strength=np.where(table["weak"], "weak", "strong"),
        gain=100 * (table["ensemble"] - table["before"]),
        fell=table["ensemble"] < table["before"] - 1e-9,
        before=100 * table["before"],
    )
    grouped = named.groupby(["strength", "kind"])
    found = grouped[["before", "gain"]].mean().round(1)
    found.insert(0, "classes", grouped.size())
    found["fell, %"] = (100 * grouped["fell"].mean()).round(0)
    return found.reset_index()


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
    kept = Kept("weak_and_strong", ["table", "draw"], keep=not given.tiny)
    for name, whole in tables.items():
        for draw in range(settings["n_redraws"]):
            kept.measure((name, draw), measure, whole, draw, settings)
    table = kept.table()
    covariance, p = association(table, settings)
    page = f"""# Which corrections weak and strong classes choose

{machine("numpy", seconds=kept.seconds, commits=kept.commits)}. Settings:
`experiments/weak_and_strong.toml`. {table["table"].nunique()} tables, {settings["n_redraws"]} redraws each.
A class is weak where its uncorrected accuracy is below the mean of its table's classes.

Choices of DCS, counted over classes, tables and redraws:

{markdown(choices(table))}

Weak classes have a membership {"more" if covariance > 0 else "less"} often than strong ones of the same
table: covariance {covariance:+.2f}, p = {p:.4f} (classes exchanged within tables,
{settings["n_permutations"]:,} times).

Gain in class accuracy on held-out rows, mean over tables; p is exact, by flipping the signs of tables'
differences:

{markdown(gains(table))}

With DCS, by what a class got (means over classes, tables and redraws; corrections are not assigned at
random, so this compares no effects):

{markdown(gains_by_choice(table))}
"""
    kept.write(page)


if __name__ == "__main__":
    main()
