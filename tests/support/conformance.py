"""The conformance cases: 10,000 rows of 2 to 150 classes, and the label that the definition gives to each.

    python -m tests.support.conformance      # writes tests/data/conformance.json.gz again

Every runtime is tested against them: ``for case in cases(): runtime(case.file(folder), case.rows)`` must
predict ``case.expected`` (columns) or ``case.labels``. `REFUSED` are rows that every runtime must refuse.
Rows come from `random.Random.random` and the four operations only, so they are the same on every machine; the
file holds their digest, and the labels, by :mod:`tests.support.definition`.
"""

import gzip
import hashlib
import json
import struct
from dataclasses import dataclass
from functools import cache
from math import inf, nan
from random import Random

import numpy as np

from tests.support.definition import added, evaluate, is_clear, is_distribution
from tests.support.paths import ROOT

FILE = ROOT / "tests" / "data" / "conformance.json.gz"

REFUSED = {
    "not a number": [nan, 1.0],
    "infinite": [inf, 0.0],
    "minus infinite": [-inf, 1.0],
    "negative": [-0.1, 1.1],
    "a little negative": [-1e-12, 1.0],
    "above one": [1.00001, 0.0],
    "sum too small": [0.5, 0.479],
    "sum too large": [0.5, 0.521],
    "zero": [0.0, 0.0],
}
"""Rows of two classes that are no distributions."""


@dataclass(frozen=True)
class Case:
    """A correction, rows, and the columns that are predicted for them.

    Attributes
    ----------
    name : str
    document : dict
        The JSON of a correction file.
    rows : ndarray of shape (n_rows, n_classes)
    expected : ndarray of int, shape (n_rows,)
    """

    name: str
    document: dict
    rows: np.ndarray
    expected: np.ndarray

    @property
    def classes(self):
        return [one["label"] for one in self.document["classes"]]

    @property
    def labels(self):
        return np.array(self.classes)[self.expected]

    def file(self, folder):
        """Write the correction to a folder; return the file."""
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.document), encoding="utf-8")
        return path

    def __repr__(self):
        return self.name


def weight(steps, of=30):
    return {"kind": "weight", "id": 18 + steps, "steps": steps, "of": of}


def triangle(*corners):
    return {"kind": "membership", "id": 0, **dict(zip(("left", "peak", "right"), corners, strict=True))}


IDENTITY = {"kind": "membership", "id": 17, "left": 0.0, "peak": 1.0, "right": 1.0}


def sloped(weight, slope):
    return {"kind": "sloped weight", "id": 5000, "weight": weight, "slope": slope}


def scaled(correction, factor):
    return {"kind": "scaled", "id": 1000, "factor": factor, "correction": correction}


def trapezoid(*corners):
    names = ("left", "left_top", "right_top", "right")
    return {"kind": "trapezoid", "id": 2000, **dict(zip(names, corners, strict=True))}


def gaussian(mean, deviation):
    return {"kind": "gaussian", "id": 3000, "mean": mean, "deviation": deviation}


def sigmoid(center, slope):
    return {"kind": "sigmoid", "id": 4000, "center": center, "slope": slope}


TRIANGLES = [
    (0.0, 0.0, 0.5), (0.0, 0.5, 1.0), (0.5, 1.0, 1.0), (0.0, 0.25, 0.5), (0.25, 0.5, 0.75), (0.75, 1.0, 1.0),
    (0.0, 0.0, 0.125), (0.125, 0.25, 0.375), (0.0, 0.0, 1.0), (0.25, 0.25, 0.75), (0.5, 0.75, 0.75),
]  # fmt: skip
TRAPEZOIDS = [
    (0.0, 0.0, 0.0625, 0.125), (0.0625, 0.125, 0.5, 1.0), (0.25, 0.5, 1.0, 1.0), (0.0, 1.0, 1.0, 2.0),
    (0.25, 0.25, 0.5, 0.5),
]  # fmt: skip


def below(random, n):
    return int(random.random() * n)


def drawn_weight(random):
    return weight(1 + below(random, 30))


def drawn_triangle(random):
    return triangle(*TRIANGLES[below(random, len(TRIANGLES))])


def drawn_ensemble(random):
    return drawn_weight(random) if random.random() < 0.6 else drawn_triangle(random)


def drawn_sloped(random):
    slope = (0.5, 1.0, 2.0, 0.7)[below(random, 4)]
    return sloped((1.0, 0.5, 0.1269, 0.001)[below(random, 4)], slope) if random.random() < 0.8 else IDENTITY


def drawn_shape(random):
    kind = below(random, 4)
    if kind == 0:
        return gaussian(below(random, 5) / 4, (0.0625, 0.25, 1e-6)[below(random, 3)])
    if kind == 1:
        return sigmoid(below(random, 5) / 8, (-32.0, 16.0, 500.0)[below(random, 3)])
    return trapezoid(*TRAPEZOIDS[below(random, 5)]) if kind == 2 else drawn_triangle(random)


def drawn_factor(random):
    return scaled(IDENTITY, 1 - random.random() * 0.99) if random.random() < 0.8 else IDENTITY


def drawn_polish(random):
    return scaled(drawn_ensemble(random), 1 - random.random() * 0.3)


def unchanged(random):
    return IDENTITY


def linear(kind):
    """Return what draws a linear base."""

    def draw(random, n):
        bias = [round(4 * random.random() - 2, 6) for _ in range(n)]
        bias[-1] = bias[0]  # so that there are ties
        matrix = [[float(j == k) for j in range(n)] for k in range(n)]
        for k in range(n):
            for j in range(n):
                if kind == "affine" or (kind == "vector" and j == k):
                    matrix[k][j] += round((random.random() - 0.5) / (1 if j == k else n), 6)
        numbers = {"bias": bias, "spread": [1.0] * n, "matrix": matrix}
        return {"kind": kind, "strength": None if kind == "batch" else 1.0, **numbers}

    return draw


def quadratic(random, n):
    """A quadratic base; the last class never varied."""
    straight = linear("affine")(random, n)
    straight["spread"] = [*(round(0.5 + 2 * random.random(), 6) for _ in range(n - 1)), 0.0]
    curvature = [[round((random.random() - 0.5) / n, 6) for _ in range(n * (n + 1) // 2)] for _ in range(n)]
    mean = [round(-4 * random.random(), 6) for _ in range(n)]
    return {"kind": "quadratic", "strength": 1.0, "mean": mean, "curvature": curvature, "linear": straight}


def drawn_trees(random, n):
    """A base of trees; with more than three classes, one has no rows."""
    columns = [k for k in range(n) if n < 4 or k != 1]

    def tree():
        inner, nodes = 3, 7
        left = [1, 3, 5, 3, 4, 5, 6]
        right = [2, 4, 6, 3, 4, 5, 6]
        return {
            "feature": [below(random, n) if node < inner else 0 for node in range(nodes)],
            "threshold": [
                round(-14.5 * random.random() * random.random(), 6) if k < inner else 0.0
                for k in range(nodes)
            ],
            "left": left,
            "right": right,
            "value": [0.0 if node < inner else round(random.random() - 0.5, 6) for node in range(nodes)],
        }

    trees = [[tree() for _ in columns] for _ in range(9)]
    first = [round(random.random(), 6) for _ in columns]
    return {"kind": "trees", "n_classes": n, "columns": columns, "first": first, "trees": trees}


def named(n):
    return [f"class {k}" for k in range(n)]


ODD_NAMES = ["Welt 🌍", 'say "no"', "a,b", "line\nbreak", "<b>&amp;</b>"]

CASES = {
    "identity-3": (named(3), unchanged, None, 400),
    "weights-2": (named(2), drawn_weight, None, 500),
    "weights-6": (named(6), drawn_weight, None, 700),
    "weights-150": (named(150), drawn_weight, None, 200),
    "memberships-2": (named(2), drawn_triangle, None, 400),
    "memberships-14": (named(14), drawn_triangle, None, 600),
    "ensemble-5": (ODD_NAMES, drawn_ensemble, None, 800),
    "ensemble-77": (named(77), drawn_ensemble, None, 300),
    "integers-4": ([3, -1, 0, 12], drawn_ensemble, None, 500),
    "wide-6": (named(6), drawn_sloped, None, 700),
    "wide-25": (named(25), drawn_sloped, None, 300),
    "shapes-4": (named(4), drawn_shape, None, 700),
    "log-bias-6": (named(6), drawn_factor, None, 500),
    "polished-5": (named(5), drawn_polish, None, 500),
    "batch-3": (named(3), unchanged, linear("batch"), 500),
    "batch-weights-14": (named(14), drawn_weight, linear("batch"), 500),
    "vector-5": (named(5), drawn_factor, linear("vector"), 300),
    "affine-6": (named(6), drawn_factor, linear("affine"), 400),
    "quadratic-5": (named(5), drawn_factor, quadratic, 250),
    "quadratic-12": (named(12), drawn_weight, quadratic, 150),
    "affine-ensemble-40": (named(40), drawn_ensemble, linear("affine"), 150),
    "trees-3": (named(3), drawn_weight, drawn_trees, 400),
    "trees-5": (named(5), drawn_factor, drawn_trees, 250),
}
"""Labels, what draws a correction, what draws a base, and the number of rows: 10,000 in all."""


def rows_of(random, n, count, is_kept):
    """Draw rows of all kinds in turn; those that hang on a last digit are drawn again."""
    kinds = (spread, spread, one_hot, tied, on_a_grid, with_zeros, tiny, as_float32, in_percent, even)
    rows = []
    while len(rows) < count:
        row = kinds[len(rows) % len(kinds)](random, n)
        for _ in range(20):
            if is_distribution(row, n) and is_kept(row):
                break
            row = spread(random, n)
        else:
            raise AssertionError("no clear row in 20 draws")
        rows.append(row)
    return rows


def shared(values):
    total = added(values)
    return [value / total for value in values]


def spread(random, n):
    """Rows as models give them: nearly certain, or not."""
    power = (1, 2, 4, 16)[below(random, 4)]
    values = []
    for _ in range(n):
        value = u = random.random()
        for _ in range(power - 1):
            value *= u
        values.append(value)
    return shared(values)


def one_hot(random, n):
    row = [0.0] * n
    row[below(random, n)] = 1.0
    return row


def tied(random, n):
    """Some classes share a power of a half; the rest has nothing, or one class the remainder."""
    several = 2 ** (1 + below(random, 3))
    if several > n:
        several = 2
    row, places = [0.0] * n, list(range(n))
    for _ in range(several):
        row[places.pop(below(random, len(places)))] = 1 / several
    return row


def on_a_grid(random, n):
    """Multiples of 1/64, which meet corners and each other."""
    row = [0] * n
    for _ in range(64):
        row[below(random, 1 + below(random, n))] += 1
    return [count / 64 for count in row]


def with_zeros(random, n):
    row = spread(random, n)
    kept = [p if random.random() < 0.5 else 0.0 for p in row]
    return shared(kept) if any(kept) else one_hot(random, n)


def tiny(random, n):
    """Certainty, beside numbers that are almost nothing."""
    almost = (5e-324, 1e-310, 2.5e-308, 1e-200, 1e-7, 1e-6)
    row = [almost[below(random, len(almost))] for _ in range(n)]
    row[below(random, n)] = 1.0
    return row


def as_float32(random, n):
    """What a softmax in single precision gives, a little above one at times."""
    if random.random() < 0.2:
        return [1.0000001192092896 if p else p for p in one_hot(random, n)]
    return [struct.unpack("<f", struct.pack("<f", p))[0] for p in spread(random, n)]


def in_percent(random, n):
    return [round(p, 2) for p in spread(random, n)]


def even(random, n):
    return [1 / n] * n


def document_of(labels, corrections, base):
    """A correction file with all its fields."""
    facts = {
        "support": 10, "correct_before": 5, "correct_after": 6, "predicted_before": 10, "predicted_after": 10,
        "quartiles": [0.2, 0.5, 0.8],
    }  # fmt: skip
    document = {
        "format": "debias correction",
        "schema_version": 4,
        "summary": "A conformance case.",
        "method": "EnsembleDebiaser" if base is None else "CalibratedDebiaser",
        "objective": {"error": 1.0, "cobias": 1.0, "pmi": 0.2, "smoothing": 4000.0},
        "certificate": None,
        "search": "descent",
        "objective_value": 0.5,
        "baseline_objective_value": 1.0,
        "search_seconds": 0.1,
        "n_evaluations": 1,
        "n_labels": 10 * len(labels),
        "named_columns": False,
        "classes": [
            {"label": label, "correction": correction, "facts": facts}
            for label, correction in zip(labels, corrections, strict=True)
        ],
        "data_fingerprint": "0" * 64,
        "checksum": None,
    }
    return document if base is None else document | {"base": base}


def draw(name):
    """Draw the correction and the rows of a case."""
    labels, draw_correction, draw_base, count = CASES[name]
    random = Random(name)
    base = None if draw_base is None else draw_base(random, len(labels))
    corrections = [draw_correction(random) for _ in labels]
    document = document_of(labels, corrections, base)
    return document, rows_of(random, len(labels), count, lambda row: is_clear(document, row))


def digest(document, rows):
    whole = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for row in rows:
        whole.update(struct.pack(f"<{len(row)}d", *row))
    return whole.hexdigest()


def judge(name):
    """Return what the file holds of a case."""
    document, rows = draw(name)
    expected = [evaluate(document, row)[0] for row in rows]
    return {"digest": digest(document, rows), "expected": expected}


@cache
def cases():
    """Return all cases, with the labels that the file holds."""
    kept = json.loads(gzip.decompress(FILE.read_bytes()))
    return [case_of(name, kept[name]) for name in CASES]


def case_of(name, kept):
    document, rows = draw(name)
    assert digest(document, rows) == kept["digest"], f"the rows of {name} are others than those of {FILE}"
    return Case(name, document, np.array(rows), np.array(kept["expected"]))


if __name__ == "__main__":
    text = json.dumps({name: judge(name) for name in CASES})
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
