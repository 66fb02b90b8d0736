"""Instruction chips by declaration: what follows from one, and which declarations are refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from zkvm.riscv.chips.add import AddChip
from zkvm.riscv.chips.buses import MEMORY, PROGRAM, STATE
from zkvm.riscv.chips.compare import CompareChip
from zkvm.riscv.chips.divide import DivideChip
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.isa.opcodes import ADD, BGE, BLT, DIV, DIVU, REM, SLL, SLT, SLTI, SLTU, SRA, SRL, SUB
from zkvm.riscv.machine import machine
from zkvm.stark.air.builder import AirBuilder
from zkvm.stark.air.columns import bit, cell
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import lift, straighten

CHIPS = [chip for chip in machine().chips if isinstance(chip, InstructionChip)]
every_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)


def declare(**members: object) -> type[InstructionChip]:
    own = {"a": bit("first"), "b": bit("second")}
    return type("Declared", (InstructionChip,), {"name": "declared", "own": own, "operations": {ADD: ("a",), SUB: ("b",)}, **members})


def test_flags_modifiers_and_weights_follow_from_the_operations() -> None:
    assert (AddChip.flags, AddChip.modifiers) == (("add", "sub"), ())
    assert (CompareChip.flags, CompareChip.modifiers) == (("real",), ("unsigned", "immediate"))
    assert CompareChip.weights == {"real": SLT, "unsigned": SLTU - SLT, "immediate": SLTI - SLT}
    assert DivideChip.flags == ("signed_product", "mixed_product", "divide", "left", "right", "arithmetic")
    assert (DivideChip.weights["unsigned"], DivideChip.weights["remainder"]) == (DIVU - DIV, REM - DIV)


@pytest.mark.parametrize(
    "members",
    [
        {"operations": {ADD: ("a",), SUB: ("a",)}},  # one column, two numbers
        {"operations": {BLT: ("a",), BGE: ("a", "b"), SUB: ("b", "a")}},
        {"operations": {ADD: ("a", "b")}},  # nothing says what each adds
        {"operations": {ADD: ("absent",)}},
        {"own": {"a": bit("first"), "b": cell("not a bit")}},
        {"immediate": "a"},  # a flag
        {"immediate": "absent"},
        {"operations": {ADD: ("a",), SUB: ("a", "b")}, "immediate": "b", "reads": (1,)},  # there is no second read to replace
        {"own": {"a": bit("first"), "b": bit("second"), "t1": cell("a column of the first read")}},
        {"link": "rs1"},  # the program row's field says which register is read
        {"link": "rs2", "reads": (1,), "writes": False},  # nothing is linked
    ],
)
def test_inconsistent_declarations_are_refused(members: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="^declared: "):
        declare(**members)


@every_chip
def test_every_bit_is_boolean(chip: InstructionChip) -> None:
    """Each column declared as a bit has its constraint, or the product of the constraint is that of the column with itself less 1."""
    expected = AirBuilder()
    for name in chip.columns:
        if chip.columns[name].bits == 1:
            expected.assert_bool(name, chip.row[name])
    code = straighten([constraint.expr for constraint in (*chip.air_constraints, *expected.constraints)])
    present = set(code.outputs[: len(chip.air_constraints)])
    missing = [
        item.label
        for item, place in zip(expected.constraints, code.outputs[len(chip.air_constraints) :], strict=True)
        if place not in present
    ]
    assert missing == []


@every_chip
def test_each_access_is_connected_and_neutral(chip: InstructionChip) -> None:
    """One pair, one look-up of its time and one constraint on its time for each access, and one on its value if it writes."""
    accesses = chip.accesses(chip.row)
    memory = [pair.label for pair in chip.air_buses.pairs if (pair.send or pair.receive).bus is MEMORY]  # type: ignore[union-attr]
    labels = [constraint.label for constraint in chip.air_constraints]
    of_memory = [access.label for access in chip.memory(chip.row)]
    assert [access.label for access in accesses] == [f"rs{number}" for number in chip.reads] + of_memory + ["rd"] * chip.writes
    assert memory == [f"{access.label} access" for access in accesses]
    assert len(set(memory)) == len(memory)
    assert [lookup.label for lookup in chip.air_buses.lookups if lookup.label.endswith(" is later")] == [
        f"{access.label} is later" for access in accesses
    ]
    for access in accesses:
        assert f"{access.label} keeps its time unless live" in labels
        assert (f"{access.label} keeps its value unless live" in labels) == (access.after is not access.before)


def allowed(chip: InstructionChip) -> NDArray[np.uint64]:
    """Every setting of a chip's own bits that ``booleans`` allows: (columns, settings), the other cells 0."""
    bits = [name for name in chip.own if chip.own[name].bits == 1]
    main = np.zeros((len(chip.main), 1 << len(bits)), np.uint64)
    for place, name in enumerate(bits):
        main[chip.main.index(name)] = np.arange(1 << len(bits)) >> place & 1
    air = AirBuilder()
    chip.booleans(air, chip.row)
    values = evaluate_columns(straighten([constraint.expr for constraint in air.constraints]), main, main[:0])
    return main[:, ~np.any(np.stack(values) != 0, axis=0)]


def undeclared(chip: InstructionChip) -> set[tuple[str, ...]]:
    """Settings that are allowed and are neither idle nor what an operation sets, by the names that are set."""
    main = allowed(chip)
    real, operation = evaluate_columns(straighten([chip.real(chip.row), lift(chip.operation(chip.row))]), main, main[:0])
    assert {int(number) for number in operation[real == 1]} >= set(chip.operations)
    found = set()
    for column, is_real, number in zip(main.T, real.tolist(), operation.tolist(), strict=True):
        chosen = {name for name in chip.weights if column[chip.main.index(name)]}
        expected = chip.operations.get(number) if is_real == 1 else () if is_real == 0 else None
        if expected is None or chosen != set(expected):
            found.add(tuple(name for name in chip.own if column[chip.main.index(name)]))
    return found


@every_chip
def test_all_bits_that_are_allowed_say_an_operation(chip: InstructionChip) -> None:
    """No modifier beside another flag adds up to an operation that the row does not compute, of this chip or of any other."""
    assert undeclared(chip) == set()


def test_a_modifier_beside_another_flag_is_noticed() -> None:
    """A left shift with the modifier of the other would have the number of a right shift."""
    own = {"left": bit("first"), "right": bit("second"), "arithmetic": bit("modifier")}
    chip = declare(own=own, operations={SLL: ("left",), SRL: ("right",), SRA: ("right", "arithmetic")})()
    assert chip.weights["left"] + chip.weights["arithmetic"] == SRL
    assert undeclared(chip) == {("left", "arithmetic")}


@every_chip
def test_one_state_step_and_one_instruction(chip: InstructionChip) -> None:
    buses = chip.air_buses
    assert [pair.label for pair in buses.pairs if pair.send is not None and pair.send.bus is STATE] == ["state"]
    assert [lookup.label for lookup in buses.lookups if lookup.message.bus is PROGRAM] == ["instruction"]


@every_chip
def test_every_operation_is_proven_by_one_chip(chip: InstructionChip) -> None:
    others = [other for other in CHIPS if other.rom == chip.rom and type(other).__name__.rstrip("2") != type(chip).__name__.rstrip("2")]
    assert not {number for other in others for number in other.operations} & set(chip.operations)
