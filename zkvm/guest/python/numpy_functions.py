"""Functions of numpy and methods of arrays that guests have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zkvm.guest.python import arrays, views
from zkvm.guest.python.body import Body, integer
from zkvm.guest.python.scalars import Mismatch, literal, numpy_scalar
from zkvm.guest.python.types import FLOAT64, INT, INT64, NONE, Array, Scalar, Tuple, Value, member, tuple_of

Words = dict[str, Value]
Rule = Callable[[Body, list[Value], Words], Value]
RULES: dict[str, Rule] = {}
"""By numpy's name."""
METHODS: dict[str, Rule] = {}
"""By the array's name for it."""


def rule(names: str, parameters: str, methods: str = "") -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Enter a function: its names in numpy, its parameters (``name=`` may be left out, and is None then), and methods that are the same."""
    wanted = [parameter.rstrip("=") for parameter in parameters.split()]
    optional = {parameter.rstrip("=") for parameter in parameters.split() if parameter.endswith("=")}

    def enter(function: Callable[..., Value]) -> Callable[..., Value]:
        def checked(body: Body, given: list[Value], words: Words) -> Value:
            found: dict[str, Value | None] = dict(zip(wanted, given, strict=False)) | words  # type: ignore[assignment]
            if len(given) > len(wanted) or not set(found) <= set(wanted) or not set(wanted) <= set(found) | optional:
                raise body.refusal(f"{names.split()[0]} takes {', '.join(wanted)} in a guest")
            values = [found.get(name) for name in wanted]
            missing = [name in optional and (value is None or value.type == NONE) for name, value in zip(wanted, values, strict=True)]
            return function(body, *(None if absent else value for absent, value in zip(missing, values, strict=True)))

        for name in names.split():
            RULES[name] = checked
        for name in methods.split():
            METHODS[name] = checked
        return function

    return enter


# Types and shapes.


def scalar_class(body: Body, cls: Any) -> Scalar:
    """The type of a class of numpy's scalars."""
    return _scalar(body, cls)


def _scalar(body: Body, dtype: Any) -> Scalar:
    try:
        return numpy_scalar(dtype)
    except (Mismatch, TypeError, ValueError):
        raise body.refusal("a dtype that guests have not", "integers of 8 to 64 bits, bool, np.float32 or np.float64") from None


def dtype_of(body: Body, value: Value) -> Scalar:
    """The type that an argument names: a class of numpy, a dtype, int, float, bool, or a text.

    Raises:
        RefusedError: it names none that guests have.
    """
    if isinstance(value.known, Scalar):
        return value.known
    if not value.is_known:
        raise body.refusal("a dtype that is computed", "np.int32, np.float64, ...")
    return _scalar(body, value.known)


def shape_codes(body: Body, value: Value) -> list[str]:
    """C for the lengths of axes: of an integer, or of a tuple of them."""
    parts = [member(value, n) for n in range(len(value.type.items))] if isinstance(value.type, Tuple) else [value]
    return [body.temporary(integer(body, part, "a length")).code for part in parts]


def array_of(body: Body, value: Value, what: str = "the argument") -> Value:
    """An argument that has to be an array."""
    if isinstance(value.type, Tuple):
        return _made(body, value, None)
    if not isinstance(value.type, Array):
        raise body.refusal(f"{what} is {value.type}, not an array")
    return value


def kind_of(value: Value) -> Array:
    """The type of an array."""
    assert isinstance(value.type, Array)
    return value.type


def the_axis(body: Body, value: Value | None, ndim: int) -> int | None:
    """The number of an axis, from 0; None without one.

    Raises:
        RefusedError: it is no constant, or the array has no such axis.
    """
    if value is None:
        return None
    if not value.is_known or not isinstance(value.known, int) or not -ndim <= value.known < ndim:
        raise body.refusal("an axis that is no constant of the array", f"a constant from 0 to {ndim - 1}")
    return value.known % ndim


# Making arrays.


def _new(zeroed: bool, filled: int | None = None) -> Callable[..., Value]:
    def make(body: Body, shape: Value, dtype: Value | None) -> Value:
        made = arrays.allocate(body, FLOAT64 if dtype is None else dtype_of(body, dtype), shape_codes(body, shape), zeroed)
        if filled is not None:
            arrays.fill(body, made, body.call(literal, filled))
        return made

    return make


def _like(zeroed: bool, filled: int | None = None) -> Callable[..., Value]:
    def make(body: Body, array: Value, dtype: Value | None) -> Value:
        kind = kind_of(array_of(body, array))
        made = arrays.allocate(body, kind.dtype if dtype is None else dtype_of(body, dtype), arrays.shape_of(array), zeroed)
        if filled is not None:
            arrays.fill(body, made, body.call(literal, filled))
        return made

    return make


rule("zeros", "shape dtype=")(_new(True))
rule("empty", "shape dtype=")(_new(False))
rule("ones", "shape dtype=")(_new(False, 1))
rule("zeros_like", "array dtype=")(_like(True))
rule("empty_like", "array dtype=")(_like(False))
rule("ones_like", "array dtype=")(_like(False, 1))


@rule("full", "shape value dtype=")
def _full(body: Body, shape: Value, value: Value, dtype: Value | None) -> Value:
    kind = arrays.first_type(body, [value]) if dtype is None else dtype_of(body, dtype)
    made = arrays.allocate(body, kind, shape_codes(body, shape))
    arrays.fill(body, made, value)
    return made


@rule("full_like", "array value")
def _full_like(body: Body, array: Value, value: Value) -> Value:
    made = arrays.allocate(body, kind_of(array_of(body, array)).dtype, arrays.shape_of(array))
    arrays.fill(body, made, value)
    return made


@rule("arange", "start stop= step= dtype=")
def _arange(body: Body, start: Value, stop: Value | None, step: Value | None, dtype: Value | None) -> Value:
    first, last = (body.call(literal, 0), start) if stop is None else (start, stop)
    bounds = [body.temporary(integer(body, value, "an argument of arange")) for value in (first, last)]
    stride = body.temporary(integer(body, step, "the step")) if step is not None else body.call(literal, 1)
    length = body.temporary(Value(INT, f"py_range_length({bounds[0].code}, {bounds[1].code}, {stride.code}, {body.where})")).code
    made = arrays.allocate(body, INT64 if dtype is None else dtype_of(body, dtype), [length])
    [counter] = arrays.loops(body, [length])
    item = Value(Scalar("int32"), f"(int32_t)((uint32_t){bounds[0].code} + {counter} * (uint32_t){stride.code})")
    body.emit(f"{made.code}.data[{counter}] = {arrays.cast(body, item, kind_of(made).dtype).code};")
    arrays.close(body, 1)
    return made


@rule("array", "values dtype=")
def _array(body: Body, values: Value, dtype: Value | None) -> Value:
    kind = None if dtype is None else dtype_of(body, dtype)
    if isinstance(values.type, Array):
        return arrays.copy(body, values, kind)
    return _made(body, values, kind)


def _made(body: Body, values: Value, dtype: Scalar | None) -> Value:
    """An array of nested tuples (lists, in a call)."""
    shape, items = _nested(body, values)
    made = arrays.allocate(body, dtype or arrays.first_type(body, items), [str(length) for length in shape])
    for number, item in enumerate(items):
        body.emit(f"{made.code}.data[{number}] = {arrays.cast(body, item, kind_of(made).dtype).code};")
    return made


def _nested(body: Body, values: Value) -> tuple[list[int], list[Value]]:
    if not isinstance(values.type, Tuple):
        raise body.refusal(f"an array of {values.type}", "numbers in lists or tuples")
    parts = [member(values, number) for number in range(len(values.type.items))]
    if not parts:
        raise body.refusal("an array of nothing", "np.zeros(0, dtype)")
    if not any(isinstance(part.type, Tuple) for part in parts):
        return [len(parts)], parts
    found = [_nested(body, part) for part in parts]
    if any(shape != found[0][0] for shape, _ in found):
        raise body.refusal("lists of different lengths", "rows of one length")
    return [len(parts), *found[0][0]], [item for _, items in found for item in items]


# Axes and order.


def _dense(body: Body, array: Value, instead: str) -> Value:
    """An array whose elements are certain to lie one after the other: only then it is certain whether numpy makes a view or a copy.

    Raises:
        RefusedError: they may not.
    """
    if not kind_of(array).dense:
        raise body.refusal("a view whose elements do not lie one after the other", instead)
    return array


@rule("reshape", "array shape")
def _reshape(body: Body, array: Value, shape: Value) -> Value:
    array = _dense(body, array_of(body, array), "array.copy().reshape(...)")
    parts = [member(shape, n) for n in range(len(shape.type.items))] if isinstance(shape.type, Tuple) else [shape]
    size = body.temporary(Value(INT, arrays.size_of(array))).code
    open_axes = [n for n, part in enumerate(parts) if part.is_known and part.known == -1]
    if len(open_axes) > 1:
        raise body.refusal("more than one length of -1")
    lengths = ["0" if n in open_axes else body.temporary(integer(body, part, "a length")).code for n, part in enumerate(parts)]
    product = "1"
    for n, length in enumerate(lengths):
        if n not in open_axes:
            product = f"py_size({product}, {length}, {body.where})"
    product = body.temporary(Value(INT, product)).code
    if open_axes:
        body.emit(f"if (PY_RARE({product} == 0 || {size} % {product} != 0)) py_length_panic({body.where}, {size}, {product});")
        lengths[open_axes[0]] = body.temporary(Value(INT, f"{size} / {product}")).code
    else:
        body.emit(f"if (PY_RARE({product} != {size})) py_length_panic({body.where}, {size}, {product});")
    return arrays.reshaped(body, array, lengths)


def _reshape_method(body: Body, given: list[Value], words: Words) -> Value:
    shape = given[1] if len(given) == 2 else tuple_of(tuple(given[1:]))
    return RULES["reshape"](body, [given[0], shape], words)


METHODS["reshape"] = _reshape_method


@rule("ravel", "array", "ravel")
def _ravel(body: Body, array: Value) -> Value:
    return arrays.flat(body, _dense(body, array_of(body, array), "array.flatten()"))


@rule("copy", "array", "copy")
def _copy(body: Body, array: Value) -> Value:
    return arrays.copy(body, array_of(body, array))


@rule("flatten", "array", "flatten")
def _flatten(body: Body, array: Value) -> Value:
    return arrays.flat(body, arrays.copy(body, array_of(body, array)))


@rule("astype", "array dtype", "astype")
def _astype(body: Body, array: Value, dtype: Value) -> Value:
    return arrays.copy(body, array_of(body, array), dtype_of(body, dtype))


@rule("transpose", "array axes=", "transpose")
def _transpose(body: Body, array: Value, axes: Value | None) -> Value:
    ndim = kind_of(array_of(body, array)).ndim
    if axes is None:
        return views.transposed(body, array, list(range(ndim - 1, -1, -1)))
    parts = [member(axes, n) for n in range(len(axes.type.items))] if isinstance(axes.type, Tuple) else [axes]
    order = [the_axis(body, part, ndim) for part in parts]
    if sorted(order) != list(range(ndim)):  # type: ignore[type-var]
        raise body.refusal("an order of axes that does not name each once")
    return views.transposed(body, array, [axis for axis in order if axis is not None])
