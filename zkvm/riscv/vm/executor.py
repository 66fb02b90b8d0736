"""Runs a guest and returns everything that a proof of the run needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import GuestTrap, LimitError, RunTooLong
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.isa.poseidon2 import WIDTH, WORDS
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.kernels.sorting import sort_steps
from zkvm.riscv.records import BLAKE3_CALL, CHAIN_ROW, ECALL, KEYS, TENSOR_WORD, Execution, Image
from zkvm.riscv.vm.permuting import permute_kernel
from zkvm.riscv.vm.state import MachineState, missing_instruction, outside_memory, symbol_at, trap
from zkvm.riscv.vm.syscalls import REGISTERS, Host, Sink, handle_call

DEFAULT_MAX_CYCLES = 1 << 28
"""More than any proof holds; guests that never end are stopped before they try somebody's patience."""
TIME_SLICE = 1 << 20
"""Instructions between two looks of the host at the run, so that an interrupt and a memory limit are noticed."""
MAX_TIME = 1 << 32
"""Runs that are to be proven end before this state time, so that the gap of every refresh fits its two 16-bit limbs."""
FEW = 16
"""Records that fill no more than such a part of what is reserved for them are copied out of it."""

Runner = Callable[[MachineState, int], int]
"""Executes until the host is needed or so many cycles are reached; returns a status of ``kernels/interpreter.py``."""


def run_kernel(state: MachineState, cycle_limit: int) -> int:
    """The compiled interpreter as a :data:`Runner`."""
    memory = state.memory
    return int(
        kernel.run(
            state.program,
            state.code_pages,
            state.code_rows,
            state.registers,
            state.register_times,
            memory.page_table,
            memory.values,
            memory.times,
            memory.origins,
            state.steps,
            state.refreshes,
            state.counters,
            np.uint64(cycle_limit),
            state.trace,
        )
    )


def sort_kernel(steps: NDArray[Any], keys: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """See :func:`zkvm.riscv.records.sort_steps`."""
    order, counts = np.empty(len(steps), np.int64), np.zeros(KEYS, np.int64)
    sort_steps(steps, keys, np.empty(len(steps), np.uint8), counts, np.empty(KEYS, np.int64), order)
    return order, counts


def execute(
    image: Image,
    stdin: bytes = b"",
    *,
    trace: bool = True,
    to_prove: bool = True,
    max_cycles: int = DEFAULT_MAX_CYCLES,
    max_memory: int | None = None,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
    runner: Runner = run_kernel,
) -> Execution:
    """Run a guest from its entry to its exit.

    Args:
        image: the program.
        stdin: the private input, the guest's fd 0.
        trace: whether to record (without: all record arrays and final values are empty).
        to_prove: whether a recorded run that is longer than a proof can be is stopped.
        max_cycles: instructions after which the guest is stopped.
        max_memory: bytes that records, guest pages and output may take; None: no limit.
        stdout: called with what the guest writes to fd 1, as it does; the result has all of it in any case.
        stderr: the same for fd 2.
        runner: another interpreter than the kernel: one that also looks, or the readable one for comparison.

    Raises:
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached.
    """
    started = time.perf_counter()
    state = MachineState(image, trace=trace, max_memory=max_memory)
    host = Host(stdin, sinks_of(stdout, stderr))
    if advance(state, host, max_cycles, runner, MAX_TIME if trace and to_prove else None):
        raise not_ended(state)
    return _finish(state, host, time.perf_counter() - started)


def sinks_of(stdout: Sink | None, stderr: Sink | None) -> dict[int, Sink]:
    """Those that there are, by the guest's file descriptor."""
    return {fd: sink for fd, sink in ((calls.FD_STDOUT, stdout), (calls.FD_STDERR, stderr)) if sink is not None}


def advance(state: MachineState, host: Host, cycles: int, runner: Runner = run_kernel, max_time: int | None = None) -> bool:
    """Go on with a run until so many instructions have been executed in all; whether it goes on after them.

    Args:
        state: of the machine.
        host: the outside.
        cycles: where to stop, unless the run ends before.
        runner: the interpreter.
        max_time: state time that a run must not reach; None: any.

    Raises:
        GuestTrap: the guest did something that cannot be proven.
        LimitError: the limit on memory or time was reached.
    """
    running = True
    while running:
        status = runner(state, min(cycles, state.cycles + TIME_SLICE))
        if status == kernel.LIMIT:
            state.check_memory()
            if state.cycles >= cycles:
                return True
        elif status == kernel.CALLED:
            running = handle_call(state, host)
        elif status == kernel.BUFFER_FULL:
            state.reserve(1, 4)  # what one instruction may record
        elif status == kernel.NEED_PAGE:
            state.memory.make_page(int(state.counters[kernel.FAULT]) >> 12)
            state.check_memory()
        else:
            raise _trap_of(state, status)
        if max_time is not None and state.time >= max_time:
            raise RunTooLong(f"the run is longer than a proof can be: state time 2^32 reached after {state.cycles} cycles")
    return False


def not_ended(state: MachineState) -> LimitError:
    """The error for a run that has used up its cycles."""
    reached = f"{state.cycles} cycles (it is in {symbol_at(state.image, state.pc)}, pc 0x{state.pc:08x})"
    return LimitError(f"the guest has not ended after {reached}: raise --max-cycles, or look for an endless loop")


def _trap_of(state: MachineState, status: int) -> GuestTrap:
    """The error for a status that ends the run."""
    fault = int(state.counters[kernel.FAULT])
    match status:
        case kernel.STOPPED:
            return trap(state, "breakpoint", "ebreak: the guest stopped itself")
        case kernel.NO_INSTRUCTION:
            return missing_instruction(state, fault)
        case kernel.MISALIGNED:
            return trap(state, "misaligned_access", f"misaligned access of address 0x{fault:08x}")
        case kernel.READ_ONLY:
            return trap(state, "store_to_rom", f"store to read-only memory at 0x{fault:08x}")
        case _:
            return outside_memory(state, fault, f"access of address 0x{fault:08x}, which is outside memory")


def _used(records: NDArray[Any], count: int) -> NDArray[Any]:
    """The first so many records; a copy if they are few, so that a short run does not keep what was reserved for a long one."""
    return records[:count].copy() if FEW * count < len(records) else records[:count]


def _finish(state: MachineState, host: Host, seconds: float) -> Execution:
    """The records of a run that has ended, trimmed, and the final state of memory."""
    execution = recorded(state, host, seconds)
    if not state.trace:
        return execution
    last, last_time = last_words(state)
    zero_address, zero_last, zero_time = state.memory.touched_zeros()
    return replace(
        execution, ram_last=last, ram_last_time=last_time, zero_address=zero_address, zero_last=zero_last, zero_last_time=zero_time
    )


def last_words(state: MachineState) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Values of the image's words and registers, and times of their last accesses, each (r,) in the order of ``image.ram_address``."""
    data = len(state.image.ram_address) - opcodes.REGISTER_COUNT
    positions = state.memory.locate((state.image.ram_address[:data] // np.uint64(4)).astype(np.int64))
    registers = slice(0, opcodes.REGISTER_COUNT)
    values = np.concatenate([state.memory.values[positions], state.registers[registers]]).astype(np.uint64)
    times = state.memory.times[positions] if state.trace else np.zeros(len(positions), np.uint64)
    return values, np.concatenate([times, state.register_times[registers]])


def recorded(state: MachineState, host: Host, seconds: float) -> Execution:
    """The records so far, trimmed, without what is known of memory at the end of a run."""
    nothing = np.zeros(0, np.uint64)
    return Execution(
        image=state.image,
        cycles=state.cycles,
        exit_code=int(state.registers[REGISTERS["a0"]]),
        journal=bytes(host.journal),
        steps=_used(state.steps, int(state.counters[kernel.STEPS])),
        refreshes=_used(state.refreshes, int(state.counters[kernel.REFRESHES])),
        ecalls=np.array(host.ecalls, ECALL),
        reads=np.concatenate([np.zeros(0, CHAIN_ROW), *host.moved["reads"]]),
        writes=np.concatenate([np.zeros(0, CHAIN_ROW), *host.moved["writes"]]),
        ram_last=nothing,
        ram_last_time=nothing,
        zero_address=nothing,
        zero_last=nothing,
        zero_last_time=nothing,
        tensor_calls=tuple(host.tensors.calls),
        permuted=np.concatenate([np.zeros((0, WORDS), TENSOR_WORD), *host.permuted]),
        permutations=np.concatenate(
            [np.zeros((0, WIDTH), np.uint64), *host.permutations, *(call.permuted[0] for call in host.tensors.calls)]
        ),  # fmt: skip
        blake3_calls=np.concatenate([np.zeros(0, BLAKE3_CALL), *host.moved["blake3_calls"]]),
        stdout=bytes(host.output[calls.FD_STDOUT]),
        stderr=bytes(host.output[calls.FD_STDERR]),
        seconds={"execute": seconds},
        sorter=sort_kernel,
        permuter=permute_kernel,
    )
