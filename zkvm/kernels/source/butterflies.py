"""Transforms of 2, 4 and 8 points on vectors: ``joinN`` (bit-reversed in, natural out, inputs times twiddles) and its reverse ``splitN``.

The eighth roots of unity are signed powers of two (w_8 = -2^24, w_4 = 2^48), so that the inner twiddles are shifts. All take tuples
of any words and leave any words. ``joinN`` takes N values and N - 1 twiddles, for the values after the first; ``splitN`` does not
divide by N.

Wide registers compare and mask in one instruction each, so that every sum is reduced at once. Narrow ones add without carries (see
:mod:`zkvm.kernels.source.limbs`): a reduction after every sum would take twice the instructions.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from zkvm.kernels.source import limbs
from zkvm.kernels.source.limbs import Limbs
from zkvm.kernels.source.tiles import on_one_tuple, on_two_tuples
from zkvm.kernels.source.vectors import add_any, canonical, mul_2_24, mul_2_48, mul_2_72, mul_any, sub_any
from zkvm.kernels.source.words import WIDE

# In the wide functions c* are canonical, the rest any words: only the second operand of a sum needs to be canonical, and the
# products by powers of two always are.


@njit(inline="always")
def _join8_wide(v: Any, w: Any) -> Any:
    c1, c3, c5, c7 = (
        canonical(mul_any(v[1], w[0])),
        canonical(mul_any(v[3], w[2])),
        canonical(mul_any(v[5], w[4])),
        canonical(mul_any(v[7], w[6])),
    )
    v2, v4, v6 = mul_any(v[2], w[1]), mul_any(v[4], w[3]), mul_any(v[6], w[5])
    a0, a1, a2, a3 = add_any(v[0], c1), sub_any(v[0], c1), add_any(v2, c3), sub_any(v2, c3)
    a4, a5, a6, a7 = add_any(v4, c5), sub_any(v4, c5), add_any(v6, c7), sub_any(v6, c7)
    c2, c3, c6, c7 = canonical(a2), mul_2_48(a3), canonical(a6), mul_2_48(a7)
    b0, b1, b2, b3 = add_any(a0, c2), add_any(a1, c3), sub_any(a0, c2), sub_any(a1, c3)
    b4, b5, b6, b7 = add_any(a4, c6), add_any(a5, c7), sub_any(a4, c6), sub_any(a5, c7)
    c4, c5, c6, c7 = canonical(b4), mul_2_24(b5), mul_2_48(b6), mul_2_72(b7)  # w_8 = -2^24 and w_8^3 = -2^72: signs below
    low = add_any(b0, c4), sub_any(b1, c5), add_any(b2, c6), sub_any(b3, c7)
    return low[0], low[1], low[2], low[3], sub_any(b0, c4), add_any(b1, c5), sub_any(b2, c6), add_any(b3, c7)


@njit(inline="always")
def _split8_wide(v: Any) -> Any:
    c4, c5, c6, c7 = canonical(v[4]), canonical(v[5]), canonical(v[6]), canonical(v[7])
    a0, a1, a2, a3 = add_any(v[0], c4), add_any(v[1], c5), add_any(v[2], c6), add_any(v[3], c7)
    a4, a5, c6, c7 = sub_any(v[0], c4), mul_2_72(sub_any(v[1], c5)), mul_2_48(sub_any(v[2], c6)), mul_2_24(sub_any(v[3], c7))
    c2, c3 = canonical(a2), canonical(a3)
    b0, c1, b2, c3 = add_any(a0, c2), canonical(add_any(a1, c3)), sub_any(a0, c2), mul_2_48(sub_any(a1, c3))
    # w_4^-1 = -2^48: c3, c6 and the second c7 carry the opposite sign, so sums and differences change places.
    b4, c5, b6, c7 = sub_any(a4, c6), canonical(add_any(a5, c7)), add_any(a4, c6), mul_2_48(sub_any(a5, c7))
    even = add_any(b0, c1), sub_any(b0, c1), sub_any(b2, c3), add_any(b2, c3)
    return even[0], even[1], even[2], even[3], add_any(b4, c5), sub_any(b4, c5), sub_any(b6, c7), add_any(b6, c7)


@njit(inline="always")
def _join4_wide(v: Any, w: Any) -> Any:
    c1, v2, c3 = canonical(mul_any(v[1], w[0])), mul_any(v[2], w[1]), canonical(mul_any(v[3], w[2]))
    a0, a1, c2, c3 = add_any(v[0], c1), sub_any(v[0], c1), canonical(add_any(v2, c3)), mul_2_48(sub_any(v2, c3))
    return add_any(a0, c2), add_any(a1, c3), sub_any(a0, c2), sub_any(a1, c3)


@njit(inline="always")
def _split4_wide(v: Any) -> Any:
    c2, c3 = canonical(v[2]), canonical(v[3])
    a0, c1, a2, c3 = add_any(v[0], c2), canonical(add_any(v[1], c3)), sub_any(v[0], c2), mul_2_48(sub_any(v[1], c3))
    return add_any(a0, c1), sub_any(a0, c1), sub_any(a2, c3), add_any(a2, c3)


@njit(inline="always")
def _join2_wide(v: Any, w: Any) -> Any:
    c1 = canonical(mul_any(v[1], w[0]))
    return add_any(v[0], c1), sub_any(v[0], c1)


@njit(inline="always")
def _split2_wide(v: Any) -> Any:
    c1 = canonical(v[1])
    return add_any(v[0], c1), sub_any(v[0], c1)


# The narrow functions add 0 in large limbs to the first value, which is a term of every result: all results are then positive.
# Parts are below 2^33 after a product, below 2^36 after three sums; a product by 2^48 adds 17 bits and one by 2^24 adds 24.


def _twiddled(builder: Any, values: list[Any], twiddles: list[Any]) -> list[Limbs]:
    first = limbs.split(builder, values[0]) + limbs.zero(builder, 61)
    return [first, *(limbs.product(builder, value, twiddle) for value, twiddle in zip(values[1:], twiddles, strict=True))]


def _positive(builder: Any, values: list[Any]) -> list[Limbs]:
    first, *rest = (limbs.split(builder, value) for value in values)
    return [first + limbs.zero(builder, 61), *rest]


def _times_2_48(value: Limbs) -> Limbs:
    return value.times_2_32() << 16


def _mixed(a: Limbs, b: Limbs) -> Limbs:
    """2^24 a + 2^72 b."""
    return (a << 24) + (b.times_2_64() << 8)


def _words(values: list[Limbs]) -> list[Any]:
    return [value.word() for value in values]


def _emit_join8(builder: Any, values: list[Any], twiddles: list[Any]) -> list[Any]:
    """The odd half, 2^24 (a5 + 2^48 a7) and 2^72 (a5 - 2^48 a7) with 2^120 = -2^24, is summed in one step: smaller shifts."""
    v = _twiddled(builder, values, twiddles)
    a0, a1, a2, a3 = v[0] + v[1], v[0] - v[1], v[2] + v[3], _times_2_48(v[2] - v[3])
    a4, a5, a6, a7 = v[4] + v[5], v[4] - v[5], v[6] + v[7], v[6] - v[7]
    b0, b1, b2, b3 = a0 + a2, a1 + a3, a0 - a2, a1 - a3
    c4, c5, c6, c7 = a4 + a6, _mixed(a5, a7), _times_2_48(a4 - a6), _mixed(a7, a5)
    return _words([b0 + c4, b1 - c5, b2 + c6, b3 - c7, b0 - c4, b1 + c5, b2 - c6, b3 + c7])


def _emit_split8(builder: Any, values: list[Any]) -> list[Any]:
    v = _positive(builder, values)
    a0, a1, a2, a3 = v[0] + v[4], v[1] + v[5], v[2] + v[6], v[3] + v[7]
    a4, a5, a6, a7 = v[0] - v[4], v[1] - v[5], _times_2_48(v[2] - v[6]), v[3] - v[7]
    b0, c1, b2, c3 = a0 + a2, a1 + a3, a0 - a2, _times_2_48(a1 - a3)
    b4, c5, b6, c7 = a4 - a6, _mixed(a7, a5), a4 + a6, _mixed(a5, a7)
    return _words([b0 + c1, b0 - c1, b2 - c3, b2 + c3, b4 + c5, b4 - c5, b6 + c7, b6 - c7])


def _emit_join4(builder: Any, values: list[Any], twiddles: list[Any]) -> list[Any]:
    v = _twiddled(builder, values, twiddles)
    a0, a1, a2, a3 = v[0] + v[1], v[0] - v[1], v[2] + v[3], _times_2_48(v[2] - v[3])
    return _words([a0 + a2, a1 + a3, a0 - a2, a1 - a3])


def _emit_split4(builder: Any, values: list[Any]) -> list[Any]:
    v = _positive(builder, values)
    a0, a1, a2, a3 = v[0] + v[2], v[1] + v[3], v[0] - v[2], _times_2_48(v[1] - v[3])
    return _words([a0 + a1, a0 - a1, a2 - a3, a2 + a3])


def _emit_join2(builder: Any, values: list[Any], twiddles: list[Any]) -> list[Any]:
    v = _twiddled(builder, values, twiddles)
    return _words([v[0] + v[1], v[0] - v[1]])


def _emit_split2(builder: Any, values: list[Any]) -> list[Any]:
    v = _positive(builder, values)
    return _words([v[0] + v[1], v[0] - v[1]])


join8 = _join8_wide if WIDE else on_two_tuples(_emit_join8, 8, "8 points joined.")
join4 = _join4_wide if WIDE else on_two_tuples(_emit_join4, 4, "4 points joined.")
join2 = _join2_wide if WIDE else on_two_tuples(_emit_join2, 2, "2 points joined.")
split8 = _split8_wide if WIDE else on_one_tuple(_emit_split8, 8, "8 points split.")
split4 = _split4_wide if WIDE else on_one_tuple(_emit_split4, 4, "4 points split.")
split2 = _split2_wide if WIDE else on_one_tuple(_emit_split2, 2, "2 points split.")
