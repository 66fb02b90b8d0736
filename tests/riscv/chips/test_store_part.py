"""SB, SH."""

from __future__ import annotations

import numpy as np
import pytest

from tests.riscv.chips.memory_rows import Rows, check_store, run, shape
from zkvm.riscv.chips.memory_access import SELECTORS
from zkvm.riscv.chips.store_part import StorePartChip
from zkvm.riscv.isa.opcodes import SB, SH
from zkvm.stark.field.goldilocks import P

CHIP = StorePartChip()


@pytest.mark.parametrize("op", [SB, SH])
def test_words_and_addresses(op: int) -> None:
    check_store(CHIP, op)


def test_shape() -> None:
    assert shape(CHIP) == (13, 4, 10, 46)


@pytest.mark.parametrize("op", [SB, SH])
def test_no_other_selector(op: int) -> None:
    rows = Rows(CHIP, run(op, 256))
    honest = rows.main.copy()
    old = sum(rows.column(f"byte_{k}") << np.uint64(8 * k) for k in range(4))
    for name in SELECTORS:
        rows.main[:] = honest
        for other in SELECTORS:
            rows.column(other)[:] = other == name
        place = np.uint64(8 * int(name[-1]))
        mask = np.uint64(0xFFFF if name.startswith("half") else 0xFF)
        kept = (rows.main == honest).all(axis=0)
        rows.column("new")[:] = (old & ~(mask << place)) | (rows.column("v2") & mask) << place
        assert np.array_equal(rows.refused(), ~kept)


@pytest.mark.parametrize(("low", "high"), [(256, -1), (-256, 1), (1 << 16, 0), (P - 1, 0)])
def test_low_bytes_of_the_value_are_canonical(low: int, high: int) -> None:
    rows = Rows(CHIP, run(SH, 64))
    rows.column("low_0")[:] = (rows.column("low_0").astype(object) + low) % P
    rows.column("low_1")[:] = (rows.column("low_1").astype(object) + high) % P
    weight = np.where(rows.column("half_at_2") == 1, 1 << 16, 1).astype(object)
    rows.column("new")[:] = (rows.column("new").astype(object) + weight * (low + 256 * high)) % P
    assert rows.refused().all()


def test_neighbours_are_copied() -> None:
    """Old bytes that carry into each other would move a neighbour: the byte check refuses them."""
    for below in range(3):
        rows = Rows(CHIP, run(SB, 64))
        for name, delta in ((f"byte_{below}", 256), (f"byte_{below + 1}", -1)):
            rows.column(name)[:] = (rows.column(name).astype(object) + delta) % P
        assert rows.refused().all()
