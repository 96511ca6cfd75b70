"""Predictions of every row of a comparison, kept beside the tables, so that one that is run again goes on."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from debias.reports.comparison.compared_methods import METHODS
from debias.reports.comparison.measurement import MeasuredTable, Measurement


def write_measured(path: Path, measured: MeasuredTable) -> None:
    """Write what all methods predicted."""
    methods = [
        {
            "key": one.method.key,
            "predicted": None if one.predicted is None else one.predicted.tolist(),
            "labels_used": one.labels_used,
            "seconds": one.seconds,
            "reason": one.reason,
        }
        for one in measured.measurements
    ]
    content = {
        "name": measured.name,
        "classes": list(measured.classes),
        "n_opt": measured.n_opt,
        "truth": measured.truth.tolist(),
        "rows": measured.rows,
        "methods": methods,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def read_measured(path: Path) -> MeasuredTable:
    """Read what :func:`write_measured` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    by_key = {method.key: method for method in METHODS}
    measurements = tuple(
        Measurement(
            by_key[one["key"]],
            None if one["predicted"] is None else np.asarray(one["predicted"], dtype=np.int64),
            one["labels_used"],
            one["seconds"],
            one["reason"],
        )
        for one in content["methods"]
    )
    return MeasuredTable(
        content["name"],
        tuple(content["classes"]),
        content["n_opt"],
        np.asarray(content["truth"], dtype=np.int64),
        measurements,
        content["rows"],
    )
