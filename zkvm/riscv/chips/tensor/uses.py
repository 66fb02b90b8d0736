"""How often vectors and channels are read, from the records: millions of look-ups of ten values need not be merged to know it.

What these counts say wrongly, no proof survives: buses would not balance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import RLock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.tensor.lanes import calls_of
from zkvm.riscv.isa.tensors import (
    APPLY,
    DIGEST,
    DIGEST_VECTORS,
    ELEMENTWISE,
    ENTRY_BYTES,
    EXPORT,
    FUNCTIONS,
    GATHER,
    IN_VECTORS,
    INT16_OFFSET,
    LANES,
    LAYERS,
    LISTED,
    MAKERS,
    MAXIMUM,
    MULTIPLY,
    PAIR_BLOCKS,
    PATTERN_BYTES,
    RELATIVE,
    RELATIVE_OFFSET,
    ROW_BYTES,
    ROW_VECTORS,
    SECOND_OPERAND,
    STRIP_VECTORS,
    W_STEPS,
    WIDE_BLOCKS,
    WIDE_CHANNELS,
    WINDOW_VECTORS,
    WINDOWED,
    Y_STEPS,
)  # fmt: skip
from zkvm.riscv.records import Execution, TensorCall

Counts = NDArray[np.int64]
Found = TypeVar("Found")
_counting = RLock()
TILE_BLOCKS, TILE_HALVES = 2, 2
"""A tile reads up to two blocks of positions and twice eight channels."""


def _once(execution: Execution, name: str, count: Callable[[Execution], Found]) -> Found:
    """What was counted of a run, by the first thread that asks."""
    with _counting:
        kept: dict[str, Found] = vars(execution)
        if name not in kept:
            kept[name] = count(execution)
        return kept[name]


def vector_uses(execution: Execution) -> dict[int, Counts]:
    """Of each tensor, by id, how often each of its vectors is read. Counted once for a run: every chip that makes vectors asks."""
    return _once(execution, "vector_uses", _vector_uses)


def _vector_uses(execution: Execution) -> dict[int, Counts]:
    constants = execution.image.tensors
    uses = {call.id: np.zeros(len(call.vectors), np.int64) for call in calls_of(execution, *MAKERS)}
    uses[0] = np.zeros(0 if constants is None else len(constants.vectors), np.int64)

    def read(handle: int, start: int, outer: int, stride: int, inner: int, times: int) -> None:
        first = start // ROW_BYTES - (constants.first_vector if handle == 0 and constants is not None else 0)
        index = first + stride * np.arange(outer)[:, None] + np.arange(inner)
        np.add.at(uses[handle], index, times)

    for call in calls_of(execution, *LAYERS, EXPORT, MAXIMUM, APPLY, RELATIVE, DIGEST):
        d, first, second = call.descriptor, *operands(execution, call.ecall)
        if d.operation in (EXPORT, APPLY):
            read(first, d.x, d.blocks, d.x_stride, 1, 1)
        elif d.operation == RELATIVE:
            read(first, d.x, d.blocks * d.channels, d.x_stride, 1, 1)
            read(second, d.w, d.blocks, 1, 1, d.channels)
        elif d.operation == DIGEST:
            read(first, d.x, 1, 0, ROW_VECTORS * d.blocks + DIGEST_VECTORS, 1)
        elif d.operation == MAXIMUM:
            for tap in range(d.taps if d.blocks else 0):  # of no results, taps may be any word
                read(first, d.x + ROW_BYTES * d.w_stride * tap, d.blocks, d.x_stride, 1, 1)
        elif d.blocks:
            down, right = call.fours  # of these one row reads what two would
            read(first, d.x, d.blocks, d.x_stride, d.taps, -(-d.halves // TILE_HALVES))
            read(first, d.x, WIDE_BLOCKS * down, d.x_stride, d.taps, -right)
            read(second, d.w, d.halves, d.w_stride, d.taps, -(-d.blocks // TILE_BLOCKS))
            read(second, d.w, WIDE_CHANNELS // LANES * right, d.w_stride, d.taps, -down)
    for call in calls_of(execution, *ELEMENTWISE):
        for handle, place in term_places(execution, call):
            np.add.at(uses[handle], place - (constants.first_vector if handle == 0 and constants is not None else 0), 1)
    for call in calls_of(execution, *WINDOWED):
        d, first, second = call.descriptor, *operands(execution, call.ecall)
        pairs = d.blocks // PAIR_BLOCKS
        for window in range(d.taps if d.blocks else 0):
            for row in (0, d.w_stride, d.y_stride):
                for block in range(STRIP_VECTORS):
                    start = d.x + ROW_BYTES * (window * d.x_stride + row + block * d.channels)
                    read(first, start, pairs, PAIR_BLOCKS * d.channels, d.channels, 1)
        read(second, d.w, pairs, 0, WINDOW_VECTORS * d.channels * d.taps, 1)
    for part in scaled_uses(execution):
        uses[part.tensor][part.place] += 1
    for used in element_uses(execution):
        first_vector = constants.first_vector if used.tensor == 0 and constants is not None else 0
        uses[used.tensor][used.index - first_vector] += 1
    return uses


def term_places(execution: Execution, call: TensorCall) -> list[tuple[int, Counts]]:
    """Of x, w, y and v of an elementwise call: the tensor, and its vector by block and channel."""
    d, (first, second) = call.descriptor, operands(execution, call.ecall)
    other, factors = (first, second) if d.operation == MULTIPLY else (second, 0)
    block, channel = np.indices((d.blocks, d.channels if d.blocks else 0))
    y_step, w_step = d.steps & Y_STEPS, d.steps // W_STEPS
    return [
        (handle, start // ROW_BYTES + block * stride + channel * step)
        for handle, start, stride, step in (
            (first, d.x, d.x_stride, 1),
            (factors, d.w, d.w_stride, w_step),
            (other, d.y, d.y_stride, y_step),
            (factors, d.v, d.w_stride, w_step),
        )
    ]


@dataclass(frozen=True, slots=True)
class ElementUses:
    """Elements of a tensor that patterns read.

    Attributes:
        tensor: its id.
        index: (k,) of the vectors of which an element is read.
        vectors: (k, 8) int16.
        times: (k, 8) how often each element is read.
        zeros: how often place 0 is.
    """

    tensor: int
    index: Counts
    vectors: NDArray[np.int16]
    times: Counts
    zeros: int


def element_uses(execution: Execution) -> list[ElementUses]:
    """What patterns read, by tensor. Counted once for a run."""
    return _once(execution, "element_uses", _all_element_uses)


def _all_element_uses(execution: Execution) -> list[ElementUses]:
    places: dict[int, list[Counts]] = {}
    for call in calls_of(execution, GATHER):
        rows = pattern_rows(execution, call)
        second = rows[:, 0] >= SECOND_OPERAND
        for handle, chosen in zip(operands(execution, call.ecall), (~second, second), strict=True):
            if np.any(chosen):
                places.setdefault(handle, []).append((rows[chosen] % SECOND_OPERAND).astype(np.int64).reshape(-1))
    return [_element_uses(execution, tensor, np.concatenate(read)) for tensor, read in places.items()]


def _element_uses(execution: Execution, tensor: int, places: Counts) -> ElementUses:
    held, first = held_vectors(execution, tensor)
    lanes_read = places[places > 0] - 1 - LANES * first
    times = np.bincount(lanes_read, minlength=held.size).reshape(-1, LANES)
    index = np.flatnonzero(times.any(axis=1))
    if not len(index):  # only zeros are read, and some vector has to serve them
        index = np.zeros(1, np.int64)
    return ElementUses(tensor, first + index, held[index], times[index], int(np.count_nonzero(places == 0)))


def held_vectors(execution: Execution, tensor: int) -> tuple[NDArray[np.int16], int]:
    """All vectors of a tensor, and the number of the first."""
    constants = execution.image.tensors
    if tensor == 0 and constants is not None:
        return constants.vectors, constants.first_vector
    return next(call.vectors for call in execution.tensor_calls if call.id == tensor), 0


def pattern_rows(execution: Execution, call: TensorCall) -> NDArray[np.uint32]:
    """The rows of the pattern that a call follows."""
    constants, d = execution.image.tensors, call.descriptor
    assert constants is not None
    first = d.channel_list // PATTERN_BYTES - constants.first_pattern
    return constants.patterns[first : first + d.blocks] if d.blocks else constants.patterns[:0]


def pattern_uses(execution: Execution) -> Counts:
    """How often each row of the image's patterns is read."""
    constants = execution.image.tensors
    uses = np.zeros(0 if constants is None else len(constants.patterns), np.int64)
    for call in calls_of(execution, GATHER):
        if constants is not None and call.descriptor.blocks:
            first = call.descriptor.channel_list // PATTERN_BYTES - constants.first_pattern
            uses[first : first + call.descriptor.blocks] += 1
    return uses


def entry_uses(execution: Execution) -> Counts:
    """How often each entry of the image's functions is read."""
    constants = execution.image.tensors
    uses = np.zeros(0 if constants is None else len(constants.entries), np.int64)
    for call in calls_of(execution, *FUNCTIONS):
        if constants is not None and call.descriptor.blocks:
            relative = call.descriptor.operation == RELATIVE
            first = call.descriptor.channel_list // ENTRY_BYTES - constants.first_entry + (RELATIVE_OFFSET if relative else INT16_OFFSET)
            arguments = call.x.astype(np.int64) - (call.w if relative else 0)
            uses += np.bincount(first + arguments.reshape(-1), minlength=len(uses))
    return uses


def channel_uses(execution: Execution) -> Counts:
    """How often each channel of the image is read: once for each block that it rescales."""
    constants = execution.image.tensors
    uses = np.zeros(0 if constants is None else len(constants.channels), np.int64)
    for call in calls_of(execution, *LISTED):
        d = call.descriptor
        if constants is not None and d.blocks:
            first = d.channel_list // ROW_BYTES - constants.first_channel
            uses[first : first + d.channels] += d.blocks
    return uses


@dataclass(frozen=True, slots=True)
class ScaledUses:
    """Channels in vectors of a tensor, with one limit, that layers read.

    Attributes:
        tensor: its id.
        limit: of the channels.
        place: (k,) of the vectors among those that are held: the constant ones, or the tensor's.
        index: (k,) number of each.
        vectors: (k, 8) int16.
        times: (k,) how often each is read.
    """

    tensor: int
    limit: int
    place: Counts
    index: Counts
    vectors: NDArray[np.int16]
    times: Counts


def scaled_uses(execution: Execution) -> list[ScaledUses]:
    """Which vectors layers read as channels, by tensor and limit."""
    read: dict[tuple[int, int], list[TensorCall]] = {}
    for call in calls_of(execution, *IN_VECTORS):
        if call.descriptor.blocks:
            read.setdefault((operands(execution, call.ecall)[1], call.descriptor.y), []).append(call)
    return [_scaled_uses(execution, tensor, limit, calls) for (tensor, limit), calls in read.items()]


def _scaled_uses(execution: Execution, tensor: int, limit: int, calls: list[TensorCall]) -> ScaledUses:
    held, first = held_vectors(execution, tensor)
    times = np.zeros(len(held), np.int64)
    for call in calls:
        start = call.descriptor.channel_list // ROW_BYTES - first
        times[start : start + call.descriptor.channels] += call.descriptor.blocks
    place = np.flatnonzero(times)
    return ScaledUses(tensor, limit, place, place + first, held[place], times[place])


def operands(execution: Execution, ecall: int) -> tuple[int, int]:
    """What a1 and a2 held."""
    record = execution.ecalls[ecall]
    return int(record["a1"]), int(record["a2"])


def new_channels(execution: Execution) -> Iterator[tuple[TensorCall, int]]:
    """Layers with channels in vectors, each with how many rows of channels it is the first to need: calls share them."""
    known: set[tuple[int, int, int]] = set()
    for call in calls_of(execution, *IN_VECTORS):
        d, tensor = call.descriptor, operands(execution, call.ecall)[1]
        read = {(tensor, d.y, d.channel_list // ROW_BYTES + k) for k in range(d.channels if d.blocks else 0)}
        yield call, len(read - known)
        known |= read


def new_elements(execution: Execution) -> Iterator[tuple[TensorCall, int]]:
    """Calls that gather, each with how many rows of elements it is the first to need: calls share them."""
    known: dict[int, set[int]] = {}
    for call in calls_of(execution, GATHER):
        fresh, rows = 0, pattern_rows(execution, call)
        second = rows[:, 0] >= SECOND_OPERAND
        for handle, chosen in zip(operands(execution, call.ecall), (~second, second), strict=True):
            places = (rows[chosen] % SECOND_OPERAND).astype(np.int64)
            seen = known.setdefault(handle, set())
            before = len(seen)
            seen |= set(np.unique((places[places > 0] - 1) // LANES).tolist())
            fresh += len(seen) - before
        yield call, fresh
