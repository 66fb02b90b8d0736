"""Arrays: making them, going over their elements, copies, and assignment of all elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from zkvm.guest.python.body import Body
from zkvm.guest.python.scalars import Mismatch, converted
from zkvm.guest.python.types import BOOL, INT, Array, Known, Scalar, Value


def allocate(body: Body, dtype: Scalar, shape: Sequence[str], zeroed: bool = False) -> Value:
    """A new dense array; ``shape``: C for the lengths of its axes."""
    if not shape:
        raise body.refusal("an array without axes", "a number")
    kind = Array(dtype.strong, len(shape))
    name = body.name()
    count = shape[0]
    if len(shape) == 1:
        count = f"py_size({count}, 1, {body.where})"
    for length in shape[1:]:
        count = f"py_size({count}, {length}, {body.where})"
    body.emit(f"{kind.c} {name};")
    body.emit(f"{name}.owner = py_allocate((uint32_t){count}, {kind.dtype.width}, {int(zeroed)}, {body.where});")
    body.emit(f"{name}.data = py_data({name}.owner);")
    set_shape(body, name, shape)
    return body.own(Value(kind, name))


def set_shape(body: Body, name: str, shape: Sequence[str]) -> None:
    """Lengths of a dense array's axes, and the steps that follow from them."""
    for axis, length in enumerate(shape):
        body.emit(f"{name}.shape[{axis}] = {length};")
    body.emit(f"{name}.step[{len(shape) - 1}] = 1;")
    for axis in range(len(shape) - 2, -1, -1):
        # Unsigned: beside a length of 0 the others may be anything.
        body.emit(f"{name}.step[{axis}] = (int32_t)((uint32_t){name}.step[{axis + 1}] * (uint32_t){name}.shape[{axis + 1}]);")


def shape_of(value: Value) -> list[str]:
    """C for the lengths of an array's axes."""
    assert isinstance(value.type, Array)
    return [f"{value.code}.shape[{axis}]" for axis in range(value.type.ndim)]


def size_of(value: Value) -> str:
    """C for the number of an array's elements."""
    return product_of(shape_of(value))


def product_of(lengths: Sequence[str]) -> str:
    """C for a product of lengths that belong to one array: unsigned, because beside a length of 0 the others may be anything."""
    return f"((int32_t)({' * '.join(f'(uint32_t){length}' for length in lengths) or '1'}))"


def offset(value: Value, places: Sequence[str]) -> str:
    """C for where the element with these unsigned places lies."""
    assert isinstance(value.type, Array)
    if not value.type.dense:
        return " + ".join(f"{place} * (uint32_t){value.code}.step[{axis}]" for axis, place in enumerate(places))
    code = places[0]
    for axis, place in enumerate(places[1:], 1):
        code = f"({code}) * (uint32_t){value.code}.shape[{axis}] + {place}"
    return code


def element(value: Value, places: Sequence[str]) -> str:
    """C for an element; the place is signed at the end, because steps may lead back."""
    assert isinstance(value.type, Array)
    code = offset(value, places)
    return f"{value.code}.data[{code if value.type.dense else f'(int32_t)({code})'}]"


def loops(body: Body, shape: Sequence[str]) -> list[str]:
    """Open a C loop for each axis; gives their counters. The caller closes them."""
    counters = []
    for length in shape:
        counter = body.name("k")
        body.emit(f"for (uint32_t {counter} = 0; {counter} < (uint32_t){length}; {counter}++) {{")
        body.owned.append([])
        counters.append(counter)
    return counters


def close(body: Body, count: int) -> None:
    """Close as many blocks."""
    for _ in range(count):
        body.release(body.owned.pop())
        body.emit("}")


def elementwise(body: Body, operands: Sequence[Value], operate: Callable[..., Value], dtype: Scalar | None = None) -> Value:
    """An operation on numbers, or on arrays element by element with numpy's broadcasting.

    Args:
        body: the function.
        operands: numbers and arrays.
        operate: gives the result of numbers.
        dtype: of the result's elements; None: as the operation has it.

    Raises:
        RefusedError: an operand is neither.
    """
    for operand in operands:
        if not isinstance(operand.type, Scalar | Array):
            raise body.refusal(f"an operator on {operand.type}", "numbers or arrays")
    arrays = [operand for operand in operands if isinstance(operand.type, Array)]
    if not arrays:
        result = operate(*operands)
        return body.temporary(result if dtype is None else cast(body, result, dtype))
    kinds = [operand.type for operand in operands]
    trial = operate(*(Value(kind.dtype, "0") if isinstance(kind, Array) else side for kind, side in zip(kinds, operands, strict=True)))
    assert isinstance(trial.type, Scalar)
    made = (dtype or trial.type).strong
    shape = broadcast(body, arrays)
    result = allocate(body, made, shape)
    if all(isinstance(operand.type, Array) and operand.type.dense for operand in arrays) and same_shapes(arrays):
        counters, flat = loops(body, [size_of(result)]), True
    else:
        counters, flat = loops(body, [f"{result.code}.shape[{axis}]" for axis in range(len(shape))]), False
    sides = [_loaded(body, operand, counters, flat) for operand in operands]
    value = cast(body, operate(*sides), made)
    target = f"{result.code}.data[{counters[0]}]" if flat else element(result, counters)
    body.emit(f"{target} = {value.code};")
    close(body, len(counters))
    return result


def same_shapes(arrays: Sequence[Value]) -> bool:
    """Whether all arrays are certain to have one shape: there is only one."""
    return len({array.code for array in arrays}) == 1


def _loaded(body: Body, operand: Value, counters: Sequence[str], flat: bool = False) -> Value:
    """An operand's element in the innermost loop, repeated along axes of length 1."""
    if not isinstance(operand.type, Array):
        return operand
    if flat:
        return body.temporary(Value(operand.type.dtype, f"{operand.code}.data[{counters[0]}]"))
    skipped = len(counters) - operand.type.ndim
    places = [
        f"{counter} * (uint32_t){operand.code}.step[{axis}] * ({operand.code}.shape[{axis}] != 1)"
        for axis, counter in enumerate(counters[skipped:])
    ]
    return body.temporary(Value(operand.type.dtype, f"{operand.code}.data[(int32_t)({' + '.join(places)})]"))


def broadcast(body: Body, arrays: Sequence[Value]) -> list[str]:
    """The common shape of arrays, in C variables."""
    ndim = max(array.type.ndim for array in arrays if isinstance(array.type, Array))
    shape = []
    for axis in range(ndim):
        code = ""
        for array in arrays:
            assert isinstance(array.type, Array)
            own = axis - (ndim - array.type.ndim)
            if own >= 0:
                length = f"{array.code}.shape[{own}]"
                code = length if not code else f"py_broadcast({code}, {length}, {body.where})"
        shape.append(body.temporary(Value(INT, code)).code)
    return shape


def cast(body: Body, value: Value, dtype: Scalar) -> Value:
    """A number as ``astype`` makes it."""
    if dtype.weak and value.type == dtype:
        return value
    return body.call(converted, value, dtype, body.where, explicit=True)


def copy(body: Body, value: Value, dtype: Scalar | None = None) -> Value:
    """A new dense array with the same elements, as ``astype`` makes them."""
    assert isinstance(value.type, Array)
    if dtype is None and value.type.dense:
        result = allocate(body, value.type.dtype, shape_of(value))
        body.emit(f"memcpy({result.code}.data, {value.code}.data, (uint32_t){size_of(value)} * {value.type.dtype.width});")
        return result
    return elementwise(body, [value], lambda item: item, dtype or value.type.dtype)


def dense(body: Body, value: Value) -> Value:
    """The array itself if its elements are certain to lie one after the other, else a copy."""
    assert isinstance(value.type, Array)
    return value if value.type.dense else copy(body, value)


def flat(body: Body, value: Value) -> Value:
    """All elements of an array as one of one axis, without a copy where it is dense."""
    value = dense(body, value)
    return reshaped(body, value, [size_of(value)])


def reshaped(body: Body, value: Value, shape: Sequence[str]) -> Value:
    """A dense array with other axes, whose lengths have the same product."""
    assert isinstance(value.type, Array)
    kind = Array(value.type.dtype, len(shape), True, value.type.constant)
    name = body.name()
    body.emit(f"{kind.c} {name};")
    body.emit(f"{name}.owner = {value.code}.owner; {name}.data = {value.code}.data;")
    set_shape(body, name, shape)
    return Value(kind, name)


def fill(body: Body, target: Value, value: Value) -> None:
    """``target[...] = value``, as numpy casts it; a source in the same memory is read before.

    Raises:
        RefusedError: the target is constant, the value has more axes, or its type does not go into the target's.
    """
    kind = target.type
    assert isinstance(kind, Array)
    if kind.constant:
        raise body.refusal("an assignment to an array of the module, which is constant", "a copy: array.copy()")
    if isinstance(value.type, Known) or not isinstance(value.type, Scalar | Array):
        raise body.refusal(f"{value.type} into an array", "a number or an array")
    if isinstance(value.type, Array):
        if value.type.ndim > kind.ndim:
            raise body.refusal(f"{value.type.ndim} axes into {kind.ndim}")
        value = _apart(body, value, target)
        for axis in range(value.type.ndim):  # type: ignore[union-attr]
            own = f"{target.code}.shape[{axis + kind.ndim - value.type.ndim}]"  # type: ignore[union-attr]
            length = f"{value.code}.shape[{axis}]"
            body.emit(f"if (PY_RARE({length} != {own} && {length} != 1)) py_length_panic({body.where}, {length}, {own});")
    elif value.type.weak:
        value = body.temporary(cast(body, value, kind.dtype))
    counters = loops(body, shape_of(target))
    item = cast(body, _loaded(body, value, counters), kind.dtype)
    body.emit(f"{element(target, counters)} = {item.code};")
    close(body, len(counters))


def _apart(body: Body, value: Value, target: Value) -> Value:
    """A source that does not lie in the target's memory: a copy where it may."""
    assert isinstance(value.type, Array)
    if f"{value.code}.owner" in body.owned[-1]:
        return value
    kind = Array(value.type.dtype, value.type.ndim, False, value.type.constant)
    name = body.name()
    body.emit(f"{kind.c} {name};")
    with body.block(f"if ({value.code}.owner == {target.code}.owner)"):
        made = copy(body, value)
        body.emit(f"memcpy(&{name}, &{made.code}, sizeof {name});")
        body.emit(f"py_retain({name}.owner);")
    with body.block("else"):
        body.emit(f"memcpy(&{name}, &{value.code}, sizeof {name});")
        body.emit(f"py_retain({name}.owner);")
    return body.own(Value(kind, name))


def same_kind(body: Body, found: Scalar, wanted: Scalar) -> None:
    """Whether an operation in place may store its result.

    Raises:
        RefusedError: numpy refuses it.
    """
    if not np.can_cast(found.strong.dtype, wanted.dtype, "same_kind"):
        raise body.refusal(f"{found} into an array of {wanted}", f"the result with .astype({wanted})")


def first_type(body: Body, values: Sequence[Value]) -> Scalar:
    """The type of an array of these numbers, as ``np.array`` finds it.

    Raises:
        RefusedError: they are no numbers, or of kinds that do not go together.
    """
    kinds = [value.type for value in values]
    if not kinds or not all(isinstance(kind, Scalar) for kind in kinds):
        raise body.refusal("an array of other things than numbers", "numbers")
    names = [kind.strong.dtype for kind in kinds if isinstance(kind, Scalar)]
    if "bool" in names and set(names) != {"bool"}:
        raise body.refusal("an array of truth values and numbers", "int(...)")
    try:
        result = np.result_type(*names).name
        return BOOL if result == "bool" else Scalar(result)
    except (TypeError, Mismatch):
        raise body.refusal("an array of numbers of these types", "np.array([...], dtype)") from None
