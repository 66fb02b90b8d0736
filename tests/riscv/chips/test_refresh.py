"""Values written again so that times stay close."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.riscv.chips.memory_rows import Rows, shape
from tests.sample import long_run, sample_run
from zkvm.riscv.chips.refresh import RefreshChip
from zkvm.riscv.records import REFRESH, Execution
from zkvm.stark.field.goldilocks import P

CHIP = RefreshChip()


def run(*gaps: int) -> Execution:
    records = np.zeros(len(gaps), REFRESH)
    records["address"], records["value"], records["t_prev"] = 0x1000, 0xFFFF_FFFF, 77
    records["time"] = 77 + np.array(gaps, np.uint64)
    return dataclasses.replace(sample_run(), refreshes=records)


def test_shape() -> None:
    assert shape(CHIP) == (2, 1, 2, 12)
    assert not CHIP.mandatory
    assert CHIP.rows(sample_run()) == 0


def test_gaps_up_to_2_32() -> None:
    rows = Rows(CHIP, run(1, 2, 1 << 16, (1 << 16) + 1, 1 << 32))
    assert not rows.refused().any()
    assert np.array_equal(rows.received("word")[:2], rows.sent("word")[:2])
    assert not Rows(CHIP, long_run()).refused().any()


@pytest.mark.parametrize("gap", [0, -1, -(1 << 40), (1 << 32) + 1, 1 << 48, P // 2])
def test_no_other_gap(gap: int) -> None:
    rows = Rows(CHIP, run(5))
    rows.column("time")[0] = (77 + gap) % P
    for low in ((gap - 1) % P % (1 << 16), (gap - 1) % (1 << 16), 0, 0xFFFF, (gap - 1) % P):
        rows.column("gap_low")[0] = low
        assert rows.refused().all()
