"""Sums and products of two tensors of the same shape, element by element, with constants too, and masks in front of a softmax.

What consists of several tensors, as the scores of several heads do, stays in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, OFFSET, natural_layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.rearranging import gathering_cost, summing_cost
from zkvm.ml.operations.tensor_combining import TensorCombine, TensorMultiply, combining_cost
from zkvm.ml.operations.tensors import SHIFT
from zkvm.ml.operators.common import fused_target
from zkvm.ml.operators.layers import fits
from zkvm.ml.operators.secret import TOP
from zkvm.ml.operators.secret_functions import PRODUCT_MULTIPLIER, product_scale
from zkvm.ml.operators.sums import SIGNS, in_tensors, integers_of, look, rebased, refined, scale_of

MASK_WEIGHT, MASK_MULTIPLIER = 1 << 14, 1 << 18
"""A factor of one; the multiplier is such that 2^15 times an int16 is beyond all elements."""
ELEMENTWISE_COST = 1 << 13
"""Instructions that cost a proof what the tables of elementwise calls do, however few their rows; they make a receipt larger, too."""
PRODUCT_INSTRUCTIONS = 16
"""Of an element that is multiplied in RAM, the ways there and back included."""
FAR = 16.0
"""What lies so far below the others of its row is nothing after a softmax."""


@dataclass(frozen=True, slots=True)
class Term:
    """The second operand: in tensors, or of constants in a scale of their own."""

    scale: float
    low: int
    high: int
    value: Value | None = None
    integers: IntArray | None = None


def sources_of(value: Value) -> tuple[Value, ...]:
    """The tensors that a value consists of, in its order and of one layout; none if its elements are in another order."""
    if value.moved is None:
        return (value,) if value.layout is not None else ()
    sources, index = value.moved.sources, value.moved.index
    ordered = len(index) == sum(source.size for source in sources) and bool((index == np.arange(len(index))).all())
    return sources if ordered and len({source.layout for source in sources}) == 1 else ()


def parts_of(context: Context, value: Value) -> list[Value]:
    """The same, where there are none gathered into one."""
    return list(sources_of(value)) or [context.in_tensor(value, natural_layout(value.shape))]


def bind_parts(context: Context, result: str, output: Value, parts: list[Value]) -> None:
    """Bind a tensor to what it consists of."""
    context.bind(result, of_parts(context, output, parts))


def of_parts(context: Context, output: Value, parts: list[Value]) -> Value:
    """What consists of several tensors as one value."""
    index = np.arange(output.size).reshape(output.shape)
    return context.residence.moved(parts, index) if len(parts) > 1 else context.view(parts[0], output.shape)


def looked_at(context: Context, result: str, output: Value, low: int, high: int) -> tuple[bool, bool]:
    """Which limits have to be looked at if results are within these bounds; in front of a softmax low ones, too, at which this does not."""
    guarded = output.guarded[0] or context.info(result).masked, output.guarded[1]
    output.guarded = False, False
    return guarded[0] and low < output.limits[0], guarded[1] and high > output.limits[1]


def _each(
    context: Context, name: str, x: Value, term: Term, output: Value, make: Callable[[Value, Value | None, slice, Value], None]
) -> list[Value]:
    """Calls for each tensor that x consists of, with the same elements of the other operand."""
    parts, start = [], 0
    for source in parts_of(context, x):
        place = slice(start, start + source.size)
        part = context.fresh(source.shape, *output.limits, output.scale, label=output.name)
        part.layout = source.layout
        other = term.value
        if other is not None and source.layout is not None and (other.layout != source.layout or other.size != source.size):
            index = np.arange(start, start + source.size)
            other = context.in_tensor(context.residence.moved([other], index), source.layout)
        make(source, other, place, part)
        parts.append(part)
        start += source.size
    assert start == x.size, name
    return parts


def _term(context: Context, node: Node, name: str, shape: tuple[int, ...], limit: float) -> Term | None:
    """An operand of this shape, constants cut to a limit and broadcast; None if it has another shape."""
    array = context.constants.get(name)
    if array is None:
        value = in_tensors(context, node, name)
        if value is None or value.shape != shape:
            return None
        value = rebased(context, node.name, value)
        return Term(value.scale, value.lo, value.hi, value)
    if np.isnan(array).any() or array.dtype.kind != "f":
        return None
    reals = np.clip(array.astype(np.float64), -limit, limit)
    scale = (float(np.abs(reals).max()) or 1.0) / TOP
    integers = np.broadcast_to(np.round(reals / scale).astype(np.int64), shape).reshape(-1)
    return Term(scale, int(integers.min()), int(integers.max()), None, integers)


def combination_in_tensors(context: Context, node: Node) -> bool:
    """Append the sum, difference or product of two values with as many elements, of which a tensor holds one; whether it was."""
    if context.private:
        return node.operator in ("Mul", "Div") and product_secretly(context, node)
    place = 0 if context.held(node.inputs[0]) is not None else 1
    result = context.fused[node.outputs[0]].output if node.outputs[0] in context.fused else node.outputs[0]
    held, scale = context.held(node.inputs[place]), scale_of(context, node.outputs[0])
    shape = np.broadcast_shapes(*(context.info(name).shape for name in node.inputs))
    if held is None or not fits(*scale[1:]) or held.shape != shape or node.operator not in (*SIGNS, "Mul"):
        return False
    x, name = rebased(context, node.name, held), node.inputs[1 - place]
    if node.operator == "Add" and name in context.constants and context.info(result).masked:
        mask = np.broadcast_to(context.constants[name].astype(np.float64), shape)
        if masked_in_tensors(context, node, x, mask <= -_beyond(x), np.where(mask == 0, 0.0, np.nan)):
            return True
    if not tables_pay(context, _saved(node.operator, x.size)):
        return False
    limit = np.inf if node.operator == "Mul" else 2 * (x.magnitude * x.scale + max(map(abs, scale[1:])) * scale[0])
    term = _term(context, node, name, tuple(shape), limit)
    if term is None:
        return False
    if node.operator == "Mul":
        return _product(context, node, result, x, term)
    if context.info(result).masked:
        return False  # what is added may be a mask, and what it cuts is no error
    sign = SIGNS[node.operator]
    return _sum(context, node, result, x, term, (1.0, sign) if place == 0 else (sign, 1.0))


def tables_pay(context: Context, saved: int) -> bool:
    """Whether elementwise calls that save so many instructions are worth their two tables, if these are not there already."""
    there = any(isinstance(operation, TensorCombine | TensorMultiply) for operation in context.graph.operations)
    return saved >= (0 if there else ELEMENTWISE_COST)


def _saved(operator: str, size: int) -> int:
    """Instructions that cost what an elementwise call saves against a sum of gathered terms, or products in RAM."""
    vectors = -(-size // LANES)
    others = PRODUCT_INSTRUCTIONS * size if operator == "Mul" else gathering_cost(2 * vectors, 2 * vectors) + summing_cost(vectors, 2)
    return others - combining_cost(vectors)


def _sum(context: Context, node: Node, result: str, x: Value, term: Term, signs: tuple[float, float]) -> bool:
    numbers = integers_of(np.array([x.scale * signs[0], term.scale * signs[1]]), 0.0, 0, scale_of(context, node.outputs[0])[0])
    if numbers is None:
        return False
    output = fused_target(context, node.outputs[0])
    (w, v), multiplier = numbers.weights[0].tolist(), int(numbers.multipliers[0])
    ends = [sorted((low * factor, high * factor)) for low, high, factor in ((x.lo, x.hi, w), (term.low, term.high, v))]
    extremes = [(sum(end[side] for end in ends) * multiplier + (1 << (SHIFT - 1))) >> SHIFT for side in (0, 1)]
    guarded = looked_at(context, result, output, extremes[0], extremes[1])

    def make(source: Value, other: Value | None, place: slice, part: Value) -> None:
        constants = np.zeros(1, np.int64) if term.integers is None else term.integers[place]
        inputs = (source,) if other is None else (source, other)
        context.add(TensorCombine(node.name, inputs, part, np.array([w]), np.array([v]), 0, multiplier, constants))
        look(context, node.name, part, guarded)

    bind_parts(context, result, output, _each(context, node.name, x, term, output, make))
    return True


def _product(context: Context, node: Node, result: str, x: Value, term: Term) -> bool:
    """The scale follows from the multiplier, as near to that of the range as integers allow."""
    unit = x.scale * term.scale * 2.0**SHIFT
    multiplier = floor(unit / scale_of(context, node.outputs[0])[0])
    if not 1 <= multiplier < 1 << 31 or result in context.given or node.outputs[0] in context.fused:
        return False
    output = fused_target(context, node.outputs[0])
    output.scale = unit / multiplier
    products = [a * b for a in (x.lo, x.hi) for b in (term.low, term.high)]
    extremes = [(extreme * multiplier + (1 << (SHIFT - 1))) >> SHIFT for extreme in (min(products), max(products))]
    guarded = looked_at(context, result, output, extremes[0], extremes[1])

    def make(source: Value, other: Value | None, place: slice, part: Value) -> None:
        if other is not None:
            context.add(TensorMultiply(node.name, (source, other), part, np.array([multiplier])))
        else:
            assert term.integers is not None
            context.add(TensorCombine(node.name, (source,), part, term.integers[place], np.zeros(1, np.int64), 0, multiplier))
        look(context, node.name, part, guarded)

    bind_parts(context, result, output, _each(context, node.name, x, term, output, make))
    return True


def product_secretly(context: Context, node: Node) -> bool:
    """Append the product of two tensors of a private model, or of one by constants or their inverses, which broadcast; whether it was. Its
    scale is the product of theirs.

    Raises:
        UsageError: constants or their inverses are not finite.
    """
    place = 0 if context.held(node.inputs[0]) is not None else 1
    held, name, shape = context.held(node.inputs[place]), node.inputs[1 - place], context.info(node.outputs[0]).shape
    constants = context.constants.get(name)
    if held is None or held.shape != shape or (node.operator == "Div" and (place or constants is None)):
        return False
    if not tables_pay(context, _saved("Mul", held.size)):
        return False
    x = rebased(context, node.name, held)
    if constants is None:
        other = in_tensors(context, node, name)
        if other is None:
            return False
        other = rebased(context, node.name, other)
    else:
        reals = constants.astype(np.float64)
        reals = reals if node.operator == "Mul" else np.divide(1.0, reals, where=reals != 0, out=np.full_like(reals, np.inf))
        if not np.isfinite(reals).all():
            raise UsageError(f"{node.operator} {node.name!r}: constants, or their inverses, are not finite")
        other = context.residence.resident(context.quantized_constant(name, reals))
    context.bind(node.outputs[0], multiplied_secretly(context, node, x, other))
    return True


def multiplied_secretly(context: Context, node: Node, x: Value, other: Value) -> Value:
    """Append the product of two values in tensors, of origin 0, of which the second broadcasts to the first."""
    x, other = refined(context, node.name, x), refined(context, node.name, other)
    shape = x.shape
    if other.shape != shape:
        index = np.broadcast_to(np.arange(other.size).reshape(other.shape), shape)
        other = context.residence.moved([other], np.ascontiguousarray(index))
    term = Term(other.scale, other.lo, other.hi, other)
    output = context.fresh(tuple(shape), -TOP, TOP, product_scale(x, other), label=node.outputs[0])

    def make(source: Value, factor: Value | None, place: slice, part: Value) -> None:
        del place
        assert factor is not None
        context.add(TensorMultiply(node.name, (source, factor), part, np.array([PRODUCT_MULTIPLIER])))

    return of_parts(context, output, _each(context, node.name, x, term, output, make))


def _beyond(x: Value) -> float:
    """What brings every number of a value far below every other."""
    return 2 * x.magnitude * x.scale + 2 * FAR


def masked_in_tensors(context: Context, node: Node, x: Value, mask: NDArray[np.bool_], kept: FloatArray) -> bool:
    """Append a value of which some elements are -2^15, far below all others, which are not cut; whether it was.

    Args:
        context: of the lowering.
        node: an addition of a mask, or a choice, that only a Softmax reads.
        x: in tensors, of origin 0.
        mask: which elements are.
        kept: what is added to the others: 0, else it is no mask.
    """
    if not mask.any() or not (kept[~mask] == 0).all():
        return False
    result = node.outputs[0]
    weight = min(TOP, floor(MASK_WEIGHT * x.scale * TOP / (x.magnitude * x.scale + FAR)))  # so that no other element is cut
    if weight < 1:
        return False
    scale = x.scale * MASK_WEIGHT / weight
    output = context.fresh(context.info(result).shape, -OFFSET, TOP, scale, label=result)
    term = Term(1.0, -OFFSET, -OFFSET)

    def make(source: Value, other: Value | None, place: slice, part: Value) -> None:
        del other
        chosen = mask.reshape(-1)[place].astype(np.int64)
        constants = np.array([-OFFSET])
        context.add(TensorCombine(node.name, (source,), part, (1 - chosen) * weight, chosen * TOP, 0, MASK_MULTIPLIER, constants))

    bind_parts(context, result, output, _each(context, node.name, x, term, output, make))
    return True


def choice_in_tensors(context: Context, node: Node) -> bool:
    """Append a choice between a tensor and what masks put in its place, by a constant condition; whether it was."""
    condition, result = context.constants.get(node.inputs[0]), node.outputs[0]
    places = [place for place in (1, 2) if context.held(node.inputs[place]) is not None]
    if condition is None or len(places) != 1 or not context.tensor_calls or not context.info(result).masked:
        return False
    held, others = context.held(node.inputs[places[0]]), context.constants.get(node.inputs[3 - places[0]])
    if held is None or others is None or held.shape != context.info(result).shape:
        return False
    x = rebased(context, node.name, held)
    mask = np.broadcast_to(condition == (places[0] == 2), held.shape)
    if not (np.broadcast_to(others, held.shape)[mask] <= -_beyond(x)).all():
        return False
    return masked_in_tensors(context, node, x, mask, np.zeros(held.shape))
