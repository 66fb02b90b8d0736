"""What loads and stores share: the address of the aligned word, the choice of bytes in it, and filling both.

Address. a = v1 + imm - 2^32 carry with v1 and imm in [0, 2^32) and a boolean carry; the word's address is a - offset =
2^16 hi + 4 lo with hi in 16 and lo in 14 bits. The right side is an integer in [0, 2^32), the left one an integer in
(-2^32 - 4, 2^33): equal mod p, they are equal. So a is the sum mod 2^32, carry its overflow, and offset (0 for whole words) its
rest mod 4: a misaligned access has no witness.

Parts. Six selectors, exactly one of them 1 on a real row: ``byte_at_0`` .. ``byte_at_3`` (a byte access at that offset)
and ``half_at_0``, ``half_at_2``. A halfword at an odd offset has no selector.

Bytes. Four columns in [0, 256) whose weighted sum is the word: unique, because the word is below 2^32 (value invariant).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips import common
from zkvm.riscv.chips.buses import BYTES, RANGE14, RANGE16
from zkvm.riscv.chips.common import Access
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Column, Row, bit, cell, limb
from zkvm.stark.air.expression import Expr, total, weighted_sum

BYTE_SELECTORS = ("byte_at_0", "byte_at_1", "byte_at_2", "byte_at_3")
HALF_SELECTORS = ("half_at_0", "half_at_2")
SELECTORS = BYTE_SELECTORS + HALF_SELECTORS
OFFSETS = (0, 1, 2, 3, 0, 2)
"""Offset of each selector."""
BYTE_WEIGHTS = [1 << 8 * k for k in range(4)]


# --- address --------------------------------------------------------------------------------------------------------------------


def address_columns(ram: bool) -> dict[str, Column]:
    """Immediate and carry; ``ram``: also the address's low part and the previous access of the word."""
    result = {"imm": cell("offset, two's complement in 32 bits"), "carry": bit("v1 + imm overflows 32 bits")}
    if ram:
        result["address_low"] = limb(14, "bits 2 to 15 of the address")
        result["tm"] = cell("previous access of the word")
    return result


def byte_address(row: Row) -> Expr:
    """v1 + imm - 2^32 carry."""
    return row.v1 + row.imm - row.carry * common.TWO_32


def check_aligned(buses: BusBuilder, aligned: Expr, low: Expr, real: Expr) -> None:
    """``aligned`` = 2^16 hi + 4 low is a multiple of 4 in [0, 2^32)."""
    buses.lookup("address: bits 2 to 15", RANGE14, (low,), real)
    buses.lookup("address: high limb", RANGE16, (common.high_limb(aligned, 4 * low),), real)


def word_access(row: Row, aligned: Expr, before: Expr, after: Expr, live: Expr) -> Access:
    """The access of the word in RAM."""
    return Access("memory", aligned, before, after, row.tm, common.SLOT_MEMORY, live)


class MemoryChip(InstructionChip):
    """A load or store of the word, or of a part of the word, around v1 + imm; its own columns begin with :func:`address_columns`."""

    constant = "imm"

    def booleans(self, air: AirBuilder, row: Row) -> None:
        super().booleans(air, row)
        air.assert_bool("carry is boolean", row.carry)

    def witness(self, steps: Steps) -> Values:
        address = steps.field("v1") + steps.field("imm")
        values: Values = {"carry": address >> np.uint64(32)}
        if "tm" in self.own:
            values |= {"tm": steps.field("tm"), "address_low": address >> np.uint64(2) & np.uint64(0x3FFF)}
        return values


class WordChip(MemoryChip):
    """A load or store of a whole word: one operation."""

    def operation(self, row: Row) -> int:
        (number,) = self.operations
        return number


# --- parts of a word ------------------------------------------------------------------------------------------------------------


def selector_columns() -> dict[str, Column]:
    """The six selectors."""
    return {name: bit(f"the access is a {name[:4]} at offset {name[-1]}") for name in SELECTORS}


def is_byte(row: Row) -> Expr:
    """1 on byte accesses."""
    return total(*(row[name] for name in BYTE_SELECTORS))


def is_half(row: Row) -> Expr:
    """1 on halfword accesses."""
    return total(*(row[name] for name in HALF_SELECTORS))


def offset(row: Row) -> Expr:
    """Offset of the accessed part in its word."""
    return weighted_sum([row[name] for name in SELECTORS], list(OFFSETS))


def assert_selectors(air: AirBuilder, row: Row) -> None:
    """Each selector and their sum are boolean."""
    for name in SELECTORS:
        air.assert_bool(f"{name} is boolean", row[name])
    air.assert_bool("at most one selector", is_byte(row) + is_half(row))


def selected(steps: Steps, half: NDArray[np.bool_]) -> Values:
    """Values of the selectors; ``half`` says which steps access a halfword."""
    places = steps.field("address") % np.uint64(4)
    return {name: (places == place) & (half == (name in HALF_SELECTORS)) for name, place in zip(SELECTORS, OFFSETS, strict=True)}


def byte_columns(stem: str, of: str) -> dict[str, Column]:
    """Four bytes ``stem_0`` .. ``stem_3``, lowest first."""
    return {f"{stem}_{k}": limb(8, f"byte {k} of {of}") for k in range(4)}


def word_of(row: Row, stem: str) -> Expr:
    """The word of four byte columns."""
    return weighted_sum([row[f"{stem}_{k}"] for k in range(4)], BYTE_WEIGHTS)


def check_bytes(buses: BusBuilder, row: Row, stem: str, real: Expr) -> None:
    """Each of four byte columns is in [0, 256)."""
    for k in (0, 2):
        buses.lookup(f"{stem}: bytes {k} and {k + 1}", BYTES, (row[f"{stem}_{k}"], row[f"{stem}_{k + 1}"]), real)


def bytes_of(stem: str, words: NDArray[np.uint64]) -> dict[str, NDArray[np.uint64]]:
    """Values of the columns of :func:`byte_columns` for (k,) words."""
    return {f"{stem}_{k}": words >> np.uint64(8 * k) & np.uint64(255) for k in range(4)}


class PartChip(MemoryChip):
    """A load or store of a byte or halfword. The selectors are its flags: which one is set is up to the address, not the operation."""

    neutral_last = True

    def real(self, row: Row) -> Expr:
        return is_byte(row) + is_half(row)

    def aligned(self, row: Row) -> Expr:
        """Address of the word around the part."""
        return byte_address(row) - offset(row)

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        check_aligned(buses, self.aligned(row), row.address_low, real)
        check_bytes(buses, row, "byte", real)
