"""Proofs of real runs: every instruction family, one program with every instruction, whole guests, wrong claims."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from tests.proving import GUESTS, guest_image, prove_and_verify, prove_execution
from tests.riscv.vm.programs import REGION, ProgramWriter
from tests.sample import sample_image
from zkvm.errors import RejectReason, VerificationError
from zkvm.riscv.header import ImageHeader, preprocessed_chips, run_statement
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.air.check import check_tables
from zkvm.stark.air.table import Table
from zkvm.stark.protocol.params import Policy, parameters
from zkvm.stark.protocol.preprocessed import commitment_order, preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover.tapes import evaluate_columns
from zkvm.stark.tables import build_tables
from zkvm.stark.verifier.verify import verify_proof

WORDS = b"".join(word.to_bytes(4, "little") for word in (0xDEADBEEF, 0x80000001, 0x7FFF8080, 5))
START = [("li", "a0", 0x80000001), ("li", "a1", 7), ("li", "s0", 0x800000), ("li", "s1", 0x400000)]

FAMILIES: dict[str, list[object]] = {
    "add": [("add", "a2", "a0", "a1"), ("sub", "a2", "a1", "a0"), ("add", "a2", "a2", "a2")],
    "add_immediate": [("addi", "a2", "a0", -5), ("lui", "a3", 0xFFFFF), ("auipc", "a4", 1), ("fence",), ("slli", "a2", "a0", 0)],
    "compare": [("slt", "a2", "a0", "a1"), ("sltu", "a2", "a0", "a1"), ("slti", "a2", "a0", -1), ("sltiu", "a2", "a0", -1)],
    "bitwise": [(op, "a2", "a0", "a1") for op in ("and", "or", "xor")] + [(op, "a2", "a0", -7) for op in ("andi", "ori", "xori")],
    "multiply": [("mul", "a2", "a0", "a0"), ("mulhu", "a2", "a0", "a0")],
    "multiply_immediate": [("slli", "a2", "a0", 31), ("srli", "a2", "a0", 1), ("srai", "a2", "a0", 31)],
    "divide-shift": [(op, "a2", "a0", register) for op in ("sll", "srl", "sra") for register in ("a1", "a0")],
    "divide": [(op, "a2", x, y) for op in ("div", "divu", "rem", "remu", "mulh", "mulhsu") for x, y in (("a0", "a1"), ("a1", "zero"))],
    "branch_equal": [("beq", "a0", "a1", 8), ("bne", "a0", "a1", 8), ("nop",), ("nop",)],
    "branch_less": [(op, "a0", "a1", 4) for op in ("blt", "bge", "bltu", "bgeu")],
    "jump": [("jal", "ra", 8), ("nop",), ("jal", "zero", 4)],
    "jump_register": [("auipc", "a2", 0), ("jalr", "ra", "a2", 9), ("nop",)],
    "load_word": [("lw", "a2", "s0", 4)],
    "load_word_rom": [("lw", "a2", "s1", 8)],
    "store_word": [("sw", "a0", "s0", 12), ("lw", "a2", "s0", 12)],
    "load_part": [(op, "a2", base, place) for op, place in (("lb", 3), ("lbu", 1), ("lh", 2), ("lhu", 0)) for base in ("s0", "s1")],
    "store_part": [("sb", "a0", "s0", 3), ("sh", "a0", "s0", 6), ("lw", "a2", "s0", 4)],
    "refresh": [("li", "t0", 20000), "again", ("addi", "t0", "t0", -1), ("bnez", "t0", "again"), ("add", "a2", "a0", "a1")],
    "zero_init": [("li", "t0", 0x800010), ("lw", "a2", "t0", 0), ("sw", "a0", "t0", 0), ("sw", "a0", "t0", 8), ("sw", "sp", "sp", -64)],
    "brk": [("li", "a7", 214), ("li", "a0", 0), ("ecall",), ("addi", "a0", "a0", 64), ("ecall",), ("li", "a0", -1), ("ecall",)],
}
CLOSE = [("li", "a0", 0), *EXIT]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_proves(family: str) -> None:
    image = assemble([*START, *FAMILIES[family], *CLOSE], data=WORDS, rodata=WORDS, bss=64)  # type: ignore[list-item]
    execution, shape = prove_and_verify(image)
    assert execution.exit_code == 0
    present = {table.code.chip.name for table in shape.tables}
    assert family.partition("-")[0] in present


def test_smallest_program() -> None:
    """Nothing but the exit call, with registers as they start: a7 must be 93, so two instructions."""
    execution, shape = prove_and_verify(assemble([("addi", "a7", "zero", 93), ("ecall",)]))
    assert (execution.cycles, execution.journal) == (2, b"")
    assert "ecall" in {table.code.chip.name for table in shape.tables}


@pytest.mark.parametrize("code", [1, 255, 0xFFFFFFFF])
def test_exit_code_is_proven(code: int) -> None:
    execution = execute(assemble([("li", "a0", code), *EXIT]))
    assert execution.exit_code == code
    statement, proof = prove_execution(execution)
    assert verify_proof(machine(), statement, proof, Policy()).tallest >= 1 << 15


def test_second_instances_are_their_first_ones_again() -> None:
    codes = {code.chip.name: code for code in machine().codes}
    seconds = [chip for chip in machine().chips if chip.first is not None]
    assert len(seconds) == 20
    for chip in seconds:
        first, second = codes[str(chip.first)], codes[chip.name]
        assert (first.straight, first.groups, first.plan.running) == (second.straight, second.groups, second.plan.running)
        assert not chip.mandatory
        assert set(chip.serves) <= set(chip.counted), "who fills the tables counts what they serve"


def test_a_run_with_second_instances_proves() -> None:
    """5,000 steps of one kind and their refreshes fill a table of 4,096 rows and a second one."""
    items = [("li", "t0", 2600), "again", ("addi", "t0", "t0", -1), ("addi", "a3", "a3", 1), ("bnez", "t0", "again"), *CLOSE]
    _, shape = prove_and_verify(assemble(items))
    heights = {table.code.chip.name: table.height for table in shape.tables}
    assert (heights["add_immediate"], heights["add_immediate_2"]) == (4096, 2048)


def cases(name: str) -> list[dict[str, object]]:
    """The recorded runs of a committed guest."""
    recorded: list[dict[str, object]] = json.loads((GUESTS / name / "expected.json").read_text())["cases"]
    return recorded


@pytest.mark.parametrize("name", ["all_instructions", "digits", "echo", "hello"])
def test_guests_prove(name: str) -> None:
    case = cases(name)[-1]
    execution, _ = prove_and_verify(guest_image(name), bytes.fromhex(str(case["input"])), parameters("balanced", 100))
    assert execution.journal.hex() == case["journal"]
    assert execution.exit_code == case["exit_code"]
    assert execution.cycles == case["cycles"]


@pytest.mark.parametrize("address", range(4))
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 11])
def test_read_and_commit_at_every_offset(address: int, count: int) -> None:
    """read and write(3) with every offset and count mod 4: proven at checker level in tests/riscv/chips, here the run is right."""
    data = bytes(range(0xA0, 0xC0))
    items = [
        ("li", "a7", 63), ("li", "a0", 0), ("li", "a1", 0x800004 + address), ("li", "a2", count), ("ecall",),
        ("li", "a7", 64), ("li", "a0", 3), ("li", "a1", 0x800000), ("li", "a2", 32), ("ecall",), *CLOSE,
    ]  # fmt: skip
    execution = execute(assemble(items, data=data), bytes(range(1, 65)))
    expected = bytearray(data)
    expected[4 + address : 4 + address + count] = bytes(range(1, count + 1))
    assert execution.journal == bytes(expected)


@cache
def echo() -> tuple[Execution, Statement, Proof]:
    """A run with input and journal, proven once."""
    case = cases("echo")[-1]
    execution = execute(guest_image("echo"), bytes.fromhex(str(case["input"])))
    assert len(execution.journal) > 4
    return execution, *prove_execution(execution)


def refused(statement: Statement, proof: Proof) -> RejectReason:
    """Why this pair is refused."""
    with pytest.raises(VerificationError) as caught:
        verify_proof(machine(), statement, proof, Policy())
    return caught.value.reason


def restated(journal: bytes | None = None, exit_code: int | None = None, **changes: object) -> Statement:
    """The echo statement with another claim or image header."""
    execution, statement, _ = echo()
    image = execution.image
    heights = tuple(height for chip, height in zip(machine().chips, statement.preprocessed_heights, strict=True) if len(chip.preprocessed))
    fields: dict[str, object] = {
        "entry": image.entry,
        "initial_sp": image.initial_sp,
        "gaps": image.gaps,
        "heights": heights,
        "roots": (statement.preprocessed_root, bytes(32), bytes(32)),
    }
    header = ImageHeader(**(fields | changes))  # type: ignore[arg-type]
    claimed = execution.journal if journal is None else journal
    return run_statement(header, parameters("fast", 100), claimed, execution.exit_code if exit_code is None else exit_code)


def test_restated_claim_is_accepted_unchanged() -> None:
    assert verify_proof(machine(), restated(), echo()[2], Policy()).tallest >= 1 << 15


def test_wrong_claims_are_refused() -> None:
    execution, _, proof = echo()
    journal = execution.journal
    swapped = journal[1::-1] + journal[2:]
    assert swapped != journal
    for other in (swapped, journal[:-1], journal + b"\0", b"", journal[1:]):
        assert refused(restated(journal=other), proof) is RejectReason.BUS
    assert refused(restated(exit_code=execution.exit_code + 1), proof) is RejectReason.BUS
    image = execution.image
    assert refused(restated(entry=image.entry + 4), proof) is RejectReason.BUS
    assert refused(restated(gaps=image.gaps[:-1]), proof) is RejectReason.BUS
    assert refused(restated(roots=(bytes(32),) * 3), proof) is RejectReason.BUS


def test_wrong_claim_cannot_be_proven_either() -> None:
    execution, _, _ = echo()
    for change in ({"journal": execution.journal[::-1]}, {"exit_code": 77}):
        statement, proof = prove_execution(execution, **change)
        assert refused(statement, proof) is RejectReason.BUS


def test_forged_journal_byte_is_refused_by_the_verifier() -> None:
    """The last journal byte and the byte of the word it came from, changed together: the memory bus does not close."""
    execution, _, _ = echo()
    journal = execution.journal[:-1] + bytes([execution.journal[-1] ^ 1])

    def forge(tables: Sequence[Table]) -> None:
        table = next(table for table in tables if table.chip.name == "write_rows")
        names = list(table.chip.columns)
        offset = int(execution.writes[-1]["address"] + execution.writes[-1]["count"] - 1) % 4
        table.main[names.index(f"byte_{offset}"), table.used - 1] ^= np.uint64(1)

    statement, proof = prove_execution(execution, forge=forge, journal=journal)
    assert refused(statement, proof) is RejectReason.BUS


@pytest.mark.parametrize("seed", range(24))
def test_random_programs_satisfy_the_machine(seed: int) -> None:
    """Executor and circuit agree: every constraint and every bus holds on random whole programs."""
    execution = execute(ProgramWriter(1000 + seed).write())
    image, chosen = execution.image, parameters("fast", 100)
    columns = preprocess(machine(), image)
    tables = build_tables(machine(), execution, image, chosen.exempt, preprocessed=columns, evaluate=evaluate_columns)
    heights = tuple(columns[name].shape[1] if name in columns else 0 for name in preprocessed_chips())
    header = ImageHeader(image.entry, image.initial_sp, image.gaps, heights, (bytes(32),) * 3)
    statement = run_statement(header, chosen, execution.journal, execution.exit_code)
    assert execution.cycles > 50
    assert check_tables(tables, statement.closings) == []


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_prove(seed: int) -> None:
    execution, _ = prove_and_verify(ProgramWriter(2000 + seed).write())
    assert len(execution.journal) == REGION


def test_all_machines_have_one_preprocessed_tree() -> None:
    """The columns of a program, in one order, whichever machine proves it: so it has one root, and one image ID."""
    image = sample_image()
    columns = preprocess(machine(), image)
    for other in (segment_machine(), memory_machine()):
        own = preprocess(other, image)
        assert commitment_order(other, own) == commitment_order(machine(), columns)
        assert all((own[name] == columns[name]).all() for name in columns)
        assert tuple(chip.name for chip in other.chips if len(chip.preprocessed)) == preprocessed_chips()
