"""Functions of numpy that make one number of many, products of arrays, and order: rules around the library's functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zkvm.guest.python import arrays, views
from zkvm.guest.python.body import Body, integer
from zkvm.guest.python.numpy_functions import METHODS, RULES, Rule, Words, array_of, dtype_of, kind_of, rule, the_axis
from zkvm.guest.python.scalars import binary, converted, literal
from zkvm.guest.python.shapes import WHOLE
from zkvm.guest.python.types import BOOL, FLOAT64, INT, INT64, NONE, Array, Scalar, Value
from zkvm.guest.python.ufuncs import ufunc


def _zero(body: Body, dtype: Scalar, number: int = 0) -> Value:
    return body.temporary(body.call(converted, body.call(literal, number), dtype, body.where))


def _sum_type(kind: Scalar) -> Scalar:
    """What sums and products of elements are: integers of 64 bits."""
    return kind if kind.kind == "f" else Scalar("uint64") if kind.kind == "u" else INT64


def _three_axes(body: Body, array: Value, axis: int) -> Value:
    """The array with all axes before one and all after it put together."""
    array = arrays.dense(body, array)
    shape = arrays.shape_of(array)
    lengths = [arrays.product_of(part) for part in (shape[:axis], shape[axis + 1 :])]
    return arrays.reshaped(body, array, [lengths[0], shape[axis], lengths[1]])


def _along(body: Body, array: Value, axis: int, dtype: Scalar, name: str, *more: Value, start: int = 0) -> Value:
    """A reduction of one axis by a function of the library that fills (before, after)."""
    shape = arrays.shape_of(array)
    rest = shape[:axis] + shape[axis + 1 :]
    folded = _three_axes(body, array, axis)
    out = arrays.allocate(body, dtype, [f"{folded.code}.shape[0]", f"{folded.code}.shape[2]"], zeroed=start == 0)
    if start:
        arrays.fill(body, out, body.call(literal, start))
    body.program.library(body, name, folded, out, *more)
    return arrays.reshaped(body, out, rest)


def _function(body: Body, name: str) -> Value:
    """A function of the library as an argument of another."""
    return body.program.library_function(name)


def _summed(body: Body, array: Value, axis: Value | None, dtype: Value | None) -> Value:
    array = array_of(body, array)
    kind = kind_of(array).dtype
    wanted = _sum_type(kind) if dtype is None else dtype_of(body, dtype)
    if kind != wanted and (kind == BOOL or "f" in (kind.kind, wanted.kind)):
        array = arrays.copy(body, array, wanted)
    floats = wanted.kind == "f"
    along = the_axis(body, axis, kind_of(array).ndim)
    if along is None or kind_of(array).ndim == 1:
        return body.program.library(body, "add_up_floats" if floats else "add_up", arrays.flat(body, array), _zero(body, wanted))
    return _along(body, array, along, wanted, "add_floats_along_axis" if floats else "add_along_axis")


def keeping(reduce: Callable[..., Value]) -> Callable[..., Value]:
    """A reduction with ``keepdims``: the axis stays, with length 1."""

    def apply(body: Body, array: Value, axis: Value | None, keepdims: Value | None, *more: Value | None) -> Value:
        array = array_of(body, array)
        result = reduce(body, array, axis, *more)
        if keepdims is None or keepdims.known is False:
            return result
        if keepdims.known is not True or axis is None:
            raise body.refusal("keepdims that is not True, or without an axis", "keepdims=True and a constant axis")
        along = the_axis(body, axis, kind_of(array).ndim) or 0
        if isinstance(result.type, Scalar):
            made = arrays.allocate(body, result.type.strong, ["1"])
            body.emit(f"{made.code}.data[0] = {result.code};")
            return made
        shape = arrays.shape_of(result)
        return arrays.reshaped(body, result, [*shape[:along], "1", *shape[along:]])

    return apply


rule("sum", "array axis= keepdims= dtype=", "sum")(keeping(_summed))


def _mean(body: Body, array: Value, axis: Value | None) -> Value:
    kind = kind_of(array)
    along = the_axis(body, axis, kind.ndim)
    count = Value(INT, f"{array.code}.shape[{along}]" if along is not None else arrays.size_of(array))
    if kind.dtype.kind in "iu" and kind.dtype.width == 8:
        array = arrays.copy(body, array, FLOAT64)  # numpy adds floats, which is the same as long as sums of integers are exact in them
    elif kind.dtype.kind in "iu" and kind.dtype.width == 4:
        body.emit(f'if (PY_RARE({count.code} > 1 << 21)) py_panic({body.where}, "ValueError: the mean of more than 2097152 integers");')
    total = _summed(body, array, axis, None)
    result = kind.dtype if kind.dtype.kind == "f" else FLOAT64
    divisor = body.temporary(body.call(converted, count, result, body.where))

    def divide(x: Value) -> Value:
        return body.call(binary, "div", body.call(converted, x, result, body.where, explicit=True), divisor, body.where)

    return ufunc(body, [total], divide)


rule("mean", "array axis= keepdims=", "mean")(keeping(_mean))


@rule("var", "array", "var")
def _var(body: Body, array: Value) -> Value:
    flat = arrays.flat(body, array_of(body, array))
    if kind_of(flat).dtype.kind != "f":
        flat = arrays.copy(body, flat, FLOAT64)
    dtype = kind_of(flat).dtype
    count = body.temporary(body.call(converted, Value(INT, arrays.size_of(flat)), dtype, body.where, explicit=True))
    return body.program.library(body, "spread", flat, _zero(body, dtype), count)


@rule("std", "array", "std")
def _std(body: Body, array: Value) -> Value:
    return body.program.numpy_call(body, "sqrt", [_var(body, array)])


@rule("prod", "array", "prod")
def _prod(body: Body, array: Value) -> Value:
    array = array_of(body, array)
    wanted = _sum_type(kind_of(array).dtype)
    if kind_of(array).dtype == BOOL:
        array = arrays.copy(body, array, wanted)
    return body.program.library(body, "multiply_up", arrays.flat(body, array), _zero(body, wanted, 1))


def _extreme(name: str, place: bool = False) -> Callable[..., Value]:
    def apply(body: Body, array: Value, axis: Value | None) -> Value:
        array = array_of(body, array)
        kind = kind_of(array)
        along = the_axis(body, axis, kind.ndim)
        if kind.dtype == BOOL:
            raise body.refusal("the extreme of truth values", "np.any or np.all")
        if along is None or kind.ndim == 1:
            return body.program.library(body, name, arrays.flat(body, array))
        return _along(body, array, along, INT64 if place else kind.dtype, "along_axis", _function(body, name))

    return apply


rule("min amin", "array axis= keepdims=", "min")(keeping(_extreme("smallest")))
rule("max amax", "array axis= keepdims=", "max")(keeping(_extreme("largest")))
rule("argmin", "array axis=", "argmin")(_extreme("place_of_smallest", place=True))
rule("argmax", "array axis=", "argmax")(_extreme("place_of_largest", place=True))


def _counted(name: str, dtype: Scalar) -> Callable[..., Value]:
    def apply(body: Body, array: Value, axis: Value | None) -> Value:
        array = array_of(body, array)
        along = the_axis(body, axis, kind_of(array).ndim)
        if along is None or kind_of(array).ndim == 1:
            return body.program.library(body, name, arrays.flat(body, array))
        return _along(body, array, along, dtype, "along_axis", _function(body, name))

    return apply


rule("any", "array axis= keepdims=", "any")(keeping(_counted("any_of", BOOL)))
rule("all", "array axis= keepdims=", "all")(keeping(_counted("all_of", BOOL)))
rule("count_nonzero", "array axis=")(_counted("count_nonzero", INT64))


@rule("cumsum", "array", "cumsum")
def _cumsum(body: Body, array: Value) -> Value:
    flat = arrays.flat(body, array_of(body, array))
    wanted = _sum_type(kind_of(flat).dtype)
    if kind_of(flat).dtype != wanted:
        flat = arrays.copy(body, flat, wanted)
    out = arrays.allocate(body, wanted, arrays.shape_of(flat))
    body.program.library(body, "cumulate", flat, out)
    return out


@rule("diff", "array")
def _diff(body: Body, array: Value) -> Value:
    array = array_of(body, array)
    if kind_of(array).ndim != 1 or kind_of(array).dtype == BOOL:
        raise body.refusal("diff of this array", "numbers on one axis")
    one, last = body.call(literal, 1), body.call(literal, -1)
    later = views.view(body, array, [views.Cut(one, None, None)])
    earlier = views.view(body, array, [views.Cut(None, last, None)])
    return ufunc(body, [later, earlier], lambda a, b: body.call(binary, "sub", a, b, body.where))


# Products.


@rule("dot matmul", "a b", "dot")
def _dot(body: Body, a: Value, b: Value) -> Value:
    sides = [array_of(body, side) for side in (a, b)]
    dims = [kind_of(side).ndim for side in sides]
    if not set(dims) <= {1, 2} or BOOL in (kind_of(sides[0]).dtype, kind_of(sides[1]).dtype):
        raise body.refusal("a product of these arrays", "numbers on one or two axes")
    dtype = arrays.first_type(body, [Value(kind_of(side).dtype, "0") for side in sides])
    sides = [side if kind_of(side).dtype == dtype else arrays.copy(body, side, dtype) for side in sides]
    left, right = (arrays.dense(body, side) for side in sides)
    if dims == [1, 1]:
        return body.program.library(body, "dot_vectors", left, right, _zero(body, dtype))
    if dims[0] == 1:
        left = arrays.reshaped(body, left, ["1", f"{left.code}.shape[0]"])
    if dims[1] == 1:
        right = arrays.reshaped(body, right, [f"{right.code}.shape[0]", "1"])
    out = arrays.allocate(body, dtype, [f"{left.code}.shape[0]", f"{right.code}.shape[1]"], zeroed=True)
    body.program.library(body, "dot_matrices", left, right, out)
    return out if dims == [2, 2] else arrays.flat(body, out)


@rule("outer", "a b")
def _outer(body: Body, a: Value, b: Value) -> Value:
    left, right = (arrays.flat(body, array_of(body, side)) for side in (a, b))
    column = arrays.reshaped(body, left, [f"{left.code}.shape[0]", "1"])
    return ufunc(body, [column, right], lambda x, y: body.call(binary, "mul", x, y, body.where))


# Order.


@rule("sort", "array kind=")
def _sort(body: Body, array: Value, kind: Value | None) -> Value:
    made = arrays.copy(body, array_of(body, array))
    _sort_rows(body, made)
    return made


def _sort_method(body: Body, given: list[Value], words: Words) -> Value:
    array = array_of(body, given[0])
    if len(given) > 1 or set(words) - {"kind"}:
        raise body.refusal("sort takes nothing but kind")
    if kind_of(array).constant:
        raise body.refusal("sort of an array of the module, which is constant", "np.sort(array)")
    if kind_of(array).dense:
        _sort_rows(body, array)
    else:
        made = arrays.copy(body, array)
        _sort_rows(body, made)
        arrays.fill(body, array, made)
    return Value(NONE, "0", None, True)


METHODS["sort"] = _sort_method


def _sort_rows(body: Body, array: Value) -> None:
    """The last axis of a dense array, in place."""
    kind = kind_of(array)
    if kind.dtype == BOOL:
        raise body.refusal("sort of truth values", "np.count_nonzero")
    if kind.ndim == 1:
        body.program.library(body, "sort_in_place", array)
        return
    counters = arrays.loops(body, arrays.shape_of(array)[:-1])
    row = views.view(body, array, [*(Value(Scalar("uint32"), c, natural=True) for c in counters), views.Cut(None, None, None)])
    body.program.library(body, "sort_in_place", row)
    arrays.close(body, len(counters))


def _vector(body: Body, array: Value, what: str) -> Value:
    array = array_of(body, array)
    if kind_of(array).ndim != 1 or kind_of(array).dtype == BOOL:
        raise body.refusal(f"{what} of this array", "numbers on one axis")
    return arrays.dense(body, array)


@rule("argsort", "array kind=", "argsort")
def _argsort(body: Body, array: Value, kind: Value | None) -> Value:
    if kind is None or kind.known not in ("stable", "mergesort"):
        raise body.refusal("argsort whose order of equal elements is any", 'kind="stable"')
    return body.program.library(body, "order_of", _vector(body, array, "argsort"))


@rule("searchsorted", "array values side=")
def _searchsorted(body: Body, array: Value, value: Value, side: Value | None) -> Value:
    if not isinstance(value.type, Scalar):
        raise body.refusal("searchsorted of several values", "a loop")
    if side is not None and side.known not in ("left", "right"):
        raise body.refusal("a side other than 'left' and 'right'")
    name = "place_right" if side is not None and side.known == "right" else "place_left"
    value = body.call(converted, value, value.type, body.where) if value.is_known else value
    return body.program.library(body, name, _vector(body, array, "searchsorted"), value)


@rule("unique", "array")
def _unique(body: Body, array: Value) -> Value:
    made = arrays.copy(body, arrays.flat(body, array_of(body, array)))
    _sort_rows(body, made)
    return body.program.library(body, "unique_sorted", made)


@rule("take", "array indices")
def _take(body: Body, array: Value, indices: Value) -> Value:
    array, places = arrays.dense(body, array_of(body, array)), array_of(body, indices)
    kind = kind_of(array)
    if kind_of(places).ndim != 1 or kind_of(places).dtype.kind not in "iu":
        raise body.refusal("indices of this kind", "integers on one axis")
    shape = arrays.shape_of(array)
    rows = arrays.reshaped(body, array, [shape[0], arrays.product_of(shape[1:])])
    out = arrays.allocate(body, kind.dtype, [f"{places.code}.shape[0]", f"{rows.code}.shape[1]"])
    body.program.library(body, "take_rows", rows, places, out)
    return arrays.reshaped(body, out, [f"{places.code}.shape[0]", *shape[1:]])


def take_flagged(body: Body, array: Value, flags: Value) -> Value:
    """``array[flags]`` with flags for the first axis."""
    return _take(body, array, flagged(body, array, flags))


def flagged(body: Body, array: Value, flags: Value) -> Value:
    """The places of flags for the first axis of an array."""
    length = f"{flags.code}.shape[0]"
    text = '"IndexError: boolean index did not match indexed array"'
    body.emit(f"if (PY_RARE({length} != {array.code}.shape[0])) py_panic({body.where}, {text});")
    return body.program.library(body, "flat_places", flags)


def put_rows(body: Body, array: Value, places: Value, value: Value) -> None:
    """``array[places] = value`` of several axes: row by row, in the order of the places."""
    if isinstance(value.type, Array) and value.type.ndim == kind_of(array).ndim:
        own, length = f"{value.code}.shape[0]", f"{places.code}.shape[0]"
        body.emit(f"if (PY_RARE({own} != {length} && {own} != 1)) py_length_panic({body.where}, {own}, {length});")
    if isinstance(value.type, Array):
        value = arrays.copy(body, value)
    [counter] = arrays.loops(body, [f"{places.code}.shape[0]"])
    index = body.temporary(Value(kind_of(places).dtype, arrays.element(places, [counter])))
    row = views.view(body, array, [index, *[WHOLE] * (kind_of(array).ndim - 1)])
    if isinstance(value.type, Array) and value.type.ndim == kind_of(array).ndim:
        which = Value(Scalar("uint32"), f"({value.code}.shape[0] == 1 ? 0u : {counter})", natural=True)
        value = views.view(body, value, [which, *[WHOLE] * (value.type.ndim - 1)])
    arrays.fill(body, row, value)
    arrays.close(body, 1)


@rule("flatnonzero", "array")
def _flatnonzero(body: Body, array: Value) -> Value:
    return body.program.library(body, "flat_places", arrays.flat(body, array_of(body, array)))


@rule("bincount", "array minlength=")
def _bincount(body: Body, array: Value, minlength: Value | None) -> Value:
    length = body.call(literal, 0) if minlength is None else integer(body, minlength, "minlength")
    return body.program.library(body, "count_values", _vector(body, array, "bincount"), length)


@rule("array_equal", "a b")
def _array_equal(body: Body, a: Value, b: Value) -> Value:
    left, right = array_of(body, a), array_of(body, b)
    if kind_of(left).ndim != kind_of(right).ndim:
        return body.call(literal, False)
    same = " && ".join(f"{x} == {y}" for x, y in zip(arrays.shape_of(left), arrays.shape_of(right), strict=True))
    result = body.name()
    body.emit(f"bool {result} = {same};")
    with body.block(f"if ({result})"):
        found = body.program.library(body, "equal_arrays", arrays.flat(body, left), arrays.flat(body, right))
        body.emit(f"{result} = {found.code};")
    return Value(BOOL, result)


@rule("fill", "array value", "fill")
def _fill(body: Body, array: Value, value: Value) -> Value:
    arrays.fill(body, array_of(body, array), value)
    return Value(NONE, "0", None, True)


del RULES["fill"]
RULES["compress_rows"] = lambda body, given, words: take_flagged(body, *given)
BY_OBJECT: dict[object, Rule] = {getattr(np, name): found for name, found in RULES.items() if hasattr(np, name)}
"""By numpy's function."""
