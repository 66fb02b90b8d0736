"""Instruction chips by declaration: what follows from one, and which declarations are refused."""

from __future__ import annotations

import pytest

from zkvm.riscv.chips.add import AddChip
from zkvm.riscv.chips.buses import MEMORY, PROGRAM, STATE
from zkvm.riscv.chips.compare import CompareChip
from zkvm.riscv.chips.divide import DivideChip
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.isa.opcodes import ADD, BGE, BLT, DIV, DIVU, REM, SLT, SLTI, SLTU, SUB
from zkvm.riscv.machine import machine
from zkvm.stark.air.builder import AirBuilder
from zkvm.stark.air.columns import bit, cell
from zkvm.stark.air.expression import straighten

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
    assert memory == [f"{access.label} access" for access in accesses]
    assert len(set(memory)) == len(memory)
    assert [lookup.label for lookup in chip.air_buses.lookups if lookup.label.endswith(" is later")] == [
        f"{access.label} is later" for access in accesses
    ]
    for access in accesses:
        assert f"{access.label} keeps its time unless live" in labels
        assert (f"{access.label} keeps its value unless live" in labels) == (access.after is not access.before)


@every_chip
def test_one_state_step_and_one_instruction(chip: InstructionChip) -> None:
    buses = chip.air_buses
    assert [pair.label for pair in buses.pairs if pair.send is not None and pair.send.bus is STATE] == ["state"]
    assert [lookup.label for lookup in buses.lookups if lookup.message.bus is PROGRAM] == ["instruction"]


@every_chip
def test_every_operation_is_proven_by_one_chip(chip: InstructionChip) -> None:
    others = [other for other in CHIPS if other.rom == chip.rom and type(other).__name__.rstrip("2") != type(chip).__name__.rstrip("2")]
    assert not {number for other in others for number in other.operations} & set(chip.operations)
