"""Integers: arithmetic, bits, casts and sums by the ONNX type, with bounds that follow from the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, integer_limits, wraps
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.integers import Fit, IntegerPair, Narrow
from zkvm.ml.operators.common import broadcast_pair

Dtype = np.dtype[Any]
Bounds = tuple[int, int]
MAX_EXPONENT = 64
"""Powers of 2 and more beyond it are beyond a word, and so are no different from this one."""


def type_of(context: Context, name: str) -> Dtype:
    """The integer type of an ONNX tensor."""
    dtype = context.info(name).dtype
    return np.dtype(np.int64) if dtype is None else dtype


def fitted(name: str, dtype: Dtype, lo: int, hi: int, *, wrapping: bool = True) -> tuple[Fit, Bounds]:
    """How results between bounds become numbers of a type, and between which bounds these are.

    Args:
        name: of the layer, for messages.
        dtype: the type.
        lo: least result.
        hi: largest result.
        wrapping: whether results wrap to the type's width, if a word holds all of the type.

    Raises:
        UsageError: no result fits a word, and the type is one of those that do not wrap.
    """
    least, largest = integer_limits(dtype)
    if least <= lo and hi <= largest:
        return Fit(dtype, True), (lo, hi)
    if wrapping and wraps(dtype):
        return Fit(dtype, False), (least, largest)
    if lo > largest or hi < least:
        reach = f"{lo}" if lo == hi else f"between {lo} and {hi}"
        raise UsageError(f"{name}: its results of type {dtype} are {reach}; the guest's integers are between {least} and {largest}")
    return Fit(dtype, False), (max(lo, least), min(hi, largest))


def integer_pair(context: Context, name: str, function: str, left: Value, right: Value, dtype: Dtype) -> Value:
    """Append arithmetic on integers, with broadcasting.

    Args:
        context: of the lowering.
        name: of the layer.
        function: see :class:`IntegerPair`.
        left: integers.
        right: integers.
        dtype: of both, and of the result.
    """
    left, right = broadcast_pair(context, name, left, right)
    if function in ("Div", "Mod", "Fmod") and right.lo == right.hi == 0:
        raise UsageError(f"{name}: a division by 0")
    fit, bounds = fitted(name, dtype, *result_bounds(function, (left.lo, left.hi), (right.lo, right.hi), dtype))
    output = context.fresh(left.shape, *bounds, kind=Kind.INTEGER, label=name)
    return context.add(IntegerPair(name, (left, right), output, function, fit))


def result_bounds(function: str, a: Bounds, b: Bounds, dtype: Dtype) -> Bounds:
    """Bounds of exact results from those of the operands."""
    if function == "Add":
        return a[0] + b[0], a[1] + b[1]
    if function == "Sub":
        return a[0] - b[1], a[1] - b[0]
    if function == "Mul":
        return _hull(x * y for x in a for y in b)
    if function == "Div":
        divisors = {y for y in (*b, -1, 1) if b[0] <= y <= b[1] and y}
        return _hull(truncated(x, y) for x in a for y in divisors)
    if function in ("Mod", "Fmod"):
        return _remainder_bounds(function, a, b)
    if function == "Max":
        return max(a[0], b[0]), max(a[1], b[1])
    if function == "Min":
        return min(a[0], b[0]), min(a[1], b[1])
    if function == "ShiftLeft":
        bits = 8 * dtype.itemsize
        return _hull([0, *(x << min(max(y, 0), bits - 1) for x in a for y in b)])
    if function == "ShiftRight":
        return min(a[0], 0), max(a[1], min(a[0], 0) and -1)
    if function == "Pow":
        magnitude = max(1, abs(a[0]), abs(a[1])) ** max(0, min(b[1], MAX_EXPONENT))
        return (0 if a[0] >= 0 else -magnitude), magnitude
    return _bit_bounds(function, a, b)


def _hull(numbers: Any) -> Bounds:
    found = list(numbers)
    return min(found), max(found)


def truncated(x: int, y: int) -> int:
    """x / y without its fraction."""
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def _remainder_bounds(function: str, a: Bounds, b: Bounds) -> Bounds:
    most = max(abs(b[0]), abs(b[1])) - 1
    if function == "Fmod" or (a[0] >= 0 and b[0] >= 0):
        return max(a[0], -most) if a[0] < 0 else 0, min(a[1], most) if a[1] > 0 else 0
    return min(0, b[0] + 1), max(0, b[1] - 1)


def _bit_bounds(function: str, a: Bounds, b: Bounds) -> Bounds:
    if function == "BitwiseAnd" and max(a[0], b[0]) >= 0:
        return 0, min(x[1] for x in (a, b) if x[0] >= 0)
    places = max(max(hi, ~lo).bit_length() for lo, hi in (a, b))
    return 0 if min(a[0], b[0]) >= 0 else -(1 << places), (1 << places) - 1


def narrowed_to(context: Context, name: str, source: Value, dtype: Dtype, *, wrapping: bool = True) -> Value:
    """Integers as another integer type."""
    fit, bounds = fitted(name, dtype, source.lo, source.hi, wrapping=wrapping)
    if fit.exact and source.kind is Kind.INTEGER:
        return source
    if fit.exact:
        return context.view(source, source.shape, 1.0, Kind.INTEGER)
    output = context.fresh(source.shape, *bounds, kind=Kind.INTEGER, label=name)
    return context.add(Narrow(name, (source,), output, fit))


def integer_constant(context: Context, name: str, number: int) -> Value:
    """A number that the compiler adds to a model."""
    assert INT32_MIN <= number <= INT32_MAX, name
    return context.known_constant(name, np.asarray(number, np.int64))


def integer_bound(context: Context, name: str, function: str) -> Value:
    """An operand of ``Max`` or ``Min``: a constant below all words, or above them, does the same as the last word."""
    constant = context.constants.get(name)
    if constant is None or not np.issubdtype(constant.dtype, np.integer):
        return context.operand(name)
    array = constant if constant.dtype == np.uint64 else constant.astype(np.int64)
    if function == "Min":
        array = np.minimum(array, array.dtype.type(INT32_MAX))
    elif constant.dtype.kind == "i":
        array = np.maximum(array, INT32_MIN)
    return context.quantized_constant(name, array)


@lowers("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift", "BitwiseNot", words=True)
def lower_bits(context: Context, node: Node) -> None:
    """Bits of integers: pairs, shifts (to the right the sign stays), and -1 - x."""
    dtype = type_of(context, node.outputs[0])
    left = context.operand(node.inputs[0])
    if node.operator == "BitwiseNot":
        most = integer_constant(context, "ones", -1 if dtype.kind == "i" else int(np.iinfo(dtype).max) if dtype.itemsize < 4 else -1)
        context.bind(node.outputs[0], integer_pair(context, node.name, "Sub", most, left, dtype))
        return
    function = node.operator
    if function == "BitShift":
        function = "ShiftLeft" if node.attributes["direction"] in ("LEFT", b"LEFT") else "ShiftRight"
    context.bind(node.outputs[0], integer_pair(context, node.name, function, left, context.operand(node.inputs[1]), dtype))


def lower_integer_arithmetic(context: Context, node: Node) -> None:
    """Arithmetic with broadcasting; Max and Min of several inputs one after the other."""
    dtype = type_of(context, node.outputs[0])
    function = "Fmod" if node.operator == "Mod" and node.attributes.get("fmod", 0) else node.operator
    extreme = function in ("Max", "Min")
    values = [integer_bound(context, name, function) if extreme else context.operand(name) for name in node.inputs]
    result = values[0]
    for value in values[1:]:
        result = integer_pair(context, node.name, function, result, value, dtype)
    context.bind(node.outputs[0], result)


def lower_integer_clip(context: Context, node: Node) -> None:
    """The smaller of the upper bound and the larger of x and the lower bound; a Relu has 0 as its only bound."""
    dtype = type_of(context, node.outputs[0])
    result = context.operand(node.inputs[0])
    if node.operator == "Relu":
        result = integer_pair(context, node.name, "Max", result, integer_constant(context, "zero", 0), dtype)
    for position, function in ((1, "Max"), (2, "Min")):
        if node.has(position):
            bound = integer_bound(context, node.inputs[position], function)
            result = integer_pair(context, node.name, function, result, context.view(bound, ()), dtype)
    context.bind(node.outputs[0], result)


def lower_integer_sign_change(context: Context, node: Node) -> None:
    """-x, or |x| as the larger of x and -x: the least number of a type that wraps has itself as its magnitude."""
    dtype = type_of(context, node.outputs[0])
    source = context.operand(node.inputs[0])
    if node.operator == "Abs" and source.lo >= 0:
        context.bind(node.outputs[0], source)
        return
    zero = integer_constant(context, "zero", 0)
    negative = integer_pair(context, node.name, "Sub", zero, source, dtype)
    result = negative if node.operator == "Neg" else integer_pair(context, node.name, "Max", source, negative, dtype)
    if node.operator == "Abs" and source.lo > integer_limits(dtype)[0]:
        result.lo = 0
    context.bind(node.outputs[0], result)


def lower_integer_power(context: Context, node: Node) -> None:
    """An integer to an integer power; constant powers may be written as real numbers."""
    dtype = type_of(context, node.outputs[0])
    exponents = context.constants.get(node.inputs[1])
    if exponents is not None and np.issubdtype(exponents.dtype, np.floating):
        if (exponents != np.rint(exponents)).any() or np.abs(exponents).max(initial=0.0) > INT32_MAX:
            raise UsageError(f"Pow {node.name!r}: integers to powers that are none; cast them to float before")
        right = context.quantized_constant(node.inputs[1], exponents.astype(np.int64))
    else:
        right = context.operand(node.inputs[1])
    if right.kind is not Kind.INTEGER:
        raise UsageError(f"Pow {node.name!r}: integers to a power that is computed as a real number; cast them to float before")
    context.bind(node.outputs[0], integer_pair(context, node.name, "Pow", context.operand(node.inputs[0]), right, dtype))


def has_integers(context: Context, node: Node) -> bool:
    """Whether a node's first result holds integers."""
    return context.info(node.outputs[0]).kind is Kind.INTEGER
