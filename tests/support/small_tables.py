"""Small tables of class probabilities that favour some classes, so that a fit has something to correct."""

import numpy as np

from debias.tables.table import ProbabilityTable


def skewed_table(n=400, seed=0, **parts):
    """Two classes of which the model names the second too rarely."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    score = np.clip(rng.normal(0.75 - 0.3 * truth, 0.12), 0.01, 0.99)
    return ProbabilityTable(np.stack([score, 1 - score], axis=1), truth, classes=["no", "yes"], **parts)


def skewed_rows(seed=0, n_samples=60, n_classes=3):
    """Class probabilities that favour the last class, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_samples) % n_classes)
    logits = (
        rng.normal(size=(n_samples, n_classes)) + 1.5 * np.eye(n_classes)[y] + np.linspace(0, 2, n_classes)
    )
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), y
