"""Traps, system calls, limits and output of whole runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.vm.assemble import DATA, EXIT, RODATA, TEXT, Item, assemble
from zkvm.riscv.vm.executor import execute, run_kernel
from zkvm.riscv.vm.image import GUARD_BYTES, STACK_BYTES
from zkvm.riscv.vm.reference import run_reference
from zkvm.riscv.vm.state import MachineState

FLOOR = 1 << 28
LIMIT, TOP = FLOOR - GUARD_BYTES, FLOOR + STACK_BYTES
Runner = Callable[[MachineState, int], int]


def call(number: int, *arguments: int | str) -> list[Item]:
    """An ecall with arguments."""
    items: list[Item] = [("li", f"a{index}", value) for index, value in enumerate(arguments)]
    return [*items, ("li", "a7", number), ("ecall",)]


@pytest.mark.parametrize("runner", [run_kernel, run_reference])
@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize(
    ("items", "kind", "pc", "cycle"),
    [
        ([("ebreak",)], "breakpoint", 0, 0),
        ([("nop",), (".word", 0)], "illegal_instruction", 4, 1),
        ([("nop",), (".word", 0xFFFF_FFFF)], "illegal_instruction", 4, 1),
        ([("nop",), (".word", 0x3000_2573)], "illegal_instruction", 4, 1),  # csrr
        ([("nop",), ("nop",)], "jump_outside_program", 4, 2),
        ([("j", 0x1000)], "jump_outside_program", 0, 1),
        ([("jr", 0)], "jump_outside_program", 0, 1),
        ([("li", "t0", RODATA), ("jr", "t0")], "illegal_instruction", None, 3),
        ([("j", 6)], "misaligned_jump", 0, 1),
        ([("li", "t0", TEXT), ("jalr", "t0", "t0", 7)], "misaligned_jump", 8, 3),
        ([("beq", 0, 0, 10)], "misaligned_jump", 0, 1),
        ([("lw", "t0", 0, 0)], "outside_memory", 0, 0),
        ([("lb", "t0", 0, -1)], "outside_memory", 0, 0),
        ([("li", "t0", TOP), ("lw", "t1", "t0", 0)], "outside_memory", 8, 2),
        ([("li", "t0", TOP), ("sb", "t1", "t0", 0)], "outside_memory", 8, 2),
        ([("li", "t0", RODATA), ("lw", "t1", "t0", 12)], "outside_memory", 8, 2),
        ([("lw", "t0", "sp", 2)], "misaligned_access", 0, 0),
        ([("lw", "t0", "sp", 1)], "misaligned_access", 0, 0),
        ([("lhu", "t0", "sp", 1)], "misaligned_access", 0, 0),
        ([("lh", "t0", "sp", 3)], "misaligned_access", 0, 0),
        ([("sw", "t0", "sp", 2)], "misaligned_access", 0, 0),
        ([("sh", "t0", "sp", 1)], "misaligned_access", 0, 0),
        ([("li", "t0", RODATA), ("sb", "t1", "t0", 0)], "store_to_rom", 8, 2),
        ([("li", "t0", TEXT), ("sw", "t1", "t0", 0)], "store_to_rom", 8, 2),
        (call(63, 0, RODATA, 1), "store_to_rom", 20, 5),
        (call(63, 0, TOP - 2, 3), "outside_memory", 20, 5),
        (call(63, 0, -4, 5), "outside_memory", 16, 4),
        (call(64, 3, RODATA, 100), "outside_memory", 20, 5),
        (call(64, 3, 0, 1), "outside_memory", 16, 4),
        (call(64, 1, 0, 1), "outside_memory", 16, 4),
        (call(64, 3, -1, 0x7FFF_FFFF), "outside_memory", 20, 5),
    ],
)
def test_traps(items: list[Item], kind: str, pc: int | None, cycle: int, trace: bool, runner: Runner) -> None:
    image = assemble(["start", *items], data=bytes(8), rodata=bytes(12))
    with pytest.raises(GuestTrap) as caught:
        execute(image, b"input", trace=trace, runner=runner)
    expected_pc = RODATA if pc is None else TEXT + pc
    assert (caught.value.kind, caught.value.pc, caught.value.cycle) == (kind, expected_pc, cycle)


OVERFLOWN: list[Item] = [("li", "t0", FLOOR - 16), ("mv", "sp", "t0")]


@pytest.mark.parametrize("runner", [run_kernel, run_reference])
@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize(
    ("items", "kind", "address"),
    [
        ([*OVERFLOWN, ("sw", "ra", "sp", 12)], "stack_overflow", FLOOR - 4),
        ([*OVERFLOWN, ("lbu", "ra", "sp", 15)], "stack_overflow", FLOOR - 1),
        ([*OVERFLOWN, ("li", "t0", LIMIT), ("sw", "ra", "t0", 0)], "stack_overflow", LIMIT),
        ([*OVERFLOWN, *call(63, 0, FLOOR - 4, 5)], "stack_overflow", FLOOR - 4),
        ([*OVERFLOWN, *call(64, 3, FLOOR - 3, 8)], "stack_overflow", FLOOR - 3),
        ([*OVERFLOWN, *call(64, 1, FLOOR - 3, 8)], "stack_overflow", FLOOR - 3),
        # A frame that reaches below the guard, and touches the guard first.
        ([("li", "t0", LIMIT - 16), ("mv", "sp", "t0"), ("sb", 0, "sp", 20)], "stack_overflow", LIMIT + 4),
        # Not the stack: a pointer that strays while the stack pointer is where it should be, or somewhere else.
        ([("li", "t0", FLOOR), ("sw", "t0", "t0", -4)], "outside_memory", FLOOR - 4),
        ([("li", "t0", LIMIT), ("lw", "t0", "t0", 0)], "outside_memory", LIMIT),
        ([*call(63, 0, LIMIT - 4, 5)], "outside_memory", LIMIT),
        ([*call(64, 3, LIMIT - 3, 8)], "outside_memory", LIMIT),
        ([*OVERFLOWN, ("lw", "t0", 0, 0)], "outside_memory", 0),
        ([*OVERFLOWN, *call(64, 3, TOP - 4, 8)], "outside_memory", TOP),
    ],
)  # fmt: skip
def test_the_guard_between_heap_and_stack(items: list[Item], kind: str, address: int, trace: bool, runner: Runner) -> None:
    with pytest.raises(GuestTrap) as caught:
        execute(assemble(items), b"input", trace=trace, runner=runner)
    message = str(caught.value).splitlines()[0]
    assert caught.value.kind == kind
    assert f"0x{address:08x}" in message
    assert ("stack overflow: " in message, "the stack reaches down to 0x10000000" in message) == (kind == "stack_overflow",) * 2


def test_the_words_beside_the_guard_belong_to_heap_and_stack() -> None:
    items: list[Item] = [("li", "t0", LIMIT), ("sw", "sp", "t0", -4), ("li", "t1", FLOOR), ("sw", "sp", "t1", 0)]
    run = execute(assemble([*items, ("li", "a0", 0), *EXIT]))
    assert run.zero_address.tolist() == [(LIMIT - 4) // 4, FLOOR // 4]


def test_trap_message() -> None:
    image = assemble(["start", ("li", "a0", 0x123), "middle", ("nop",), ("lw", "a1", "a0", 0)])
    with pytest.raises(GuestTrap) as caught:
        execute(image)
    first, second, *registers = str(caught.value).splitlines()
    assert first == "misaligned access of address 0x00000123"
    assert second == "  at pc 0x00010008 <middle+0x4> after 2 cycles: lw a1, 0(a0)"
    assert len(registers) == 8
    assert "a0 = 0x00000123" in registers[2]


@pytest.mark.parametrize("number", [93, 94])
@pytest.mark.parametrize("code", [0, 7, 255, 256, 0xFFFF_FFFF])
def test_exit_codes(number: int, code: int) -> None:
    execution = execute(assemble(call(number, code)))
    assert execution.exit_code == code
    assert execution.cycles == len(execution.steps) + 1
    (last,) = execution.ecalls
    assert (last["a7"], last["a0"], last["result"], last["time"]) == (number, code, code, 4 * execution.cycles)


def test_a_program_of_one_instruction() -> None:
    """a7 = 0 is no call that ends the run, so it goes on and leaves the program."""
    with pytest.raises(GuestTrap) as caught:
        execute(assemble([("ecall",)]))
    assert (caught.value.kind, caught.value.cycle) == ("jump_outside_program", 1)


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ((63, 1, DATA, 4), calls.EBADF),
        ((63, 3, DATA, 4), calls.EBADF),
        ((64, 0, DATA, 4), calls.EBADF),
        ((64, 4, DATA, 4), calls.EBADF),
        ((64, -1, 0, -1), calls.EBADF),
        ((63, 0, 0, 0), 0),
        ((64, 3, 0, 0), 0),
        ((64, 2, 0xFFFF_FFFF, 0), 0),
        ((63, 0, DATA, 3), 3),
        ((63, 0, DATA, 100), 9),
        ((0, 1, 2, 3), calls.ENOSYS),
        ((92, 1, 2, 3), calls.ENOSYS),
        ((0xFFFF_FFFF, 1, 2, 3), calls.ENOSYS),
        ((214, 0), DATA + 16),
        ((214, DATA + 15), DATA + 16),
        ((214, DATA + 17), DATA + 17),
        ((214, LIMIT), LIMIT),
        ((214, LIMIT + 1), DATA + 16),
    ],
)
def test_results_of_calls(arguments: tuple[int, ...], result: int) -> None:
    image = assemble([*call(*arguments), *EXIT], data=bytes(16))
    execution = execute(image, b"nine char")
    assert execution.exit_code == result
    assert int(execution.ecalls[0]["result"]) == result


def test_read_keeps_the_bytes_around_its_buffer() -> None:
    items = [*call(63, 0, DATA + 3, 6), *call(64, 3, DATA, 16), *call(63, 0, DATA, 99), *call(64, 3, DATA, 3)]
    items += [*call(63, 0, DATA, 9), *EXIT]
    execution = execute(assemble(items, data=b"0123456789abcdef"), b"ABCDEFGHI")
    assert execution.journal == b"012ABCDEF9abcdefGHI"
    assert execution.exit_code == 0
    assert execution.reads[["address", "remaining", "count"]].tolist() == [
        (DATA + 3, 6, 1),
        (DATA + 4, 5, 4),
        (DATA + 8, 1, 1),
        (DATA, 3, 3),
    ]
    assert execution.ecalls["count"].tolist() == [6, 16, 3, 3, 0, 0]
    assert execution.writes["index"].tolist() == [0, 4, 8, 12, 16]
    # A call takes as long as any instruction, whatever it moves.
    assert int(execution.ecalls["time"][1] - execution.ecalls["time"][0]) == 4 * 6


def test_output_goes_to_the_hooks_and_the_result() -> None:
    items = [*call(64, 1, RODATA, 5), *call(64, 2, RODATA + 5, 3), *call(64, 1, RODATA + 8, 2), ("li", "a0", 0), *EXIT]
    seen: list[tuple[str, bytes]] = []
    image = assemble(items, rodata=b"helloerr!!")
    execution = execute(image, stdout=lambda data: seen.append(("out", data)), stderr=lambda data: seen.append(("err", data)))
    assert seen == [("out", b"hello"), ("err", b"err"), ("out", b"!!")]
    assert (execution.stdout, execution.stderr, execution.journal) == (b"hello!!", b"err", b"")
    assert len(execution.writes) == 0


def test_brk_memory_is_usable_and_zero() -> None:
    items: list[Item] = [*call(214, 0), ("mv", "s0", "a0"), ("lui", "t0", 256), ("add", "a0", "a0", "t0"), ("ecall",)]
    items += [("sub", "a0", "a0", "s0"), ("lw", "t1", "s0", 64), ("add", "a0", "a0", "t1"), ("sw", "a0", "s0", 64), *EXIT]
    execution = execute(assemble(items))
    assert execution.exit_code == 1 << 20
    assert execution.zero_last.tolist() == [1 << 20]


def test_the_stack_starts_at_zero_words() -> None:
    """argc, the ends of argv and envp, and the two words that end auxv."""
    items: list[Item] = [("lw", f"t{index}", "sp", 4 * index) for index in range(5)]
    items += [("or", "a0", "t0", "t1"), ("or", "a0", "a0", "t2"), ("or", "a0", "a0", "t3"), ("or", "a0", "a0", "t4"), *EXIT]
    execution = execute(assemble(items))
    assert execution.exit_code == 0
    assert len(execution.zero_address) == 5
    assert int(execution.steps["v1"][0]) % 16 == 0


@pytest.mark.parametrize("trace", [False, True])
def test_cycle_limit(trace: bool) -> None:
    image = assemble([("j", 0)])
    with pytest.raises(LimitError, match="1000 cycles"):
        execute(image, trace=trace, max_cycles=1000)
    short = assemble([("li", "a0", 0), *EXIT])
    assert execute(short, trace=trace, max_cycles=3).cycles == 3
    with pytest.raises(LimitError):
        execute(short, trace=trace, max_cycles=2)


def test_memory_limit() -> None:
    """A guest that touches page after page, and one that only runs long."""
    walk: list[Item] = [("li", "t0", DATA), ("lui", "t1", 1), "loop", ("sw", "t0", "t0", 0), ("add", "t0", "t0", "t1"), ("j", "loop")]
    with pytest.raises(LimitError, match="GiB after"):
        execute(assemble(walk, data=bytes(4)), trace=False, max_memory=10 << 20)
    with pytest.raises(LimitError, match="GiB after"):
        execute(assemble([("j", 0)]), max_memory=10 << 20, max_cycles=1 << 24)


def test_a_traced_run_needs_no_more_than_it_touches() -> None:
    execution = execute(assemble([("li", "a0", 0), *EXIT]), max_memory=2 << 20)
    assert execution.cycles == 3


def test_a_run_in_slices_is_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    items: list[Item] = [("li", "t0", 500), ("addi", "t0", "t0", -1), ("bnez", "t0", -4), ("li", "a0", 0), *EXIT]
    expected = execute(assemble(items))
    monkeypatch.setattr("zkvm.riscv.vm.executor.TIME_SLICE", 7)
    assert np.array_equal(execute(assemble(items)).steps, expected.steps)


@pytest.mark.parametrize("runner", [run_kernel, run_reference])
def test_writes_to_x0_go_to_the_sink(runner: Runner) -> None:
    items: list[Item] = [("li", "zero", 5), ("call", 4), ("jal", 0, 4), ("add", "a0", "zero", "zero"), *EXIT]
    execution = execute(assemble(items), runner=runner)
    assert execution.exit_code == 0
    sink = execution.image.ram_address.tolist().index(opcodes.SINK)
    assert execution.ram_last[sink] == TEXT + 12
    assert execution.steps["vd_prev"][2] == 5
