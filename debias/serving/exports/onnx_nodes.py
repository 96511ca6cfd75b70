"""Nodes of an ONNX graph, written like arithmetic: each operator returns the name of its result."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto


class Nodes:
    """The nodes and constants of a graph, in the order in which they are computed.

    Attributes
    ----------
    nodes, constants : list
        For ``onnx.helper.make_graph``.

    Examples
    --------
    >>> import pytest
    >>> _ = pytest.importorskip("onnx")
    >>> nodes = Nodes()
    >>> nodes("Mul", "p", nodes.constant(0.5))
    'Mul_1'
    >>> [node.op_type for node in nodes.nodes]
    ['Mul']
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def __call__(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node.

        Parameters
        ----------
        operator : str
            A standard operator with one result.
        *inputs : str
            Names of its inputs.
        output : str, optional
            Name of the result; a new one by default.
        **attributes
            Of the operator.

        Returns
        -------
        str
            Name of the result.
        """
        from onnx import helper

        name = output or f"{operator}_{len(self.nodes) + 1}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> str:
        """Return the name of a constant; equal constants are one."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = f"constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, name))
            self._known[key] = name
        return self._known[key]

    def texts(self, values: list[str]) -> str:
        """Return the name of a constant list of texts."""
        from onnx import TensorProto, helper

        name = f"constant_{len(self.constants)}"
        data = [value.encode("utf-8") for value in values]
        self.constants.append(helper.make_tensor(name, TensorProto.STRING, [len(values)], data))
        return name

    def integers(self, *values: int) -> str:
        """Return the name of a constant list of integers, such as axes and shapes."""
        return self.constant(list(values), np.int64)

    def columns(self, matrix: str, columns: list[int]) -> str:
        """Return some columns of a matrix, in an order."""
        return self("Gather", matrix, self.integers(*columns), axis=1)

    def sum_of_rows(self, matrix: str) -> str:
        """Return the sum of each row, as a column."""
        return self("ReduceSum", matrix, self.integers(1), keepdims=1)

    def softmax(self, logits: str) -> str:
        """Return the softmax of every row, computed as :mod:`debias.corrections.bases` does."""
        powers = self("Exp", self("Sub", logits, self("ReduceMax", logits, axes=[1], keepdims=1)))
        return self("Div", powers, self.sum_of_rows(powers))
