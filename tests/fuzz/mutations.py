"""Changes of bytes and of proofs, written down as short byte strings: what the fuzzer of the verifier runs and the tests read.

A *program* says what to change, eight bytes for each change, so a finding is a short string and every search (random programs,
Hypothesis, atheris) looks through the same set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.proof import Proof

Proven = TypeVar("Proven")
CHANGE_BYTES = 8
HEAD_BYTES = 512
SPECIAL = (0, 1, P - 1, P, P + 1, 2**64 - 1, 2**63, 2**32, 2**32 - 1, 2**31)


def changes(program: bytes) -> Iterator[tuple[int, int, int]]:
    """(operation, place, value) of each change."""
    for start in range(0, len(program) - CHANGE_BYTES + 1, CHANGE_BYTES):
        change = program[start : start + CHANGE_BYTES]
        yield change[0], int.from_bytes(change[1:5], "little"), int.from_bytes(change[5:], "little")


def changed_bytes(base: bytes, program: bytes) -> bytes:
    """The bytes after all changes: replaced, inserted, removed and repeated bytes, special numbers; half of them in the head."""
    data = bytearray(base)
    for operation, place, value in changes(program):
        length = min(len(data), HEAD_BYTES) if operation & 8 else len(data)
        at = place % (length + 1)
        match operation & 7:
            case 0:
                data[at : at + 1] = bytes([value & 255])
            case 1:
                data[at : at + 1] = bytes([data[at] ^ 1 << value % 8]) if at < len(data) else b""
            case 2:
                del data[at:]
            case 3:
                data[at:at] = value.to_bytes(3, "little")[: 1 + value % 3]
            case 4:
                del data[at : at + value % 64]
            case 5:
                data[at:at] = data[at : at + value % 64]
            case 6:
                data[at : at + 8] = SPECIAL[value % len(SPECIAL)].to_bytes(8, "little")
            case _:
                data[at : at + 4] = (SPECIAL[value % len(SPECIAL)] & 0xFFFF_FFFF).to_bytes(4, "little")
    return bytes(data)


@dataclass(frozen=True)
class Slot:
    """A value of a proof, and how to put another in its place."""

    path: str
    value: Any
    put: Callable[[Any], Any]


def slots(value: Any, put: Callable[[Any], Any], path: str = "") -> Iterator[Slot]:
    """Every array, number, flag and root of a proof."""
    if is_dataclass(value):
        for field in fields(value):

            def put_field(new: Any, name: str = field.name) -> Any:
                return put(replace(value, **{name: new}))  # type: ignore[type-var]

            yield from slots(getattr(value, field.name), put_field, f"{path}.{field.name}".lstrip("."))
    elif isinstance(value, tuple) and value and not isinstance(value[0], int):
        for number, item in enumerate(value):

            def put_item(new: Any, number: int = number) -> Any:
                return put((*value[:number], new, *value[number + 1 :]))

            yield from slots(item, put_item, f"{path}[{number}]")
    else:
        yield Slot(path, value, put)


def changed_value(value: Any, operation: int, place: int, argument: int) -> Any:
    """Another value of the same type, mostly of the same shape."""
    if isinstance(value, np.ndarray):
        return changed_array(value, operation, place, argument)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return (value ^ 1 << place % 64) if operation & 1 else SPECIAL[argument % len(SPECIAL)]
    if isinstance(value, bytes):
        at = place % max(len(value), 1)
        return value[:at] + bytes([value[at] ^ 1 << argument % 8]) + value[at + 1 :]
    if isinstance(value, tuple):
        at = place % max(len(value), 1)
        return (*value[:at], argument % 32, *value[at + 1 :])
    return value


def changed_array(value: Any, operation: int, place: int, argument: int) -> Any:
    """Single elements moved, replaced or swapped; rows swapped, copied or cleared; one row fewer; an element that is not canonical."""
    if not value.size:
        return value
    result = value.copy()
    flat, at = result.reshape(-1), place % value.size
    other = (place // 7 + argument) % value.size
    row, other_row = place % len(value), argument % len(value)
    modulus = P if value.dtype == np.uint64 else 256
    match operation & 7:
        case 0:
            flat[at] = (int(flat[at]) + 1) % modulus
        case 1:
            flat[at] = SPECIAL[argument % 3] % modulus
        case 2:
            flat[at] = argument * (2**40 + 1) % modulus
        case 3:
            flat[[at, other]] = flat[[other, at]]
        case 4:
            result[[row, other_row]] = result[[other_row, row]]
        case 5:
            result[row] = result[other_row]
        case 6:
            flat[at] = (modulus - int(flat[at])) % modulus
        case _:
            if argument % 4:
                result[row] = 0
            elif argument % 8:
                return result[:-1]
            elif value.dtype == np.uint64:
                flat[at] = P
    return result


def changed_proof(proof: Proven, program: bytes) -> tuple[Proven, list[str]]:
    """A proof, or several that are joined, after all changes, and which values were changed."""
    paths = []
    for operation, place, argument in changes(program):
        found = list(slots(proof, lambda new: new))
        slot = found[(operation >> 3) * 31 % len(found) if operation & 128 else place % len(found)]
        proof = slot.put(changed_value(slot.value, operation, place // len(found), argument))
        paths.append(slot.path)
    return proof, paths


def same(first: Proof, second: Proof) -> bool:
    """Whether two proofs hold equal values."""
    return all(
        np.array_equal(left.value, right.value) if isinstance(left.value, np.ndarray) else left.value == right.value
        for left, right in zip(slots(first, lambda new: new), slots(second, lambda new: new), strict=True)
    )
