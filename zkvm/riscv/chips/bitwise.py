"""Bitwise logic: ``AND OR XOR`` of registers and ``ANDI ORI XORI`` with a constant.

The second operand is ``v2 + imm``: for a constant no register is read and v2 is 0; for a register the program table says imm = 0.

**Sound.** Both operands are words and the AND table makes their four parts bytes: the split is canonical, since four weighted bytes
stay below p. ``x | y = x + y - (x & y)`` and ``x ^ y = x + y - 2 (x & y)`` hold byte by byte, so every result is a word.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import AND as AND_BUS
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import AND, ANDI, OR, ORI, XOR, XORI
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, limb, word
from zkvm.stark.air.expression import Expr, weighted_sum
from zkvm.stark.field.goldilocks import P

BYTE_WEIGHTS = [1, 1 << 8, 1 << 16, 1 << 24]
_INVERSE_TWO_24 = pow(1 << 24, -1, P)


class BitwiseChip(InstructionChip):
    """One bitwise operation a row."""

    name = "bitwise"
    operations = {
        AND: ("conjunction",),
        OR: ("disjunction",),
        XOR: ("exclusive",),
        ANDI: ("conjunction", "immediate"),
        ORI: ("disjunction", "immediate"),
        XORI: ("exclusive", "immediate"),
    }
    constant = "imm"
    immediate = "immediate"
    own = {
        "imm": word("constant from the program table, 0 for a register"),
        "conjunction": bit("the row is and"),
        "disjunction": bit("the row is or"),
        "exclusive": bit("the row is xor"),
        "immediate": bit("the second operand is a constant"),
        **{f"x{k}": limb(8, f"byte {k} of the first operand; the top one is a linear expression") for k in range(3)},
        **{f"y{k}": limb(8, f"byte {k} of the second operand") for k in range(3)},
        **{f"z{k}": limb(8, f"byte {k} of both operands' conjunction") for k in range(4)},
    }

    def relation(self, air: AirBuilder, row: Row) -> None:
        both, either = weighted_sum([row[f"z{k}"] for k in range(4)], BYTE_WEIGHTS), row.v1 + row.v2 + row.imm
        result = row.conjunction * both + row.disjunction * (either - both) + row.exclusive * (either - both * 2)
        air.assert_equal("result of the operation", row.vd, result)

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        first = _bytes(row, "x", row.v1)
        second = _bytes(row, "y", row.v2 + row.imm)
        for k in range(4):
            buses.lookup(f"conjunction of bytes {k}", AND_BUS, (first[k], second[k], row[f"z{k}"]), real)

    def witness(self, steps: Steps) -> Values:
        first, second = steps.field("v1"), steps.field("v2") + steps.field("imm")
        parts = {"x": first, "y": second, "z": first & second}
        places = [(stem, k) for k in range(4) for stem in parts if k < 3 or stem == "z"]
        return {f"{stem}{k}": parts[stem] >> np.uint64(8 * k) & np.uint64(255) for stem, k in places}


def _bytes(row: Row, prefix: str, value: Expr) -> list[Expr]:
    low = [row[f"{prefix}{k}"] for k in range(3)]
    return [*low, (value - weighted_sum(low, BYTE_WEIGHTS[:3])) * _INVERSE_TWO_24]
