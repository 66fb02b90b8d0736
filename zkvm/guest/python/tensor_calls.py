"""Calls of zkvm.guest.tensors: descriptors and constants as the C library has them, for the shapes that the program's tensors have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zkvm.guest.python import arrays, tensors
from zkvm.guest.python.body import Body
from zkvm.guest.python.guest_calls import Rule, Words, bound_names
from zkvm.guest.python.tensors import LANES, blocks_of, counts
from zkvm.guest.python.types import INT, Array, Scalar, Tensor, Tuple, Value, member, tuple_of

NUMBERS = Scalar("int32")
LOADED = ("int8", "uint8", "int16")
Y_STEPS, W_STEPS = 1, 2
Maker = Callable[[Body, Any, Sequence[Tensor]], tuple[str, str]]


def _shape(body: Body, value: Value) -> tuple[int, ...]:
    """A shape that the translator knows, because descriptors are constants."""
    parts = [member(value, n) for n in range(len(value.type.items))] if isinstance(value.type, Tuple) else [value]
    if not all(part.is_known and isinstance(part.known, int) for part in parts):
        raise body.refusal("a tensor's shape that is not constant", "numbers, or constants of the module")
    shape = tuple(part.known for part in parts)
    _checked(body, counts, shape)
    return shape


def _checked(body: Body, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except ValueError as error:
        raise body.refusal(str(error)) from None


def _vectors(kind: Tensor) -> int:
    channels, positions = counts(kind.shape)
    return blocks_of(positions) * channels


def _made(body: Body, shape: tuple[int, ...], code: str) -> Value:
    return body.temporary(Value(Tensor(shape), code))


def _read(body: Body, given: list[Value], words: Words) -> Value:
    [shape] = bound_names(body, "read", ("shape",), given, words)
    kind = Tensor(_shape(body, shape))
    name = _descriptor(body, "zkvm_import", f"ZKVM_IMPORT(.vectors = {_vectors(kind)})")
    return _made(body, kind.shape, f"zkvm_tensor_import(&{name})")


def _load(body: Body, given: list[Value], words: Words) -> Value:
    numbers, shape = bound_names(body, "load", ("numbers", "shape"), given, words)
    if not isinstance(numbers.type, Array) or numbers.type.dtype.dtype not in LOADED:
        raise body.refusal(f"a tensor of {numbers.type}", "an array of np.int8, np.uint8 or np.int16: array.astype(np.int16)")
    kind = Tensor(_shape(body, shape))
    channels, positions = counts(kind.shape)
    size, lanes = channels * positions, 1 if positions == 1 else LANES
    source = arrays.dense(body, numbers)
    length = body.temporary(Value(INT, arrays.size_of(source))).code
    body.emit(f"if (PY_RARE({length} != {size})) py_length_panic({body.where}, {length}, {size});")
    # Words for all elements: of one position a number for each vector, else eight, of which those behind the last position stay 0.
    made = arrays.allocate(body, NUMBERS, [str(_vectors(kind) * lanes)], positions % LANES != 0 and lanes == LANES)
    if lanes == 1:
        body.emit(f"for (uint32_t k = 0; k < {size}u; k++) {made.code}.data[k] = {source.code}.data[k];")
    else:
        body.emit(f"for (uint32_t c = 0; c < {channels}u; c++) for (uint32_t p = 0; p < {positions}u; p++)")
        body.emit(f"{made.code}.data[{_word('c', 'p', channels)}] = {source.code}.data[c * {positions}u + p];")
    name = _descriptor(body, "zkvm_load", f"ZKVM_LOAD(.vectors = {_vectors(kind)}, .words = {lanes})")
    return _made(body, kind.shape, f"zkvm_tensor_load(&{name}, (int32_t *){made.code}.data)")


def _word(channel: str, position: str, channels: int) -> str:
    """C for the number of an element's word."""
    return f"(({position} / {LANES}u) * {channels}u + {channel}) * {LANES}u + {position} % {LANES}u"


def numbers(body: Body, tensor: Value) -> Value:
    """The elements of a tensor, in an array of np.int32."""
    assert isinstance(tensor.type, Tensor)
    channels, positions = counts(tensor.type.shape)
    lanes = 1 if positions == 1 else LANES
    name = _descriptor(body, "zkvm_export", f"ZKVM_EXPORT(.vectors = {_vectors(tensor.type)}, .words = {lanes}, .x_stride = 1)")
    flat = arrays.allocate(body, NUMBERS, [str(_vectors(tensor.type) * lanes)])
    body.emit(f"zkvm_tensor_export(&{name}, {tensor.code}, (int32_t *){flat.code}.data);")
    lengths = [str(length) for length in tensor.type.shape]
    if lanes == 1:
        return flat if len(lengths) == 1 else arrays.reshaped(body, flat, lengths)
    made = arrays.allocate(body, NUMBERS, lengths)
    body.emit(f"for (uint32_t c = 0; c < {channels}u; c++) for (uint32_t p = 0; p < {positions}u; p++)")
    body.emit(f"{made.code}.data[c * {positions}u + p] = {flat.code}.data[{_word('c', 'p', channels)}];")
    return made


def _cuts(body: Body, given: list[Value], words: Words) -> Value:
    bound_names(body, "cuts", (), given, words)
    kind = Scalar("uint32")
    return tuple_of(tuple(body.temporary(Value(kind, f"zkvm_tensor_cuts.{side}", natural=True)) for side in ("above", "below")))


# Layers.


def layer(body: Body, function: tensors.Layer, given: list[Value], words: Words) -> Value:
    """The call of a layer.

    Raises:
        RefusedError: its operands are no tensors, or of other shapes.
    """
    if words or len(given) != function.operands or not all(isinstance(value.type, Tensor) for value in given):
        what = f"{type(function).__name__} takes {function.operands} tensors"
        raise body.refusal(what, "tensors.read(shape) or tensors.load(array, shape)")
    kinds = [value.type for value in given if isinstance(value.type, Tensor)]
    shape = _checked(body, function.result, *(kind.shape for kind in kinds))
    call, name = MAKERS[type(function)](body, function, kinds)
    operands = [value.code for value in given]
    if call in BINARY and len(operands) == 1:
        operands.append("ZKVM_CONSTANT_VECTORS")
    return _made(body, shape, f"zkvm_tensor_{call}(&{name}, {', '.join(operands)})")


BINARY = ("linear", "gather", "combine", "multiply")
"""Calls that have two operands; where Python gives one, constants are the other."""


def _descriptor(body: Body, kind: str, initializer: str) -> str:
    return body.program.define((kind, initializer), lambda name: f"static const {kind} {name} = {initializer};")


def _rows(items: Any) -> str:
    """Rows of numbers in C."""
    return ",\n".join(f"{{{', '.join(map(str, row))}}}" for row in items.tolist())


def _constant_rows(body: Body, macro: str, rows: Any) -> str:
    """Constants of a kind: those that are equal are there once."""
    return body.program.define((macro, rows.shape, rows.tobytes()), lambda name: f"{macro}({name}) = {{{_rows(rows)}}};")


def _channels(body: Body, function: tensors.Rescaling, channels: int) -> str:
    """Fields of a descriptor: how sums become elements."""
    bias, multiplier = (np.broadcast_to(side, channels) for side in (function.bias, function.multiplier))
    rows = np.stack([bias, multiplier, np.full(channels, function.limit)], axis=1)
    name = _constant_rows(body, "ZKVM_CHANNELS", rows)
    return f".channel_list = ZKVM_AT({name}), .bounds = ZKVM_BOUNDS({function.low}, {function.high})"


def _linear(body: Body, function: tensors.Linear, kinds: Sequence[Tensor]) -> tuple[str, str]:
    channels, taps = function.weights.shape
    padded = np.zeros((blocks_of(channels) * LANES, taps), np.int16)
    padded[:channels] = function.weights
    name = _constant_rows(body, "ZKVM_VECTORS", padded.reshape(-1, LANES, taps).transpose(0, 2, 1).reshape(-1, LANES))
    blocks = blocks_of(counts(kinds[0].shape)[1])
    fields = f".blocks = {blocks}, .channels = {channels}, .taps = {taps}, .x_stride = {taps}, .w = ZKVM_AT({name}), .w_stride = {taps}"
    return "linear", _descriptor(body, "zkvm_linear", f"ZKVM_LINEAR({fields}, {_channels(body, function, channels)})")


def _matmul(body: Body, function: tensors.Matmul, kinds: Sequence[Tensor]) -> tuple[str, str]:
    taps, channels = kinds[1].shape
    blocks = blocks_of(counts(kinds[0].shape)[1])
    fields = f".blocks = {blocks}, .channels = {channels}, .taps = {taps}, .x_stride = {taps}, .w_stride = {taps}"
    return "linear", _descriptor(body, "zkvm_linear", f"ZKVM_LINEAR({fields}, {_channels(body, function, channels)})")


def _sum(body: Body, function: tensors.Sum, kinds: Sequence[Tensor]) -> tuple[str, str]:
    sides = [_constant_rows(body, "ZKVM_VECTORS", np.full((1, LANES), factor, np.int16)) for factor in (function.first, function.second)]
    fields = f".weight = 1, .w = ZKVM_AT({sides[0]}), .v = ZKVM_AT({sides[1]}), .steps = {Y_STEPS}"
    return "combine", _elementwise(body, "COMBINE", function, kinds[0], fields)


def _product(body: Body, function: tensors.Product, kinds: Sequence[Tensor]) -> tuple[str, str]:
    fields = f".w_stride = {counts(kinds[0].shape)[0]}, .steps = {Y_STEPS | W_STEPS}"
    return "multiply", _elementwise(body, "MULTIPLY", function, kinds[0], fields)


def _elementwise(body: Body, macro: str, function: tensors.Rescaling, kind: Tensor, fields: str) -> str:
    channels, positions = counts(kind.shape)
    own = f".blocks = {blocks_of(positions)}, .channels = {channels}, .x_stride = {channels}, .y_stride = {channels}"
    return _descriptor(body, "zkvm_combine", f"ZKVM_{macro}({own}, {fields}, {_channels(body, function, channels)})")


def _gather(body: Body, function: tensors.Gather, kinds: Sequence[Tensor]) -> tuple[str, str]:
    channels, positions = counts(kinds[0].shape)
    place = np.maximum(function.places, 0)
    c, p = place // positions, place % positions
    elements = np.where(function.places < 0, 0, 1 + LANES * ((p // LANES) * channels + c) + p % LANES)
    made = counts(function.shape)
    padded = np.zeros((made[0], blocks_of(made[1]) * LANES), np.int64)
    padded[:, : made[1]] = elements.reshape(made)
    name = _constant_rows(body, "ZKVM_PATTERN", padded.reshape(made[0], -1, LANES).transpose(1, 0, 2).reshape(-1, LANES))
    vectors = blocks_of(made[1]) * made[0]
    return "gather", _descriptor(body, "zkvm_gather", f"ZKVM_GATHER(.vectors = {vectors}, .pattern = ZKVM_AT({name}))")


def _maximum(body: Body, function: tensors.Maximum, kinds: Sequence[Tensor]) -> tuple[str, str]:
    channels, vectors = function.channels, _vectors(kinds[0])
    fields = f".vectors = {vectors // channels}, .taps = {channels}, .x_stride = {channels}, .step = 1"
    return "maximum", _descriptor(body, "zkvm_maximum", f"ZKVM_MAXIMUM({fields})")


def _function(body: Body, function: tensors.Function, kinds: Sequence[Tensor]) -> tuple[str, str]:
    text = ",\n".join(", ".join(map(str, row)) for row in function.values.reshape(-1, 32).tolist())
    key = ("ZKVM_FUNCTION", function.values.tobytes())
    name = body.program.define(key, lambda name: f"ZKVM_FUNCTION({name}) = {{{text}}};")
    fields = f".vectors = {_vectors(kinds[0])}, .x_stride = 1, .function = ZKVM_AT({name})"
    return "apply", _descriptor(body, "zkvm_apply", f"ZKVM_APPLY({fields})")


MAKERS: dict[type[tensors.Layer], Maker] = {
    tensors.Linear: _linear,
    tensors.Matmul: _matmul,
    tensors.Sum: _sum,
    tensors.Product: _product,
    tensors.Gather: _gather,
    tensors.Maximum: _maximum,
    tensors.Function: _function,
}
"""The C function's name, and that of the descriptor, by the kind of layer."""
RULES: dict[Any, Rule] = {tensors.read: _read, tensors.load: _load, tensors.cuts: _cuts}
"""By the function that CPython calls."""
