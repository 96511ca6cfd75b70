"""Corrections and log-likelihoods drawn at random, and a decision row by row as the definition has it."""

import json
import math

import numpy as np

from debias.corrections.bases.base import Identity
from debias.corrections.correction import Triangle, Weight
from debias.corrections.correction_document import FORMAT, SCHEMA_VERSION
from debias.serving import ServedCorrection


def drawn_correction(rng, classes) -> ServedCorrection:
    """Weights and triangles, some of which are zero for most probabilities."""
    corrections = []
    for _ in classes:
        if rng.random() < 0.5:
            corrections.append(Weight(int(rng.integers(1, 31)), 30))
        else:
            left, peak, right = np.sort(rng.choice([0.0, 0.1, 0.25, 0.5, 0.75, 1.0], size=3, replace=False))
            corrections.append(Triangle(left, peak, right))
    return ServedCorrection(tuple(classes), tuple(corrections), Identity())


def drawn_log_likelihoods(rng, n_samples, n_classes):
    """Rows that are flat, sharp, one-hot, tied, with zeros, and with probabilities that hardly exist."""
    scale = rng.choice([0.1, 1.0, 5.0, 700.0], size=(n_samples, 1))
    rows = -scale * rng.random((n_samples, n_classes)) - rng.choice([0.0, 3.0], size=(n_samples, 1))
    kind = rng.integers(0, 6, size=n_samples)
    rows[kind == 1] = np.round(rows[kind == 1])  # ties
    rows[kind == 2, :2] = -0.25  # two that are equal, often the largest
    hidden = rng.random(rows.shape) < 0.4
    hidden[np.arange(n_samples), rng.integers(0, n_classes, size=n_samples)] = False
    rows[(kind == 3)[:, None] & hidden] = -np.inf
    hot = np.flatnonzero(kind == 4)
    rows[hot] = -np.inf
    rows[hot, rng.integers(0, n_classes, size=len(hot))] = 0.0
    return rows


def literal_decision(correction, log_likelihoods) -> str:
    """Decide one row as the definition says: the largest corrected value, or else the largest probability."""
    highest = max(log_likelihoods)
    shares = [float(np.exp(one - highest)) for one in log_likelihoods]
    total = math.fsum(shares)
    probabilities = [one / total for one in shares]
    values = [float(one(p)) for one, p in zip(correction.corrections, probabilities, strict=True)]
    held = values if any(values) else probabilities
    best = 0
    for place, value in enumerate(held):
        if value > held[best]:
            best = place
    return str(correction.classes[best])


def saved(correction, folder):
    """Write the file of a correction with no more than what predicts, and return its path."""
    entries = [
        {"label": label, "correction": one.to_dict() | {"id": 0}}
        for label, one in zip(correction.classes, correction.corrections, strict=True)
    ]
    document = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "classes": entries, "checksum": None}
    file = folder / "correction.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file
