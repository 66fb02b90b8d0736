"""Softmax of rows that are the channels of a tensor's positions.

    m = the largest x        e = exp(x - m) in units of 2^-15        S = the sum of e        p = e R,  R = 1 / S

S is at least 2^15 - 1, which is exp(0). It is summed in several units, and instructions take the finest in which it is not cut, so that it
has 13 bits or more; R has 30 bits.
"""

from __future__ import annotations

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, OFFSET, Layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.rearranging import (
    LAST_ENTRY,
    MAXIMUM_CELLS,
    TensorApply,
    TensorMaximum,
    TensorRelative,
    applying_cost,
    summing_cost,
)
from zkvm.ml.operations.tensor_combining import TensorCombine, TensorMultiply, combining_cost
from zkvm.ml.operations.tensor_products import TensorProduct
from zkvm.ml.operations.tensor_rows import FULL, RANGE_BITS, ROW_INSTRUCTIONS, RowReciprocals
from zkvm.ml.operations.tensors import CELLS, TensorLinear, layout_of
from zkvm.ml.operators.layers import fits
from zkvm.ml.operators.secret import TOP
from zkvm.ml.operators.sums import look, rebased, rescaled_secretly, secret_sum
from zkvm.ml.operators.tensor_combining import bind_parts, sources_of, tables_pay

SUM_WEIGHT, SUM_MULTIPLIER = 1 << 14, 1 << 17
"""Of the finest sums: half of them."""
QUOTIENT_MULTIPLIER = 8
"""What makes e R units of 2^-15."""
MAX_LENGTH = 1 << 15
DIFFERENCES_REACH = 11.5
"""How far below the largest element of a row of a private model an exponential is less than half of its unit, and a little more."""
HALF_WEIGHT, HALF_MULTIPLIER = 1 << 14, 1 << 17
"""What makes halves of differences."""
ROW_ELEMENT_INSTRUCTIONS = 60
"""Of an element of a softmax in RAM, the ways there and back included."""


def softmax_in_tensors(context: Context, node: Node) -> bool:
    """Append a softmax over the last axis of a tensor; whether it was."""
    held = context.held(node.inputs[0])
    rank = len(context.info(node.inputs[0]).shape)
    if held is None or not context.tensor_calls or int(node.attributes.get("axis", -1)) % rank != rank - 1:
        return False
    length = held.shape[-1]
    if not tables_pay(context, ROW_ELEMENT_INSTRUCTIONS * held.size - _cost(held.size, held.size // length)):
        return False
    source = rebased(context, node.name, held)
    if length > MAX_LENGTH or not fits(source.lo, source.hi):
        return False
    if not context.private and context.info(node.inputs[0]).masked and source.lo != -OFFSET and not _uncut(context, node.name, source):
        return False
    parts = [part for part in sources_of(source) if part.layout is not None and part.layout == _rows(part.size, length)]
    if sum(part.size for part in parts) != source.size:
        parts = [context.in_tensor(source, _rows(source.size, length))]
    output = context.fresh(source.shape, 0, FULL, 2.0**-15, label=node.outputs[0])
    output.secret = False
    entries = np.round(np.exp(np.arange(-LAST_ENTRY, 1) * source.scale) * FULL).astype(np.int64)
    context.graph.errors[node.name] = 0.5
    floor = node.inputs[0] in context.floors
    made = [_softmax(context, node.name, part, length, (entries, number > 0), floor) for number, part in enumerate(parts)]
    bind_parts(context, node.outputs[0], output, made)
    return True


def _cost(size: int, rows: int) -> int:
    """Instructions that cost what these calls do."""
    vectors = -(-rows // LANES) * (size // rows)
    return (
        combining_cost(vectors)
        + applying_cost(vectors)
        + summing_cost(vectors, 1)
        + vectors * MAXIMUM_CELLS // CELLS
        + 4 * ROW_INSTRUCTIONS * rows
    )


def _uncut(context: Context, name: str, source: Value) -> bool:
    """Whether it is looked at whether any low number was cut, which in front of a softmax is allowed far below the others of its row."""
    makers = {id(operation.output): operation for operation in context.graph.operations}
    owners = [value.storage() for value in (source.moved.sources if source.moved is not None else (source,))]
    if not all(isinstance(makers.get(id(owner)), TensorProduct | TensorMultiply | TensorLinear) for owner in owners):
        return False
    for owner in owners:
        if isinstance(makers[id(owner)], TensorLinear):
            look(context, name, owner, (True, False))
    return True


def _rows(size: int, length: int) -> Layout:
    return Layout.of(length, size // length, False)


def _exponentials(context: Context, name: str, source: Value, largest: Value, floor: bool) -> Value:
    """Those of a private model, whose differences are brought to a known scale; they are 0 before it ends.

    Args:
        context: of the lowering.
        name: of the node.
        source: one tensor, whose channels are the elements of a row.
        largest: of each row.
        floor: whether what was cut below counts as nothing: then every row has an element that is far enough above that.
    """
    layout = layout_of(source)
    if floor:
        above = context.fresh(largest.shape, 0, TOP, 2 * source.scale, label=name)
        above.layout = layout_of(largest)
        least = DIFFERENCES_REACH - TOP * source.scale
        context.add(secret_sum(name, largest, above, np.array([source.scale]), -least, 0))
        context.checks[id(above)] = id(largest)
        look(context, name, above, (True, False))
    halves = context.fresh(source.shape, -OFFSET, 0, 2 * source.scale, label=name)
    halves.layout = layout
    half = np.array([HALF_WEIGHT])
    context.add(TensorCombine(name, (source, largest), halves, half, -half, 0, HALF_MULTIPLIER))
    known = rescaled_secretly(context, name, halves, DIFFERENCES_REACH / OFFSET, (-OFFSET, 0))
    entries = np.round(np.exp(np.arange(-OFFSET, OFFSET) * known.scale) * FULL)
    entries[0], entries[OFFSET:] = 0, FULL
    shared = any(
        isinstance(operation, TensorApply) and np.array_equal(operation.entries, entries) for operation in context.graph.operations
    )
    result = context.fresh(source.shape, 0, FULL, label=name)
    result.layout = layout
    return context.add(TensorApply(name, (known,), result, entries.astype(np.int64), shared))


def _softmax(context: Context, name: str, source: Value, length: int, table: tuple[IntArray, bool], floor: bool) -> Value:
    """Of one tensor, whose channels are the elements of a row. ``table``: of exponentials, and whether another call reads it, too."""
    rows = source.size // length

    def fresh(channels: int, low: int, high: int) -> Value:
        value = context.fresh((rows, channels), low, high, label=name)
        value.layout = Layout.of(channels, rows, False)
        return value

    largest = context.add(TensorMaximum(name, (source,), fresh(1, source.lo, source.hi), length))
    if context.private:
        exponentials = _exponentials(context, name, source, largest, floor)
    else:
        exponentials = context.add(TensorRelative(name, (source, largest), fresh(length, 0, FULL), *table))
    ranges = 1
    while 2 << (RANGE_BITS * (ranges - 1)) < length:
        ranges += 1
    multipliers = SUM_MULTIPLIER >> (RANGE_BITS * np.arange(ranges))
    ones, bias = np.full((ranges, length), SUM_WEIGHT), np.zeros(ranges, np.int64)
    sums = context.add(TensorLinear(name, (exponentials,), fresh(ranges, 0, FULL), ones, bias, multipliers))
    parts = context.fresh((rows, 2), 0, FULL, label=name)
    context.add(RowReciprocals(name, (context.in_memory(sums),), parts))
    numbers = context.in_tensor(parts, Layout.of(2, rows, False))
    result = fresh(length, 0, FULL)
    result.scale, result.secret = 2.0**-15, False
    return context.add(TensorMultiply(name, (exponentials, numbers), result, np.array([QUOTIENT_MULTIPLIER]), parts=True))
