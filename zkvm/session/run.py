"""One run of a guest: what it gets from its host, what it may take, and what it did. Names follow RISC Zero where the idea is the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import Cancelled, ElfError, GuestTrap, UsageError
from zkvm.riscv.records import Execution, Image
from zkvm.session import memory
from zkvm.session.resources import Progress, prove_extra

if TYPE_CHECKING:
    from zkvm.riscv.vm.state import MachineState

Elf = bytes | str | os.PathLike[str]
"""The content of an ELF file, or its path."""
Sink = Callable[[bytes], object]
"""Called with what the guest writes, as it does."""
TraceCallback = Callable[[NDArray[Any]], object]
"""Called with executed instructions, (k,) :data:`zkvm.riscv.records.STEP` in order, up to 2^20 at a time. The array is only lent."""
Cancel = threading.Event | Callable[[], bool]
"""Set, or true: stop."""
CycleProgress = Callable[[int], object]
"""Called with the instructions executed so far."""
Runner = Callable[["MachineState", int], int]


class Told:
    """A sink of a guest that may run again from its begin: what was said before is not said again."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._passed, self._at = sink, 0, 0

    @classmethod
    def of(cls, sink: Sink | None) -> Told | None:
        """Around a sink, if there is one."""
        return None if sink is None else cls(sink)

    def __call__(self, data: bytes) -> None:
        """Pass on what is new."""
        new = data[max(self._passed - self._at, 0) :]
        self._at += len(data)
        self._passed = max(self._passed, self._at)
        if new:
            self._sink(new)

    def again(self) -> None:
        """The guest runs again."""
        self._at = 0


class Limits(Protocol):
    """What a run must not exceed."""

    def look(self, state: MachineState) -> None:
        """Stop the run, between slices and calls.

        Raises:
            LimitError: it must not go on.
        """


@dataclass(slots=True)
class ExecutorEnv:
    """The environment of a guest: its input, where its output goes, its limits. One can serve several runs.

    >>> env = ExecutorEnv(max_cycles=10**7).write(b"header").write(np.arange(4, dtype=np.float32)).write_u32(7)

    Attributes:
        stdin: the private input, the guest's fd 0.
        stdout: called with what the guest writes to fd 1, as it does.
        stderr: called with what the guest writes to fd 2, as it does.
        max_cycles: instructions after which the guest is stopped; None: 2^28.
        max_memory: bytes that the execution, and the proof as predicted, may take; None: what this process can have.
        trace: called with the executed instructions, (k,) :data:`zkvm.riscv.records.STEP` in order, up to 2^20 at a time; the array is
            only lent.
        cancel: an event, or a function that returns whether to stop: looked at between slices of 2^20 instructions and between the
            phases of a proof.
        progress: called with the instructions executed so far, between slices of 2^20.
    """

    stdin: bytes = b""
    stdout: Sink | None = None
    stderr: Sink | None = None
    max_cycles: int | None = None
    max_memory: int | None = None
    trace: TraceCallback | None = None
    cancel: Cancel | None = None
    progress: CycleProgress | None = None

    def write(self, data: bytes | bytearray | memoryview | NDArray[Any]) -> ExecutorEnv:
        """Append bytes, or an array's elements in row-major order, little-endian, in the array's own width.

        Args:
            data: bytes, or an array of numbers.

        Returns:
            The environment itself, so that calls can be chained.

        Raises:
            UsageError: the array holds objects.
        """
        if isinstance(data, np.ndarray):
            if data.dtype.hasobject:
                raise UsageError("an array of objects has no bytes for a guest: choose a number type, such as astype(np.int32)")
            data = data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
        self.stdin += bytes(data)
        return self

    def write_u32(self, *values: int) -> ExecutorEnv:
        """Append integers as the guest's ``zkvm_read_u32`` reads them.

        Args:
            *values: in [-2^31, 2^32); negative ones become two's complement.

        Returns:
            The environment itself, so that calls can be chained.

        Raises:
            UsageError: a value does not fit 32 bits.
        """
        for value in values:
            if not -(1 << 31) <= value < 1 << 32:
                raise UsageError(f"{value} does not fit 32 bits")
        return self.write(b"".join((value & 0xFFFF_FFFF).to_bytes(4, "little") for value in values))

    def check(self) -> None:
        """Stop here if the caller wants it.

        Raises:
            Cancelled: it does.
        """
        if self.cancel is not None and (self.cancel.is_set() if isinstance(self.cancel, threading.Event) else self.cancel()):
            raise Cancelled("cancelled by the caller")


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a guest.

    Attributes:
        cycles: executed instructions.
        exit_code: a 32-bit word, as the guest's exit call said it.
        journal: the public output.
        stdout: what the guest wrote to fd 1.
        stderr: what the guest wrote to fd 2.
        seconds: of the execution.
        functions: (name, cycles) of every function that ran, most first; empty unless they were asked for.
    """

    cycles: int
    exit_code: int
    journal: bytes
    stdout: bytes
    stderr: bytes
    seconds: float
    functions: tuple[tuple[str, int], ...] = ()


def environment(stdin: bytes | ExecutorEnv, **options: Any) -> ExecutorEnv:
    """An environment as it is, or one of this input and these options.

    Raises:
        UsageError: options beside an environment, which has its own.
    """
    if not isinstance(stdin, ExecutorEnv):
        return ExecutorEnv(bytes(stdin), **options)
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: set in the ExecutorEnv, not beside it")
    return replace(stdin)


def read_elf(elf: Elf) -> tuple[bytes, Image]:
    """The content of an ELF file and its image.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
    """
    from zkvm.riscv.vm.elf import load_image as load
    from zkvm.riscv.vm.elf import read_program

    if isinstance(elf, bytes):
        return elf, load(elf)
    content = read_program(elf)
    try:
        return content, load(content)
    except ElfError as error:
        raise ElfError(f"{os.fspath(elf)}: {error}") from error


def run_image(
    file: bytes, image: Image, env: ExecutorEnv, *, trace: bool, runner: Runner | None = None, limits: Limits | None = None
) -> Execution:
    """Run a guest.

    Args:
        file: the content of the ELF file, for messages.
        image: of that file.
        env: input, outputs and limits.
        trace: whether records are kept.
        runner: the interpreter, if it is not the usual one.
        limits: look at a run that is to be proven or checked, and may stop it; None: it is not.

    Raises:
        GuestTrap: the guest did something that cannot be proven; the message shows place, source line and call stack.
        LimitError: a limit was reached.
        Cancelled: the caller asked for it.
        UsageError: less than one cycle, or the ``prove`` extra is missing.
    """
    with prove_extra():
        from zkvm.riscv.vm.executor import DEFAULT_MAX_CYCLES
        from zkvm.riscv.vm.executor import execute as run
    limit = DEFAULT_MAX_CYCLES if env.max_cycles is None else env.max_cycles
    if limit < 1:
        raise UsageError(f"a limit of {limit} cycles: at least 1 is needed")
    env.check()
    watched = _watched(env, runner, limits, keep=trace)
    recorded = trace or env.trace is not None
    try:
        return run(
            image,
            env.stdin,
            trace=recorded,
            to_prove=limits is not None,
            max_cycles=limit,
            max_memory=memory.available_bytes() if env.max_memory is None else env.max_memory,
            stdout=env.stdout,
            stderr=env.stderr,
            runner=watched,
        )
    except GuestTrap as trap:
        from zkvm.riscv.vm.debug import explain

        raise explain(trap, image, file, env.stdin, said=env.stderr is None) from None


def _watched(env: ExecutorEnv, runner: Runner | None, limits: Limits | None, *, keep: bool) -> Runner:
    """An interpreter that asks whether to go on, and lends the records; ``keep``: they are still needed afterwards."""
    from zkvm.riscv.kernels import interpreter as kernel
    from zkvm.riscv.vm.executor import TIME_SLICE, run_kernel

    inner = runner or run_kernel
    told = 0

    def run(state: MachineState, cycle_limit: int) -> int:
        nonlocal told
        env.check()
        if limits is not None:
            limits.look(state)
        if env.progress is not None and state.cycles - told >= TIME_SLICE:
            told = state.cycles
            env.progress(told)
        if env.trace is not None and not keep:
            state.counters[kernel.STEPS] = state.counters[kernel.REFRESHES] = 0
        first = int(state.counters[kernel.STEPS])
        status = inner(state, cycle_limit)
        last = int(state.counters[kernel.STEPS])
        if env.trace is not None and last > first:
            env.trace(state.steps[first:last])
        return status

    return run


def session_of(execution: Execution) -> Session:
    """What a run tells its host."""
    return Session(
        execution.cycles, execution.exit_code, execution.journal, execution.stdout, execution.stderr, execution.seconds.get("execute", 0.0)
    )


def stoppable(progress: Progress | None, env: ExecutorEnv) -> Progress:
    """Progress that first asks whether to go on: every phase begins with it."""

    def step(phase: str, share: float) -> None:
        env.check()
        if progress is not None:
            progress(phase, share)

    return step
