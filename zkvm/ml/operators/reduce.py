"""Reductions over axes: sum, mean, maximum, minimum, sum of squares and their kin; position of the largest or smallest."""

from __future__ import annotations

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.reduce import Reduce
from zkvm.ml.operations.unary import Requantize
from zkvm.ml.operators.common import as_rows, axes_of, narrowed
from zkvm.ml.operators.floatreduce import SKIPPED_KEY, keys_of, of_keys
from zkvm.ml.operators.integer_sums import integer_sum, running_sum
from zkvm.ml.operators.integers import type_of
from zkvm.ml.operators.tensor_elements import reduction_in_tensors


def reduced_sum(context: Context, name: str, rows: Value, output: Value, function: str, factor: float) -> Value:
    """Append a sum times ``factor`` of the terms that ``function`` makes of each element."""
    length = rows.size // output.size
    square = function == "square"
    total = length * (rows.magnitude**2 if square else rows.magnitude)
    drop = max(0, total.bit_length() - 31)
    unit = rows.scale**2 if square else rows.scale
    secret = rows.secret or output.secret
    rescaling = context.rescale(unit * factor * 2.0**drop / output.scale, total >> drop, output, name, secret)
    return context.add(Reduce(name, (rows,), output, function, rescaling, drop))


SUMS = {"ReduceSum": "sum", "ReduceMean": "sum", "ReduceL1": "absolute", "ReduceSumSquare": "square"}


@lowers(*SUMS)
def lower_sum(context: Context, node: Node) -> None:
    """Sums and means; of integers exactly, a mean without its fraction."""
    if reduction_in_tensors(context, node):
        return
    source = context.operand(node.inputs[0])
    axes = axes_of(context, node, len(source.shape))
    if not axes:
        context.bind(node.outputs[0], source)
        return
    rows = as_rows(context, node.name, source, axes)
    if source.kind is Kind.INTEGER:
        info = context.info(node.outputs[0])
        divisor = rows.shape[1] if node.operator == "ReduceMean" else 1
        dtype = type_of(context, node.outputs[0])
        context.bind(node.outputs[0], integer_sum(context, node.name, rows, info.shape, SUMS[node.operator], dtype, divisor))
        return
    output = context.target(node.outputs[0])
    factor = rows.size / output.size if node.operator == "ReduceMean" else 1.0
    context.bind(node.outputs[0], reduced_sum(context, node.name, rows, output, SUMS[node.operator], 1 / factor))


@lowers("CumSum")
def lower_running_sum(context: Context, node: Node) -> None:
    """Sums of all elements before one: exact, then rounded to the output's scale."""
    source = context.operand(node.inputs[0])
    if source.kind is Kind.INTEGER:
        context.bind(node.outputs[0], running_sum(context, node, source, type_of(context, node.outputs[0])))
        return
    source = narrowed(context, node.name, source)
    length = source.shape[int(context.required_constant(node, 1).reshape(-1)[0])]
    if source.magnitude * length > INT32_MAX:
        raise UsageError(f"CumSum {node.name!r}: sums of {length} elements do not fit its accumulators; use 8-bit activations")
    total, output = running_sum(context, node, source, np.dtype(np.int32)), context.target(node.outputs[0])
    secret = total.secret or output.secret
    rescaling = context.rescale(total.scale / output.scale, total.magnitude, output, node.name, secret)
    context.bind(node.outputs[0], context.add(Requantize(node.name, (total,), output, rescaling)))


@lowers("ReduceMax", "ReduceMin", words=True)
def lower_extreme(context: Context, node: Node) -> None:
    """Largest or smallest element: exact; a NaN is it if it comes first, and else is skipped."""
    if reduction_in_tensors(context, node):
        return
    source = context.operand(node.inputs[0])
    floats, smallest = source.kind is Kind.FLOAT, node.operator == "ReduceMin"
    if floats:
        source = keys_of(context, node.name, source, negated=smallest, nan=SKIPPED_KEY)
    rows = as_rows(context, node.name, source, axes_of(context, node, len(source.shape)))
    shape = context.info(node.outputs[0]).shape
    output = context.fresh(shape, source.lo, source.hi, source.scale, source.kind, label=node.outputs[0])
    function, sticky = "minimum" if smallest and not floats else "maximum", SKIPPED_KEY if floats else None
    result = context.add(Reduce(node.name, (rows,), output, function, sticky=sticky))
    context.bind(node.outputs[0], of_keys(context, node.name, result, negated=smallest) if floats else result)


@lowers("ArgMax", "ArgMin", words=True)
def lower_position(context: Context, node: Node) -> None:
    """Position of the extreme along one axis; ties go to the first, or to the last if the node says so. Of NaN as in a maximum."""
    source = context.operand(node.inputs[0])
    axis = int(node.attributes.get("axis", 0)) % len(source.shape)
    floats, smallest = source.kind is Kind.FLOAT, node.operator == "ArgMin"
    if floats:
        source = keys_of(context, node.name, source, negated=smallest, nan=SKIPPED_KEY)
    rows = as_rows(context, node.name, source, (axis,))
    output = context.fresh(context.info(node.outputs[0]).shape, 0, source.shape[axis] - 1, kind=Kind.INTEGER, label=node.outputs[0])
    function = "argmin" if smallest and not floats else "argmax"
    function += "_last" if node.attributes.get("select_last_index", 0) else ""
    result = context.add(Reduce(node.name, (rows,), output, function, sticky=SKIPPED_KEY if floats else None))
    context.bind(node.outputs[0], result)
