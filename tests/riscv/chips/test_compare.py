"""Set if less."""

from __future__ import annotations

import numpy as np
import pytest

from tests.riscv.chips.rows import (
    RD_TIME,
    RS1_TIME,
    RS2_TIME,
    Filled,
    check_columns,
    check_honest,
    check_idle,
    check_padding,
    check_results,
    check_times,
    fill,
    merged,
    one_row,
    operand_pairs,
    run,
    shape,
    signed,
)
from zkvm.riscv.chips.compare import CompareChip
from zkvm.riscv.isa.opcodes import SLT, SLTI, SLTIU, SLTU
from zkvm.stark.field.goldilocks import P

CHIP = CompareChip()
TWO_32 = 1 << 32


def test_results() -> None:
    imm = operand_pairs(2400, 9)[1]
    check_results(CHIP, SLT, lambda a, b: int(signed(a) < signed(b)))
    check_results(CHIP, SLTU, lambda a, b: int(a < b))
    check_results(CHIP, SLTI, lambda a, b: int(signed(a) < signed(b)), imm=imm)
    check_results(CHIP, SLTIU, lambda a, b: int(a < b), imm=imm)


def test_operations_share_the_table_and_every_cell_counts() -> None:
    a, b = np.array([0x8000_0000, 3, 7], np.uint64), np.array([1, 0xFFFF_FFFF, 7], np.uint64)
    signed_less, less = np.array([1, 0, 0], np.uint64), np.array([0, 1, 0], np.uint64)
    run_ = merged(run(SLT, a, b, signed_less), run(SLTI, a, b, signed_less, imm=b), run(SLTU, a, b, less), run(SLTIU, a, b, less, imm=b))
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (15, 4, 10, 42)


def forge(filled: Filled, **cells: int) -> set[str]:
    """Forge cells and give the low limbs the values that make their high limbs integers below 2^16, if there are any."""
    value = {name: cells.get(name, int(filled.column(name)[0])) for name in filled.chip.main}
    left, right = value["v1"], value["v2"] + value["imm"]
    difference = (left - right + TWO_32 * (value["vd"] - value["sign1"] + value["sign2"])) % P
    return filled.forged(**{"difference_low": difference % (1 << 16), **cells})


@pytest.mark.parametrize(
    ("op", "v1", "v2"), [(SLTU, 5, 7), (SLTU, 7, 5), (SLTU, 7, 7), (SLT, 5, 7), (SLT, TWO_32 - 1, 0), (SLT, 0, TWO_32 - 1)]
)
def test_flipped_result(op: int, v1: int, v2: int) -> None:
    less = int(signed(v1) < signed(v2)) if op == SLT else int(v1 < v2)
    filled = one_row(CHIP, op, v1, v2, less)
    assert filled.forged(vd=1 - less) == {"difference: high limb"}
    assert forge(filled, vd=1 - less) == {"difference: high limb"}
    for half in (2, P - 1, pow(2, -1, P)):
        assert "less is boolean" in forge(filled, vd=half)


def test_wrong_sign() -> None:
    # -1 < 0 read as 2^32 - 1 < 0: no, and every limb of the difference fits. The sign's own limbs do not.
    filled = one_row(CHIP, SLT, TWO_32 - 1, 0, 1)
    assert forge(filled, sign1=0, vd=0) == {"sign 1: high limb less the sign"}
    assert forge(filled, sign1=0, vd=0, low1=(TWO_32 - 1) - 0x7FFF_0000) == {"sign 1: low limb"}
    filled = one_row(CHIP, SLT, 0, 1, 1)
    assert forge(filled, sign2=1, vd=0) == {"sign 2: high limb less the sign"}
    assert forge(filled, sign2=1, vd=0, low2=1 - (1 << 31)) == {"sign 2: low limb"}
    filled = one_row(CHIP, SLTU, TWO_32 - 1, 0, 0)
    assert forge(filled, sign1=1, vd=1) == {"sign 1 is 0 if unsigned"}
    # A sign that is no bit.
    assert forge(one_row(CHIP, SLT, 0, 0, 0), sign1=2, sign2=2) >= {"sign 1 is boolean", "sign 2 is boolean"}


def test_signed_constant() -> None:
    # slti x, -1 with x = 0 is 0; the constant read without its sign, or as the field element -1, would make it 1 or fit.
    filled = one_row(CHIP, SLTI, 0, vd=0, imm=TWO_32 - 1)
    assert forge(filled, sign2=0, vd=1) == {"sign 2: high limb less the sign"}
    assert forge(filled, imm=P - 1, sign2=0) >= {"instruction"}
    assert forge(filled, v2=2, vd=1) >= {"a constant reads no register", "consumes"}


def test_flags() -> None:
    filled = one_row(CHIP, SLT, TWO_32 - 1, 0, 1)
    assert forge(filled, unsigned=1, sign1=0, vd=0) == {"instruction"}
    assert forge(filled, immediate=1) >= {"instruction"}
    assert forge(filled, real=0) >= {"rd keeps its value unless live"}
    assert forge(filled, real=0, unsigned=1) >= {"unsigned only on a real row"}
    assert forge(filled, real=0, immediate=1) >= {"immediate only on a real row"}
    check_idle(filled, ["real", "unsigned", "immediate"])


def test_times() -> None:
    check_times(one_row(CHIP, SLT, 5, 5, 0), 0, RS1_TIME, RS2_TIME, RD_TIME)
    check_times(one_row(CHIP, SLTIU, 5, 0, 0, imm=5), 0, RS1_TIME, RD_TIME)
