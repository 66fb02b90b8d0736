"""Functions of the elements of a private model's tensors: tables of known numbers, whatever the weights are.

A table is in the image, and so are the scales of what it is asked and what it answers. Elements are brought to its scale first, by a
private factor. What lies beyond its reach has the function's value at its end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, OFFSET, natural_layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.rearranging import TensorApply, applying_cost, summing_cost
from zkvm.ml.operations.tensor_combining import TensorMultiply, combining_cost
from zkvm.ml.operations.tensors import SHIFT
from zkvm.ml.operators.secret import TOP
from zkvm.ml.operators.sums import rebased, rescaled_secretly

BOUNDED = {"Sigmoid": 12.0, "Tanh": 6.0, "Erf": 4.0}
"""Functions that are constant, within what 16 bits tell apart, beyond such numbers."""
GATED = {"Gelu": 6.0, "HardSwish": 3.0, "Mish": 14.0, "Swish": 14.0}
"""Functions that are 0 below such a number, and their argument above it: their argument times a function that is bounded."""
HOMOGENEOUS = ("LeakyRelu", "Abs")
"""Functions with f(c x) = c f(x) for all c > 0: integers have the same table in every scale."""
UNIT = 2.0**-15
"""Of what a table answers."""
PRODUCT_MULTIPLIER = 1 << 17
"""Products of two elements in units of 2^15: none of them is cut, whatever they stand for."""
WORD_INSTRUCTIONS = 36
"""Of an element that a private model reads a table for in RAM, the ways there and back included."""


def product_scale(left: Value, right: Value) -> float:
    """The scale of products with that multiplier."""
    return left.scale * right.scale * 2.0**SHIFT / PRODUCT_MULTIPLIER


def function_secretly(context: Context, node: Node, source: Value, function: Callable[[FloatArray], FloatArray]) -> bool:
    """Append a function of each element of a tensor, if there is a known table for it, and enough elements pay for that; whether it was."""
    operator, integers = node.operator, np.arange(-OFFSET, OFFSET, dtype=np.float64)
    if node.domain or operator not in (*BOUNDED, *GATED, *HOMOGENEOUS):
        return False
    reach = BOUNDED.get(operator, GATED.get(operator, 0.0))
    if operator == "Swish":
        reach /= abs(node.attributes.get("alpha", 1.0)) or 1.0
    numbers = function(integers * (reach / TOP or 1.0))
    if operator in GATED:
        numbers = _quotients(numbers, integers * (reach / TOP))
    entries = np.round(numbers / (1.0 if operator in HOMOGENEOUS else UNIT)).astype(np.int64)
    if operator in HOMOGENEOUS and np.abs(entries[1:]).max() > TOP:
        return False
    entries = np.clip(entries, -TOP, TOP)
    vectors = -(-source.size // LANES)
    shared = any(
        isinstance(operation, TensorApply) and np.array_equal(operation.entries, entries) for operation in context.graph.operations
    )
    cost = (
        applying_cost(vectors, shared) + (summing_cost(vectors, 1) if reach else 0) + (combining_cost(vectors) if operator in GATED else 0)
    )
    if cost > WORD_INSTRUCTIONS * source.size:
        return False
    source = rebased(context, node.name, source)
    asked = rescaled_secretly(context, node.name, source, reach / TOP) if reach else source
    answer = _applied(context, node, asked, entries, shared)
    if operator in HOMOGENEOUS:
        answer.scale, answer.secret = source.scale, source.secret
    context.graph.errors[node.name] = max(1.0, context.graph.errors.get(node.name, 0.0))
    if operator in GATED:
        answer = _product(context, node, source, answer)
    context.bind(node.outputs[0], answer)
    return True


def _quotients(numbers: FloatArray, arguments: FloatArray) -> FloatArray:
    """Function over argument; at 0 the mean of what is beside it."""
    quotients: FloatArray = numbers / np.where(arguments == 0, 1.0, arguments)
    quotients[OFFSET] = (quotients[OFFSET - 1] + quotients[OFFSET + 1]) / 2
    return quotients


def _applied(context: Context, node: Node, source: Value, entries: IntArray, shared: bool) -> Value:
    output = context.fresh(source.shape, int(entries.min()), int(entries.max()), UNIT, label=node.outputs[0])
    output.layout, output.secret = source.layout or natural_layout(source.shape), False
    return context.add(TensorApply(node.name, (context.in_tensor(source, output.layout),), output, entries, shared))


def _product(context: Context, node: Node, source: Value, factor: Value) -> Value:
    """Of elements and what a table answers for them."""
    assert factor.layout is not None
    output = context.fresh(source.shape, -TOP, TOP, product_scale(source, factor), label=node.outputs[0])
    output.layout = factor.layout
    return context.add(
        TensorMultiply(node.name, (context.in_tensor(source, factor.layout), factor), output, np.array([PRODUCT_MULTIPLIER]))
    )
