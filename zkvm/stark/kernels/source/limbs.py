"""LLVM code for sums of products with a late reduction, additions without carries.

An element is a pair of signed words (l, h) with the value l + 2^32 h. Sums and differences are two plain instructions each, and a
product by a power of two is a shift, because 2^64 = 2^32 - 1 and 2^96 = -1: only :meth:`Limbs.word` propagates carries. Nothing
checks the bounds; each function states them in its comments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zkvm.stark.kernels.source.words import constant, emit_add_small, emit_canonical, emit_halves, emit_join, emit_product, hidden_epsilon

_COORDINATES = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))
"""2^(32 i) = l + 2^32 h, as (l, h)."""


@dataclass(frozen=True, slots=True)
class Limbs:
    """The value ``low + 2^32 high`` in every lane; both are signed words."""

    builder: Any
    low: Any
    high: Any

    def __add__(self, other: Limbs) -> Limbs:
        return Limbs(self.builder, self.builder.add(self.low, other.low), self.builder.add(self.high, other.high))

    def __sub__(self, other: Limbs) -> Limbs:
        return Limbs(self.builder, self.builder.sub(self.low, other.low), self.builder.sub(self.high, other.high))

    def __lshift__(self, bits: int) -> Limbs:
        return Limbs(self.builder, self.builder.shl(self.low, constant(bits)), self.builder.shl(self.high, constant(bits)))

    def times_2_32(self) -> Limbs:
        """2^32 l + 2^64 h = -h + 2^32 (l + h)."""
        return Limbs(self.builder, self.builder.neg(self.high), self.builder.add(self.low, self.high))

    def times_2_64(self) -> Limbs:
        """2^64 l + 2^96 h = -(l + h) + 2^32 l."""
        return Limbs(self.builder, self.builder.neg(self.builder.add(self.low, self.high)), self.low)

    def word(self) -> Any:
        """Any word of a value with both parts in [0, 2^62).

        The low part's upper half joins the high part; what then is above 2^64, below 2^31, folds back as a term below 2^63.
        """
        high = self.builder.add(self.high, self.builder.lshr(self.low, constant(32)))
        top = self.builder.mul(self.builder.lshr(high, constant(32)), hidden_epsilon(self.builder))
        return emit_add_small(self.builder, emit_join(self.builder, self.low, high), top)

    def canonical(self) -> Any:
        """:meth:`word` made canonical."""
        return emit_canonical(self.builder, self.word())


def split(builder: Any, value: Any) -> Limbs:
    """Any word; both parts are below 2^32."""
    return Limbs(builder, *emit_halves(builder, value))


def shifted(builder: Any, value: Any, power: int) -> Limbs:
    """2^power times any word, with parts between -2^33 and 2^33: three digits base 2^32, the last below 2^31, folded by 2^96 = -1."""
    turns, bits = divmod(power % 192, 32)
    whole = builder.shl(value, constant(bits)) if bits else value
    digits = list(emit_halves(builder, whole))
    if bits:
        digits.append(builder.lshr(value, constant(64 - bits)))
    parts: list[Any] = [None, None]
    for place, digit in enumerate(digits, turns):
        for part, sign in enumerate(_COORDINATES[place % 6]):
            if sign:
                emit_sum = builder.add if sign > 0 else builder.sub
                parts[part] = emit_sum(constant(0) if parts[part] is None else parts[part], digit)
    return Limbs(builder, *parts)


def product(builder: Any, a: Any, b: Any) -> Limbs:
    """a b for any words, with parts between -2^33 and 2^33: 2^64 (t0 + 2^32 t1) = -(t0 + t1) + 2^32 t0."""
    low, middle, top = emit_product(builder, a, b)
    top_low, top_high = emit_halves(builder, top)
    low_part = builder.sub(builder.sub(emit_halves(builder, low)[0], top_low), top_high)
    return Limbs(builder, low_part, builder.add(emit_halves(builder, middle)[0], top_low))


def zero(builder: Any, bits: int) -> Limbs:
    """A representation of 0 with both parts near 2^bits, 32 <= bits < 63: added, it makes sums of smaller parts positive.

    (2^bits + 2^(bits - 32)) + 2^32 (2^bits - 2^(bits - 31)) = 2^(bits - 32) (2^64 - 2^32 + 1).
    """
    return Limbs(builder, constant(2**bits + 2 ** (bits - 32)), constant(2**bits - 2 ** (bits - 31)))
