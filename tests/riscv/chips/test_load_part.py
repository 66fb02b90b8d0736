"""LB, LBU, LH, LHU from RAM and from ROM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.riscv.chips.memory_rows import Rows, check_load, run, shape
from zkvm.riscv.chips.load_part import LoadPartChip
from zkvm.riscv.chips.memory_access import SELECTORS
from zkvm.riscv.isa.opcodes import LB, LBU, LH, LHU
from zkvm.stark.field.goldilocks import P

CHIP = LoadPartChip()


@pytest.mark.parametrize("rom", [False, True])
@pytest.mark.parametrize("op", [LB, LBU, LH, LHU])
def test_values_and_addresses(op: int, rom: bool) -> None:
    check_load(CHIP, op, rom)


def test_shape() -> None:
    assert shape(CHIP) == (18, 4, 10, 48)


@pytest.mark.parametrize("op", [LB, LBU, LH, LHU])
def test_no_other_selector(op: int) -> None:
    """Each selector but the right one is refused, with every other cell solved for it where that is possible."""
    rows = Rows(CHIP, run(op, 256))
    honest = rows.main.copy()
    for name in SELECTORS:
        rows.main[:] = honest
        for other in SELECTORS:
            rows.column(other)[:] = other == name
        kept = (rows.main == honest).all(axis=0)
        solve(rows, half=name.startswith("half"))
        assert np.array_equal(rows.refused(), ~kept)


def solve(rows: Rows, half: bool) -> None:
    """Choose sign, rest and value to fit selector and bytes."""
    b = [rows.column(f"byte_{k}") for k in range(4)]
    picks = [rows.column(f"byte_at_{k}") for k in range(4)]
    low, high = rows.column("half_at_0"), rows.column("half_at_2")
    top = sum(p * x for p, x in zip(picks, b, strict=True)) + low * b[1] + high * b[3]
    bottom = low * b[0] + high * b[2]
    sign = top >> np.uint64(7)
    rows.column("sign")[:], rows.column("rest")[:] = sign, top & np.uint64(127)
    value = bottom + top * np.uint64(256 if half else 1)
    ones = np.uint64((1 << 32) - (1 << (16 if half else 8)))
    rows.column("vd")[:] = value + np.where(rows.column("unsigned") == 1, 0, sign * ones).astype(np.uint64)


@pytest.mark.parametrize("op", [LB, LH])
def test_the_sign_is_the_top_bit(op: int) -> None:
    """128 sign + rest with the other sign needs a rest outside 7 bits, or half of an odd number."""
    rows = Rows(CHIP, run(op, 256))
    top = rows.column("sign") * np.uint64(128) + rows.column("rest")
    honest = rows.column("sign").copy()
    ones = (1 << 32) - (1 << (8 if op == LB else 16))
    rows.column("sign")[:] = 1 - honest
    rows.column("rest")[:] = (top.astype(object) - 128 * (1 - honest.astype(object))) % P
    rows.column("vd")[:] = (rows.column("vd").astype(object) + np.where(honest == 1, -ones, ones)) % P
    assert rows.refused().all()


def test_bytes_are_the_only_bytes_of_the_word() -> None:
    """Carrying 256 from one byte to the next keeps the word and breaks a byte."""
    for below in range(3):
        rows = Rows(CHIP, run(LBU, 64))
        for name, delta in ((f"byte_{below}", 256), (f"byte_{below + 1}", -1)):
            rows.column(name)[:] = (rows.column(name).astype(object) + delta) % P
        assert rows.refused().all()


def test_rom_and_ram_do_not_mix() -> None:
    rows = Rows(CHIP, run(LB, 64))
    rows.column("in_ram")[:] = 0
    assert rows.refused().all()
    rows = Rows(CHIP, run(LB, 64, rom=True))
    rows.column("in_ram")[:] = 1
    # Nothing in the row refuses it: it now consumes a word in RAM at that address, which has no origin there.
    assert np.array_equal(rows.received("memory access")[0] % 4, np.zeros(64))
    assert np.all(rows.sent("memory access")[2] == rows.column("t") + np.uint64(2))
