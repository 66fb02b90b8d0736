"""The machine against Unicorn (QEMU's RISC-V core): every instruction on random states, and random whole programs."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.riscv.vm.programs import (
    BRANCHES,
    CORNERS,
    IMMEDIATE_OPS,
    LOAD_SIZES,
    REGION,
    REGISTER_OPS,
    SHIFT_OPS,
    STORE_SIZES,
    label_address,
    random_program,
    random_word,
    run_unicorn,
)
from zkvm.riscv.isa.rv32im import BY_NAME
from zkvm.riscv.records import Image
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute

STATES = 10_000
"""Random states for each instruction."""
INSTANCES, ROUNDS = 250, 40
"""Different encodings in a program, and how often it runs through them, each time with other operands."""
INPUT, OUTPUT, COUNT = 31, 30, 29
"""Registers that walk through operands and results, and count the rounds; an instance may use all below."""
USABLE = 29
JOURNAL: tuple[Item, ...] = (("li", 10, 3), ("li", 17, 64), ("ecall",), ("li", 10, 0), *EXIT)
AREA = 4096
"""Bytes that loads and stores work on, at the start of the data."""


def any_register(rng: random.Random, *others: int) -> int:
    """x0 and registers that the instruction already uses are likely."""
    choice = rng.random()
    if choice < 0.1:
        return 0
    return rng.choice(others) if others and choice < 0.3 else rng.randrange(USABLE)


def run_both(image: Image, start: int, length: int) -> tuple[bytes, bytes]:
    """The final bytes [start, start + length) here, by way of the journal, and under Unicorn."""
    return execute(image, trace=False).journal, run_unicorn(image, label_address(image, "end"), start, length)


def check_rounds(instances: list[tuple[Item, int, int, int]], operands: list[int], area: bytes = b"") -> None:
    """Run instances (instruction, rd, rs1, rs2) on operands (rs1, rs2 and rd for each, round by round); compare what they leave.

    After each instance the three registers go to the output; the area that loads and stores work on is compared too.
    """
    items: list[Item] = [("li", INPUT, DATA + len(area)), ("la", OUTPUT, "bss"), ("li", COUNT, len(operands) // (3 * len(instances)))]
    items.append("loop")
    for instruction, rd, rs1, rs2 in instances:
        items += [("lw", rs1, INPUT, 0), ("lw", rs2, INPUT, 4), *([("lw", rd, INPUT, 8)] if rd not in (rs1, rs2) else [])]
        items += [instruction, ("sw", rd, OUTPUT, 0), ("sw", rs1, OUTPUT, 4), ("sw", rs2, OUTPUT, 8)]
        items += [("addi", INPUT, INPUT, 12), ("addi", OUTPUT, OUTPUT, 12)]
    items += [("addi", COUNT, COUNT, -1), ("beqz", COUNT, "end"), ("j", "loop"), "end"]
    length = len(area) + 8 * len(operands)
    items += [("li", 11, DATA), ("li", 12, length), *JOURNAL]
    data = area + np.array(operands, "<u4").tobytes()
    ours, theirs = run_both(assemble(items, data=data, bss=4 * len(operands)), DATA, length)
    assert len(ours) == len(theirs) == length
    assert ours != data + bytes(4 * len(operands))
    assert ours == theirs


@pytest.mark.parametrize("name", [*REGISTER_OPS, *IMMEDIATE_OPS, *SHIFT_OPS, "lui", "auipc", "fence"])
def test_computation(name: str) -> None:
    rng = random.Random(name)
    instances: list[tuple[Item, int, int, int]] = []
    for _ in range(INSTANCES):
        rs1 = any_register(rng)
        rs2 = any_register(rng, rs1)
        rd = any_register(rng, rs1, rs2)
        if name in REGISTER_OPS:
            item: Item = (name, rd, rs1, rs2)
        elif name in IMMEDIATE_OPS:
            item = (name, rd, rs1, rng.choice((0, 1, -1, 2047, -2048, rng.randrange(-2048, 2048))))
        elif name in SHIFT_OPS:
            item = (name, rd, rs1, rng.choice((0, 1, 31, rng.randrange(32))))
        elif name == "fence":
            item = (".word", BY_NAME[name].match | rng.getrandbits(8) << 20)
        else:
            item = (name, rd, rng.choice((0, 0x80000, 0xFFFFF, rng.getrandbits(20))))
        instances.append((item, rd, rs1, rs2))
    operands = [random_word(rng) for _ in range(3 * INSTANCES * ROUNDS)]
    assert INSTANCES * ROUNDS >= STATES
    check_rounds(instances, operands)


@pytest.mark.parametrize("name", [*LOAD_SIZES, *STORE_SIZES])
def test_memory(name: str) -> None:
    rng = random.Random(name)
    size = (LOAD_SIZES | STORE_SIZES)[name]
    instances: list[tuple[Item, int, int, int]] = []
    offsets: list[int] = []
    for _ in range(INSTANCES):
        rs1 = rng.randrange(1, USABLE)
        if name in LOAD_SIZES:
            rd = any_register(rng, rs1)
            rs2 = rs1
            offsets.append(rng.choice((0, 1, -1, 2047, -2048, rng.randrange(-2048, 2048))))
            instances.append(((name, rd, rs1, offsets[-1]), rd, rs1, rs2))
        else:
            rs2 = any_register(rng, *([] if rs1 == 0 else [rs1]))
            offsets.append(rng.choice((0, 1, -1, 2047, -2048, rng.randrange(-2048, 2048))))
            instances.append(((name, rs2, rs1, offsets[-1]), rs1, rs1, rs2))
    operands: list[int] = []
    for _ in range(ROUNDS):
        for (_, rd, rs1, rs2), offset in zip(instances, offsets, strict=True):
            address = DATA + rng.randrange(0, AREA, size) - offset
            # A register that is also the base gets its value last.
            operands += [address, address if rs2 == rs1 else random_word(rng), address if rd == rs1 else random_word(rng)]
    area = b"".join(random_word(rng).to_bytes(4, "little") for _ in range(AREA // 4))
    check_rounds(instances, operands, area)


@pytest.mark.parametrize("name", BRANCHES)
def test_branch(name: str) -> None:
    """Each instance marks whether it jumped; half of them jump backwards."""
    rng = random.Random(name)
    items: list[Item] = [("li", INPUT, DATA), ("la", OUTPUT, "bss"), ("li", COUNT, ROUNDS), "loop"]
    for number in range(INSTANCES):
        rs1 = any_register(rng)
        rs2 = any_register(rng, rs1)
        mark = rng.choice([register for register in range(1, USABLE) if register not in (rs1, rs2)])
        items += [("lw", rs1, INPUT, 0), ("lw", rs2, INPUT, 4), ("li", mark, 0)]
        taken, test, done = f"taken{number}", f"test{number}", f"done{number}"
        if rng.random() < 0.5:
            items += [(name, rs1, rs2, taken), ("li", mark, 1), ("j", done), taken, ("addi", mark, mark, 2), done]
        else:
            items += [("j", test), taken, ("addi", mark, mark, 4), ("j", done), test, (name, rs1, rs2, taken), ("li", mark, 8), done]
        items += [("sw", mark, OUTPUT, 0), ("addi", INPUT, INPUT, 8), ("addi", OUTPUT, OUTPUT, 4)]
    items += [("addi", COUNT, COUNT, -1), ("beqz", COUNT, "end"), ("j", "loop"), "end"]
    items += [("la", 11, "bss"), ("li", 12, 4 * INSTANCES * ROUNDS), *JOURNAL]
    data = np.array([random_word(rng) for _ in range(2 * INSTANCES * ROUNDS)], "<u4").tobytes()
    ours, theirs = run_both(assemble(items, data=data, bss=4 * INSTANCES * ROUNDS), DATA + len(data), 4 * INSTANCES * ROUNDS)
    assert set(np.frombuffer(theirs, "<u4").tolist()) == {1, 2, 4, 8}
    assert ours == theirs


@pytest.mark.parametrize("name", ["jal", "jalr"])
def test_jump(name: str) -> None:
    """Every state is an instance of its own: it jumps over marks, and stores its link."""
    rng = random.Random(name)
    items: list[Item] = [("la", OUTPUT, "bss"), ("li", 28, 0)]
    address = 0x1_0000 + 12
    for _ in range(STATES):
        skipped = rng.randrange(4)
        rd, rs1 = any_register(rng), rng.randrange(1, 28)
        rd = rs1 if rng.random() < 0.2 else rd % 28
        if name == "jal":
            jump: list[Item] = [("jal", rd, 4 + 4 * skipped)]
        else:
            offset = rng.randrange(-2048, 2048)
            target = address + 12 + 4 * skipped | rng.getrandbits(1)
            value = (target - offset) & 0xFFFF_FFFF
            jump = [("lui", rs1, (value + 0x800 >> 12) & 0xFFFFF), ("addi", rs1, rs1, ((value + 0x800) & 0xFFF) - 0x800)]
            jump.append(("jalr", rd, rs1, offset))
        items += jump + [("addi", 28, 28, 1)] * skipped + [("sw", rd, OUTPUT, 0), ("addi", OUTPUT, OUTPUT, 4)]
        address += 4 * (len(jump) + skipped + 2)
    items += ["end", ("sw", 28, OUTPUT, 0), ("la", 11, "bss"), ("li", 12, 4 * STATES + 4), *JOURNAL]
    image = assemble(items, bss=4 * STATES + 4)
    ours, theirs = run_both(image, DATA, 4 * STATES)
    assert ours == theirs + bytes(4)
    assert len(set(np.frombuffer(theirs, "<u4").tolist())) > STATES // 2


def test_every_instruction_is_covered() -> None:
    covered = {*REGISTER_OPS, *IMMEDIATE_OPS, *SHIFT_OPS, *LOAD_SIZES, *STORE_SIZES, *BRANCHES, "lui", "auipc", "fence", "jal", "jalr"}
    assert covered == set(BY_NAME) - {"ecall", "ebreak"}
    assert len(covered) == 46


@pytest.mark.parametrize("block", range(8))
def test_random_programs(block: int) -> None:
    """200 programs with loops, branches both ways, calls and memory."""
    cycles = 0
    for seed in range(25 * block, 25 * block + 25):
        image = random_program(seed)
        execution = execute(image, trace=False, max_cycles=100_000)
        assert execution.exit_code == 0
        assert len(execution.journal) == REGION
        assert execution.journal == run_unicorn(image, label_address(image, "call"), DATA, REGION), seed
        cycles += execution.cycles
    assert cycles > 1000


def test_li_reaches_every_corner() -> None:
    items: list[Item] = [("la", 5, "bss")]
    for index, value in enumerate(CORNERS):
        items += [("li", 6, value), ("sw", 6, 5, 4 * index)]
    items += ["end", ("la", 11, "bss"), ("li", 12, 4 * len(CORNERS)), *JOURNAL]
    ours, theirs = run_both(assemble(items, bss=4 * len(CORNERS)), DATA, 4 * len(CORNERS))
    assert np.frombuffer(ours, "<u4").tolist() == list(CORNERS)
    assert ours == theirs
