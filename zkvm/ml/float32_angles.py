"""Trigonometric functions of the guest's floats, and powers, by the steps of ``runtime/float32_angles.h``."""

from __future__ import annotations

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.float32 import INFINITY, NAN, ONE, is_nan
from zkvm.ml.float32_elementary import (
    HALF,
    MINUS,
    WORD,
    down,
    field,
    fraction,
    grown,
    high,
    horner,
    normal,
    opened,
    pack,
    product,
    sign_of,
    signed,
    square,
    top,
    turned,
)

HALF_PI = 1686629713
PI = 3373259426
TWO_OVER_PI = np.array([0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB], np.int64)
SIN = (1686629713, -693598667, 85569259, -5026471, 169873)
COS = (1073741824, -1324675869, 272375233, -22398329, 970263)
ASIN = (1073741824, 178956874, 80536772, 47790863, 34206396, 15349414, 40455519)
ATAN = (
    536870911, -357913329, 429455397, -612463027, 939080985, -1434471827, 1961582206, -2085764266, 1441411538, -467614067,
)  # fmt: skip
INVERSES = np.array([256, 234, 221, 210, 200, 191, 182, 174, 167, 161, 155, 149, 144, 139, 134, 128], np.int64)
LOGS = np.array(
    [
        0, 2335301602312997, 3820807817963939, 5147695120633196, 6415716524083434, 7612365490382864, 8866783499963650,
        10035037858079914, 11102196475055578, 12053129993611597, 13040183434678160, 14066209441143049, 14953301816775868,
        15871746626295443, 16823841495406617, 18014398509481984,
    ],
    np.int64,
)  # fmt: skip
SLOPE = 25380159564675
POW = (-774541003, 64545084, -6051075, 605107, -63310, 6784)


def leading(value: IntArray) -> tuple[IntArray, IntArray]:
    """The top 32 bits of unsigned integers of 64 bits, and by how much they were moved up."""
    unsigned = value.view(np.uint64)
    up = 64 - float32.bit_length(np.maximum(unsigned, 1))
    return ((unsigned << up.astype(np.uint64)) >> np.uint64(32)).astype(np.int64), up


def reduce(x: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """|x| as quadrants and a rest: top bits and exponent of its magnitude, the quadrant, and whether the rest is negative."""
    mantissa, exponent = opened(x)
    near = high(mantissa, TWO_OVER_PI[1])
    small = 1 - (near >> 31)
    start = np.maximum(field(x) - 120, 0)
    word, bit = np.minimum(start >> 5, 4), start & 31
    parts = [((TWO_OVER_PI[word + i] << bit) & WORD) | (TWO_OVER_PI[word + i + 1] >> (32 - bit)) for i in range(3)]
    short = (top(x) >> 8).astype(np.uint64)
    turns = short * parts[1].astype(np.uint64) + ((short * parts[0].astype(np.uint64)) << np.uint64(32))
    turns += high(top(x) >> 8, parts[2]).astype(np.uint64)
    rest = (turns << np.uint64(2)).view(np.int64)
    negative = (rest < 0).astype(np.int64)
    far, up = leading(np.where(negative > 0, -rest, rest))
    is_near = field(x) < 126
    quadrant = (turns >> np.uint64(62)).astype(np.int64) + negative
    return (
        np.where(is_near, near << small, far),
        np.where(is_near, exponent - 126 - small, -up),
        np.where(is_near, 0, quadrant),
        np.where(is_near, 0, negative),
    )


def sine(x: IntArray, more: int) -> IntArray:
    """The sine of x plus so many quadrants."""
    rest, exponent, quadrant, negative = reduce(x)
    part = down(rest, -exponent)
    z = high(part, part)
    quadrant = quadrant + more
    minus = ((quadrant >> 1) & 1) ^ (0 if more else (x < 0).astype(np.int64))
    even = normal(minus * MINUS, np.full_like(x, 127), horner(COS, z))
    odd = product((minus ^ negative) * MINUS, exponent + 253, rest, horner(SIN, z) << 1)
    result = np.where(quadrant & 1, even, odd)
    return np.where(field(x) == 255, NAN, np.where(x & ~MINUS == 0, ONE if more else x, result))


def sin(x: IntArray) -> IntArray:
    """Sine."""
    return sine(x, 0)


def cos(x: IntArray) -> IntArray:
    """Cosine."""
    return sine(x, 1)


def tan(x: IntArray) -> IntArray:
    """Tangent."""
    return float32.div(sine(x, 0), sine(x, 1))


def asin_factor(x: IntArray) -> IntArray:
    """asin(x) / x for magnitudes of at most 1/2."""
    return horner(ASIN, square(x))


def half_chord(x: IntArray) -> IntArray:
    """sqrt((1 - |x|) / 2)."""
    rest = float32.sub(np.full_like(x, ONE), x & ~MINUS)
    return np.where(is_nan(x) | ((x & ~MINUS) > ONE), 0, float32.sqrt(float32.mul(rest, np.full_like(x, HALF))))


def asin(x: IntArray) -> IntArray:
    """Arc sine."""
    size, chord = x & ~MINUS, half_chord(x)
    far = normal(sign_of(x), np.full_like(x, 127), HALF_PI - (high(fraction(chord), asin_factor(chord)) << 1))
    return np.where(size > ONE, NAN, np.where(size <= HALF, grown(x, asin_factor(x)), far))


def acos(x: IntArray) -> IntArray:
    """Arc cosine."""
    size = x & ~MINUS
    near = size <= HALF
    y = np.where(near, x, half_chord(x))
    factor = asin_factor(y)
    angle = high(fraction(y), factor)
    zero, place = np.zeros_like(x), np.full_like(x, 127)
    close = normal(zero, place, np.where(x < 0, HALF_PI + angle, HALF_PI - angle))
    far = np.where(x < 0, normal(zero, place, PI - (angle << 1)), grown(y, factor << 1))
    return np.where(size > ONE, NAN, np.where(near, close, far))


def atan(x: IntArray) -> IntArray:
    """Arc tangent."""
    size = x & ~MINUS
    y = np.where(size > ONE, float32.div(np.full_like(x, ONE), size), x)
    factor = horner(ATAN, square(y) >> 1) << 1
    far = normal(sign_of(x), np.full_like(x, 127), HALF_PI - high(fraction(y), factor))
    return np.where(is_nan(x), NAN, np.where(size <= ONE, grown(x, factor), far))


def log2_wide(x: IntArray) -> tuple[IntArray, IntArray]:
    """Binary logarithms of positive numbers: integers, and the bits after the point."""
    opened_mantissa, exponent = opened(x)
    mantissa = opened_mantissa >> 8
    place = (mantissa >> 19) & 15
    z = signed((mantissa * INVERSES[place] - (1 << 31)) << 4)
    slope = SLOPE + ((z * horner(POW, z)) >> 21)
    part = z * (slope >> 14) + ((z * (slope & 0x3FFF)) >> 14)
    base = ((exponent - 127) << 54) + LOGS[place]
    return np.where(base == 0, part, base + (part >> 11)), np.where(base == 0, 65, 54)


def pow_positive(sign: IntArray, x: IntArray, y: IntArray) -> IntArray:
    """x^y for positive finite x other than 1 and finite y other than 0."""
    logarithm, scale = log2_wide(x)
    factor, exponent = opened(y)
    negative = (logarithm < 0) ^ (y < 0)
    size = np.abs(logarithm)
    first, up = leading(size)
    after = ((size.view(np.uint64) << up.astype(np.uint64)) & np.uint64(WORD)).astype(np.int64)
    turns = first.astype(np.uint64) * factor.astype(np.uint64) + high(after, factor).astype(np.uint64)
    bits = scale + up + 94 - exponent
    power, moved = turned(turns.view(np.int64), bits, np.asarray(negative, np.bool_))
    return np.where(bits < 21, sign + np.where(negative, 0, INFINITY), pack(sign, moved + 127, power))


def parity(y: IntArray) -> IntArray:
    """0: no integer, 1: odd, 2: even."""
    bits = 150 - field(y)
    mantissa = top(y) >> 8
    place = np.clip(bits, 0, 23)
    broken = (bits > 23) | ((mantissa & ((1 << place) - 1)) != 0)
    return np.where(bits < 0, 2, np.where(broken, 0, np.where((mantissa >> place) & 1, 1, 2)))


def pow(x: IntArray, y: IntArray) -> IntArray:
    """x^y."""
    x, y = np.broadcast_arrays(x, y)
    size, kind = x & ~MINUS, parity(y)
    sign = np.where(kind == 1, sign_of(x), 0)
    ordinary = (size > 0) & (size < INFINITY) & (size != ONE)
    result = pow_positive(sign, np.where(ordinary, size, HALF), np.where(y & ~MINUS == 0, ONE, y))
    result = np.where(size == ONE, sign + ONE, result)
    result = np.where((x < 0) & (kind == 0), NAN, result)
    edge = sign + np.where((size == 0) == (y < 0), INFINITY, 0)
    result = np.where((size == 0) | (size == INFINITY), edge, result)
    endless = np.where(size == ONE, ONE, np.where((size > ONE) == (y > 0), INFINITY, 0))
    result = np.where(field(y) == 255, endless, result)
    result = np.where(is_nan(x) | is_nan(y), NAN, result)
    return np.where((y & ~MINUS == 0) | (x == ONE), ONE, result)
