"""The RV32IM machine: its chips in order."""

from __future__ import annotations

from functools import cache

from zkvm.air.chip import second_instance
from zkvm.air.machine import Machine
from zkvm.chips.add import AddChip
from zkvm.chips.add_immediate import AddImmediateChip
from zkvm.chips.bitwise import BitwiseChip
from zkvm.chips.branch_equal import BranchEqualChip
from zkvm.chips.branch_less import BranchLessChip
from zkvm.chips.brk import BrkChip
from zkvm.chips.compare import CompareChip
from zkvm.chips.divide import DivideChip
from zkvm.chips.ecall import EcallChip
from zkvm.chips.exit import ExitChip
from zkvm.chips.jump import JumpChip
from zkvm.chips.jump_register import JumpRegisterChip
from zkvm.chips.load_part import LoadPartChip
from zkvm.chips.load_word import LoadWordChip
from zkvm.chips.load_word_rom import LoadWordRomChip
from zkvm.chips.multiply import MultiplyChip
from zkvm.chips.multiply_immediate import MultiplyImmediateChip
from zkvm.chips.program import ProgramChip
from zkvm.chips.ram_image import RamImageChip
from zkvm.chips.range import RangeChip
from zkvm.chips.read_rows import ReadRowsChip
from zkvm.chips.refresh import RefreshChip
from zkvm.chips.rom import RomChip
from zkvm.chips.store_part import StorePartChip
from zkvm.chips.store_word import StoreWordChip
from zkvm.chips.write_rows import WriteRowsChip
from zkvm.chips.zero_init import ZeroInitChip

SPLIT = (
    RefreshChip, AddChip, AddImmediateChip, BitwiseChip, MultiplyChip, MultiplyImmediateChip,
    BranchEqualChip, BranchLessChip, LoadWordChip, LoadWordRomChip, StoreWordChip, LoadPartChip,
)  # fmt: skip
"""Chips that have a second instance: those that long runs fill."""
MAX_ROWS = (1 << 28) - (1 << 8)
"""Bound on the heights of all tables together. State times are at most 4 rows + 4 < 2^40 and memory times at most 2^40 + 2^32 rows < 2^60,
so no difference of two of them wraps mod p."""


@cache
def machine() -> Machine:
    """The machine. Built once; its digest changes with any chip, bus or constraint."""
    return Machine(
        "rv32im",
        (
            ProgramChip(), RamImageChip(), RomChip(), RangeChip(), ZeroInitChip(), RefreshChip(),
            AddChip(), AddImmediateChip(), CompareChip(), BitwiseChip(),
            MultiplyChip(), MultiplyImmediateChip(), DivideChip(),
            BranchEqualChip(), BranchLessChip(), JumpChip(), JumpRegisterChip(),
            LoadWordChip(), LoadWordRomChip(), StoreWordChip(), LoadPartChip(), StorePartChip(),
            EcallChip(), BrkChip(), ReadRowsChip(), WriteRowsChip(), ExitChip(),
            *map(second_instance, SPLIT),
        ),
        max_rows=MAX_ROWS,
    )  # fmt: skip
