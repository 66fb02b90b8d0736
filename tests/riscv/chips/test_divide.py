"""Divisions and signed high products."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.riscv.chips.rows import (
    RD_TIME,
    RS1_TIME,
    RS2_TIME,
    SPECIAL,
    Filled,
    check_columns,
    check_honest,
    check_idle,
    check_padding,
    check_results,
    check_times,
    fill,
    limbs,
    merged,
    one_row,
    run,
    shape,
    signed,
)
from zkvm.riscv.chips.divide import DivideChip
from zkvm.riscv.isa.opcodes import DIV, DIVU, MULH, MULHSU, REM, REMU, SRL
from zkvm.stark.field.goldilocks import P

CHIP = DivideChip()
TWO_32 = 1 << 32
MAX = TWO_32 - 1
MIN = 1 << 31


def divide(a: int, b: int) -> tuple[int, int]:
    """Quotient and remainder of signed integers as specified: towards zero; by zero -1 and the dividend."""
    if b == 0:
        return -1, a
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient, a - quotient * b


COMPUTE: dict[int, Callable[[int, int], int]] = {
    DIV: lambda a, b: divide(signed(a), signed(b))[0] % TWO_32,
    REM: lambda a, b: divide(signed(a), signed(b))[1] % TWO_32,
    DIVU: lambda a, b: divide(a, b)[0] % TWO_32,
    REMU: lambda a, b: divide(a, b)[1],
    MULH: lambda a, b: (signed(a) * signed(b) >> 32) % TWO_32,
    MULHSU: lambda a, b: (signed(a) * b >> 32) % TWO_32,
}
ALL = list(COMPUTE)


def row_of(op: int, v1: int, v2: int) -> Filled:
    return one_row(CHIP, op, v1, v2, COMPUTE[op](v1, v2))


@pytest.mark.parametrize("op", ALL)
def test_results(op: int) -> None:
    check_results(CHIP, op, COMPUTE[op])


def test_operations_share_the_table_and_every_cell_counts() -> None:
    a, b = np.array([MIN, MAX, 70000, MAX - 6, 5], np.uint64), np.array([MAX, 3, MAX - 2, 7, 0], np.uint64)
    parts = []
    for op in ALL:
        results = np.array([COMPUTE[op](int(x), int(y)) for x, y in zip(a, b, strict=True)], np.uint64)
        parts.append(run(op, a, b, results))
    parts.append(run(SRL, a, b, a >> (b & np.uint64(31))))
    run_ = merged(*parts)
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (39, 4, 16, 67)


# --- one output for each input: a search over witnesses that solve the equations mod p -----------------------------------------


def magnitude(word: int, sign: int) -> int:
    return TWO_32 - word if sign else word


def candidates(op: int, v1: int, v2: int) -> Iterator[tuple[dict[str, int], int, int]]:
    """Sign cells with words q and r (mod p) that satisfy the main equation: of each, one is guessed and the other solved for."""
    product = op in (MULH, MULHSU)
    for sign1, sign2, negative, negative_r in itertools.product((0, 1), repeat=4):
        signs = {"sign1": sign1, "sign2": sign2, "negative": negative, "negative_remainder": negative_r}
        if product:
            x = (v1 - sign1 * TWO_32) * (v2 - sign2 * TWO_32)
            for k in (-2, -1, 0, 1, 2):
                for base in (x, x + P, x - P):
                    high, low = base // TWO_32 + k, base % TWO_32 - k * TWO_32
                    yield signs, high + negative * TWO_32, low
                    low_k = base % TWO_32 + k
                    yield signs, (x - low_k) * pow(TWO_32, -1, P) + negative * TWO_32, low_k
            continue
        m1, m2 = magnitude(v1, sign1), magnitude(v2, sign2)
        quotient = m1 // m2 if m2 else MAX
        guesses = {quotient + k for k in (-2, -1, 0, 1, 2)} | {0, 1, MAX, TWO_32, MIN}
        for guess in guesses:
            remainder = m1 - guess * m2
            yield signs, magnitude(guess, negative), magnitude(remainder, negative_r)
        for remainder in {0, 1, m1, m1 % m2 if m2 else 0, TWO_32, m2 - 1}:
            if m2 % P:
                guess = (m1 - remainder) * pow(m2, -1, P)
                yield signs, magnitude(guess, negative), magnitude(remainder, negative_r)


def complete(op: int, v1: int, v2: int, signs: dict[str, int], q: int, r: int) -> Iterator[dict[str, int]]:
    """All other cells of the row, in the way that satisfies most."""
    q, r = q % P, r % P
    magnitude2 = magnitude(v2, signs["sign2"])
    gap = (magnitude2 - 1 - magnitude(r, signs["negative_remainder"])) % P if op not in (MULH, MULHSU) else 0
    forbidden = (q - (0 if signs["negative"] else MAX)) % P
    cells = signs | limbs(q=q, r=r, gap=gap) | {"factor": magnitude2 % P, "magnitude_q": magnitude(q, signs["negative"]) % P}
    cells |= {"vd": r if op in (REM, REMU) else q, "inverse": pow(forbidden, -1, P) if forbidden else 0}
    for by_zero in (0, 1):
        yield cells | {"by_zero": by_zero}


@pytest.mark.parametrize("op", ALL)
def test_one_result_per_input(op: int) -> None:
    pairs = list(itertools.product((0, 1, 2, 0x7FFF_FFFF, MIN, MIN + 1, MAX - 1, MAX), repeat=2))
    pairs += list(itertools.product((7, 0x1234_5678, MAX - 99), (3, 0x9ABC_DEF0, MAX - 9)))
    accepted = 0
    for v1, v2 in pairs:
        filled = row_of(op, v1, v2)
        rows = [cells for item in candidates(op, v1, v2) for cells in complete(op, v1, v2, *item)]
        many = Filled(CHIP, filled.program, np.repeat(filled.main, len(rows), axis=1))
        for name in rows[0]:
            many.column(name)[:] = np.array([cells[name] for cells in rows], np.uint64)
        passing = np.flatnonzero(~many.refused())
        accepted += bool(len(passing))
        assert set(many.column("vd")[passing].tolist()) <= {COMPUTE[op](v1, v2)}
    assert accepted == len(pairs)  # the honest witness is among the candidates


# --- named forgeries -----------------------------------------------------------------------------------------------------------


def forge(op: int, v1: int, v2: int, q: int, r: int, **cells: int) -> set[str]:
    """What refuses a row with these words, the honest signs and by_zero except for ``cells``."""
    filled = row_of(op, v1, v2)
    signs = {name: cells.get(name, int(filled.column(name)[0])) for name in ("sign1", "sign2", "negative", "negative_remainder")}
    by_zero = cells.get("by_zero", int(filled.column("by_zero")[0]))
    return filled.forged(**list(complete(op, v1, v2, signs, q, r))[by_zero])


@pytest.mark.parametrize("op", [DIVU, REMU])
def test_remainder_not_below_divisor(op: int) -> None:
    assert forge(op, 17, 5, 3, 2) == set()
    assert forge(op, 17, 5, 2, 7) == {"gap: high limb"}
    assert forge(op, 17, 5, 0, 17) == {"gap: high limb"}
    assert forge(op, 15, 5, 2, 5) == {"gap: high limb"}
    assert forge(op, 17, 5, 4, -3) == {"r: high limb"}
    assert forge(op, 17, 5, 17 * pow(5, -1, P), 0) >= {"q: high limb"}


def test_division_by_zero() -> None:
    for op in (DIV, DIVU, REM, REMU):
        assert forge(op, 7, 0, MAX, 7) == set()
        assert forge(op, 7, 0, 0, 7) == {"by_zero has quotient 2^32 - 1"}
        assert forge(op, 7, 0, MAX, 6) == {"quotient and remainder"}
        assert forge(op, 7, 0, 0, 7, by_zero=0) == {"gap: high limb"}
        # A divisor that is not 0, divided by as if it were: the gap is not checked.
        assert forge(op, 7, 3, MAX, 7 - 3 * MAX, by_zero=1) >= {"by_zero has divisor 0"}
    assert forge(DIV, MAX, 0, MAX, 1) == {"quotient and remainder"}
    # The negative dividend's magnitude for the remainder, called positive.
    assert forge(REM, MAX, 0, MAX, 1, negative_remainder=0) == {"r is negative if v1 is, or 0"}


def test_overflow() -> None:
    assert forge(DIV, MIN, MAX, MIN, 0) == set()
    assert forge(DIV, MIN, MAX, MIN, 0, negative=1) == {"q is negative only if signs differ", "q is negative if signs differ, or 0"}
    assert forge(DIV, MIN, MAX, 0, MIN, negative_remainder=1) == {"gap: high limb"}
    assert forge(DIV, MIN, 1, MIN, 0) == set()
    assert forge(DIV, MIN, 1, MIN, 0, negative=0) == {"q is negative if signs differ, or 0"}
    assert forge(DIV, MIN, MAX, MAX, 0, sign2=0) >= {"sign 2: high limb less the sign"}


def test_signs_of_results() -> None:
    # -7 / 2 = -3 remainder -1.
    a, b = TWO_32 - 7, 2
    assert forge(DIV, a, b, TWO_32 - 3, MAX) == set()
    assert forge(DIV, a, b, 3, MAX, negative=0) == {"q is negative if signs differ, or 0"}
    assert forge(REM, a, b, TWO_32 - 3, 1, negative_remainder=0) == {"r is negative if v1 is, or 0"}
    # Rounded down instead of towards zero: -4 remainder 1.
    assert forge(REM, a, b, TWO_32 - 4, 1, negative_remainder=0) >= {"quotient and remainder", "r is negative if v1 is, or 0"}
    # 7 / -2 = -3 remainder 1, not -4 remainder -1.
    assert forge(REM, 7, TWO_32 - 2, TWO_32 - 3, MAX, negative_remainder=1) == {
        "r is negative only if v1 is",
        "r is negative if v1 is, or 0",
    }
    # 0 as a negative word: |Q| or |R| would be 2^32.
    assert forge(DIV, 1, TWO_32 - 2, 0, 1) == set()
    assert forge(DIV, 1, TWO_32 - 2, 0, 1, negative=1) == {"quotient and remainder"}
    assert forge(REM, TWO_32 - 6, 2, TWO_32 - 3, 0, negative_remainder=1) >= {"quotient and remainder", "gap: high limb"}


def test_signs_of_operands() -> None:
    # -1 / 1 with the dividend read as unsigned, and the reverse.
    assert forge(DIV, MAX, 1, MAX, 0, sign1=0, negative=0) == {"sign 1: high limb less the sign"}
    assert forge(DIVU, MAX, 1, MAX, 0, sign1=1, negative=1) == {"sign 1 is 0 if unsigned"}
    assert forge(DIVU, 7, MAX, TWO_32 - 7, 0, sign2=1, negative=1) == {"sign 2 is 0 if unsigned"}
    assert forge(MULHSU, 7, MAX, MAX, TWO_32 - 7, sign2=1, negative=1) == {"sign 2 is 0 if unsigned"}
    assert forge(MULH, MAX, 7, 6, TWO_32 - 7, sign1=0, negative=0, negative_remainder=0) == {"sign 1: high limb less the sign"}


def test_product_aliases() -> None:
    for op in (MULH, MULHSU):
        # A small non-negative product + p has the high word 2^32 - 1; a small negative one - p has the high word 0.
        alias = 6 + P
        assert forge(op, 2, 3, alias // TWO_32, alias % TWO_32) == {"high word is not that of an alias"}
        alias = -6 - P + (1 << 64)
        assert forge(op, TWO_32 - 2, 3, alias // TWO_32, alias % TWO_32) == {"high word is not that of an alias"}
        # A negative product called non-negative: product + p.
        alias = -6 + P
        assert forge(op, TWO_32 - 2, 3, alias // TWO_32, alias % TWO_32, negative=0) == {"q is negative if signs differ, or 0"}
        # 0 with operands of opposite signs, called negative.
        assert forge(op, TWO_32 - 2, 0, 0, TWO_32 - 1, negative=1, negative_remainder=1) == {"high word is not that of an alias"}
    # The most negative product of MULHSU: + p it would fit 63 bits.
    alias = -MIN * MAX + P
    assert alias < 1 << 63
    assert forge(MULHSU, MIN, MAX, alias // TWO_32, alias % TWO_32, negative=0) == {"q is negative if signs differ, or 0"}


def test_flags_and_times() -> None:
    filled = row_of(DIVU, 17, 5)
    assert filled.forged(remainder=1, vd=2) == {"instruction"}
    assert filled.forged(unsigned=0) >= {"instruction"}
    assert filled.forged(signed_product=1) >= {"at most one operation"}
    product = row_of(MULH, 17, 5)
    assert product.forged(remainder=1, vd=17 * 5) == {"instruction", "remainder only in a division"}
    assert product.forged(unsigned=1) >= {"instruction", "unsigned only in a division"}
    assert product.forged(by_zero=1, v2=0) >= {"by_zero only in a division"}
    check_idle(filled, ["divide", "unsigned", "remainder"])
    check_times(filled, 0, RS1_TIME, RS2_TIME, RD_TIME)
    assert {0, MIN, MAX} <= set(SPECIAL)  # operands of the random tests include division by zero and overflow
