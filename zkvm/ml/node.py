"""The nodes of an ONNX model, with attributes as Python has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper


@dataclass(frozen=True, slots=True)
class Node:
    """An ONNX node, decoded."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    domain: str = ""

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.inputs) and self.inputs[position] != ""


def decode(node: onnx.NodeProto, position: int) -> Node:
    """A node with Python attributes; subgraphs stay what they are."""
    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
    domain = "" if node.domain == "ai.onnx" else node.domain
    name = node.name or f"{node.op_type}_{position}"
    return Node(node.op_type, name, tuple(node.input), tuple(node.output), attributes, domain)


def first_output(node: Node) -> str:
    """The name of a node's first output that somebody may read: names of outputs are unique, those of nodes need not be."""
    return next(name for name in node.outputs if name)
