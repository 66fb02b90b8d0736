"""What is done to elements in tensors where they are: pools, reductions, sums of two, functions, cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, OFFSET, natural_layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.rearranging import TensorApply, TensorMaximum, applying_cost
from zkvm.ml.operations.tensors import moving_cost
from zkvm.ml.operators.common import axes_of, spatial_pads
from zkvm.ml.operators.convolutions import of_channels, steps, windows
from zkvm.ml.operators.layers import fits
from zkvm.ml.operators.secret import FAR
from zkvm.ml.operators.secret_functions import function_secretly
from zkvm.ml.operators.sums import SIGNS, append_sum, exact_sum, gathered, in_tensors, look, rebased, scale_of
from zkvm.ml.operators.tensor_combining import combination_in_tensors, multiplied_secretly, tables_pay
from zkvm.ml.operators.tensors import GENEROUS

CHOICE_INSTRUCTIONS = 16
"""Of an element that is chosen in RAM, less what calls do."""
TABLE_INSTRUCTIONS = 12
"""Of an element that a table in RAM is read for."""


def _read(context: Context, node: Node, source: Value) -> IntArray | None:
    """Elements that the windows of a pool read: (taps, elements of the result), -1 for padding; None if that is not a pool over images."""
    kernel = tuple(node.attributes["kernel_shape"])
    rank, sizes = len(kernel), source.shape[2:]
    if len(sizes) != rank:
        return None
    strides, dilations = (list(node.attributes.get(name) or [1] * rank) for name in ("strides", "dilations"))
    begins = spatial_pads(node, sizes, kernel, strides, dilations)[:rank]
    positions = context.info(node.outputs[0]).shape[2:]
    channel = windows(sizes, [steps(kernel[axis], positions[axis], strides[axis], dilations[axis], begins[axis]) for axis in range(rank)])
    index = of_channels(channel, source.shape[0] * source.shape[1], prod(sizes))
    return np.ascontiguousarray(index.swapaxes(0, 1)).reshape(len(channel), -1)


def _append_maximum(context: Context, node: Node, source: Value, index: IntArray) -> None:
    shape = context.info(node.outputs[0]).shape
    output = context.fresh(shape, source.lo, source.hi, source.scale, label=node.outputs[0])
    output.layout, output.origin = natural_layout(shape), source.origin
    context.follows(output, source)
    tensor = gathered(context, [source], index, output.layout)
    context.bind(node.outputs[0], context.add(TensorMaximum(node.name, (tensor,), output, len(index))))


def max_pool_in_tensors(context: Context, node: Node) -> bool:
    """Append a maximum of windows of a tensor; whether it was. Padding is another element of the window."""
    source = context.held(node.inputs[0])
    index = _read(context, node, source) if source is not None else None
    if source is None or index is None or (index.max(axis=0) < 0).any():
        return False
    _append_maximum(context, node, source, np.where(index < 0, index.max(axis=0), index))
    return True


def average_pool_in_tensors(context: Context, node: Node) -> bool:
    """Append means of windows of a tensor, if they have the same number of elements; whether it was."""
    source = context.held(node.inputs[0])
    index = _read(context, node, source) if source is not None and not node.attributes.get("ceil_mode", 0) else None
    if source is None or index is None or ((index < 0).any() and not node.attributes.get("count_include_pad", 0)):
        return False
    return append_sum(context, node.name, node.outputs[0], [source], index, [1 / len(index)] * len(index))


def reduction_in_tensors(context: Context, node: Node) -> bool:
    """Append a sum, mean or maximum over axes of a tensor; whether it was."""
    source = context.held(node.inputs[0])
    if source is None or node.operator not in ("ReduceSum", "ReduceMean", "ReduceMax"):
        return False
    axes = axes_of(context, node, len(source.shape))
    if not axes:
        return False
    kept = [axis for axis in range(len(source.shape)) if axis not in axes]
    length = prod(source.shape[axis] for axis in axes)
    index = np.arange(source.size).reshape(source.shape).transpose([*axes, *kept]).reshape(length, -1)
    if node.operator == "ReduceMax":
        _append_maximum(context, node, source, index)
        return True
    weight = 1.0 if node.operator == "ReduceSum" else 1 / length
    return append_sum(context, node.name, node.outputs[0], [source], index, [weight] * length)


def arithmetic_in_tensors(context: Context, node: Node) -> bool:
    """Append the sum or difference of two values of which a tensor holds one, or its multiple; whether it was."""
    if len(node.inputs) != 2 or not any(context.held(name) for name in node.inputs):
        return False
    shapes = [context.info(name).shape for name in node.inputs]
    constants = [context.constants.get(name) for name in node.inputs]
    numbers = [None if array is None or array.size != 1 else float(array.reshape(-1)[0]) for array in constants]
    shape, result = np.broadcast_shapes(*shapes), node.outputs[0]
    place = 1 if numbers[0] is not None else 0
    source, number = context.held(node.inputs[place]), numbers[1 - place]
    if source is not None and number is not None:
        if source.shape != shape or not (context.private or np.isfinite(number)):
            return False
        return (_with_secret_number if context.private else _with_number)(context, node, source, number, place)
    if combination_in_tensors(context, node):
        return True
    if node.operator not in SIGNS or not (context.private or all(array is None or np.isfinite(array).all() for array in constants)):
        return False
    left, right = [_term(context, node, place) if context.private else in_tensors(context, node, node.inputs[place]) for place in (0, 1)]
    if left is None or right is None:
        return False
    index = np.stack([np.broadcast_to(np.arange(value.size).reshape(value.shape), shape) for value in (left, right)])
    index[1] += left.size
    return append_sum(context, node.name, result, [left, right], index, [1.0, SIGNS[node.operator]])


def _term(context: Context, node: Node, place: int) -> Value | None:
    """A term of a private model's sum in tensors; of constants what is far beyond the other term and the result is cut, as masks are.

    Raises:
        UsageError: a constant is not a number.
    """
    name, other = node.inputs[place], node.inputs[1 - place]
    if name not in context.constants:
        return in_tensors(context, node, name)
    return context.residence.resident(_cut_constant(context, node, context.constants[name].astype(np.float64), other))


def _cut_constant(context: Context, node: Node, array: FloatArray, other: str) -> Value:
    """Constants beside another term, or in its place, cut where they are far beyond this and the result."""
    if np.isnan(array).any():
        raise UsageError(f"{node.operator} {node.name!r}: a constant is not a number")
    reach = 2 * (FAR + sum(max(-info.low, info.high) for info in (context.info(other), context.info(node.outputs[0]))))
    return context.quantized_constant(node.name, np.clip(array, -reach, reach))


def choice_secretly(context: Context, node: Node) -> bool:
    """Append a private model's choice between a tensor and constants, by a constant condition; whether it was. It is the tensor times ones
    and zeros, and the others where these are, cut where they are far beyond everything, as masks are.

    Raises:
        UsageError: a constant is not a number.
    """
    result, shape = node.outputs[0], context.info(node.outputs[0]).shape
    condition, places = context.constants.get(node.inputs[0]), [place for place in (1, 2) if context.held(node.inputs[place]) is not None]
    if condition is None or len(places) != 1 or not context.tensor_calls:
        return False
    held, others = context.held(node.inputs[places[0]]), context.constants.get(node.inputs[3 - places[0]])
    if held is None or others is None or held.shape != shape or not tables_pay(context, CHOICE_INSTRUCTIONS * held.size):
        return False
    kept = (condition if places[0] == 1 else ~condition).astype(np.float64)
    ones = context.residence.resident(context.quantized_constant(node.name, kept))
    product = multiplied_secretly(context, node, rebased(context, node.name, held), ones)
    filled = np.where(kept == 0, *np.broadcast_arrays(others.astype(np.float64), 0.0))
    terms = product, context.residence.resident(_cut_constant(context, node, filled, node.inputs[places[0]]))
    index = np.stack([np.broadcast_to(np.arange(value.size).reshape(value.shape), shape) for value in terms])
    index[1] += product.size
    return append_sum(context, node.name, result, terms, index, [1.0, 1.0])


def _with_secret_number(context: Context, node: Node, source: Value, number: float, place: int) -> bool:
    """A sum with a number, or a multiple, of a private model: one rescaling, whatever the number is.

    Raises:
        UsageError: it is not finite, or what is divided by is 0.
    """
    if node.operator in SIGNS:
        sign = SIGNS[node.operator]
        weight, bias = (1.0, sign * number) if place == 0 else (sign, number)
    elif node.operator == "Mul" or (node.operator == "Div" and place == 0):
        weight, bias = number if node.operator == "Mul" else np.divide(1.0, number) if number else np.inf, 0.0
    else:
        return False
    if not np.isfinite([weight, bias]).all():
        raise UsageError(f"{node.operator} {node.name!r}: its constant is {number}")
    return append_sum(context, node.name, node.outputs[0], [source], np.arange(source.size)[None, :], [weight], bias)


def _with_number(context: Context, node: Node, source: Value, number: float, place: int) -> bool:
    """A sum with a number, or a multiple, of a tensor that is operand 0 or 1."""
    result, index = node.outputs[0], np.arange(source.size)[None, :]
    if node.operator in SIGNS:
        sign = SIGNS[node.operator]
        weight, bias = (1.0, sign * number) if place == 0 else (sign, number)
        return append_sum(context, node.name, result, [source], index, [weight], bias)
    if node.operator not in ("Mul", "Div") or (node.operator == "Div" and (place or not number)):
        return False
    factor = number if node.operator == "Mul" else 1 / number
    if factor > 0 and result not in context.fused:
        context.bind(result, context.view(source, source.shape, source.scale * factor))
        return True
    return append_sum(context, node.name, result, [source], index, [factor])


def function_in_tensors(context: Context, node: Node, name: str, function: Callable[[FloatArray], FloatArray]) -> bool:
    """Append a function of each element of a tensor, by a table of all int16, if enough elements pay for it; whether it was."""
    source = context.held(name)
    if source is None:
        return False
    if context.private:
        return function_secretly(context, node, source, function)
    loops = TABLE_INSTRUCTIONS * source.size + 2 * moving_cost(source.size)
    if applying_cost(-(-source.size // LANES)) > loops or not fits(*scale_of(context, node.outputs[0])[1:]):
        return False
    numbers = function(np.arange(source.lo, source.hi + 1, dtype=np.float64) * source.scale)
    _take_range(context, node.outputs[0], numbers)
    output = context.target(node.outputs[0])
    output.layout = source.layout or natural_layout(source.shape)
    values = within(output, numbers)
    integers = np.round(values).astype(np.int64)
    held = np.clip(np.arange(-OFFSET, OFFSET) + source.origin, source.lo, source.hi)
    guarded = output.guarded[0] and bool(values.min() <= output.lo), output.guarded[1] and bool(values.max() >= output.hi)
    output.guarded = False, False
    context.graph.errors[node.name] = max(float(np.abs(integers - values).max()), context.graph.errors.get(node.name, 0.0))
    entries = integers[held - source.lo]
    if _applied_with_zeros(context, node, source, output, entries, any(guarded)):
        return True
    tensor = context.in_tensor(source, output.layout)
    context.bind(node.outputs[0], context.add(TensorApply(node.name, (tensor,), output, entries)))
    look(context, node.name, output, guarded)
    return True


def _applied_with_zeros(context: Context, node: Node, source: Value, output: Value, entries: IntArray, looked_at: bool) -> bool:
    """Append a function that is 0 for 0 of a whole tensor, of which the source is all but zeros; whether it was. Nothing has to be looked
    at: among all elements zeros might be taken for ones that were cut."""
    made = source.moved.sources[0] if source.moved is not None and len(source.moved.sources) == 1 else None
    if made is None or source.moved is None or made.zeros is None or source.origin or entries[OFFSET] or looked_at:
        return False
    wide = context.fresh(made.shape, output.lo, output.hi, output.scale, label=output.name)
    wide.layout, wide.zeros = made.layout, made.zeros
    context.add(TensorApply(node.name, (made,), wide, entries))
    context.bind(node.outputs[0], context.residence.moved([wide], source.moved.index.reshape(source.shape)))
    return True


def _take_range(context: Context, result: str, numbers: FloatArray) -> None:
    """Let what a function gives for all integers be the range of its result, if only layers read it and data said none much narrower."""
    info = context.info(result)
    if result not in context.only_layers or result in context.given or not any(info.guarded) or context.precision.activation_bits == 8:
        return
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > GENEROUS * max(-info.low, info.high):
        return
    context.tensors[result] = replace(info, low=min(numbers.min(), 0.0), high=max(numbers.max(), 0.0), guarded=(False, False), tight=True)


def within(output: Value, samples: FloatArray) -> FloatArray:
    """Real numbers in units of the output, cut to its bounds."""
    lo, hi = output.limits
    units = samples / output.scale
    top = np.nanmax(np.where(np.isfinite(units), units, -np.inf), initial=0.0)
    bottom = np.nanmin(np.where(np.isfinite(units), units, np.inf), initial=0.0)
    # Where the function has no value (a logarithm of a negative number, say) the result is the nearest bound.
    return np.asarray(np.clip(np.nan_to_num(units, nan=bottom, posinf=top + hi, neginf=bottom + lo), lo, hi))


def cut_in_tensors(context: Context, node: Node, low: int, high: int) -> bool:
    """Append a cut of the integers in a tensor, if that is not all of them; whether it was."""
    source, result = context.held(node.inputs[0]), node.outputs[0]
    if source is None:
        return False
    source = rebased(context, node.name, source) if source.secret else source  # whatever the origin is that weights gave it
    if low <= source.lo and source.hi <= high:
        context.bind(result, context.view(source, source.shape))
        return True
    if not fits(low, high):  # a tensor may hold its numbers less an origin
        return False
    output = context.fresh(source.shape, low, high, source.scale, label=result)
    context.follows(output, source)
    output.layout = source.layout or natural_layout(source.shape)
    context.bind(result, exact_sum(context, node.name, source, output))
    return True
