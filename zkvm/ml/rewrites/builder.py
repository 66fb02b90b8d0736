"""What every rewriting needs: the nodes that replace one, and the table of functions that write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.node import Node


@dataclass
class Builder:
    """Writes the nodes that replace one.

    Attributes:
        prefix: for names.
        shapes: of all tensors.
        constants: known ones.
        opset: of the main domain.
        sequences: the tensors of every sequence that is known, by its name.
        alike: pairs of tensors that must have one shape, and what to say if they do not.
        types: of tensors, as ONNX numbers them.
        scaled: is told which constants are integers of 8 bits times scales: see ``small_weights.py``.
    """

    prefix: str
    shapes: dict[str, tuple[int, ...]]
    constants: dict[str, NDArray[Any]]
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    sequences: dict[str, list[str]] = field(default_factory=dict)
    alike: list[tuple[str, str, str]] = field(default_factory=list)
    types: Mapping[str, int] = field(default_factory=dict)
    scaled: dict[str, int] = field(default_factory=dict)

    def constant(self, array: NDArray[Any] | Sequence[Any] | float, dtype: Any = np.float32) -> str:
        """Name of a new constant tensor."""
        name = f"{self.prefix}/c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        name = f"{self.prefix}/{operator}{len(self.nodes)}"
        result = output or f"{name}:0"
        self.nodes.append(helper.make_node(operator, list(inputs), [result], name=name, domain=domain, **attributes))
        return result

    def nodes_of(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: Any) -> None:
        """Append a node of several outputs."""
        name = f"{self.prefix}/{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), list(outputs), name=name, domain=domain, **attributes))

    def integers(self, *values: int) -> str:
        """Name of a new constant list of int64."""
        return self.constant(values, np.int64)

    def reshape(self, source: str, shape: Sequence[int], output: str | None = None) -> str:
        """The tensor with another shape."""
        return self.node("Reshape", [source, self.integers(*shape)], output)

    def type_of(self, name: str) -> int:
        """The ONNX type of a tensor, float32 if nothing says it."""
        if name in self.constants:
            return int(helper.np_dtype_to_tensor_dtype(self.constants[name].dtype))
        return self.types.get(name, onnx.TensorProto.FLOAT)

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """The numpy type of a tensor, float32 if nothing says it."""
        return np.dtype(helper.tensor_dtype_to_np_dtype(self.type_of(name)))

    def split(self, source: str, parts: int, axis: int) -> list[str]:
        """Equal parts along an axis."""
        name = f"{self.prefix}/Split{len(self.nodes)}"
        results = [f"{name}:{part}" for part in range(parts)]
        extra: dict[str, Any] = {"num_outputs": parts} if self.opset >= 18 else {}
        self.nodes.append(helper.make_node("Split", [source], results, name=name, axis=axis, **extra))
        return results

    def reduce(self, operator: str, source: str, axes: Sequence[int], keepdims: int = 1, output: str | None = None) -> str:
        """A reduction, with axes as this operator version has them."""
        return self.node(operator, [source, self.constant(axes, np.int64)], output, keepdims=keepdims)

    def required(self, node: Node, position: int) -> NDArray[Any]:
        """An input that must be constant.

        Raises:
            UsageError: it is not.
        """
        name = node.inputs[position]
        if name not in self.constants:
            raise UsageError(f"{node.operator} {node.name!r}: input {position} is computed at run time; only constants are supported there")
        return self.constants[name]


Rewrite = Callable[[Builder, Node], bool]
"""Appends the replacement and returns True, or returns False if the node can stay."""
REWRITES: dict[tuple[str, str], Rewrite] = {}
"""(domain, operator) -> function that writes its replacement; filled by the modules beside this one, so import it from the package."""


def rewrites(*operators: str, domain: str = "") -> Callable[[Rewrite], Rewrite]:
    """Register a function as the rewriting of operators."""

    def register(function: Rewrite) -> Rewrite:
        for operator in operators:
            REWRITES[(domain, operator)] = function
        return function

    return register
