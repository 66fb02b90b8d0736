"""What the two chips for LB, LBU, LH and LHU share: from the aligned word to the loaded value.

One selector says which part (:mod:`zkvm.chips.memory_access`), ``unsigned`` how it is extended, so that the operation is
36 is_byte + 38 is_half + unsigned. The part's top byte is 128 sign + rest with a boolean sign and 7 bits of rest: unique,
because bytes are range-checked. The loaded value is the part, plus 2^32 - 2^8 (or 2^16) if it is signed and the sign is set:
in [0, 2^32) by the ranges of its bytes. Where no selector is set, value, sign and rest are 0 or harmless: nothing leaves the row.
"""

from __future__ import annotations

import numpy as np

from zkvm.air.builder import AirBuilder, BusBuilder
from zkvm.air.chip import Trace
from zkvm.air.columns import Column, Row, bit, limb
from zkvm.air.expression import Expr, total
from zkvm.chips.buses import RANGE7
from zkvm.chips.common import TWO_32, Steps
from zkvm.chips.memory_access import (
    BYTE_SELECTORS,
    assert_selectors,
    byte_columns,
    check_bytes,
    fill_bytes,
    fill_selectors,
    is_byte,
    is_half,
    selector_columns,
)
from zkvm.isa.opcodes import LB, LBU, LH, LHU

OPERATIONS = (LB, LBU, LH, LHU)


def part_columns() -> dict[str, Column]:
    """Selectors, signedness, the word's bytes, and the top byte of the part split."""
    return {
        **selector_columns(),
        "unsigned": bit("LBU or LHU: the part is extended with zeros"),
        **byte_columns("byte", "the word"),
        "sign": bit("top bit of the part"),
        "rest": limb(7, "the part's top byte without that bit"),
    }


def part_operation(row: Row) -> Expr:
    """The operation id; the ids of LB and LBU, and of LH and LHU, follow each other."""
    return is_byte(row) * LB + is_half(row) * LH + row.unsigned


def assert_part(air: AirBuilder, row: Row) -> None:
    """``vd`` is the extended part of the word ``byte_0`` .. ``byte_3``."""
    assert_selectors(air, row)
    air.assert_bool("unsigned is boolean", row.unsigned)
    air.assert_bool("sign is boolean", row.sign)
    byte = total(*(row[name] * row[f"byte_{k}"] for k, name in enumerate(BYTE_SELECTORS)))
    half_top = row.half_at_0 * row.byte_1 + row.half_at_2 * row.byte_3
    half_low = row.half_at_0 * row.byte_0 + row.half_at_2 * row.byte_2
    air.assert_equal("top byte is sign and rest", byte + half_top, row.sign * 128 + row.rest)
    fill_bits = is_byte(row) * (TWO_32 - (1 << 8)) + is_half(row) * (TWO_32 - (1 << 16))
    air.assert_equal("vd is the extended part", row.vd, byte + half_low + half_top * 256 + (1 - row.unsigned) * row.sign * fill_bits)


def connect_part(buses: BusBuilder, row: Row, real: Expr) -> None:
    """Range checks of the bytes and of the rest."""
    check_bytes(buses, row, "byte", real)
    buses.lookup("rest of the top byte", RANGE7, (row.rest,), real)


def fill_part(trace: Trace, steps: Steps) -> None:
    """Write the columns of :func:`part_columns`."""
    half = steps.is_op(LH, LHU)
    fill_selectors(trace, steps, half)
    fill_bytes(trace, "byte", steps.field("mem"))
    shift = np.uint64(8) * (steps.field("address") % np.uint64(4)) + np.where(half, 8, 0).astype(np.uint64)
    top = steps.field("mem") >> shift & np.uint64(255)
    steps.put(trace, unsigned=steps.is_op(LBU, LHU), sign=top >> np.uint64(7), rest=top & np.uint64(127))
