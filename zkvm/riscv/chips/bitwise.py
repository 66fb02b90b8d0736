"""Bitwise logic: ``AND OR XOR`` of registers and ``ANDI ORI XORI`` with a constant.

| bus | what |
|---|---|
| state | (pc, t) -> (pc + 4, t + 4) |
| program | the instruction |
| memory | rs1 at t, rs2 at t + 1 (neutral for a constant), rd at t + 3 |
| and | bytes of both operands and of their conjunction, four times |
| range | each access is later than what it consumes |

The second operand is ``v2 + imm``: for a constant no register is read and v2 is 0; for a register the program table says imm = 0.

**Sound.** Both operands are words and the AND table makes their four parts bytes: the split is canonical, since four weighted bytes
stay below p. ``x | y = x + y - (x & y)`` and ``x ^ y = x + y - 2 (x & y)`` hold byte by byte, so every result is a word.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips import common
from zkvm.riscv.chips.buses import AND as AND_BUS
from zkvm.riscv.chips.common import Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import AND, ANDI, OR, ORI, XOR, XORI
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, limb, word
from zkvm.stark.air.expression import Expr, weighted_sum
from zkvm.stark.field.goldilocks import P

OPERATIONS = (AND, OR, XOR, ANDI, ORI, XORI)
BYTE_WEIGHTS = [1, 1 << 8, 1 << 16, 1 << 24]
_INVERSE_TWO_24 = pow(1 << 24, -1, P)


class BitwiseChip(InstructionChip):
    """One bitwise operation a row."""

    name = "bitwise"
    operations = OPERATIONS
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.read_columns(2),
        **common.write_columns(),
        imm=word("constant from the program table, 0 for a register"),
        conjunction=bit("the row is and"),
        disjunction=bit("the row is or"),
        exclusive=bit("the row is xor"),
        immediate=bit("the second operand is a constant"),
        **{f"x{k}": limb(8, f"byte {k} of the first operand; the top one is a linear expression") for k in range(3)},
        **{f"y{k}": limb(8, f"byte {k} of the second operand") for k in range(3)},
        **{f"z{k}": limb(8, f"byte {k} of both operands' conjunction") for k in range(4)},
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, "conjunction", "disjunction", "exclusive")
        air.assert_bool("immediate is boolean", row.immediate)
        air.assert_zero("an immediate row is real", row.immediate * (1 - self.real(row)))
        common.assert_neutral(air, row.t, self.accesses(row))
        air.assert_zero("a constant reads no register", row.immediate * row.v2)
        both, either = self.both(row), row.v1 + row.v2 + row.imm
        result = row.conjunction * both + row.disjunction * (either - both) + row.exclusive * (either - both * 2)
        air.assert_equal("result of the operation", row.vd, result)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        real = self.real(row)
        op = common.selected(row, {"conjunction": AND, "disjunction": OR, "exclusive": XOR, "immediate": ANDI - AND})
        common.connect_instruction(buses, row, real, op, rd=row.rd, rs1=row.rs1, rs2=row.rs2, imm=row.imm)
        common.connect_accesses(buses, row.t, self.accesses(row))
        first = _bytes(row, "x", row.v1)
        second = _bytes(row, "y", row.v2 + row.imm)
        for k in range(4):
            buses.lookup(f"conjunction of bytes {k}", AND_BUS, (first[k], second[k], row[f"z{k}"]), real)

    def real(self, row: Row) -> Expr:
        """1 on used rows."""
        return row.conjunction + row.disjunction + row.exclusive

    def both(self, row: Row) -> Expr:
        """x & y."""
        return weighted_sum([row[f"z{k}"] for k in range(4)], BYTE_WEIGHTS)

    def accesses(self, row: Row) -> list[Access]:
        """The register accesses; the second read only for a register operand."""
        real = self.real(row)
        return [common.read_rs1(row, real), common.read_rs2(row, real - row.immediate), common.write_rd(row, real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "rd", "vd", "vd_prev", "td", "imm")
        immediate = steps.is_op(ANDI, ORI, XORI)
        first, second = steps.field("v1"), steps.field("v2") + steps.field("imm")
        steps.put(
            trace,
            t2=np.where(immediate, steps.field("t"), steps.field("t2")),
            conjunction=steps.is_op(AND, ANDI),
            disjunction=steps.is_op(OR, ORI),
            exclusive=steps.is_op(XOR, XORI),
            immediate=immediate,
        )
        for k in range(4):
            shift = np.uint64(8 * k)
            steps.put(trace, **{f"z{k}": (first & second) >> shift & np.uint64(255)})
            if k < 3:
                steps.put(trace, **{f"x{k}": first >> shift & np.uint64(255), f"y{k}": second >> shift & np.uint64(255)})


def _bytes(row: Row, prefix: str, value: Expr) -> list[Expr]:
    low = [row[f"{prefix}{k}"] for k in range(3)]
    return [*low, (value - weighted_sum(low, BYTE_WEIGHTS[:3])) * _INVERSE_TWO_24]
