"""How the 31 bits of a layer's sums are shared between its inputs and its weights."""

from __future__ import annotations

from collections.abc import Container
from math import log2

from zkvm.ml.importer import ImportedModel
from zkvm.ml.node import Node, first_output

SUM_BITS = 31
FEWEST, MOST = 11, 16
LAYERS = ("Conv", "Gemm", "MatMul")
PASSING = {
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Gather", "Slice", "Transpose", "Split", "Concat", "Relu", "Clip", "MaxPool",
    "Pad", "Dropout",
}  # fmt: skip
"""Operators whose output has the scale of their input."""


def few_bits(model: ImportedModel, layers: Container[str] = LAYERS, without: Container[str] = ()) -> dict[str, int]:
    """Tensors that only layers with constant weights read, if after operators that keep the scale, and how many bits they have best.

    Of a layer with K terms a sum, inputs of magnitude 2^m leave its weights steps of K 2^m / 2^31 of their mean size. What rounding the
    inputs and what rounding the weights adds to a sum is the same if 2^(2m) = c 2^31 / K, with c the inverse share of the range that
    inputs take on average, squared: 4, and 4 for the headroom of ranges. Follows from the architecture alone.

    Args:
        model: the simplified model.
        layers: operators whose sums have so few bits.
        without: nodes, by their first output, that are none of them.
    """
    wanted: dict[str, int] = {}
    full = set(model.outputs)
    for node in reversed(model.nodes):
        own = terms(model, node) if node.operator in layers and first_output(node) not in without else 0
        for position, name in enumerate(node.inputs):
            if name in model.constants or not name:
                continue
            if own and position == 0:
                bits = round((SUM_BITS + 4 - log2(own)) / 2) + 1
                wanted[name] = max(wanted.get(name, FEWEST), min(bits, MOST))
            elif node.operator in PASSING and all(output in wanted and output not in full for output in node.outputs if output):
                wanted[name] = max(wanted.get(name, FEWEST), *(wanted[output] for output in node.outputs if output))
            else:
                full.add(name)
    return {name: bits for name, bits in wanted.items() if name not in full}


def terms(model: ImportedModel, node: Node) -> int:
    """How many products a sum of a layer has; 0 of other nodes."""
    weights = model.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if weights is None or node.operator not in LAYERS or weights.ndim < 2:
        return 0
    if node.operator == "Conv":
        return int(weights.size // weights.shape[0])
    return int(weights.shape[1] if node.operator == "Gemm" and node.attributes.get("transB", 0) else weights.shape[-2])
