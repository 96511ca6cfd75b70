"""The definition of a correction, evaluated literally, in plain Python: the referee of every runtime.

Nothing of ours is called, and no array library: one row, one class, one operation after the other, from the
JSON document of a correction. It also says how clear a decision is, since the last digit of a logarithm, a
power or an exponential is not the same in every library.
"""

from math import cos, exp, inf, isfinite, log

SMALLEST = 1e-6
REACH = 3.0
CLEAR = 1e-9
"""Two values that differ by less, relatively, are too close where their last digits may differ."""


def is_distribution(row, n_classes):
    """Whether a row is one that a correction may be applied to."""
    numbers = len(row) == n_classes and all(isinstance(p, float) and isfinite(p) for p in row)
    return numbers and all(0 <= p <= 1 + 1e-6 for p in row) and abs(added(row) - 1) <= 0.02 + 1e-9


def added(values):
    """The sum, from the first on: Python's own `sum` differs between its versions."""
    total = 0.0
    for value in values:
        total += value
    return total


def corrected(entry, p):
    """The value of a correction, from its entry in a file."""
    p = min(p, 1.0)
    match entry["kind"]:
        case "scaled":
            return corrected(entry["correction"], p) * entry["factor"]
        case "weight":
            return p * (entry["steps"] / entry["of"])
        case "sloped weight":
            return entry["weight"] * p ** entry["slope"]
        case "membership":
            return height(p, entry["left"], entry["peak"], entry["peak"], entry["right"])
        case "trapezoid":
            return height(p, *(entry[name] for name in ("left", "left_top", "right_top", "right")))
        case "gaussian":
            return exp(-((p - entry["mean"]) ** 2) / (2 * entry["deviation"] ** 2))
        case "sigmoid":
            return 1 / (1 + exp(-entry["slope"] * (p - entry["center"])))
    raise ValueError(entry["kind"])


def height(p, left, left_top, right_top, right):
    if left_top <= p <= right_top:
        return 1.0
    if left < p < left_top:
        return (p - left) / (left_top - left)
    if right_top < p < right:
        return (right - p) / (right - right_top)
    return 0.0


def posteriors(base, row):
    """What the corrections are applied to."""
    if base["kind"] == "identity":
        return row
    x = [log(max(p, SMALLEST)) for p in row]
    if base["kind"] == "trees":
        shares = softmax(
            [
                added([first, *(leaf(of_round[k], x) for of_round in base["trees"])])
                for k, first in enumerate(base["first"])
            ]
        )
        placed = [0.0] * len(row)
        for column, share in zip(base["columns"], shares, strict=True):
            placed[column] = share
        return placed
    if base["kind"] == "batch":
        return softmax([value + bias for value, bias in zip(x, base["bias"], strict=True)])
    if base["kind"] == "quadratic":
        steps = [
            min(max((value - mean) / spread, -REACH), REACH) if spread > 0 else 0.0
            for value, mean, spread in zip(x, base["mean"], base["linear"]["spread"], strict=True)
        ]
        pairs = [steps[i] * steps[j] for i in range(len(x)) for j in range(i, len(x))]
        straight, bent = (
            mapped(base["linear"], x),
            [added(line) for line in weighed(base["curvature"], pairs)],
        )
        return softmax([a + b for a, b in zip(straight, bent, strict=True)])
    return softmax(mapped(base, x))


def weighed(matrix, values):
    return [[a * b for a, b in zip(line, values, strict=True)] for line in matrix]


def mapped(base, x):
    return [added(line) + bias for line, bias in zip(weighed(base["matrix"], x), base["bias"], strict=True)]


def leaf(tree, x):
    node = 0
    while tree["left"][node] != node:
        goes_left = x[tree["feature"][node]] <= tree["threshold"][node]
        node = tree["left" if goes_left else "right"][node]
    return tree["value"][node]


def softmax(logits):
    powers = [exp(value - max(logits)) for value in logits]
    total = added(powers)
    return [power / total for power in powers]


def evaluate(document, row):
    """Return the column that is predicted, and the values that decide."""
    given = posteriors(document.get("base", {"kind": "identity"}), row)
    values = [corrected(one["correction"], p) for one, p in zip(document["classes"], given, strict=True)]
    decisive = values if any(values) else given
    return decisive.index(max(decisive)), decisive


def is_clear(document, row):
    """Whether the decision does not hang on a last digit.

    Products and lines are the same everywhere, so they may be as close as they like. Where a logarithm, a
    power or an exponential is taken, the second value must be further away, or come from the same numbers.
    """
    base = document.get("base", {"kind": "identity"})
    entries = [one["correction"] for one in document["classes"]]
    if base["kind"] == "identity" and not any(is_transcendental(entry) for entry in entries):
        return True
    winner, decisive = evaluate(document, row)
    best = decisive[winner]
    if best < 1e-290 or (base["kind"] == "trees" and not are_clear_ways(base, row)):
        return False
    for column, value in enumerate(decisive):
        near = column != winner and best - value <= CLEAR * best
        if near and not is_same(base, entries, row, winner, column):
            return False
    return True


def is_transcendental(entry):
    inner = entry.get("correction", entry)
    return inner["kind"] in ("gaussian", "sigmoid", "sloped weight")


def is_same(base, entries, row, a, b):
    """Whether two columns compute the same of the same numbers."""
    plain = [{name: value for name, value in entries[k].items() if name != "id"} for k in (a, b)]
    same_bias = base["kind"] == "identity" or (base["kind"] == "batch" and base["bias"][a] == base["bias"][b])
    return plain[0] == plain[1] and row[a] == row[b] and same_bias


def are_clear_ways(base, row):
    """Whether no question of any tree on the way is decided by a last digit."""
    x = [log(max(p, SMALLEST)) for p in row]
    for tree in (tree for of_round in base["trees"] for tree in of_round):
        node = 0
        while tree["left"][node] != node:
            value, threshold = x[tree["feature"][node]], tree["threshold"][node]
            if abs(value - threshold) < CLEAR:
                return False
            node = tree["left" if value <= threshold else "right"][node]
    return True


LAST_DIGITS = (0.0, 1e-12, -1e-12, 3e-12)


def logarithms(row):
    """Return what a runtime sees that is given logarithms in place of probabilities."""
    return [log(p) if p > 0 else -inf for p in row]


def literal_of_logs(document, logs):
    """Return the column by the definition, None where the last digits of the logarithms decide."""
    given = softmax(logs)
    found = set()
    for size in LAST_DIGITS:
        # equal probabilities are changed alike
        changed = [p * (1 + size * cos(1e6 * p)) for p in given]
        found.add(evaluate(document, changed)[0])
    return found.pop() if len(found) == 1 else None
