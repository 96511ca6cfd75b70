"""Turns measured tables into figures: metrics with intervals, and paired differences from one method."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from debias.metrics.confusion import accuracies_of, overall_metrics
from debias.metrics.paired_differences import MEANS, ChangedRows, difference_interval
from debias.metrics.resampling import (
    chance_in_gaps,
    corrected_interval,
    ends_of_near_ties,
    resampled_counts,
)
from debias.metrics.share_intervals import ends_at_limits, wilson
from debias.reports.comparison.measurement import MeasuredTable
from debias.search.constraints import Constrained, Goal
from debias.search.goals.class_order import goal_by_column
from debias.search.objective import Objective
from debias.tables.class_columns import FloatArray, IndexArray

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "cobias", "worst_class_accuracy", "z")
_LEAST = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -np.inf])
_MOST = np.array([1.0, 1.0, 1.0, 1.0, 1.0, np.inf])


class _Drawn(NamedTuple):
    """Metrics of the resamples of a method, and less those of the chosen one.

    ``ties`` are the ends for near-ties, ``chance`` is what chance in gaps adds to each metric.
    """

    alone: FloatArray
    difference: FloatArray
    ties: tuple[float, float]
    chance: FloatArray


def _present(counts: IndexArray, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the accuracies of the classes that have rows: seen, and of each resample."""
    accuracies = accuracies_of(counts)
    present = ~np.isnan(accuracies)
    return accuracies[present], accuracies_of(drawn)[:, present]


class PairedFigures:
    """The figures of measured tables, resampled once for each method, and once beside the chosen one.

    Parameters
    ----------
    tables : sequence of MeasuredTable
    against : str
        The method that differences are from.
    objective : Objective or Constrained, optional
        What z is: of bounds, what is minimised within them.
    level : float
        Confidence level of the intervals.
    n_resamples, seed : int
        Of the bootstrap within classes.
    """

    def __init__(
        self,
        tables: Sequence[MeasuredTable],
        against: str,
        objective: Goal | None,
        level: float,
        n_resamples: int,
        seed: int,
    ) -> None:
        self.tables, self.against, self.level = tables, against, level
        self.n_resamples, self.seed = n_resamples, seed
        inner = objective.inner if isinstance(objective, Constrained) else objective
        self.objective = Objective() if inner is None else inner
        self._drawn = [self._resampled(table, seed + place) for place, table in enumerate(tables)]

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return a frame for each table, by name, with a row for each method."""
        return {
            table.name: self._frame(table, drawn)
            for table, drawn in zip(self.tables, self._drawn, strict=True)
        }

    def _resampled(self, table: MeasuredTable, seed: int) -> dict[str, _Drawn]:
        """Return metrics of the resamples, alone and less those of the chosen method, by method."""
        predictions = table.predictions()
        chosen, found = predictions.get(self.against), {}
        weights = np.ones(len(table.truth))
        for name, predicted in predictions.items():
            sides = [predicted] if chosen is None else [predicted, chosen]
            n_classes = len(table.classes)
            (alone,) = resampled_counts(table.truth, sides[:1], weights, n_classes, self.n_resamples, seed)
            pair = resampled_counts(table.truth, sides, weights, n_classes, self.n_resamples, seed)
            values = [self._metrics(counts, table.classes) for counts in pair]
            difference = values[0] - values[1] if len(pair) == 2 else np.full_like(values[0], np.nan)
            present = _present(table.counts(predicted), alone)
            ties, gaps = (f(*present, self.level) for f in (ends_of_near_ties, chance_in_gaps))
            more = dict(zip(("cobias", "worst_class_accuracy"), gaps, strict=True))
            more["z"] = self.objective.cobias * more["cobias"]
            chance = np.array([more.get(metric, 0.0) for metric in METRICS])
            found[name] = _Drawn(self._metrics(alone, table.classes), difference, ties, chance)
        return found

    def _metrics(self, counts: FloatArray, classes: Sequence[str]) -> FloatArray:
        """Return all metrics of confusion counts, shape (..., n_metrics)."""
        order = np.argsort(classes, kind="stable")
        objective = goal_by_column(self.objective, [classes[k] for k in order], order)
        assert isinstance(objective, Objective)
        overall = overall_metrics(counts)
        overall["balanced_accuracy"] = np.nanmean(accuracies_of(counts), axis=-1)
        correct = np.diagonal(counts, axis1=-2, axis2=-1)
        predicted, support = counts[..., :-1].sum(axis=-2), counts.sum(axis=-1)
        costs = objective.cost_matrix(support.shape[-1])
        paid = None if costs is None else (counts[..., :-1] * costs).sum(axis=(-2, -1)) / support.sum(axis=-1)
        overall["z"] = np.asarray(objective(correct, predicted, support, paid))
        return np.stack([overall[metric] for metric in METRICS], axis=-1)

    def _values(self, table: MeasuredTable) -> dict[str, FloatArray]:
        """Return the metrics of the test rows themselves, by method."""
        return {
            name: self._metrics(table.counts(p).astype(np.float64), table.classes)
            for name, p in table.predictions().items()
        }

    def _frame(self, table: MeasuredTable, drawn: dict[str, _Drawn]) -> pd.DataFrame:
        values = self._values(table)
        rows = {}
        for one in table.measurements:
            name = one.method.name
            row: dict[str, Any] = {"labels_used": one.labels_used, "needs": one.method.needs}
            if one.predicted is not None:
                row |= self._with_intervals(values[name], drawn[name].alone)
                lowest, highest = drawn[name].ties
                row["cobias_low"] = min(row["cobias_low"], lowest)
                row["worst_class_accuracy_high"] = max(row["worst_class_accuracy_high"], highest)
                for metric, (low, high) in self._at_limits(table, one.predicted).items():
                    row[f"{metric}_low"] = min(row[f"{metric}_low"], low)
                    row[f"{metric}_high"] = max(row[f"{metric}_high"], high)
                n_predicted = np.bincount(one.predicted, minlength=len(table.classes))[: len(table.classes)]
                row["never_predicted"] = int((n_predicted == 0).sum())
                if self.against in values:
                    away = values[name] - values[self.against]
                    changed = self._changed([table], name)
                    chance = drawn[name].chance - drawn[self.against].chance
                    row |= self._with_intervals(away, drawn[name].difference, changed, chance)
            rows[name] = row | {
                "fit_seconds": one.seconds,
                "group": one.method.group,
                "note": one.reason,
            }
        return _ordered(rows)

    def _at_limits(self, table: MeasuredTable, predicted: IndexArray) -> dict[str, tuple[float, float]]:
        """Return the ends of intervals where all rows are right, or none."""
        counts = table.counts(predicted)
        pairs = zip(accuracies_of(counts).tolist(), counts.sum(axis=1).tolist(), strict=True)
        classes = [wilson(accuracy, n_rows, self.level) for accuracy, n_rows in pairs]
        share = float(np.diagonal(counts).sum() / counts.sum())
        return ends_at_limits(share, float(counts.sum()), classes, self.level)

    def _with_intervals(
        self,
        values: FloatArray,
        drawn: FloatArray,
        changed: FloatArray | None = None,
        chance: FloatArray | float = 0.0,
    ) -> dict[str, object]:
        """Return values and the ends of their intervals, by name; of differences, where rows changed."""
        if changed is None:
            ending, (low, high) = "", corrected_interval(values, drawn, self.level, _LEAST, _MOST)
        else:
            limits, are_means = (np.minimum(_LEAST, -1.0), _MOST), np.array([m in MEANS for m in METRICS])
            ends = difference_interval(values, drawn, self.level, limits, are_means, changed, chance)
            ending, (low, high) = "_difference", ends
        found: dict[str, object] = {}
        for metric, *numbers in zip(METRICS, values, low, high, strict=True):
            names = (f"{metric}{ending}", f"{metric}{ending}_low", f"{metric}{ending}_high")
            found |= dict(zip(names, map(float, numbers), strict=True))
        return found

    def _changed(self, tables: Sequence[MeasuredTable], name: str) -> FloatArray:
        """Return how many rows of some tables changed, as each metric sees it; the same rows count once."""
        counts: dict[str, FloatArray] = {}
        for table in tables:
            predicted = table.predictions()
            rows = ChangedRows(
                table.truth, [predicted[name], predicted[self.against]], np.ones(len(table.truth))
            )
            seen = np.array([rows.seen_by(metric) for metric in METRICS])
            counts[table.rows] = np.maximum(seen, counts.get(table.rows, np.zeros(len(METRICS))))
        return np.sum(list(counts.values()), axis=0)

    def mean(self) -> pd.DataFrame:
        """Return the means over the tables, of the methods that were measured on all of them.

        Each metric has its ``_deviation`` between tables (n - 1), each difference the interval of its mean
        over these tables, whose rows are resampled: together, where tables of several prompts have the same
        rows. Labels, seconds and classes never predicted are sums.
        """
        frames, rows = list(self.frames().values()), {}
        values = [self._values(table) for table in self.tables]
        for name in frames[0].index:
            of_tables = [frame.loc[name] for frame in frames]
            measured = [name in one for one in values]
            row: dict[str, Any] = {"needs": of_tables[0]["needs"], "group": of_tables[0]["group"]}
            if all(measured):
                each = np.array([one[name] for one in values])
                row |= dict(zip(METRICS, each.mean(axis=0).tolist(), strict=True))
                deviations = each.std(axis=0, ddof=1).tolist()
                row |= {f"{m}_deviation": d for m, d in zip(METRICS, deviations, strict=True)}
                for column in ("labels_used", "never_predicted", "fit_seconds"):
                    row[column] = sum(one[column] for one in of_tables)
                if all(self.against in one for one in values):
                    away = np.mean([one[name] - one[self.against] for one in values], axis=0)
                    changed = self._changed(self.tables, name)
                    more = [one[name].chance - one[self.against].chance for one in self._drawn]
                    chance = np.mean(more, axis=0)
                    row |= self._with_intervals(away, self._mean_drawn(name), changed, chance)
            rows[name] = row | {
                "note": "" if all(measured) else f"measured on {sum(measured)} of {len(values)} tables"
            }
        return _ordered(rows)

    def _mean_drawn(self, name: str) -> FloatArray:
        """Return the mean difference of a method over the tables in each resample."""
        total = np.zeros((self.n_resamples, len(METRICS)))
        seen: set[str] = set()
        for place, table in enumerate(self.tables):
            if table.rows in seen:
                continue
            seen.add(table.rows)
            same = [one.predictions() for one in self.tables if one.rows == table.rows]
            sides = [predicted[method] for predicted in same for method in (name, self.against)]
            weights, n_classes = np.ones(len(table.truth)), len(table.classes)
            seed = self.seed + place
            counts = resampled_counts(table.truth, sides, weights, n_classes, self.n_resamples, seed)
            metrics = [self._metrics(one, table.classes) for one in counts]
            total += sum(metrics[::2]) - sum(metrics[1::2])
        return total / len(self.tables)


def _ordered(rows: dict[str, dict[str, object]]) -> pd.DataFrame:
    """Return a frame with all columns, in their order."""
    ends = ("", "_low", "_high")
    columns = ["labels_used", "needs"]
    columns += [f"{metric}{end}" for metric in METRICS for end in (*ends, "_deviation")]
    columns += ["never_predicted", *(f"{m}_difference{end}" for m in METRICS for end in ends)]
    columns += ["fit_seconds", "group", "note"]
    given = {column for row in rows.values() for column in row}
    kept = [column for column in columns if column in given or not column.endswith(("_deviation", *ends[1:]))]
    frame = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=kept).rename_axis("method")
    texts = {column: frame[column].fillna("") for column in ("needs", "group", "note")}
    counts = {c: frame[c].astype("Int64") for c in ("labels_used", "never_predicted")}
    numbers = [c for c in kept if c not in texts and c not in counts]
    return frame.assign(**texts, **counts).astype(dict.fromkeys(numbers, np.float64))
