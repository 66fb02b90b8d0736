"""A tensor call as the executor sees it: its words, its operands, and how they are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa import tensors
from zkvm.riscv.isa.tensors import IN_VECTORS, LANES, ROW_BYTES, Descriptor, TensorConstants
from zkvm.riscv.records import TensorCall
from zkvm.riscv.vm.state import MachineState, trap

Elements = NDArray[np.int16]
"""(v, 8): vectors."""
Input = Callable[[int], bytes]
"""Takes so many bytes of the private input, or as many as there are."""

MAX_ROWS = 1 << 28
"""As many rows as all tables of a proof have together."""


@dataclass(slots=True)
class Tensors:
    """The tensors of a run.

    Attributes:
        made: by id. What is there never changes.
        calls: records, if the run is recorded.
        last_use: by id of a tensor that was read, the id of the last call that read it.
        earlier: tensors with an id up to this one were made in earlier segments of the run and are not there any more.
    """

    made: dict[int, Elements] = field(default_factory=dict)
    calls: list[TensorCall] = field(default_factory=list)
    last_use: dict[int, int] = field(default_factory=dict)
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its words, its operands, and how they are read."""

    state: MachineState
    store: Tensors
    ecall: int
    words: Descriptor
    first: int
    second: int
    take: Input

    @property
    def id(self) -> int:
        """One more than the instructions executed before the call."""
        return self.state.cycles + 1

    def record(self, **arrays: NDArray[Any]) -> TensorCall:
        """The record of the call, with these of its arrays."""
        return TensorCall(self.ecall, self.id, self.words, wide=self.words.wide, **arrays)

    def refuse(self, what: str) -> GuestTrap:
        """The trap for what cannot be proven."""
        return trap(self.state, "tensor_call", f"tensor call {tensors.NAMES[self.words.operation]}: {what}")

    def check_room(self, rows: int, row_bytes: int) -> None:
        """Refuse what takes more rows than a proof has, or more memory than there is at so many bytes for each."""
        if rows > MAX_ROWS:
            raise LimitError(f"a tensor call needs {rows} rows of one table; a proof holds at most {MAX_ROWS}")
        self.state.check_memory(rows * row_bytes)

    def check_earlier(self, handle: int) -> None:
        """Refuse an operand that does not come before the call."""
        if handle >= self.id:
            raise self.refuse(f"operand {handle} is no tensor that was made before this call, whose id is {self.id}")

    def operand(self, handle: int) -> tuple[Elements, int, str]:
        """All vectors of an operand, the number of the first, and its name for messages."""
        constants = constants_of(self.state)
        if handle == 0:
            return constants.vectors, constants.first_vector, "the constant vectors"
        if handle not in self.store.made and handle <= self.store.earlier:
            raise self.refuse(f"tensor {handle} was made before the run was cut: a segment reads no tensor of an earlier one")
        if handle not in self.store.made:
            raise self.refuse(f"no call made a tensor with the handle {handle}")
        self.store.last_use[handle] = self.id
        return self.store.made[handle], 0, f"tensor {handle}"

    def vectors(self, handle: int, start: int, *strides: tuple[int, int]) -> Elements:
        """Vectors of an operand, one axis for each (count, stride), then the lanes.

        Args:
            handle: of the operand.
            start: where it begins, in bytes.
            *strides: how many, and how many vectors from one to the next.
        """
        self.check_earlier(handle)
        if any(count == 0 for count, _ in strides):
            return np.zeros((*(count for count, _ in strides), LANES), np.int16)
        if start % ROW_BYTES:
            raise self.refuse(f"an operand begins at 0x{start:x}, which is not a multiple of {ROW_BYTES}")
        first, last = start // ROW_BYTES, start // ROW_BYTES + sum((count - 1) * stride for count, stride in strides)
        held, offset, name = self.operand(handle)
        if not offset <= first <= last < offset + len(held):
            there = f"[{offset}, {offset + len(held)})"
            raise self.refuse(f"it reads vectors {first} to {last} of {name}, which has {there}")
        self.check_room(math.prod(count for count, _ in strides), ROW_BYTES + 8)
        index = np.full((1,) * len(strides), first - offset, np.int64)
        for axis, (count, stride) in enumerate(strides):
            shape = [1] * len(strides)
            shape[axis] = count
            index = index + stride * np.arange(count, dtype=np.int64).reshape(shape)
        found: Elements = held[index]
        return found

    def channels(self) -> NDArray[np.void]:
        """The list of channels, with one limit for all: of the image, or in vectors of the second operand."""
        if self.words.operation in IN_VECTORS:
            return self._own_channels()
        constants, at, count = constants_of(self.state), self.words.channel_list, self.words.channels
        first = at // ROW_BYTES - constants.first_channel
        if at % ROW_BYTES or not 0 <= first <= first + count <= len(constants.channels):
            raise self.refuse(f"its list of {count} channels at 0x{at:x} is not in .tensor.channels")
        found = constants.channels[first : first + count]
        if np.any(found["limit"] != found["limit"][0]):
            raise self.refuse(f"the channels of its list at 0x{at:x} have different limits")
        return found

    def _own_channels(self) -> NDArray[np.void]:
        vectors = self.vectors(self.second, self.words.channel_list, (self.words.channels, 1))
        if not tensors.is_scale(self.words.y):
            raise self.refuse(f"the limit {self.words.y} of its channels is not 2^15 to 2^29 and a power of two")
        if np.any(vectors[:, tensors.CHANNEL_LANES :]):
            raise self.refuse(f"vectors of its channels have lanes behind the first {tensors.CHANNEL_LANES} that are not 0")
        return tensors.channels_in(vectors, self.words.y)


def constants_of(state: MachineState) -> TensorConstants:
    """The image's constants; it has some, perhaps empty, if the machine has tensor calls."""
    assert state.image.tensors is not None
    return state.image.tensors
