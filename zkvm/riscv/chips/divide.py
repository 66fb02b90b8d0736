"""Division, signed high products and shifts by a register: ``DIV DIVU REM REMU``, ``MULH MULHSU``, ``SLL SRL SRA``.

One chip for the rare operations, because all are about two operands and two words: q and r are quotient and remainder, or the high
and the low word of a product, or what a shift keeps and what it shifts out. ``sign1``, ``sign2`` are the proven top bits of operands
that are read as signed, else 0; an operand's value is V = v - 2^32 sign, its magnitude |V| = v or 2^32 - v. ``negative`` says that q
stands for q - 2^32; ``opposite`` = sign1 xor sign2. It is constrained by ``negative <= opposite`` and, if q is not 0,
``negative = opposite``; the remainder's sign likewise by sign1.

**Sound, division.** |V1| = |Q| |V2| + |R| mod p, with |Q| = q or 2^32 - q and |R| = r or 2^32 - r, both at most 2^32; ``factor`` = |V2|.

* Divisor not 0 (the range of ``gap`` = |V2| - 1 - |R| forces |R| < |V2|, so |V2| >= 1). If unsigned, |Q| = q, |V2| <= 2^32 - 1 and
  the right side is at most (2^32 - 1)^2 + 2^32 - 2 < p. If signed, |V2| <= 2^31 and it is at most 2^63 + 2^31. So the equation holds
  for integers, and quotient and remainder of the magnitudes are unique. Signs: q = 0 with ``negative`` would mean |Q| = 2^32, too large
  for |V1| < 2^32; r = 0 with a negative remainder would mean |R| = 2^32 > |V2|. So q = 0 or r = 0 stands for 0, and any other
  q or r has its sign forced: ``opposite``, or the dividend's. -2^31 / -1 has |Q| = 2^31, opposite = 0: q = 2^31 as specified, r = 0.
* Divisor 0: only then can the gap check be skipped (``by_zero`` forces v2 = 0, and without it v2 = 0 has no gap in range). q is
  forced to 2^32 - 1, and |R| = |V1| < 2^32 with the dividend's sign makes r = v1.

**Sound, product.** V1 V2 = 2^32 (q - 2^32 negative) + r mod p.

* opposite = 0: negative = 0, the product is in [0, 2^63), and the right side reaches p only with q = 2^32 - 1.
* opposite = 1: the product is in [-2^63, 0]. If negative = 0, then q = 0, and the right side r in [0, 2^32) is congruent to the
  product only if both are 0. If negative = 1, the right side is in [-2^64, -1]: it is the product, or the product - p with q = 0.

The inverse of ``q - (2^32 - 1)(1 - negative)`` excludes q = 2^32 - 1 without ``negative`` and q = 0 with it: neither is ever the
high word of such a product.

**Sound, shift.** ``gap`` = (v2 - amount) / 32 is range-checked to 32 bits, so v2 = amount + 32 gap holds for integers (below 2^38) and
amount = v2 mod 32. r is range-checked to 31 bits: all sides below are integers in [0, 2^63), equal mod p only if equal.

* SLL: factor (2^32 r + q) = 2^31 v1 mod p. As factor 2^amount = 2^31 and factor is invertible, 2^32 r + q = v1 2^amount.
* SRL: v1 factor = 2^31 q + r: q is v1 / 2^amount, rounded down. (Both signs are 0, hence negative = 0.)
* SRA: V1 factor + 2^63 sign1 = 2^31 q + r, since negative = sign1: it could be 0 instead only with q = 0, and then V1 factor < 0 would be r
  mod p. The left side is in [0, 2^63), so q - 2^32 sign1 is the quotient, rounded down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips import common
from zkvm.riscv.chips.buses import POWER, RANGE15
from zkvm.riscv.chips.common import TWO_31, TWO_32, WORD_MAX
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import DIV, DIVU, MULH, MULHSU, REM, REMU, SLL, SRA, SRL
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, cell, word
from zkvm.stark.air.expression import Expr
from zkvm.stark.field.goldilocks import sub

Words = NDArray[np.uint64]
_31, _32, _MAX, _TWO_32 = np.uint64(31), np.uint64(32), np.uint64(WORD_MAX), np.uint64(TWO_32)


class DivideChip(InstructionChip):
    """One division, remainder, signed high product or shift by a register a row."""

    name = "divide"
    operations = {
        MULH: ("signed_product",),
        MULHSU: ("mixed_product",),
        DIV: ("divide",),
        SLL: ("left",),
        SRL: ("right",),
        SRA: ("arithmetic",),
        DIVU: ("divide", "unsigned"),
        REM: ("divide", "remainder"),
        REMU: ("divide", "unsigned", "remainder"),
    }
    own = {
        "signed_product": bit("the row is mulh"),
        "mixed_product": bit("the row is mulhsu"),
        "divide": bit("the row divides"),
        "left": bit("the row is sll"),
        "right": bit("the row is srl"),
        "arithmetic": bit("the row is sra"),
        "unsigned": bit("the division is unsigned"),
        "remainder": bit("the division's result is the remainder"),
        "sign1": bit("top bit of v1 if signed, else 0"),
        "sign2": bit("top bit of v2 if signed, else 0"),
        "low1": common.low_limb("v1, if signed"),
        "low2": common.low_limb("v2, if signed"),
        "q": word("quotient; high word of the product; result of the shift"),
        "q_low": common.low_limb("q"),
        "r": word("remainder; low word of the product; high word of a left shift; remainder of a right shift scaled to 31 bits"),
        "r_low": common.low_limb("r"),
        "negative": bit("q stands for q - 2^32"),
        "negative_remainder": bit("r stands for r - 2^32 (divisions)"),
        "magnitude_q": cell("q or 2^32 - q, by negative"),
        "factor": cell("divisions: v2 or 2^32 - v2, by sign2; shifts: 2^(31 - amount)"),
        "amount": cell("shifts: v2 mod 32"),
        "gap": word("divisions: divisor - 1 - remainder, of the magnitudes, any value if the divisor is 0; shifts: v2 / 32"),
        "gap_low": common.low_limb("gap"),
        "by_zero": bit("the divisor is 0"),
        "inverse": cell("products: 1 / (q - (2^32 - 1)(1 - negative))"),
    }

    def booleans(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, *self.flags)
        for name in (*self.modifiers, "by_zero"):
            air.assert_bool(f"{name} is boolean", row[name])
            air.assert_zero(f"{name} only in a division", row[name] * (1 - row.divide))

    def relation(self, air: AirBuilder, row: Row) -> None:
        self.sign_constraints(air, row)
        self.division_constraints(air, row)
        self.product_constraints(air, row)
        self.shift_constraints(air, row)
        air.assert_equal("result is q or r", row.vd, (self.real(row) - row.remainder) * row.q + row.remainder * row.r)

    def sign_constraints(self, air: AirBuilder, row: Row) -> None:
        """Signs of operands and results."""
        for name in ("sign1", "sign2", "negative", "negative_remainder"):
            air.assert_bool(f"{name} is boolean", row[name])
        for number, signed in zip((1, 2), self.signed(row), strict=True):
            air.assert_zero(f"sign {number} is 0 if unsigned", row[f"sign{number}"] * (1 - signed))
        opposite = row.sign1 + row.sign2 - row.sign1 * row.sign2 * 2
        air.assert_zero("q is negative only if signs differ", row.negative * (1 - opposite))
        air.assert_zero("q is negative if signs differ, or 0", (opposite - row.negative) * row.q)
        air.assert_zero("r is negative only if v1 is", row.negative_remainder * (1 - row.sign1))
        air.assert_zero("r is negative if v1 is, or 0", (row.sign1 - row.negative_remainder) * row.r)

    def division_constraints(self, air: AirBuilder, row: Row) -> None:
        """|V1| = |Q| |V2| + |R| and |R| < |V2|, or the divisor is 0."""
        magnitude_r = _magnitude(row.r, row.negative_remainder)
        air.assert_equal("magnitude of q", row.magnitude_q, _magnitude(row.q, row.negative))
        air.when(row.divide).assert_equal("factor is the divisor's magnitude", row.factor, _magnitude(row.v2, row.sign2))
        dividend = _magnitude(row.v1, row.sign1)
        air.when(row.divide).assert_equal("quotient and remainder", row.magnitude_q * row.factor + magnitude_r, dividend)
        air.when(row.divide).assert_equal("gap between remainder and divisor", row.factor - 1 - magnitude_r, row.gap)
        air.when(row.by_zero).assert_zero("by_zero has divisor 0", row.v2)
        air.when(row.by_zero).assert_equal("by_zero has quotient 2^32 - 1", row.q, WORD_MAX)

    def product_constraints(self, air: AirBuilder, row: Row) -> None:
        """V1 V2 = 2^32 Q + r without an alias."""
        product = row.signed_product + row.mixed_product
        value1, value2, high = row.v1 - row.sign1 * TWO_32, row.v2 - row.sign2 * TWO_32, row.q - row.negative * TWO_32
        air.assert_zero("signed product", product * (value1 * value2 - high * TWO_32 - row.r))
        forbidden = WORD_MAX - row.negative * WORD_MAX
        air.assert_zero("high word is not that of an alias", product * ((row.q - forbidden) * row.inverse - 1))

    def shift_constraints(self, air: AirBuilder, row: Row) -> None:
        """Products and quotients by 2^amount."""
        air.assert_zero("amount is v2 mod 32", self.shift(row) * (row.v2 - row.amount - row.gap * 32))
        air.assert_zero("left shift", row.left * (row.factor * (row.r * TWO_32 + row.q) - row.v1 * TWO_31))
        value, result = row.v1 - row.sign1 * TWO_32, row.q - row.negative * TWO_32
        air.assert_zero("right shift", (row.right + row.arithmetic) * (value * row.factor - result * TWO_31 - row.r))

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        shift, (signed1, signed2) = self.shift(row), self.signed(row)
        common.range_signed(buses, "sign 1", row.v1, row.low1, row.sign1, signed1)
        common.range_signed(buses, "sign 2", row.v2, row.low2, row.sign2, signed2)
        common.range_word(buses, "q", row.q, row.q_low, real)
        common.range_word(buses, "r", row.r, row.r_low, real)
        common.range_word(buses, "gap", row.gap, row.gap_low, row.divide - row.by_zero + shift)
        buses.lookup("factor of a shift", POWER, (31 - row.amount, row.factor), shift)
        buses.lookup("r of a shift: high limb", RANGE15, (common.high_limb(row.r, row.r_low),), shift)

    def real(self, row: Row) -> Expr:
        return row.signed_product + row.mixed_product + row.divide + self.shift(row)

    def shift(self, row: Row) -> Expr:
        """1 on shifts."""
        return row.left + row.right + row.arithmetic

    def signed(self, row: Row) -> tuple[Expr, Expr]:
        """Whether the first and the second operand are read as signed."""
        both = row.signed_product + row.divide - row.unsigned
        return both + row.mixed_product + row.arithmetic, both

    def witness(self, steps: Steps) -> Values:
        product, divide, left = steps.is_op(MULH, MULHSU), steps.is_op(DIV, DIVU, REM, REMU), steps.is_op(SLL)
        signed2, zero = steps.is_op(MULH, DIV, REM), np.uint64(0)
        signed1 = signed2 | steps.is_op(MULHSU, SRA)
        v1, v2 = steps.field("v1"), steps.field("v2")
        sign1, sign2 = np.where(signed1, common.sign_bit(v1), zero), np.where(signed2, common.sign_bit(v2), zero)
        results = _divided(v1, v2, sign1, sign2), _multiplied(v1, v2, sign1, sign2), _shifted(v1, v2, left, sign1)
        kinds = [divide, product, ~(divide | product)]
        q, r, factor, gap = (np.select(kinds, columns) for columns in zip(*results, strict=True))
        forbidden = np.where((sign1 ^ sign2 == 1) & (q != 0), zero, _MAX)
        by_zero = divide & (v2 == 0)
        return {
            "sign1": sign1,
            "sign2": sign2,
            "low1": np.where(signed1, common.low16(v1), zero),
            "low2": np.where(signed2, common.low16(v2), zero),
            **_words(q, r, sign1, sign2),
            "factor": factor,
            "amount": np.where(kinds[2], v2 & _31, zero),
            "gap": gap,
            "gap_low": np.where(by_zero, zero, common.low16(gap)),
            "by_zero": by_zero,
            "inverse": np.where(product, steps.inverses(sub(q, forbidden)), zero),
        }


def _magnitude(value: Expr, sign: Expr) -> Expr:
    """``value``, or 2^32 - value if ``sign``."""
    return value + sign * (TWO_32 - value * 2)


def _magnitudes(values: Words, signs: Words) -> Words:
    return np.where(signs == 1, _TWO_32 - values, values)


def _divided(v1: Words, v2: Words, sign1: Words, sign2: Words) -> tuple[Words, Words, Words, Words]:
    """q, r, factor and gap of divisions; dividing by zero the gap is -1 - remainder mod p."""
    dividend, divisor = _magnitudes(v1, sign1), _magnitudes(v2, sign2)
    by_zero = v2 == 0
    safe = np.where(by_zero, np.uint64(1), divisor)
    remainder = np.where(by_zero, dividend, dividend % safe)
    q = np.where(by_zero, _MAX, _magnitudes(dividend // safe, sign1 ^ sign2) & _MAX)
    return q, _magnitudes(remainder, sign1) & _MAX, divisor, sub(divisor, remainder + np.uint64(1))


def _multiplied(v1: Words, v2: Words, sign1: Words, sign2: Words) -> tuple[Words, Words, Words, Words]:
    """High and low word of signed products; factor and gap are not used."""
    product = _magnitudes(v1, sign1) * _magnitudes(v2, sign2)  # at most 2^63: negated in wrapping arithmetic
    product = np.where(sign1 ^ sign2 == 1, ~product + np.uint64(1), product)
    zero = product & np.uint64(0)
    return product >> _32, product & _MAX, zero, zero


def _shifted(v1: Words, v2: Words, left: NDArray[np.bool_], sign1: Words) -> tuple[Words, Words, Words, Words]:
    """What shifts keep and shift out, 2^(31 - amount), and v2 / 32."""
    amount = v2 & _31
    scale = np.uint64(1) << (_31 - amount)
    upward = v1 << amount
    # Arithmetic: fill from above with 32 copies of the sign. The remainder does not depend on them: 2^32 scale is a multiple of 2^31.
    downward = (v1 | (sign1 * _MAX) << _32) >> amount & _MAX
    q = np.where(left, upward & _MAX, downward)
    r = np.where(left, upward >> _32, v1 * scale & np.uint64(TWO_31 - 1))
    return q, r, scale, v2 >> np.uint64(5)


def _words(q: Words, r: Words, sign1: Words, sign2: Words) -> Values:
    """q, r and what follows from them and the operands' signs."""
    negative = (sign1 ^ sign2) * (q != 0)
    signs = {"negative": negative, "negative_remainder": sign1 * (r != 0), "magnitude_q": _magnitudes(q, negative)}
    return {"q": q, "q_low": common.low16(q), "r": r, "r_low": common.low16(r), **signs}
