"""ONNX: a correction as a graph of standard operators in double precision, checked by onnx itself.

A graph cannot raise an error, so it marks the rows that this package refuses: their index is -1.
"""

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from debias.corrections.correction_document import checksum_of
from debias.errors import MissingDependencyError
from debias.rows.probability_rows import SUM_TOLERANCE, VALUE_TOLERANCE
from debias.serving.exports.formulas import BELL, LOGISTIC, POINTS, POWER, Formula, formulas_of
from debias.serving.exports.onnx_base import add_base
from debias.serving.exports.onnx_nodes import Nodes
from debias.serving.served_correction import ServedCorrection

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, IR_VERSION = 17, 8
"""Of the year 2022: every onnxruntime since 1.12 reads them."""

INPUT = "probabilities"
REFUSED_LABEL = np.iinfo(np.int64).min
"""Label of a refused row where labels are integers; where they are texts, it is the empty text."""


def to_onnx(correction: ServedCorrection) -> "ModelProto":
    """Return a correction as an ONNX model.

    Parameters
    ----------
    correction : ServedCorrection
        What :func:`debias.serving.load` returned.

    Returns
    -------
    onnx.ModelProto
        Input ``probabilities``: double, shape (rows, n_classes), columns as ``classes``. Outputs: ``index``,
        the position of the predicted class; ``label``, its name (text, or int64 where classes are
        integers); ``values``, the corrected values. A row that is no distribution has the index -1, and
        the label "" or -2 ** 63. The metadata have ``classes`` (JSON) and the ``checksum`` of the correction.

    Raises
    ------
    MissingDependencyError
        onnx is not installed.
    ParameterError
        A correction or the base is of a class of one's own.

    Examples
    --------
    >>> import pytest
    >>> _ = pytest.importorskip("onnx")
    >>> from debias.corrections.bases.base import Identity
    >>> from debias.corrections.correction import Triangle, Weight
    >>> half = ServedCorrection(("no", "yes"), (Weight(1, 2), Triangle(0, 1, 1)), Identity())
    >>> [output.name for output in to_onnx(half).graph.output]
    ['index', 'label', 'values']
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(
            "onnx is not installed",
            parameter="onnx",
            fix='install it with pip install "debias-iterit[onnx]"',
        ) from error
    from onnx import TensorProto, helper

    nodes = Nodes()
    has_texts = isinstance(correction.classes[0], str)
    posteriors = add_base(nodes, correction.base, INPUT)
    values = _add_corrections(nodes, formulas_of(correction.corrections), posteriors)
    best = nodes("ReduceMax", values, axes=[1], keepdims=1)
    decisive = nodes("Where", nodes("Greater", best, nodes.constant(0.0)), values, posteriors)
    winner = nodes("ArgMax", decisive, axis=1, keepdims=0)
    nodes("Where", _add_check(nodes), winner, nodes.constant(-1, np.int64), output="index")
    labels = list(correction.classes)
    known = nodes.texts([*labels, ""]) if has_texts else nodes.integers(*labels, REFUSED_LABEL)
    nodes("Gather", known, "index", axis=0, output="label")  # the last one for the index -1
    n_classes = len(labels)
    graph = helper.make_graph(
        nodes.nodes,
        "correction",
        [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, ["rows", n_classes])],
        [
            helper.make_tensor_value_info("index", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info(
                "label", TensorProto.STRING if has_texts else TensorProto.INT64, ["rows"]
            ),
            helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["rows", n_classes]),
        ],
        nodes.constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="debias-iterit",
        producer_version=version("debias-iterit"),
    )
    described = {"classes": json.dumps(labels), "checksum": checksum_of(correction.document)}
    helper.set_model_props(model, described)
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_check(nodes: Nodes) -> str:
    """Add the check of the rows; returns whether each is a distribution. NaN compares as false."""
    is_share = nodes(
        "And",
        nodes("GreaterOrEqual", INPUT, nodes.constant(0.0)),
        nodes("LessOrEqual", INPUT, nodes.constant(1 + VALUE_TOLERANCE)),
    )
    are_shares = nodes("ReduceMin", nodes("Cast", is_share, to=7), axes=[1], keepdims=0)
    total = nodes("ReduceSum", INPUT, nodes.integers(1), keepdims=0)
    off = nodes("Abs", nodes("Sub", total, nodes.constant(1.0)))
    sums = nodes("LessOrEqual", off, nodes.constant(SUM_TOLERANCE))
    return nodes("And", nodes("Cast", are_shares, to=9), sums)  # bool


def _add_corrections(nodes: Nodes, formulas: list[Formula], posteriors: str) -> str:
    """Add one formula per column, those of one kind together; returns the corrected values."""
    inside = nodes("Min", posteriors, nodes.constant(1.0))
    groups: dict[tuple[str, float | None], list[int]] = {}
    for column, formula in enumerate(formulas):
        slope = formula.numbers[1] if formula.kind == POWER else None
        groups.setdefault((formula.kind, slope), []).append(column)
    parts = []
    for (kind, _), columns in groups.items():
        part = inside if len(groups) == 1 else nodes.columns(inside, columns)
        numbers = np.array([formulas[column].numbers for column in columns], dtype=np.float64).T
        parts.append(_ADD[kind](nodes, part, numbers))
    values = parts[0]
    if len(parts) > 1:
        order = np.argsort([column for columns in groups.values() for column in columns])
        values = nodes.columns(nodes("Concat", *parts, axis=1), order.tolist())
    factors = np.array([formula.factor for formula in formulas])
    if (factors != 1).any():
        return nodes("Mul", values, nodes.constant(factors), output="values")
    return nodes("Identity", values, output="values")


def _add_power(nodes: Nodes, p: str, numbers: np.ndarray) -> str:
    """Add weighted powers of one slope; roots and squares are exact."""
    weights, slope = numbers[0], float(numbers[1, 0])
    if slope == 2:
        p = nodes("Mul", p, p)
    elif slope == 0.5:
        p = nodes("Sqrt", p)
    elif slope != 1:
        p = nodes("Pow", p, nodes.constant(slope))
    return p if (weights == 1).all() else nodes("Mul", p, nodes.constant(weights))


def _add_points(nodes: Nodes, p: str, numbers: np.ndarray) -> str:
    """Add lines between corners; where two corners coincide, that side is a step."""
    left, left_top, right_top, right = numbers
    low, high = nodes.constant(left), nodes.constant(right)
    up = _add_side(nodes, nodes("Sub", p, low), left_top - left, nodes("GreaterOrEqual", p, low))
    down = _add_side(nodes, nodes("Sub", high, p), right - right_top, nodes("LessOrEqual", p, high))
    least = nodes("Min", nodes("Min", up, down), nodes.constant(1.0))
    return nodes("Max", least, nodes.constant(0.0))


def _add_side(nodes: Nodes, distance: str, width: np.ndarray, is_inside: str) -> str:
    """Add one side of some lines: the distance from the outer corner over the width, or a step."""
    slanted = nodes("Div", distance, nodes.constant(np.where(width > 0, width, 1.0)))
    if (width > 0).all():
        return slanted
    step = nodes("Cast", is_inside, to=11)  # double
    return nodes("Where", nodes.constant(width > 0, np.bool_), slanted, step)


def _add_bell(nodes: Nodes, p: str, numbers: np.ndarray) -> str:
    """Add exp(-(p - mean) ** 2 / (2 * deviation ** 2))."""
    away = nodes("Sub", p, nodes.constant(numbers[0]))
    squared = nodes("Neg", nodes("Mul", away, away))
    return nodes("Exp", nodes("Div", squared, nodes.constant(2 * numbers[1] ** 2)))


def _add_logistic(nodes: Nodes, p: str, numbers: np.ndarray) -> str:
    """Add 1 / (1 + exp(-slope * (p - center)))."""
    one = nodes.constant(1.0)
    away = nodes("Mul", nodes("Sub", p, nodes.constant(numbers[0])), nodes.constant(-numbers[1]))
    return nodes("Div", one, nodes("Add", one, nodes("Exp", away)))


_ADD = {POWER: _add_power, POINTS: _add_points, BELL: _add_bell, LOGISTIC: _add_logistic}
