"""What ``array[...]`` and ``array.name`` give: elements, views of the same memory, copies by indices or flags."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zkvm.guest.python import arrays
from zkvm.guest.python.body import Body, integer
from zkvm.guest.python.types import BOOL, INT, NONE, Array, Known, Scalar, Tuple, Value, member, tuple_of


@dataclass(frozen=True)
class Cut:
    """``start:stop:step``; None where nothing stands."""

    start: Value | None
    stop: Value | None
    step: Value | None

    @property
    def whole(self) -> bool:
        """It is ``:``."""
        return self.start is None and self.stop is None and self.step is None


Index = Value | Cut | None
"""Of one axis; None is a new axis."""


def indices(body: Body, node: ast.expr, expression: Callable[[Body, ast.expr], Value]) -> list[Index]:
    """The parts of a subscript; an ellipsis is the value Ellipsis. ``expression`` evaluates."""
    found: list[Index] = []
    for part in node.elts if isinstance(node, ast.Tuple) else [node]:
        if isinstance(part, ast.Slice):
            bounds = [None if bound is None else expression(body, bound) for bound in (part.lower, part.upper, part.step)]
            found.append(Cut(*(None if bound is None or bound.type == NONE else bound for bound in bounds)))
            continue
        value = expression(body, part)
        if isinstance(value.type, Tuple):
            found += [member(value, number) for number in range(len(value.type.items))]
        else:
            found.append(None if value.type == NONE else value)
    return found


def expanded(body: Body, array: Value, parts: list[Index]) -> list[Index]:
    """Parts for every axis: an ellipsis stands for as many ``:`` as are missing."""
    assert isinstance(array.type, Array)
    used = sum(part is not None and not _is_ellipsis(part) for part in parts)
    if used > array.type.ndim:
        raise body.refusal(f"{used} indices of an array with {array.type.ndim} axes")
    missing: list[Index] = [Cut(None, None, None)] * (array.type.ndim - used)
    places = [number for number, part in enumerate(parts) if _is_ellipsis(part)]
    if not places:
        return [*parts, *missing]
    return [*parts[: places[0]], *missing, *parts[places[0] + 1 :]]


def _is_ellipsis(part: Index) -> bool:
    return isinstance(part, Value) and isinstance(part.type, Known) and part.type.value is Ellipsis


def subscript(body: Body, array: Value, parts: list[Index]) -> Value:
    """What a subscript gives."""
    assert isinstance(array.type, Array)
    if len(parts) == 1 and isinstance(parts[0], Value) and isinstance(parts[0].type, Array):
        chosen, kind = parts[0], parts[0].type
        if kind.dtype == BOOL:
            if kind.ndim == array.type.ndim:
                return body.program.library(body, "compress", *(arrays.flat(body, side) for side in (array, chosen)))
            if kind.ndim == 1:
                return body.program.numpy_call(body, "compress_rows", [array, chosen])
            raise body.refusal("flags with other axes than the array", "flags of the array's shape, or of its first axis")
        return body.program.numpy_call(body, "take", [array, chosen])
    if any(isinstance(part, Value) and isinstance(part.type, Array) for part in parts):
        raise body.refusal("an index array beside other indices", "a loop, or one index array")
    places = element_places(body, array, parts)
    if places is not None:
        return body.temporary(Value(array.type.dtype, arrays.element(array, places)))
    return view(body, array, expanded(body, array, parts))


def element_places(body: Body, array: Value, parts: Sequence[Index]) -> list[str] | None:
    """C for the places of an element along each axis; None if the subscript is no element."""
    assert isinstance(array.type, Array)
    if len(parts) != array.type.ndim or not all(isinstance(part, Value) and isinstance(part.type, Scalar) for part in parts):
        return None
    return [place(body, array, axis, part) for axis, part in enumerate(parts) if isinstance(part, Value)]


def place(body: Body, array: Value, axis: int, index: Value) -> str:
    """C variable with a checked index."""
    index = _index(body, index)
    check = "py_natural" if index.natural else "py_index"
    name = body.name("i")
    body.emit(f"uint32_t {name} = {check}({index.code}, {array.code}.shape[{axis}], {axis}, {body.where});")
    return name


def _index(body: Body, value: Value) -> Value:
    if value.type == BOOL:
        raise body.refusal("a truth value as an index", "int(...), or if and else")
    kind = value.type
    if isinstance(kind, Scalar) and kind.kind == "u" and kind.width <= 4:
        # Compared as unsigned: no length is that large.
        return Value(kind, f"(uint32_t){value.code}", natural=True)
    return integer(body, value, "the index")


def view(body: Body, array: Value, parts: list[Index]) -> Value:
    """An array of the same memory."""
    assert isinstance(array.type, Array)
    axis, shape, steps, begins = 0, [], [], []
    dense, open_axes = array.type.dense, False
    for part in parts:
        if part is None:
            shape.append("1")
            steps.append("0")
            dense = False
            continue
        step = f"{array.code}.step[{axis}]"
        if isinstance(part, Value):
            dense = dense and not open_axes
            begins.append(f"{place(body, array, axis, part)} * (uint32_t){step}")
        elif part.whole:
            open_axes = True
            shape.append(f"{array.code}.shape[{axis}]")
            steps.append(step)
        else:
            dense = dense and not open_axes and part.step is None
            open_axes = True
            start, length, stride = _cut(body, array, axis, part)
            begins.append(f"(uint32_t){start} * (uint32_t){step}")
            shape.append(length)
            steps.append(step if stride is None else f"(int32_t)((uint32_t)({stride}) * (uint32_t){step})")
        axis += 1
    if not shape:
        raise body.refusal("too many indices")
    kind = Array(array.type.dtype, len(shape), dense, array.type.constant)
    name = body.name()
    body.emit(f"{kind.c} {name};")
    body.emit(f"{name}.owner = {array.code}.owner;")
    body.emit(f"{name}.data = {array.code}.data + (int32_t)({' + '.join(begins) or '0'});")
    if dense:
        arrays.set_shape(body, name, shape)
        return Value(kind, name)
    for number, (length, step) in enumerate(zip(shape, steps, strict=True)):
        body.emit(f"{name}.shape[{number}] = {length}; {name}.step[{number}] = {step};")
    return Value(kind, name)


def _cut(body: Body, array: Value, axis: int, part: Cut) -> tuple[str, str, str | None]:
    """First place, number of places and step of a slice, in C variables."""
    length = f"{array.code}.shape[{axis}]"
    down = False
    stride = None
    if part.step is not None:
        step = integer(body, part.step, "the step")
        if not step.is_known or step.known == 0:
            raise body.refusal("a slice's step that is not a constant", "a constant other than 0")
        down, stride = step.known < 0, str(step.known)
    bound = "py_bound_down" if down else "py_bound"

    def end(value: Value | None, default: str) -> str:
        code = default if value is None else f"{bound}({integer(body, value, 'a bound').code}, {length})"
        return body.temporary(Value(INT, code)).code

    start = end(part.start, f"{length} - 1" if down else "0")
    stop = end(part.stop, "-1" if down else length)
    count = f"py_range_length({start}, {stop}, {stride or 1}, {body.where})"
    counted = body.temporary(Value(INT, count)).code
    # An empty view begins where the array does.
    first = body.temporary(Value(INT, f"{counted} == 0 ? 0 : {start}")).code
    return first, counted, stride


def attribute(body: Body, array: Value, name: str) -> Value:
    """``shape``, ``size``, ``ndim``, ``T``, ``dtype``, ``itemsize``, ``nbytes``."""
    assert isinstance(array.type, Array)
    kind = array.type
    if name == "shape":
        return tuple_of(tuple(Value(INT, code, natural=True) for code in arrays.shape_of(array)))
    if name == "size":
        return body.temporary(Value(INT, arrays.size_of(array), natural=True))
    if name == "nbytes":
        return body.temporary(Value(INT, f"({arrays.size_of(array)} * {kind.dtype.width})", natural=True))
    if name in ("ndim", "itemsize"):
        number = kind.ndim if name == "ndim" else kind.dtype.width
        return Value(INT, str(number), number, True, natural=True)
    if name == "dtype":
        return Value(Known(kind.dtype, "the dtype"), "0", kind.dtype, True)
    if name == "T":
        return transposed(body, array, list(range(kind.ndim - 1, -1, -1)))
    raise body.refusal(f"arrays have no {name} in a guest", "shape, size, ndim, T, dtype, itemsize, nbytes, or a method")


def transposed(body: Body, array: Value, order: list[int]) -> Value:
    """A view with the axes in another order."""
    assert isinstance(array.type, Array)
    if order == list(range(array.type.ndim)):
        return array
    kind = Array(array.type.dtype, array.type.ndim, False, array.type.constant)
    name = body.name()
    body.emit(f"{kind.c} {name};")
    body.emit(f"{name}.owner = {array.code}.owner; {name}.data = {array.code}.data;")
    for number, axis in enumerate(order):
        body.emit(f"{name}.shape[{number}] = {array.code}.shape[{axis}]; {name}.step[{number}] = {array.code}.step[{axis}];")
    return Value(kind, name)
