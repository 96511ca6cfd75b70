"""Measures how much of the COBias gain is kept when K sampled answers stand for the probabilities.

Run it from the repository root (about an hour on two cores; it resumes where it stopped):

    python experiments/votes.py FOLDER [--skip agnews]

FOLDER keeps the tables that the demo model is asked for, 1-shot: its exact label probabilities on opt and
test rows, and votes that it really wrote on some test rows.

The curve does not need the model again: an answer begins with label k with the probability p_k that the
table has, and with no label with 1 - sum(p), so votes are drawn from these K + 1 outcomes, first ones of
more. The rule "beginning" reads answers so, but for two things: it wants the word to end after the label,
and it takes any spelling of it. The votes that the model wrote say whether this matters.

A correction is fitted on the votes of the opt rows and applied to the votes of the test rows. Writes
experiments/results/votes.csv and votes.md.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, settings_of
from scipy.stats import chisquare

from debias.estimators.debiasers import EnsembleDebiaser, WeightDebiaser
from debias.inference.collection.collection import collect
from debias.inference.texts.prompted_rows import load_prompted_rows
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.votes.vote_counts import smoothed
from debias.inference.votes.vote_settings import VoteSettings
from debias.metrics.scores import class_accuracy, cobias_from_accuracies
from debias.tables.table import ProbabilityTable

METHODS = {"weights": WeightDebiaser, "ensemble": EnsembleDebiaser}


class Collected:
    """Tables of the demo model, which is loaded when the first one is missing."""

    def __init__(self, folder: Path, settings: dict) -> None:
        self.folder, self.settings = folder, settings
        self._engine: TransformersEngine | None = None

    def table(
        self, task: str, split: str, votes: VoteSettings | None = None, first: int | None = None
    ) -> ProbabilityTable:
        """Return a table of a task's rows, or of the first of them, collected or read back."""
        kind = "exact" if votes is None else f"{votes.n_votes}votes"
        out = self.folder / f"{task}_{split}_{kind}.parquet"
        if out.exists():
            return ProbabilityTable.read(out)
        own = self.settings["collected"]
        limit = own["rows"][task]
        rows = load_prompted_rows(task, split, own["shots"], seed=own["seed"], limit=limit)
        texts, labels, ids = (column[:first] for column in (rows.texts, rows.labels or [], rows.ids))
        if self._engine is None:
            self._engine = TransformersEngine("demo", dtype=own["dtype"])
        return collect(
            self._engine,
            task,
            texts,
            labels,
            ids=ids,
            demonstrations=rows.demonstrations,
            out=out,
            chunk_size=32,
            votes=votes,
        )


def outcomes(table: ProbabilityTable) -> np.ndarray:
    """Return the probabilities that an answer begins with each label, and with none."""
    joint = table.to_numpy() * table.label_mass.to_numpy()[:, None]
    return np.column_stack([joint, np.clip(1 - joint.sum(axis=1), 0, None)])


def draw_votes(table: ProbabilityTable, n_votes: int, random: np.random.Generator) -> np.ndarray:
    """Return the outcome of each of the votes of every row, shape (n, n_votes)."""
    ends = np.cumsum(outcomes(table), axis=1)
    ends /= ends[:, -1:]
    uniform = random.random((len(table), n_votes))
    return (uniform[:, :, None] >= ends[:, None, :]).sum(axis=2)


def counted(votes: np.ndarray, n_classes: int) -> np.ndarray:
    """Count votes by class; the last outcome is no class."""
    return (votes[:, :, None] == np.arange(n_classes)).sum(axis=1)


def scores(labels: pd.Series, predicted: np.ndarray, classes: list[str]) -> dict[str, float]:
    """Return accuracy and COBias in points."""
    by_class = class_accuracy(labels, predicted, classes)
    return {
        "accuracy": 100 * float((labels.to_numpy() == predicted).mean()),
        "cobias": 100 * float(cobias_from_accuracies(by_class.dropna())),
    }


def judge(opt: np.ndarray, test: np.ndarray, tables: tuple, settings: dict) -> dict[str, dict[str, float]]:
    """Fit on opt values; return the scores of doing nothing and of each method on test values."""
    opt_table, test_table = tables
    classes = list(opt_table.classes)
    frames = [pd.DataFrame(values, columns=classes) for values in (opt, test)]
    found = {
        "uncorrected": scores(
            test_table.labels, np.array(classes, dtype=object)[test.argmax(axis=1)], classes
        )
    }
    for name in settings["methods"]:
        method = METHODS[name](**settings["search"]).fit(frames[0], opt_table.labels)
        found[name] = scores(test_table.labels, method.predict(frames[1]), classes)
    return found


def curve(task: str, tables: tuple, settings: dict) -> list[dict]:
    """Return the scores with the true probabilities, and with K votes, draw by draw."""
    K = len(tables[0].classes)
    rows: list[dict] = []

    def add(n_votes: str, draw: int, values: list[np.ndarray]) -> None:
        for method, found in judge(*values, tables, settings).items():
            rows.append({"task": task, "votes": n_votes, "draw": draw, "method": method, **found})
        print(task, n_votes, draw, rows[-1], flush=True)

    add("true", 0, [table.to_numpy() for table in tables])
    for draw in range(settings["n_draws"]):
        random = np.random.default_rng([draw, len(task)])
        votes = [draw_votes(table, max(settings["n_votes"]), random) for table in tables]
        for n_votes in settings["n_votes"]:
            own = [smoothed(counted(one[:, :n_votes], K), settings["smoothing"]) for one in votes]
            add(str(n_votes), draw, own)
    return rows


def kept(table: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Return mean scores, and the share of the gain that is kept."""
    lines = []
    for (task, method), own in table.groupby(["task", "method"], sort=False):
        truth = table[(table["task"] == task) & (table["votes"] == "true")].set_index("method")
        truth = truth[["accuracy", "cobias"]]
        gains = truth.loc[method] - truth.loc["uncorrected"]
        for votes in ["true", *map(str, settings["n_votes"])]:
            some = own[own["votes"] == votes]
            line = {"task": task, "method": method, "votes": votes}
            for name in ("accuracy", "cobias"):
                line[name] = f"{some[name].mean():.1f}"
                line[f"{name} ±"] = f"{some[name].std():.1f}" if len(some) > 1 else ""
            for name in ("cobias", "accuracy"):
                share = (
                    (some[name].mean() - truth.loc["uncorrected", name]) / gains[name] if gains[name] else 0
                )
                line[f"gain in {name} kept, %"] = "" if method == "uncorrected" else f"{100 * share:.0f}"
            lines.append(line)
    return pd.DataFrame(lines)


def agreement(exact: ProbabilityTable, written: ProbabilityTable) -> tuple[pd.DataFrame, str]:
    """Compare the votes that the model wrote with the outcomes that its probabilities expect."""
    n_votes = written.metadata["n_votes"]
    rows = pd.Index(exact.ids).get_indexer(pd.Index(written.ids))
    expected = outcomes(exact)[rows]
    smoothing = written.metadata["votes"]["smoothing"]
    matched = written.label_mass.to_numpy() * n_votes
    K = len(exact.classes)
    counts = written.to_numpy() * (matched + smoothing * K)[:, None] - smoothing
    counts = np.column_stack([counts, n_votes - matched]).round()
    names = [*exact.classes, "no label"]
    spread = np.sqrt((expected * (1 - expected) * n_votes).sum(axis=0))
    table = pd.DataFrame(
        {
            "answer": names,
            "expected": (expected.sum(axis=0) * n_votes).round(1),
            "written": counts.sum(axis=0).astype(int),
            "difference / its standard deviation": [
                f"{value:.1f}" for value in (counts - expected * n_votes).sum(axis=0) / spread
            ],
        }
    )
    likely = expected.sum(axis=0) * n_votes >= 5
    seen, due = counts.sum(axis=0)[likely], (expected.sum(axis=0) * n_votes)[likely]
    test = chisquare(seen, due * seen.sum() / due.sum())
    words = (
        f"{len(written):,} rows, {n_votes} votes each. Totals by answer: chi-square {test.statistic:.1f} on "
        f"{likely.sum() - 1} degrees, p = {test.pvalue:.3f}; rows differ, so that totals "
        f"spread less than this test assumes, and the last column has the right standard deviations. "
        f"Answers by rule: {written.metadata['votes']['answers']}."
    )
    return table, words


def main() -> None:
    """Collect what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--skip", nargs="*", default=[], help="tasks to omit")
    given, settings = parser.parse_args(), settings_of(__file__)
    given.folder.mkdir(parents=True, exist_ok=True)
    collected, lines, sizes = Collected(given.folder, settings), [], []
    for task in [one for one in settings["tasks"] if one not in given.skip]:
        tables = tuple(collected.table(task, split) for split in ("opt", "test"))
        sizes.append(f"{task} {len(tables[0]):,} opt and {len(tables[1]):,} test rows")
        lines += curve(task, tables, settings)
    table = pd.DataFrame(lines)
    table.to_csv(RESULTS / "votes.csv", index=False, float_format="%.4f")
    text = (
        "# Votes in place of probabilities\n\n"
        f"SmolLM2-135M-Instruct, 1-shot; {', '.join(sizes)}. {settings['n_draws']} draws of all votes "
        f"at temperature 1, {settings['smoothing']} added to each class; scores on test rows in points, "
        f"mean and standard deviation over draws. {machine('numpy')}.\n\n"
        "A gain is the difference between the true probabilities without and with the method. COBias can be "
        "as low where accuracy is lower: read both. Votes are drawn from the probabilities of the labels and "
        "of no label.\n\n"
        f"{markdown(kept(table, settings))}\n"
    )
    (RESULTS / "votes.md").write_text(text, encoding="utf-8")
    own = settings["generated"]
    if own["task"] not in given.skip:
        exact = collected.table(own["task"], own["split"])
        votes = VoteSettings(votes=own["n_votes"], smoothing=settings["smoothing"])
        written = collected.table(own["task"], own["split"], votes, own["rows"])
        found, words = agreement(exact, written)
        text += f"\n## Votes that the model wrote\n\n{own['task']}, {words}\n\n{markdown(found)}\n"
    (RESULTS / "votes.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
