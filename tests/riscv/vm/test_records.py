"""The records of real runs are complete and consistent; kernel and reference interpreter record the same."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from tests.riscv.vm.memory_bus import check_memory_bus, check_results, check_state_bus
from tests.riscv.vm.programs import random_program
from zkvm.riscv.isa import calls, opcodes, semantics
from zkvm.riscv.kernels.source import interpreter as kernel
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm import state as state_module
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.riscv.vm.reference import run_reference

WORDS = (0, 1, 2, 31, 32, 33, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)


def wait(turns: int) -> list[Item]:
    """About ``turns`` x 8 of state time."""
    return [("li", "t6", turns), ("addi", "t6", "t6", -1), ("bnez", "t6", -4)]


def calls_program() -> Image:
    """Every system call, with registers, VM registers and words whose last access is long ago."""
    text: list[Item] = [("li", "t0", 123), ("la", "s0", "data"), ("lw", "t1", "s0", 0)]
    text += [("li", "a7", 63), ("li", "a0", 0), ("addi", "a1", "s0", 5), ("li", "a2", 30), ("ecall",)]
    text += wait(30_000)
    text += [("mv", "s1", "a0"), ("li", "a7", 64), ("li", "a0", 3), ("addi", "a1", "s0", 3), ("li", "a2", 29), ("ecall",)]
    text += [("li", "a0", 3), ("la", "a1", "rodata"), ("addi", "a1", "a1", 1), ("li", "a2", 6), ("ecall",)]
    text += wait(9_000)
    text += [("li", "a0", 3), ("li", "a2", 0), ("ecall",), ("li", "a0", 1), ("li", "a2", 3), ("ecall",)]
    text += [("li", "a0", 9), ("ecall",), ("li", "a7", 63), ("li", "a0", 7), ("ecall",), ("li", "a7", 1234), ("ecall",)]
    text += [("li", "a7", 214), ("li", "a0", 0), ("ecall",), ("addi", "a0", "a0", 100), ("ecall",), ("li", "a0", -1), ("ecall",)]
    text += wait(20_000)
    text += [("li", "a0", 0), ("ecall",), ("sw", "t0", "a0", 0), ("lbu", "t2", "s0", 3), ("lw", "t3", "a0", 0)]
    text += wait(20_000)
    text += [("li", "a7", 63), ("li", "a0", 0), ("mv", "a1", "s0"), ("li", "a2", 100), ("ecall",), ("li", "a0", 0), ("ecall",)]
    text += [("lh", "t4", "s0", 2), ("lw", "t5", "sp", 0), ("add", "t0", "t0", "t1"), ("sh", "t0", "sp", 2), ("sub", "a0", "s1", "s1")]
    return assemble([*text, *EXIT], data=bytes(range(64)), rodata=b"read only data", bss=64)


def same_records(left: Execution, right: Execution) -> None:
    """All fields but image and timings are equal."""
    for field in fields(Execution):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            assert np.array_equal(a, b), field.name
        elif field.name not in ("image", "seconds"):
            assert a == b, field.name


@pytest.mark.parametrize("seed", range(1000, 1024))
def test_random_programs(seed: int) -> None:
    image = random_program(seed)
    execution = execute(image)
    assert len(execution.steps) > 40
    check_memory_bus(execution)
    check_state_bus(execution)
    check_results(execution)
    same_records(execution, execute(image, runner=run_reference))
    bare = execute(image, trace=False)
    assert (bare.journal, bare.exit_code, bare.cycles) == (execution.journal, execution.exit_code, execution.cycles)
    assert not len(bare.steps)


def test_system_calls_and_refreshes() -> None:
    execution = execute(calls_program(), bytes(range(100, 150)))
    check_memory_bus(execution)
    check_state_bus(execution)
    assert len(execution.refreshes) > 15
    refreshed = set(execution.refreshes["address"].tolist())
    assert {opcodes.JOURNAL_POINTER, opcodes.BREAK, opcodes.HEAP_START, opcodes.HEAP_LIMIT} <= refreshed
    assert any(address < opcodes.REGISTER_BASE for address in refreshed)
    assert len(execution.reads) == 8 + 5
    assert np.count_nonzero(execution.writes["rom"]) == 2
    assert execution.writes["index"].tolist()[-1] == 32
    assert execution.ecalls["result"].tolist()[:7] == [30, 29, 6, 0, 3, calls.EBADF, calls.EBADF]


def test_kernel_and_reference_agree_on_refreshes() -> None:
    text: list[Item] = [
        ("li", "t0", 5),
        ("la", "s0", "data"),
        ("sw", "t0", "s0", 4),
        *wait(8_200),
        ("lw", "t1", "s0", 4),
        ("add", "t2", "t0", "t0"),
    ]
    image = assemble([*text, *EXIT], data=bytes(8))
    execution = execute(image)
    same_records(execution, execute(image, runner=run_reference))
    assert DATA + 4 in execution.refreshes["address"]
    check_memory_bus(execution)


@pytest.mark.parametrize("extra", [-4, 0, 4])
def test_a_gap_of_two_to_the_sixteen_needs_no_refresh(extra: int) -> None:
    """t0 is written at time 7; its next access is 2^16 later, or 4 less or more."""
    nops = ((1 << 16) + 7 + extra - 3 - 4) // 4 - 1
    image = assemble([("li", "t0", 5), *[("nop",)] * nops, ("li", "t0", 6), *EXIT])
    execution = execute(image)
    time = int(execution.steps["time"][nops + 1]) + 3
    assert time - 7 == (1 << 16) + extra
    refreshes = execution.refreshes[execution.refreshes["address"] == opcodes.REGISTER_BASE + 5]
    assert len(refreshes) == (extra > 0)
    check_memory_bus(execution)


def test_buffers_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_program(1001)
    expected = execute(image)
    monkeypatch.setattr(state_module, "FIRST_CAPACITY", 16)
    same_records(expected, execute(image))
    expected = execute(calls_program(), bytes(60))
    monkeypatch.setattr(state_module, "FIRST_CAPACITY", 32)
    same_records(expected, execute(calls_program(), bytes(60)))


def test_a_wrong_record_is_noticed() -> None:
    """The checks of this file see a changed value and a changed time."""
    execution = execute(random_program(1002))
    for field in ("v1", "td", "vd_prev"):
        steps = execution.steps.copy()
        chosen = int(np.flatnonzero(np.isin(execution.image.program["op"][steps["row"]], list(semantics.COMPUTE)))[0])
        steps[field][chosen] += 1
        with pytest.raises(AssertionError):
            check_memory_bus(replace(execution, steps=steps))


@pytest.mark.parametrize("op", semantics.COMPUTE)
def test_kernel_computes_like_the_semantics(op: int) -> None:
    for a in WORDS:
        for b in WORDS:
            assert kernel.compute(op, a, b) == semantics.COMPUTE[op](a, b), (a, b)


@pytest.mark.parametrize("op", semantics.TAKEN)
def test_kernel_branches_like_the_semantics(op: int) -> None:
    for a in WORDS:
        for b in WORDS:
            assert kernel.taken(op, a, b) == semantics.TAKEN[op](a, b), (a, b)


def test_kernel_loads_and_stores_like_the_semantics() -> None:
    for word in WORDS:
        for op, (size, _) in semantics.LOADS.items():
            for address in range(0, 4, size):
                assert kernel.loaded(op, word, address) == semantics.load(op, word, address)
        for op, size in semantics.STORES.items():
            for address in range(0, 4, size):
                for value in WORDS:
                    assert kernel.stored(op, word, address, value) == semantics.store(op, word, address, value)
