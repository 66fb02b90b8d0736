"""What many chips share: register accesses, the instruction's own tuples, range checks, and values of their columns.

**Neutral padding.** A pair is never gated. Instead a row whose access is not ``live`` must produce what it consumes: its time
does not advance and its value does not change, by constraint. Such a row cancels itself whatever its other cells hold, so a
prover gains nothing from it. Lookups are gated by their count, which is 0 there.

**Time.** State times are below 2^40 and memory times below 2^60 (the verifier checks the heights), so ``time + slot - previous - 1``
in [0, 2^16) holds for integers, not just mod p: an access is strictly later than the write that it consumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import MEMORY, PROGRAM, RANGE15, RANGE16, STATE
from zkvm.riscv.isa.opcodes import TIME_STEP
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Column, Row, cell, limb, word
from zkvm.stark.air.expression import Expr, Operand, total, weighted_sum
from zkvm.stark.field.goldilocks import P, inv, mul

TWO_16 = 1 << 16
TWO_31 = 1 << 31
TWO_32 = 1 << 32
WORD_MAX = TWO_32 - 1
INVERSE_TWO_16 = pow(TWO_16, -1, P)
"""1 / 2^16: the high limb of a word is the linear expression (word - low) / 2^16."""

SLOT_RS1, SLOT_RS2, SLOT_MEMORY, SLOT_RD = range(4)
"""Times of an instruction's accesses, after its state time."""


# --- columns --------------------------------------------------------------------------------------------------------------------


def state_columns() -> dict[str, Column]:
    """pc and time of the instruction."""
    return {"pc": cell("address of the instruction"), "t": cell("state time")}


def read_columns(number: int) -> dict[str, Column]:
    """Register, value and previous access of source ``number`` (1 or 2): ``rs1 v1 t1`` or ``rs2 v2 t2``."""
    return {
        f"rs{number}": cell(f"memory-bus address of source register {number}"),
        f"v{number}": word(f"value of source register {number}, consumed from memory"),
        f"t{number}": cell(f"previous access of source register {number}"),
    }


def write_columns(value: bool = True) -> dict[str, Column]:
    """Register, value before and previous access of the destination; with ``value`` the column ``vd`` of the value after."""
    result = {"vd": word("value written to the destination register")} if value else {}
    return {
        "rd": cell("memory-bus address of the destination register"),
        **result,
        "vd_prev": word("value of the destination register before, consumed from memory"),
        "td": cell("previous access of the destination register"),
    }


def low_limb(of: str) -> Column:
    """The low limb of a word that :func:`range_word` or :func:`range_signed` checks."""
    return limb(16, f"low 16 bits of {of}")


# --- accesses -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """One access on the memory bus: consumes the last write of ``address`` and produces its own, strictly later.

    Attributes:
        label: what it is of, in the names of its constraints.
        address: on the memory bus.
        before: value consumed.
        after: value produced; the same expression object as ``before`` for a read.
        previous: time of the consumed tuple.
        slot: this access's time after the state time.
        live: boolean; where it is 0 the access is neutral.
    """

    label: str
    address: Operand
    before: Expr
    after: Expr
    previous: Expr
    slot: int
    live: Expr


def read_rs1(row: Row, live: Expr) -> Access:
    """The read of source register 1, from :func:`read_columns`."""
    return Access("rs1", row.rs1, row.v1, row.v1, row.t1, SLOT_RS1, live)


def read_rs2(row: Row, live: Expr) -> Access:
    """The read of source register 2, from :func:`read_columns`."""
    return Access("rs2", row.rs2, row.v2, row.v2, row.t2, SLOT_RS2, live)


def write_rd(row: Row, live: Expr, value: Expr | None = None) -> Access:
    """The write of the destination register, from :func:`write_columns`; ``value`` instead of the column ``vd``."""
    return Access("rd", row.rd, row.vd_prev, row.vd if value is None else value, row.td, SLOT_RD, live)


def assert_neutral(air: AirBuilder, time: Expr, accesses: Sequence[Access]) -> None:
    """An access that is not live produces what it consumes (with ``connect_accesses``: send = receive where live = 0)."""
    for access in accesses:
        air.assert_zero(f"{access.label} keeps its time unless live", (1 - access.live) * (access.previous - time))
        if access.after is not access.before:
            air.assert_zero(f"{access.label} keeps its value unless live", (1 - access.live) * (access.after - access.before))


def connect_accesses(buses: BusBuilder, time: Expr, accesses: Sequence[Access]) -> None:
    """The memory pair of each access, and the check that it is later than what it consumes, by at most 2^16."""
    for access in accesses:
        buses.pair(
            f"{access.label} access",
            MEMORY,
            receive=(access.address, access.before, access.previous),
            send=(access.address, access.after, time + access.live * access.slot),
        )
    for access in accesses:
        buses.lookup(f"{access.label} is later", RANGE16, (time + (access.slot - 1) - access.previous,), access.live)


# --- instructions ---------------------------------------------------------------------------------------------------------------


def connect_instruction(
    buses: BusBuilder,
    row: Row,
    real: Expr,
    op: Operand,
    *,
    rd: Operand = 0,
    rs1: Operand = 0,
    rs2: Operand = 0,
    imm: Operand = 0,
    next_pc: Expr | None = None,
) -> None:
    """Consume (pc, t), produce (next pc, t + 4), and look the instruction up.

    ``next_pc`` (default pc + 4) must be pc where ``real`` is 0, by constraint.
    """
    following = row.pc + real * 4 if next_pc is None else next_pc
    buses.pair("state", STATE, receive=(row.pc, row.t), send=(following, row.t + real * TIME_STEP))
    buses.lookup("instruction", PROGRAM, (row.pc, op, rd, rs1, rs2, imm), real)


def assert_flags(air: AirBuilder, row: Row, *names: str) -> None:
    """Each flag is boolean and so is their sum: at most one is set."""
    for name in names:
        air.assert_bool(f"{name} is boolean", row[name])
    if len(names) > 1:
        air.assert_bool("at most one operation", total(*(row[name] for name in names)))


def selected(row: Row, operations: dict[str, int]) -> Expr:
    """Operation id as a linear expression of one-hot flags: ``operations`` maps flag columns to ids."""
    return weighted_sum([row[name] for name in operations], list(operations.values()))


# --- range checks ---------------------------------------------------------------------------------------------------------------


def high_limb(value: Expr, low: Expr) -> Expr:
    """(value - low) / 2^16."""
    return (value - low) * INVERSE_TWO_16


def range_word(buses: BusBuilder, label: str, value: Expr, low: Expr, count: Expr) -> None:
    """``value`` in [0, 2^32): both limbs in [0, 2^16). Where ``count`` is 1, ``low`` is the low limb, canonically."""
    buses.lookup(f"{label}: low limb", RANGE16, (low,), count)
    buses.lookup(f"{label}: high limb", RANGE16, (high_limb(value, low),), count)


def range_signed(buses: BusBuilder, label: str, value: Expr, low: Expr, sign: Expr | int, count: Expr) -> None:
    """``value - 2^31 sign`` in [0, 2^31): with a boolean ``sign`` it is the top bit of the 32-bit word ``value``."""
    buses.lookup(f"{label}: low limb", RANGE16, (low,), count)
    buses.lookup(f"{label}: high limb less the sign", RANGE15, (high_limb(value, low) - sign * (1 << 15),), count)


# --- values ---------------------------------------------------------------------------------------------------------------------


def low16(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Low limbs."""
    return values & np.uint64(TWO_16 - 1)


def sign_bit(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Top bits of 32-bit words."""
    return values >> np.uint64(31)


def inverses(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """1 / x mod p for every x of a one-dimensional array, and 0 for 0: one inversion, three products each."""
    present = values != 0
    return np.where(present, _inverses(np.where(present, values, np.uint64(1))), np.uint64(0))


def _inverses(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    if len(values) <= 1:
        return inv(values)
    padded = values if len(values) % 2 == 0 else np.append(values, np.uint64(1))
    of_products = _inverses(mul(padded[0::2], padded[1::2]))
    result = np.empty_like(padded)
    result[0::2] = mul(of_products, padded[1::2])
    result[1::2] = mul(of_products, padded[0::2])
    return result[: len(values)]
