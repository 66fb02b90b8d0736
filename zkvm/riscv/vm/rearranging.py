"""Tensor calls that move elements, compare them, and look them up in functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.tensors import ENTRY_BYTES, INT16_OFFSET, LANES, PATTERN_BYTES, RELATIVE_OFFSET, ROW_BYTES, SECOND_OPERAND
from zkvm.riscv.records import TensorCall
from zkvm.riscv.vm.tensor_call import Call, Elements, constants_of

PLACES = ("first", "second")


def gather(call: Call) -> TensorCall:
    """gather: elements of one or two operands, as a pattern says; place 0 is zero."""
    words, constants = call.words, constants_of(call.state)
    for handle in (call.first, call.second):
        call.check_earlier(handle)
    call.check_room(words.blocks, (1 + 4) * ROW_BYTES)
    first = words.channel_list // PATTERN_BYTES - constants.first_pattern
    if words.blocks and (words.channel_list % PATTERN_BYTES or not 0 <= first <= first + words.blocks <= len(constants.patterns)):
        raise call.refuse(f"its pattern of {words.blocks} rows at 0x{words.channel_list:x} is not in .tensor.patterns")
    rows = constants.patterns[first : first + words.blocks] if words.blocks else constants.patterns[:0]
    second = rows[:, 0] >= SECOND_OPERAND
    made = np.zeros((len(rows), LANES), np.int16)
    for number, chosen in enumerate((~second, second)):
        if np.any(chosen):
            made[chosen] = _elements(call, number, rows[chosen] % SECOND_OPERAND)
    return call.record(vectors=made)


def _elements(call: Call, number: int, places: NDArray[np.uint32]) -> Elements:
    """The elements of an operand at these places."""
    held, offset, name = call.operand((call.first, call.second)[number])
    if not len(held):
        raise call.refuse(f"its {PLACES[number]} operand, {name}, has no elements")
    index = places.astype(np.int64) - 1 - LANES * offset
    real = places > 0
    outside = real & ((index < 0) | (index >= held.size))
    if np.any(outside):
        place = int(places[outside][0]) - 1
        raise call.refuse(
            f"its pattern takes lane {place % LANES} of vector {place // LANES} of {name}, which has [{offset}, {offset + len(held)})"
        )
    return np.where(real, held.reshape(-1)[np.where(real, index, 0)], np.int16(0))


def maximum(call: Call) -> TensorCall:
    """maximum: the largest of several vectors, lane by lane."""
    words = call.words
    if words.blocks and not words.taps:
        raise call.refuse("it compares no vectors")
    call.check_room(words.blocks * words.taps, (1 + 4) * ROW_BYTES)
    if not words.blocks:
        call.vectors(call.first, 0, (0, 0))
        return call.record()
    x = call.vectors(call.first, words.x, (words.blocks, words.x_stride), (words.taps, words.w_stride))
    return call.record(vectors=x.max(axis=1), x=x)


def apply(call: Call) -> TensorCall:
    """apply: the entry of a function for every element."""
    words = call.words
    call.check_room(words.blocks, (1 + 4) * ROW_BYTES)
    x = call.vectors(call.first, words.x, (words.blocks, words.x_stride))
    if not words.blocks:
        return call.record()
    return call.record(vectors=_entries(call, x.astype(np.int64), INT16_OFFSET), x=x)


def relative(call: Call) -> TensorCall:
    """relative: the entry of a function for every element less one of the block's vector in the second operand."""
    words = call.words
    if not words.channels:
        raise call.refuse("its blocks have no channels")
    call.check_room(words.blocks * words.channels, (1 + 6) * ROW_BYTES)
    x = call.vectors(call.first, words.x, (words.blocks * words.channels, words.x_stride))
    taken = call.vectors(call.second, words.w, (words.blocks, 1))
    if not words.blocks:
        return call.record()
    w = np.repeat(taken, words.channels, axis=0)
    return call.record(vectors=_entries(call, x.astype(np.int64) - w, RELATIVE_OFFSET), x=x, w=w)


def _entries(call: Call, arguments: NDArray[np.int64], offset: int) -> Elements:
    """Of these arguments the entries of the call's function, whose first one is for -offset."""
    at, constants = call.words.channel_list, constants_of(call.state)
    if at % ENTRY_BYTES:
        raise call.refuse(f"its function at 0x{at:x} is not aligned to {ENTRY_BYTES}")
    index = at // ENTRY_BYTES - constants.first_entry + arguments + offset
    outside = (index < 0) | (index >= len(constants.entries))
    if np.any(outside):
        raise call.refuse(f"the entry for {int(arguments[outside][0])} of its function at 0x{at:x} is not in .tensor.functions")
    found: Elements = constants.entries[index]
    return found
