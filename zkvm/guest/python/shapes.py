"""Functions of numpy that put arrays together, move elements, and name axes."""

from __future__ import annotations

from collections.abc import Callable

from zkvm.guest.python import arrays, views
from zkvm.guest.python.body import Body, integer
from zkvm.guest.python.numpy_functions import array_of, dtype_of, kind_of, rule, the_axis
from zkvm.guest.python.scalars import literal
from zkvm.guest.python.types import FLOAT64, INT, Scalar, Tuple, Value, member

WHOLE = views.Cut(None, None, None)


def _parts(body: Body, given: Value, what: str) -> list[Value]:
    """Arrays of a tuple or list."""
    if not isinstance(given.type, Tuple) or not given.type.items:
        raise body.refusal(f"{what} of {given.type}", "a tuple of arrays")
    return [array_of(body, member(given, n)) for n in range(len(given.type.items))]


def _same_ndim(body: Body, parts: list[Value]) -> int:
    ndim = kind_of(parts[0]).ndim
    if any(kind_of(part).ndim != ndim for part in parts):
        raise body.refusal("arrays with different numbers of axes")
    return ndim


@rule("concatenate", "arrays axis=")
def _concatenate(body: Body, given: Value, axis: Value | None) -> Value:
    parts = _parts(body, given, "concatenate")
    return _joined(body, parts, the_axis(body, axis, _same_ndim(body, parts)) or 0)


def _joined(body: Body, parts: list[Value], along: int) -> Value:
    dtype = arrays.first_type(body, [Value(kind_of(part).dtype, "0") for part in parts])
    shape = arrays.shape_of(parts[0])
    for part in parts[1:]:
        for number, (own, length) in enumerate(zip(arrays.shape_of(part), shape, strict=True)):
            if number != along:
                body.emit(f"if (PY_RARE({own} != {length})) py_length_panic({body.where}, {own}, {length});")
    lengths = [f"{part.code}.shape[{along}]" for part in parts]
    total = lengths[0]
    for length in lengths[1:]:
        total = f"py_add_natural({total}, {length}, {body.where})"
    shape[along] = body.temporary(Value(INT, total)).code
    made = arrays.allocate(body, dtype, shape)
    begin = "0"
    for part, length in zip(parts, lengths, strict=True):
        end = f"{begin} + {length}"
        bounds = [WHOLE] * along + [views.Cut(Value(INT, begin), Value(INT, end), None)]
        arrays.fill(body, views.view(body, made, views.expanded(body, made, list(bounds))), part)
        begin = end
    return made


@rule("stack", "arrays axis=")
def _stack(body: Body, given: Value, axis: Value | None) -> Value:
    parts = _parts(body, given, "stack")
    along = the_axis(body, axis, _same_ndim(body, parts) + 1) or 0
    return _joined(body, [_with_axis(body, part, along) for part in parts], along)


def _with_axis(body: Body, array: Value, along: int) -> Value:
    ndim = kind_of(array).ndim
    return views.view(body, array, [*[WHOLE] * along, None, *[WHOLE] * (ndim - along)])


@rule("vstack", "arrays")
def _vstack(body: Body, given: Value) -> Value:
    parts = _parts(body, given, "vstack")
    return _joined(body, [_with_axis(body, part, 0) if kind_of(part).ndim == 1 else part for part in parts], 0)


@rule("hstack", "arrays")
def _hstack(body: Body, given: Value) -> Value:
    parts = _parts(body, given, "hstack")
    return _joined(body, parts, 0 if _same_ndim(body, parts) == 1 else 1)


@rule("expand_dims", "array axis")
def _expand_dims(body: Body, array: Value, axis: Value) -> Value:
    array = array_of(body, array)
    return _with_axis(body, array, the_axis(body, axis, kind_of(array).ndim + 1) or 0)


@rule("swapaxes", "array a b", "swapaxes")
def _swapaxes(body: Body, array: Value, a: Value, b: Value) -> Value:
    array = array_of(body, array)
    order = list(range(kind_of(array).ndim))
    first, second = (the_axis(body, axis, len(order)) or 0 for axis in (a, b))
    order[first], order[second] = order[second], order[first]
    return views.transposed(body, array, order)


def _flipped(body: Body, array: Value, axes: list[int]) -> Value:
    back = views.Cut(None, None, body.call(literal, -1))
    return views.view(body, array, [back if axis in axes else WHOLE for axis in range(kind_of(array).ndim)])


@rule("flip", "array axis=")
def _flip(body: Body, array: Value, axis: Value | None) -> Value:
    array = array_of(body, array)
    along = the_axis(body, axis, kind_of(array).ndim)
    return _flipped(body, array, list(range(kind_of(array).ndim)) if along is None else [along])


def _flip_one(name: str, axis: int) -> Callable[..., Value]:
    def apply(body: Body, array: Value) -> Value:
        array = array_of(body, array)
        if kind_of(array).ndim <= axis:
            raise body.refusal(f"{name} of an array with one axis")
        return _flipped(body, array, [axis])

    return apply


rule("flipud", "array")(_flip_one("flipud", 0))
rule("fliplr", "array")(_flip_one("fliplr", 1))


@rule("roll", "array shift")
def _roll(body: Body, array: Value, shift: Value) -> Value:
    array = array_of(body, array)
    if kind_of(array).ndim != 1:
        raise body.refusal("roll of an array with several axes", "its rows one by one")
    length = f"{array.code}.shape[0]"
    by = integer(body, shift, "the shift").code
    moved = body.temporary(Value(INT, f"({length} == 0 ? 0 : py_mod({by}, {length}, {body.where}))")).code
    made = arrays.allocate(body, kind_of(array).dtype, [length])
    rest = body.temporary(Value(INT, f"{length} - {moved}")).code
    for target, source in (((moved, length), ("0", rest)), (("0", moved), (rest, length))):
        arrays.fill(body, *(_between(body, side, *ends) for side, ends in ((made, target), (array, source))))
    return made


def _between(body: Body, array: Value, start: str, stop: str) -> Value:
    return views.view(body, array, [views.Cut(Value(INT, start), Value(INT, stop), None)])


@rule("repeat", "array repeats")
def _repeat(body: Body, array: Value, repeats: Value) -> Value:
    array = array_of(body, array)
    if kind_of(array).ndim != 1:
        raise body.refusal("repeat of an array with several axes", "array.ravel()")
    return _twice(body, array, repeats, along=1)


@rule("tile", "array repeats")
def _tile(body: Body, array: Value, repeats: Value) -> Value:
    array = array_of(body, array)
    if kind_of(array).ndim != 1 or isinstance(repeats.type, Tuple):
        raise body.refusal("tile of or to several axes", "np.concatenate")
    return _twice(body, array, repeats, along=0)


def _twice(body: Body, array: Value, repeats: Value, along: int) -> Value:
    """An array of one axis so many times: along a new axis, which then is no more."""
    count = body.temporary(integer(body, repeats, "the number of repeats")).code
    shape = [f"{array.code}.shape[0]"]
    shape.insert(along, count)
    made = arrays.allocate(body, kind_of(array).dtype, shape)
    arrays.fill(body, made, _with_axis(body, array, along))
    return arrays.flat(body, made)


@rule("eye", "n dtype=")
def _eye(body: Body, n: Value, dtype: Value | None) -> Value:
    length = body.temporary(integer(body, n, "a length")).code
    made = arrays.allocate(body, FLOAT64 if dtype is None else dtype_of(body, dtype), [length, length], zeroed=True)
    [counter] = arrays.loops(body, [length])
    body.emit(f"{arrays.element(made, [counter, counter])} = 1;")
    arrays.close(body, 1)
    return made


@rule("shape", "array")
def _shape(body: Body, array: Value) -> Value:
    return views.attribute(body, array_of(body, array), "shape")


@rule("size", "array")
def _size(body: Body, array: Value) -> Value:
    return views.attribute(body, array_of(body, array), "size")


@rule("ndim", "array")
def _ndim(body: Body, array: Value) -> Value:
    return body.call(literal, 0) if isinstance(array.type, Scalar) else views.attribute(body, array_of(body, array), "ndim")
