"""What the rows of a read and of a journal write share: one row moves one to four bytes of one aligned word.

A row consumes (kind, t, a, left, shift) and produces (kind, t, a + k, left - k, shift), where k is the number of its bytes. Its mask
m_0 .. m_3 says which bytes of the word it moves:

* the number of rising edges m_0 + m_1 (1 - m_0) + m_2 (1 - m_1) + m_3 (1 - m_2) equals ``real``: a real row's mask is one run of at
  least one byte, and a padding row's is empty, so that its two chain tuples are equal;
* the position of that edge is ``offset``, and a - offset = 2^16 hi + 4 lo is the word's address, range-checked: so a is an
  integer in [0, 2^32), offset is a mod 4, and the row's bytes are a .. a + k - 1, all in this word.

Addresses of a chain's rows strictly increase without wrapping, so no rows close on themselves: the rows of time t are one path
between the two tuples of the call at time t (:mod:`zkvm.riscv.chips.ecall`). The word is accessed at t + 1, once per call at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import CHAIN
from zkvm.riscv.chips.common import low16
from zkvm.riscv.chips.memory_access import check_aligned
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Column, Row, bit, cell, limb
from zkvm.stark.air.expression import Expr, Operand, total

MASK = ("mask_0", "mask_1", "mask_2", "mask_3")


def chain_columns() -> dict[str, Column]:
    """Position in the chain, mask and address."""
    return {
        "t": cell("time of the call"),
        "address": cell("byte address of the row's first byte"),
        "left": cell("bytes still to move, this row's included"),
        "offset": limb(2, "place of the first byte in its word"),
        "address_low": limb(14, "bits 2 to 15 of the address"),
        "tm": cell("previous access of the word"),
        **{name: bit(f"the row moves byte {name[-1]} of the word") for name in MASK},
    }


def aligned_address(row: Row) -> Expr:
    """Byte address of the word."""
    return row.address - row.offset


def assert_mask(air: AirBuilder, row: Row, real: Expr) -> None:
    """One run of bytes on a real row, none on others, and its place."""
    for name in MASK:
        air.assert_bool(f"{name} is boolean", row[name])
    edges = [row.mask_0, *(row[MASK[k]] * (1 - row[MASK[k - 1]]) for k in (1, 2, 3))]
    air.assert_equal("the mask is one run", total(*edges), real)
    air.assert_equal("offset is the place of the run", row.offset, edges[1] + edges[2] * 2 + edges[3] * 3)


def connect_chain(buses: BusBuilder, row: Row, kind: int, shift: Operand, real: Expr) -> None:
    """One step of the chain, and the address check."""
    moved = total(*(row[name] for name in MASK))
    buses.pair(
        "chain",
        CHAIN,
        receive=(kind, row.t, row.address, row.left, shift),
        send=(kind, row.t, row.address + moved, row.left - moved, shift),
    )
    check_aligned(buses, aligned_address(row), row.address_low, real)


def fill_chain(trace: Trace, rows: NDArray[Any]) -> None:
    """Write the columns of :func:`chain_columns` from CHAIN_ROW records."""
    address, count = rows["address"].astype(np.uint64), rows["count"].astype(np.uint64)
    offset = address % np.uint64(4)
    columns = {
        "t": rows["time"],
        "address": address,
        "left": rows["remaining"],
        "offset": offset,
        "address_low": low16(address) >> np.uint64(2),
        # A word in ROM has no access: its pair on the memory bus is neutral.
        "tm": np.where(rows["rom"] == 1, rows["time"], rows["t_prev"]),
        **{name: (k >= offset) & (k < offset + count) for k, name in enumerate(MASK)},
    }
    for name, column in columns.items():
        trace[name][: len(rows)] = column
