"""Transforms of 2, 4 and 8 points on vectors: ``joinN`` (bit-reversed in, natural out) and its reverse ``splitN``.

The 64th roots of unity are powers of two (w_64 = 2^39, w_8 = -2^24, w_4 = 2^48), so that the twiddles inside, and those between two
such transforms that make one of 16, 32 or 64 points, are shifts. All take tuples of any words and leave any words. Sums are added without
carries (see :mod:`zkvm.stark.kernels.source.limbs`): a reduction after every sum would take twice the instructions.

``joinN`` and ``splitN_scaled`` multiply their inputs by twiddles first: N of them, or N - 1 for the values after the first.
``joinN_after[i]`` and ``splitN_after[i]`` are the second half of 8 N points, for the i-th output of the first half, which has 8
points. ``splitN`` does not divide by N.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zkvm.stark.kernels.source import limbs
from zkvm.stark.kernels.source.limbs import Limbs
from zkvm.stark.kernels.source.tiles import on_one_tuple, on_two_tuples

ROOT_64 = 39
"""w_64 = 2^39."""
BIT_REVERSED = (0, 4, 2, 6, 1, 5, 3, 7)

# The first value gets 0 in large limbs added, and is a term of every result: all results are then positive. Parts are below 2^33
# after a product or a shift, below 2^36 after three sums; a product by 2^48 adds 17 bits and one by 2^24 adds 24.


def _positive(values: list[Limbs]) -> list[Limbs]:
    first, *rest = values
    return [first + limbs.zero(first.builder, 61), *rest]


def _scaled(builder: Any, values: list[Any], twiddles: list[Any]) -> list[Limbs]:
    plain = len(values) - len(twiddles)
    parts = [limbs.split(builder, value) for value in values[:plain]]
    return parts + [limbs.product(builder, value, twiddle) for value, twiddle in zip(values[plain:], twiddles, strict=True)]


def _times_2_48(value: Limbs) -> Limbs:
    return value.times_2_32() << 16


def _mixed(a: Limbs, b: Limbs) -> Limbs:
    """2^24 a + 2^72 b."""
    return (a << 24) + (b.times_2_64() << 8)


def _join8(v: list[Limbs]) -> list[Limbs]:
    """The odd half, 2^24 (a5 + 2^48 a7) and 2^72 (a5 - 2^48 a7) with 2^120 = -2^24, is summed in one step: smaller shifts."""
    a0, a1, a2, a3 = v[0] + v[1], v[0] - v[1], v[2] + v[3], _times_2_48(v[2] - v[3])
    a4, a5, a6, a7 = v[4] + v[5], v[4] - v[5], v[6] + v[7], v[6] - v[7]
    b0, b1, b2, b3 = a0 + a2, a1 + a3, a0 - a2, a1 - a3
    c4, c5, c6, c7 = a4 + a6, _mixed(a5, a7), _times_2_48(a4 - a6), _mixed(a7, a5)
    return [b0 + c4, b1 - c5, b2 + c6, b3 - c7, b0 - c4, b1 + c5, b2 - c6, b3 + c7]


def _split8(v: list[Limbs]) -> list[Limbs]:
    a0, a1, a2, a3 = v[0] + v[4], v[1] + v[5], v[2] + v[6], v[3] + v[7]
    a4, a5, a6, a7 = v[0] - v[4], v[1] - v[5], _times_2_48(v[2] - v[6]), v[3] - v[7]
    b0, c1, b2, c3 = a0 + a2, a1 + a3, a0 - a2, _times_2_48(a1 - a3)
    b4, c5, b6, c7 = a4 - a6, _mixed(a7, a5), a4 + a6, _mixed(a5, a7)
    return [b0 + c1, b0 - c1, b2 - c3, b2 + c3, b4 + c5, b4 - c5, b6 + c7, b6 - c7]


def _join4(v: list[Limbs]) -> list[Limbs]:
    a0, a1, a2, a3 = v[0] + v[1], v[0] - v[1], v[2] + v[3], _times_2_48(v[2] - v[3])
    return [a0 + a2, a1 + a3, a0 - a2, a1 - a3]


def _split4(v: list[Limbs]) -> list[Limbs]:
    a0, a1, a2, a3 = v[0] + v[2], v[1] + v[3], v[0] - v[2], _times_2_48(v[1] - v[3])
    return [a0 + a1, a0 - a1, a2 - a3, a2 + a3]


def _join2(v: list[Limbs]) -> list[Limbs]:
    return [v[0] + v[1], v[0] - v[1]]


Transform = Callable[[list[Limbs]], list[Limbs]]


def _words(transform: Transform, values: list[Limbs]) -> list[Any]:
    return [value.word() for value in transform(_positive(values))]


def _plain(transform: Transform, count: int) -> Any:
    def emit(builder: Any, values: list[Any]) -> list[Any]:
        return _words(transform, _scaled(builder, values, []))

    return on_one_tuple(emit, count, f"{count} points.")


def _with_twiddles(transform: Transform, count: int) -> Any:
    def emit(builder: Any, values: list[Any], twiddles: list[Any]) -> list[Any]:
        return _words(transform, _scaled(builder, values, twiddles))

    return on_two_tuples(emit, count, f"{count} points times twiddles.")


def _with_powers(transform: Transform, powers: list[int]) -> Any:
    def emit(builder: Any, values: list[Any]) -> list[Any]:
        return _words(transform, [limbs.shifted(builder, value, power) for value, power in zip(values, powers, strict=True)])

    return on_one_tuple(emit, len(powers), f"Points times 2^{powers}.")


def _joins_after(transform: Transform, order: tuple[int, ...]) -> tuple[Any, ...]:
    root = ROOT_64 * 8 // len(order)
    return tuple(_with_powers(transform, [root * first * second for second in order]) for first in range(8))


def _splits_after(transform: Transform, count: int) -> tuple[Any, ...]:
    root = ROOT_64 * 8 // count
    return tuple(_with_powers(transform, [-root * first * second for second in range(count)]) for first in BIT_REVERSED)


join8, join4, join2 = _with_twiddles(_join8, 8), _with_twiddles(_join4, 4), _with_twiddles(_join2, 2)
split8, split4, split2 = _plain(_split8, 8), _plain(_split4, 4), _plain(_join2, 2)
split8_scaled, split4_scaled, split2_scaled = _with_twiddles(_split8, 8), _with_twiddles(_split4, 4), _with_twiddles(_join2, 2)
join8_after, join4_after, join2_after = _joins_after(_join8, BIT_REVERSED), _joins_after(_join4, (0, 2, 1, 3)), _joins_after(_join2, (0, 1))
split8_after, split4_after, split2_after = _splits_after(_split8, 8), _splits_after(_split4, 4), _splits_after(_join2, 2)
