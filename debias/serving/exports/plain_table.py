"""The plain table: all numbers of a correction in one JSON object, for a reader in any language.

A reader refuses a row with a value below 0, above ``largest_probability`` or NaN, or a sum further from 1
than ``sum_tolerance``. It maps the row by the base, takes the formula of min(p, 1) times the factor, column
by column, and names the largest value, the first among equals; where all are 0, the largest of the base.
"""

from typing import Any

import numpy as np

from debias.corrections.bases.base import SMALLEST, Base, Identity
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.bases.quadratic_maps import REACH, QuadraticMap
from debias.corrections.bases.trees import Tree, TreeBase
from debias.corrections.correction_document import checksum_of
from debias.errors import ParameterError
from debias.rows.probability_rows import SUM_TOLERANCE, VALUE_TOLERANCE
from debias.serving.exports.formulas import POINTS, Formula, formulas_of, largest_on_the_left
from debias.serving.served_correction import ServedCorrection

FORMAT = "debias table"
VERSION = 1


def plain_table(correction: ServedCorrection) -> dict[str, Any]:
    """Return all that a reader in another language needs, as plain data for a JSON file.

    Parameters
    ----------
    correction : ServedCorrection
        What :func:`debias.serving.load` returned.

    Returns
    -------
    dict
        ``classes`` in the order of the columns; ``corrections``, one per column, each with ``kind``, its
        numbers and a ``factor``; ``base``; the limits of valid rows; the ``checksum`` of the correction. In
        ``points``, lines join the points (x, y) in order, and the value is 0 outside; where several points
        have the same x, it is the largest y there. In a tree of the base, a row goes left where the
        probability of the column ``feature`` is at most ``cut``; a leaf is its own child.

    Raises
    ------
    ParameterError
        A correction or the base is of a class of one's own.

    Examples
    --------
    >>> from debias.corrections.bases.base import Identity
    >>> from debias.corrections.correction import Triangle, Weight
    >>> half = ServedCorrection(("no", "yes"), (Weight(1, 2), Triangle(0, 0.5, 1)), Identity())
    >>> for entry in plain_table(half)["corrections"]:
    ...     print(entry)
    {'kind': 'power', 'weight': 0.5, 'slope': 1.0, 'factor': 1.0}
    {'kind': 'points', 'x': [0, 0.5, 1], 'y': [0, 1, 0], 'factor': 1.0}
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "checksum": checksum_of(correction.document),
        "classes": list(correction.classes),
        "largest_probability": 1 + VALUE_TOLERANCE,
        "sum_tolerance": SUM_TOLERANCE,
        "base": base_entry(correction.base),
        "corrections": [_entry(formula) for formula in formulas_of(correction.corrections)],
    }


def _entry(formula: Formula) -> dict[str, Any]:
    """Describe a formula; lines by their points."""
    if formula.kind != POINTS:
        numbers: dict[str, Any] = dict(zip(formula.names, formula.numbers, strict=True))
    else:
        left, left_top, right_top, right = formula.numbers
        tops = [left_top] if left_top == right_top else [left_top, right_top]
        numbers = {"x": [left, *tops, right], "y": [0, *[1] * len(tops), 0]}
    return {"kind": formula.kind, **numbers, "factor": formula.factor}


def base_entry(base: Base) -> dict[str, Any]:
    """Describe a base: ``none``, ``linear`` (with or without a matrix), ``quadratic`` or ``trees``.

    Parameters
    ----------
    base : Base
        Of a correction.

    Returns
    -------
    dict
        Of ``linear``: logits are matrix @ log(max(p, smallest)) + bias, summed from the first column on, or
        log(max(p, smallest)) + bias without a matrix; then a softmax. Of ``quadratic``: to these come
        curvature @ products, of each pair of steps, (log(max(p, smallest)) - mean) / spread, at most
        ``reach`` and at least minus that, 0 where the spread is; first the first class with itself and
        with each later one. Of ``trees``: the logits of the classes in ``columns`` are ``first`` and the
        value of one tree per class and round; then a softmax, and 0 for other classes.

    Raises
    ------
    ParameterError
        It is of a class of one's own.

    Examples
    --------
    >>> base_entry(LinearMap(np.eye(2), np.array([0.5, 0.0]), np.ones(2), "batch"))
    {'kind': 'linear', 'smallest': 1e-06, 'matrix': None, 'bias': [0.5, 0.0]}
    """
    if isinstance(base, Identity):
        return {"kind": "none"}
    if isinstance(base, LinearMap):
        matrix = None if base.kind == "batch" else base.matrix.tolist()
        return {"kind": "linear", "smallest": SMALLEST, "matrix": matrix, "bias": base.bias.tolist()}
    if isinstance(base, QuadraticMap):
        numbers = {"mean": base.mean, "spread": base.linear.spread, "curvature": base.curvature}
        own = {"kind": base.kind, "reach": REACH} | {name: value.tolist() for name, value in numbers.items()}
        return base_entry(base.linear) | own
    if isinstance(base, TreeBase):
        trees = [[_tree_entry(tree) for tree in of_round] for of_round in base.trees]
        columns, first = base.columns.tolist(), base.first.tolist()
        return {"kind": "trees", "columns": columns, "first": first, "trees": trees}
    raise ParameterError(
        f"the base {base.kind!r} is of a custom class, which no export can describe",
        parameter="base",
        received=type(base).__name__,
        fix="apply it in Python",
    )


def _tree_entry(tree: Tree) -> dict[str, Any]:
    """Describe a tree whose thresholds are probabilities."""
    arrays = {name: getattr(tree, name).tolist() for name in ("feature", "left", "right", "value")}
    is_leaf = tree.left == np.arange(len(tree.left))
    thresholds = zip(tree.threshold.tolist(), is_leaf.tolist(), strict=True)
    return arrays | {"cut": [0.0 if leaf else largest_on_the_left(value) for value, leaf in thresholds]}
