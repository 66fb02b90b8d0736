"""Reductions over axes: sum, mean, maximum, minimum, sum of squares and their kin; position of the largest or smallest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray, Rescale, rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Kind, Operation, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operators.move import move

FUNCTIONS = ("sum", "absolute", "square", "maximum", "minimum", "argmax", "argmin", "argmax_last", "argmin_last")
"""The ``_last`` ones give the last of equal extremes, the others the first."""


@dataclass(eq=False)
class Reduce(Operation):
    """Reduces each row of the input, seen as (outputs, length). Sums: requantize(floor(sum / 2^drop)), the sum in 64 bits if need be."""

    function: str
    rescaling: Rescale | None = None
    drop: int = 0

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(self.output.size, -1)
        last = rows.shape[1] - 1
        functions: dict[str, Callable[[], IntArray]] = {
            "sum": lambda: rows.sum(axis=1),
            "absolute": lambda: np.abs(rows).sum(axis=1),
            "square": lambda: (rows * rows).sum(axis=1),
            "maximum": lambda: rows.max(axis=1),
            "minimum": lambda: rows.min(axis=1),
            "argmax": lambda: rows.argmax(axis=1),
            "argmin": lambda: rows.argmin(axis=1),
            "argmax_last": lambda: last - rows[:, ::-1].argmax(axis=1),
            "argmin_last": lambda: last - rows[:, ::-1].argmin(axis=1),
        }
        result = functions[self.function]()
        if self.rescaling is not None:
            result = self.rescaling.apply(result >> self.drop)
        return np.asarray(result, np.int64).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        length = self.inputs[0].size // self.output.size
        code.line(f"for (int r = 0; r < {self.output.size}; r++) {{")
        code.line(f"    const int32_t *row = {code.pointer(self.inputs[0])} + r * {length};")
        if self.rescaling is not None:
            kind = "int64_t" if self.drop else "int32_t"
            term = {"sum": "row[i]", "absolute": "(row[i] < 0 ? -row[i] : row[i])", "square": f"({kind})row[i] * row[i]"}[self.function]
            code.line(f"    {kind} sum = 0;")
            code.line(f"    UNROLL_FOUR for (int i = 0; i < {length}; i++) sum += {term};")
            code.line(f"    int32_t result = {self.rescaling.expression(f'(int32_t)(sum >> {self.drop})')};")
        else:
            better = ">" if "max" in self.function else "<"
            better += "=" if self.function.endswith("_last") else ""
            code.line("    int32_t best = row[0], where = 0;")
            code.line(f"    for (int i = 1; i < {length}; i++) if (row[i] {better} best) {{ best = row[i]; where = i; }}")
            code.line(f"    int32_t result = {'where' if self.function.startswith('arg') else 'best'};")
            code.line("    (void)where;")
        code.line(f"    ({code.pointer(self.output)})[r] = result;")
        code.line("}")


def axes_of(context: Context, node: Node, rank: int) -> tuple[int, ...]:
    """The axes of a reduction, from the attribute or the input; all by default."""
    axes = node.attributes.get("axes")
    if axes is None and node.has(1):
        axes = context.required_constant(node, 1).reshape(-1).tolist()
    if not axes:
        return () if node.attributes.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(int(axis) % rank for axis in axes))


def as_rows(context: Context, name: str, source: Value, axes: tuple[int, ...]) -> Value:
    """The value with ``axes`` moved behind the others, as (outputs, length)."""
    kept = [axis for axis in range(len(source.shape)) if axis not in axes]
    index = np.arange(source.size).reshape(source.shape).transpose([*kept, *axes])
    length = int(np.prod([source.shape[axis] for axis in axes], dtype=np.int64))
    return move(context, name, [source], np.ascontiguousarray(index).reshape(-1, length))


def reduced_sum(context: Context, name: str, rows: Value, output: Value, function: str, factor: float) -> Value:
    """Append a sum times ``factor`` of the terms that ``function`` makes of each element."""
    length = rows.size // output.size
    square = function == "square"
    total = length * (rows.magnitude**2 if square else rows.magnitude)
    drop = max(0, total.bit_length() - 31)
    unit = rows.scale**2 if square else rows.scale
    rescaling = rescale(unit * factor * 2.0**drop / output.scale, total >> drop, output.lo, output.hi, name)
    return context.add(Reduce(name, (rows,), output, function, rescaling, drop))


SUMS = {"ReduceSum": "sum", "ReduceMean": "sum", "ReduceL1": "absolute", "ReduceSumSquare": "square"}


@lowers(*SUMS)
def lower_sum(context: Context, node: Node) -> None:
    """Sums and means; of integers exactly, with saturation."""
    source = context.operand(node.inputs[0])
    axes = axes_of(context, node, len(source.shape))
    if not axes:
        context.bind(node.outputs[0], source)
        return
    rows = as_rows(context, node.name, source, axes)
    output = context.target(node.outputs[0])
    factor = rows.size / output.size if node.operator == "ReduceMean" else 1.0
    if source.kind is Kind.INTEGER:
        output.lo, output.hi = INT32_MIN, INT32_MAX
    context.bind(node.outputs[0], reduced_sum(context, node.name, rows, output, SUMS[node.operator], 1 / factor))


@lowers("ReduceMax", "ReduceMin")
def lower_extreme(context: Context, node: Node) -> None:
    """Largest or smallest element: exact."""
    source = context.operand(node.inputs[0])
    rows = as_rows(context, node.name, source, axes_of(context, node, len(source.shape)))
    shape = context.info(node.outputs[0]).shape
    output = context.fresh(shape, source.lo, source.hi, source.scale, source.kind, label=node.outputs[0])
    function = "maximum" if node.operator == "ReduceMax" else "minimum"
    context.bind(node.outputs[0], context.add(Reduce(node.name, (rows,), output, function)))


@lowers("ArgMax", "ArgMin")
def lower_position(context: Context, node: Node) -> None:
    """Position of the extreme along one axis; ties go to the first, or to the last if the node says so."""
    source = context.operand(node.inputs[0])
    axis = int(node.attributes.get("axis", 0)) % len(source.shape)
    rows = as_rows(context, node.name, source, (axis,))
    output = context.fresh(context.info(node.outputs[0]).shape, 0, source.shape[axis] - 1, kind=Kind.INTEGER, label=node.outputs[0])
    function = node.operator.lower() + ("_last" if node.attributes.get("select_last_index", 0) else "")
    context.bind(node.outputs[0], context.add(Reduce(node.name, (rows,), output, function)))
