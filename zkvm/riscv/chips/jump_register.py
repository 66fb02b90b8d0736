"""Indirect jumps: ``JALR`` goes to (v1 + imm) mod 2^32 with its lowest bit cleared.

**Sound.** The target ``v1 + imm - 2^32 carry - low_bit`` needs no range check: whoever consumes it from the state bus looks an
instruction up at that pc, and the program table holds only multiples of 4 below 2^32. So target + low_bit is in [0, 2^32), which
fixes the carry, and the target is even, which fixes the bit. A target that is not a multiple of 4 has no instruction. Only the verifier
consumes a state without an instruction, the last one, and that has a time at which no jump arrives.
The written value pc + 4 is a word because the program table holds it.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.common import TWO_32
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import JALR
from zkvm.stark.air.builder import AirBuilder
from zkvm.stark.air.columns import Row, bit, word
from zkvm.stark.air.expression import Expr


class JumpRegisterChip(InstructionChip):
    """One indirect jump a row."""

    name = "jump_register"
    operations = {JALR: ("real",)}
    reads = (1,)
    constant = "imm"
    link = "rs2"
    own = {
        "imm": word("constant, two's complement, from the program table"),
        "carry": bit("v1 + imm reaches 2^32"),
        "low_bit": bit("lowest bit of v1 + imm"),
        "real": bit("the row is used"),
    }

    def booleans(self, air: AirBuilder, row: Row) -> None:
        super().booleans(air, row)
        for name in ("carry", "low_bit"):
            air.assert_bool(f"{name} is boolean", row[name])

    def relation(self, air: AirBuilder, row: Row) -> None:
        air.when(1 - row.real).assert_equal("a padding row stays at its pc", self.next_pc(row), row.pc)

    def next_pc(self, row: Row) -> Expr:
        return row.v1 + row.imm - row.carry * TWO_32 - row.low_bit

    def witness(self, steps: Steps) -> Values:
        target = steps.field("v1") + steps.field("imm")
        return {"carry": target >> np.uint64(32), "low_bit": target & np.uint64(1)}
