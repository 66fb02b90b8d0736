"""The system calls: one table, from which the executor's host functions, the chips and the profiler take what they need.

The numbers are those of Linux for RISC-V (``include/uapi/asm-generic/unistd.h``); those that Linux does not have are far above its table.
A program puts the number into a7 and arguments into a0, a1, a2; the result is in a0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """One system call.

    Attributes:
        number: what a7 holds; part of the machine's digest.
        name: as Linux and the guest's header call it.
        chip: name of the chip that has a row for each such call.
        arguments: registers that are accessed besides a7 and a0.
        moves: the list of :class:`zkvm.riscv.records.Execution` that gets records of the words that the call moves, if it moves any.
        ends: whether the run ends with it.
    """

    number: int
    name: str
    chip: str
    arguments: tuple[str, ...] = ("a1", "a2")
    moves: str | None = None
    ends: bool = False


READ = Call(63, "read", "ecall", moves="reads")
WRITE = Call(64, "write", "ecall", moves="writes")
EXIT = Call(93, "exit", "ecall", arguments=(), ends=True)
EXIT_GROUP = Call(94, "exit_group", "ecall", arguments=(), ends=True)
BRK = Call(214, "brk", "brk", arguments=())
CYCLES = Call(4096, "cycles", "ecall")
"""The instructions executed before it."""

TENSOR = Call(4097, "tensor", "tensor_call")
"""An operation on tensors, see :mod:`zkvm.riscv.isa.tensors`."""

PERMUTE = Call(4098, "permute", "permute", arguments=())
"""Poseidon2 on the 24 words at a0, see :mod:`zkvm.riscv.isa.poseidon2`."""

BLAKE3 = Call(4099, "blake3", "blake3_call", arguments=(), moves="blake3_calls")
"""BLAKE3's compression function on words in memory."""
BLAKE3_WORDS, BLAKE3_OUTPUTS = 28, 8
"""Words at its address: chaining value 8, block 16, counter 2, block length, flags; how many of them, from the first on, it writes."""

CALLS = (READ, WRITE, EXIT, EXIT_GROUP, BRK, CYCLES, TENSOR, PERMUTE, BLAKE3)
"""Every call that is served, in the order in which the chip of unknown calls excludes their numbers: it enters the machine's digest."""
BY_NUMBER = {call.number: call for call in CALLS}
UNKNOWN = Call(-1, "unknown", "ecall")
"""What any other number means: -ENOSYS."""

ENOSYS, EBADF = (1 << 32) - 38, (1 << 32) - 9
FD_INPUT, FD_STDOUT, FD_STDERR, FD_JOURNAL = 0, 1, 2, 3


def numbers_of(chip: str) -> tuple[int, ...]:
    """Numbers of the calls that a chip proves, in the order of the table."""
    return tuple(call.number for call in CALLS if call.chip == chip)
