"""Bases as ONNX nodes: maps of log-probabilities, and boosted trees, in standard operators.

Trees are walked level by level, all of them at once: a node is an integer, and what it asks is looked up.
Their sum is a running one, in the order of the rounds, as everywhere.
"""

import numpy as np

from debias.corrections.bases.base import SMALLEST, Base, Identity
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.bases.quadratic_maps import REACH, QuadraticMap
from debias.corrections.bases.trees import TreeBase
from debias.errors import ParameterError
from debias.serving.exports.formulas import largest_on_the_left
from debias.serving.exports.onnx_nodes import Nodes


def add_base(nodes: Nodes, base: Base, probabilities: str) -> str:
    """Add the nodes of a base.

    Parameters
    ----------
    nodes : Nodes
        The graph so far.
    base : Base
        Of the correction.
    probabilities : str
        Name of the class probabilities.

    Returns
    -------
    str
        Name of the posteriors.

    Raises
    ------
    ParameterError
        The base is of a class of one's own.
    """
    if isinstance(base, Identity):
        return probabilities
    if isinstance(base, LinearMap):
        return _add_linear_map(nodes, base, probabilities)
    if isinstance(base, QuadraticMap):
        return _add_quadratic_map(nodes, base, probabilities)
    if isinstance(base, TreeBase):
        return _add_trees(nodes, base, probabilities)
    raise ParameterError(
        f"the base {base.kind!r} is of a custom class, which ONNX cannot describe",
        parameter="base",
        received=type(base).__name__,
        fix="apply it in Python",
    )


def _add_linear_map(nodes: Nodes, base: LinearMap, probabilities: str) -> str:
    """Add a linear map; a diagonal one without a product of matrices, so that ties stay ties."""
    logits = nodes("Log", nodes("Max", probabilities, nodes.constant(SMALLEST)))
    slopes = np.diag(base.matrix)
    if base.kind != "batch" and not (base.matrix == np.diag(slopes)).all():
        logits = nodes("MatMul", logits, nodes.constant(base.matrix.T))
    elif base.kind != "batch":
        logits = nodes("Mul", logits, nodes.constant(slopes))
    return nodes.softmax(nodes("Add", logits, nodes.constant(base.bias)))


def _add_quadratic_map(nodes: Nodes, base: QuadraticMap, probabilities: str) -> str:
    """Add a linear map, and the products of standardised log-probabilities beside it."""
    logs = nodes("Log", nodes("Max", probabilities, nodes.constant(SMALLEST)))
    spread = np.where(base.linear.spread > 0, base.linear.spread, np.inf)
    steps = nodes("Div", nodes("Sub", logs, nodes.constant(base.mean)), nodes.constant(spread))
    steps = nodes("Clip", steps, nodes.constant(-REACH), nodes.constant(REACH))
    first, second = (nodes.columns(steps, side.tolist()) for side in np.triu_indices(len(base.mean)))
    bent = nodes("MatMul", nodes("Mul", first, second), nodes.constant(base.curvature.T))
    straight = nodes("MatMul", logs, nodes.constant(base.matrix.T))
    return nodes.softmax(nodes("Add", nodes("Add", straight, nodes.constant(base.bias)), bent))


def _add_trees(nodes: Nodes, base: TreeBase, probabilities: str) -> str:
    """Add the sum of all trees, a softmax, and columns of zeros for classes that had no rows."""
    n_logits, rounds = len(base.columns), len(base.trees)
    first = nodes.constant(base.first[None, None, :])
    one_per_row = nodes("Sub", *[nodes("ReduceMax", probabilities, axes=[1], keepdims=1)] * 2)
    rows = nodes("Unsqueeze", one_per_row, nodes.integers(2))
    steps = nodes("Add", rows, first)
    if rounds:
        leaves = nodes("Reshape", _add_walk(nodes, base, probabilities), nodes.integers(-1, rounds, n_logits))
        steps = nodes("Concat", steps, leaves, axis=1)
    sums = nodes("CumSum", steps, nodes.constant(1, np.int64))
    logits = nodes("Gather", sums, nodes.constant(rounds, np.int64), axis=1)
    placed = np.zeros((n_logits, base.n_classes))
    placed[np.arange(n_logits), base.columns] = 1.0
    return nodes("MatMul", nodes.softmax(logits), nodes.constant(placed))


def _add_walk(nodes: Nodes, base: TreeBase, probabilities: str) -> str:
    """Add the walk of every row through all trees; returns the values of the leaves, a column per tree."""
    trees = [tree for of_round in base.trees for tree in of_round]
    offsets = np.cumsum([0, *(len(tree.value) for tree in trees[:-1])])

    def whole(name: str) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in trees])

    left, right = (
        np.concatenate([getattr(tree, side) + offset for tree, offset in zip(trees, offsets, strict=True)])
        for side in ("left", "right")
    )
    cuts = np.array([largest_on_the_left(threshold) for threshold in whole("threshold").tolist()])
    feature = nodes.constant(whole("feature"), np.int64)
    cut, value = nodes.constant(cuts), nodes.constant(whole("value"))
    to_left, to_right = nodes.constant(left, np.int64), nodes.constant(right, np.int64)
    never = nodes("Less", probabilities, nodes.constant(-np.inf))  # also where a refused row has NaN
    zero = nodes("Cast", never, to=7)  # int64
    # invariant: `at` holds the node that each row (axis 0) has reached in each tree (axis 1)
    at = nodes("Add", nodes("ReduceMax", zero, axes=[1], keepdims=1), nodes.integers(*offsets.tolist()))
    for _ in range(max(_depth(tree.left, tree.right) for tree in trees)):
        asked = nodes("GatherElements", probabilities, nodes("Gather", feature, at), axis=1)
        goes_left = nodes("LessOrEqual", asked, nodes("Gather", cut, at))
        at = nodes("Where", goes_left, nodes("Gather", to_left, at), nodes("Gather", to_right, at))
    return nodes("Gather", value, at)


def _depth(left: np.ndarray, right: np.ndarray) -> int:
    """Return the number of questions on the longest way to a leaf."""
    depth = np.zeros(len(left), dtype=np.int64)
    for node in range(len(left)):  # children come after their parent
        for child in {int(left[node]), int(right[node])} - {node}:
            depth[child] = max(depth[child], depth[node] + 1)
    return int(depth.max(initial=0))
