"""Calls of zkvm.guest: input, journal, messages, hashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zkvm.guest.python import arrays, hashes, io, numpy_functions
from zkvm.guest.python.body import Body, integer
from zkvm.guest.python.diagnostics import quoted
from zkvm.guest.python.scalars import converted
from zkvm.guest.python.types import BOOL, INT, NONE, Array, Scalar, Tuple, Value, member

Words = dict[str, Value]
Rule = Callable[[Body, list[Value], Words], Value]


def bound_names(body: Body, function: str, names: tuple[str, ...], given: list[Value], words: Words) -> list[Value]:
    """Exactly these arguments, in their order."""
    found = dict(zip(names, given, strict=False)) | words
    if len(given) > len(names) or set(found) != set(names):
        raise body.refusal(f"{function} takes {', '.join(names) or 'nothing'}")
    return [found[name] for name in names]


def _read(body: Body, given: list[Value], words: Words) -> Value:
    given = [*given, *(words[name] for name in ("dtype", "shape")[len(given) :] if name in words)]
    if not 1 <= len(given) <= 2:
        raise body.refusal("read takes dtype and shape")
    dtype = numpy_functions.dtype_of(body, given[0])
    if dtype == BOOL:
        raise body.refusal("read of truth values", "np.uint8, and a comparison with 0")
    if len(given) == 1 or given[1].type == NONE:
        name = body.name()
        body.emit(f"{dtype.c} {name}; py_read(&{name}, sizeof {name}, {body.where});")
        return Value(dtype, name, natural=dtype.kind == "u")
    made = arrays.allocate(body, dtype, numpy_functions.shape_codes(body, given[1]))
    body.emit(f"py_read({made.code}.data, (uint32_t){arrays.size_of(made)} * {dtype.width}, {body.where});")
    return made


def _read_available(body: Body, given: list[Value], words: Words) -> Value:
    [count] = bound_names(body, "read_available", ("count",), given, words)
    made = arrays.allocate(body, Scalar("uint8"), [integer(body, count, "the number of bytes").code])
    body.emit(f"{made.code}.shape[0] = (int32_t)py_read_available({made.code}.data, (uint32_t){made.code}.shape[0]);")
    return made


def _commit(body: Body, given: list[Value], words: Words) -> Value:
    [value] = bound_names(body, "commit", ("value",), given, words)
    _commit_value(body, value)
    return Value(NONE, "0", None, True)


def _commit_value(body: Body, value: Value) -> None:
    if isinstance(value.type, Scalar):
        if value.is_known:
            value = body.call(converted, value, value.type, body.where)
        name = body.name()
        body.emit(f"{value.type.c} {name} = {value.code}; zkvm_commit(&{name}, sizeof {name});")
    elif isinstance(value.type, Array):
        whole = arrays.dense(body, value)
        body.emit(f"zkvm_commit({whole.code}.data, (uint32_t){arrays.size_of(whole)} * {value.type.dtype.width});")
    elif isinstance(value.type, Tuple):
        for number in range(len(value.type.items)):
            _commit_value(body, member(value, number))
    else:
        raise body.refusal(f"commit of {value.type}", "a number, an array, a tuple or a record")


def _log(body: Body, given: list[Value], words: Words) -> Value:
    if words:
        raise body.refusal("log with names of arguments", "without them")
    for number, value in enumerate(given):
        end = " " if number + 1 < len(given) else "\n"
        if value.is_known and isinstance(value.known, str):
            text = (value.known + end).encode()
            body.emit(f"zkvm_print({quoted(value.known + end)}, {len(text)});")
            continue
        kind = value.type
        if not isinstance(kind, Scalar) or kind.kind == "f":
            raise body.refusal(f"log of {kind}", "texts and integers: int(1000 * x) of a float, the elements of an array one by one")
        if kind == BOOL:
            body.emit(f'if ({value.code}) zkvm_print("True", 4); else zkvm_print("False", 5);')
        else:
            body.emit(f"py_log_{'uint64' if kind.dtype == 'uint64' else 'int'}({value.code});")
        body.emit(f"zkvm_print({quoted(end)}, 1);")
    if not given:
        body.emit('zkvm_print("\\n", 1);')
    return Value(NONE, "0", None, True)


def _panic(body: Body, given: list[Value], words: Words) -> Value:
    [message] = bound_names(body, "panic", ("message",), given, words)
    if not (message.is_known and isinstance(message.known, str)):
        raise body.refusal("a message that is not a constant text", "a constant text, and zkvm.guest.log for values")
    body.emit(f"py_panic({body.where}, {quoted(message.known)});")
    body.assigned = None
    return Value(NONE, "0", None, True)


def _cycles(body: Body, given: list[Value], words: Words) -> Value:
    bound_names(body, "cycles", (), given, words)
    return body.temporary(Value(INT, "(int32_t)zkvm_cycles()", natural=True))


def _blake3(body: Body, given: list[Value], words: Words) -> Value:
    return _hash(body, "zkvm_blake3_hash", given, words)


def _poseidon2_hash(body: Body, given: list[Value], words: Words) -> Value:
    return _hash(body, "py_poseidon2_hash", given, words)


def _hash(body: Body, function: str, given: list[Value], words: Words) -> Value:
    [data] = bound_names(body, "the hash", ("data",), given, words)
    if not isinstance(data.type, Array):
        raise body.refusal(f"a hash of {data.type}", "an array")
    whole = arrays.dense(body, data)
    made = arrays.allocate(body, Scalar("uint8"), [str(hashes.DIGEST_BYTES)])
    body.emit(f"{function}((uint8_t *){made.code}.data, {whole.code}.data, (uint32_t){arrays.size_of(whole)} * {data.type.dtype.width});")
    return made


def _poseidon2_compress(body: Body, given: list[Value], words: Words) -> Value:
    sides = bound_names(body, "poseidon2_compress", ("left", "right"), given, words)
    codes = []
    for side in sides:
        if not isinstance(side.type, Array) or side.type.dtype != Scalar("uint8"):
            raise body.refusal(f"{side.type} as a digest", "32 bytes of np.uint8")
        whole = arrays.dense(body, side)
        body.emit(f'if (PY_RARE({arrays.size_of(whole)} != {hashes.DIGEST_BYTES})) py_panic({body.where}, "ValueError: no digest");')
        codes.append(f"(const uint8_t *){whole.code}.data")
    made = arrays.allocate(body, Scalar("uint8"), [str(hashes.DIGEST_BYTES)])
    body.emit(f"py_poseidon2_compress((uint8_t *){made.code}.data, {', '.join(codes)}, {body.where});")
    return made


RULES: dict[Any, Rule] = {
    io.read: _read,
    io.read_available: _read_available,
    io.commit: _commit,
    io.log: _log,
    io.panic: _panic,
    io.cycles: _cycles,
    hashes.blake3: _blake3,
    hashes.poseidon2_hash: _poseidon2_hash,
    hashes.poseidon2_compress: _poseidon2_compress,
}
"""By the function that CPython calls."""
