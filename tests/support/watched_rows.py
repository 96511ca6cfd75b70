"""Rows of some classes drawn from known distributions, and a debiaser fitted on some of them."""

import numpy as np
import pandas as pd

from debias.tables.table import ProbabilityTable

NAMES = ["sun", "rain", "snow"]


def drawn_rows(seed, n, mix=(0.4, 0.3, 0.3), scale=1.0, bias=(0.0, 0.7, 1.4)):
    """Class probabilities and labels, as columns; `scale` and `bias` are of the model and the prompt."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(mix), size=n, p=mix)
    logits = scale * (rng.normal(size=(n, len(mix))) + 2.0 * np.eye(len(mix))[y]) + np.asarray(bias)
    P = np.exp(logits)
    return P / P.sum(axis=1, keepdims=True), y


def drawn_table(seed, n, *, labelled=True, mass=None, metadata=None, **how):
    """The same as a table."""
    P, y = drawn_rows(seed, n, **how)
    rng = np.random.default_rng([seed, 1])
    label_mass = None if mass is None else rng.beta(10 * mass, 10 * (1 - mass), size=n)
    labels = [NAMES[k] for k in y] if labelled else None
    frame = pd.DataFrame(P, columns=NAMES)
    return ProbabilityTable(frame, labels, label_mass=label_mass, metadata=metadata)
