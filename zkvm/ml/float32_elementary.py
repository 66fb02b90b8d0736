"""Elementary functions of the guest's floats, by the steps of ``runtime/float32_elementary.h``: equal in every bit.

Unsigned words are non-negative int64 here. Every branch is computed for all numbers, with masked shifts, and then one is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.float32 import INFINITY, NAN, ONE, SIGN, is_nan

BoolArray = NDArray[np.bool_]
WORD = 0xFFFFFFFF
UNIT = 1 << 30
HALF = 0x3F000000
MINUS = -(1 << 31)
LN2 = 0x3F317218
LN2_WIDE = 0x2C5C85FDF473DE
ROOT_OF_TWO = 0xB504F334
TWO_TO = (1488522215, 515883993, 119176803, 20727931, 2725622, 447061)
EXPM1 = (1073741824, 536870912, 178956982, 44739244, 8947616, 1491285, 214528, 26779)
LOG = (1073741825, -536870906, 357913612, -268436126, 214775591, -178955778, 152603315, -133367553, 128267891, -124775762, 70569826)
TANH = (1073741824, -357913842, 143160926, -57867409, 22842593, -7099596)
ERF = (1211587905, -807725261, 484634768, -230772293, 89696643, -29151078, 7741908, -1328628)
ERF_MIDDLE = (1037347502, 127700425, -191550619, 148983930, -47888315, -15965747, 20759251, -5056888, -2579330, 1670088)
ERF_FAR = (
    1073718104, 299043, -1794009, 6778484, -17954632, 34920909, -50504714, 53801528, -38810433, 6772100, 24348513, -21156589,
)  # fmt: skip
SINH = (1073741824, 357913936, 35791479, 1703875, 48430)


def horner(coefficients: Sequence[int], z: IntArray) -> IntArray:
    """A polynomial of signed words."""
    total = np.full(z.shape, coefficients[-1], np.int64)
    for coefficient in coefficients[-2::-1]:
        total = coefficient + ((total * z) >> 32)
    return total


def high(left: IntArray, right: IntArray | int) -> IntArray:
    """The upper word of the product of unsigned words."""
    return ((left.astype(np.uint64) * np.asarray(right).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def signed(words: IntArray) -> IntArray:
    """The low 32 bits as a signed word."""
    return ((words & WORD) ^ SIGN) - SIGN


def field(x: IntArray) -> IntArray:
    """The exponent's field."""
    return (x >> 23) & 255


def top(x: IntArray) -> IntArray:
    """The mantissa of a normal number, 2^31 and more."""
    return ((x << 8) & WORD) | SIGN


def down(values: IntArray, bits: IntArray) -> IntArray:
    """Unsigned words shifted to the right; 0 where the distance is none."""
    return np.where((bits < 0) | (bits > 31), 0, values >> np.clip(bits, 0, 31))


def opened(x: IntArray) -> tuple[IntArray, IntArray]:
    """Mantissas of 2^31 and more, and fields, as if subnormal numbers were normal; of 0: 0."""
    small = field(x) == 0
    mantissas = np.where(small, (x << 8) & WORD, top(x))
    up = 32 - float32.bit_length(np.maximum(mantissas, 1).astype(np.uint64))
    return mantissas << up, np.where(small, 1 - up, field(x))


def pack(sign: IntArray, exponent: IntArray, mantissa: IntArray) -> IntArray:
    """sign * mantissa * 2^(exponent - 157), for mantissas from 2^30 to 2^31; sign: 0 or -2^31."""
    lost = np.clip(1 - exponent, 0, 31)
    mantissa = (mantissa >> lost) | ((mantissa & ((1 << lost) - 1)) != 0)
    rounded = (np.clip(exponent - 1, 0, 254) << 23) + ((mantissa + 63 + ((mantissa >> 7) & 1)) >> 7)
    return np.where(exponent >= 255, INFINITY, rounded) + sign


def normal(sign: IntArray, exponent: IntArray, value: IntArray) -> IntArray:
    """The same for all unsigned words."""
    up = 32 - float32.bit_length(np.maximum(value, 1).astype(np.uint64))
    value = value << up
    return np.where(value == 0, sign, pack(sign, exponent + 1 - up, (value >> 1) | (value & 1)))


def product(sign: IntArray, exponent: IntArray, left: IntArray, right: IntArray) -> IntArray:
    """The product of mantissas of 2^31 and more, whose exponents add to this one."""
    low = left.astype(np.uint64) * right.astype(np.uint64)
    upper = (low >> np.uint64(32)).astype(np.int64) | ((low & np.uint64(WORD)) != 0)
    carry = upper >> 31
    return pack(sign, exponent - 127 + carry, np.where(carry > 0, (upper >> 1) | (upper & 1), upper))


def grown(x: IntArray, factor: IntArray) -> IntArray:
    """x * factor / 2^30."""
    mantissa, exponent = opened(x)
    up = 32 - float32.bit_length(np.maximum(factor, 1).astype(np.uint64))
    return np.where(x & ~MINUS == 0, x, product(sign_of(x), exponent + 128 - up, mantissa, factor << up))


def sign_of(x: IntArray) -> IntArray:
    """The word that holds the sign alone."""
    return np.where(x < 0, MINUS, 0)


def fraction(x: IntArray) -> IntArray:
    """Magnitudes of at most 1 with 32 bits after the point."""
    return np.where(field(x) > 126, WORD, down(top(x), 126 - field(x)))


def square(x: IntArray) -> IntArray:
    """Squares of them."""
    part = fraction(x)
    return high(part, part)


def signed_fraction(x: IntArray) -> IntArray:
    """Numbers between -1/2 and 1/2 with 32 bits after the point."""
    part = down(top(x), 126 - field(x))
    return signed(np.where(x < 0, -part, part))


def two_to(part: IntArray) -> IntArray:
    """2^(part / 2^32), with 30 bits after the point."""
    total = np.full(part.shape, TWO_TO[-1], np.int64)
    for coefficient in TWO_TO[-2::-1]:
        total = coefficient + high(total, part)
    return UNIT + (high(total, part) >> 1)


def turned(turns: IntArray, bits: IntArray, negative: BoolArray) -> tuple[IntArray, IntArray]:
    """The power of two of turns / 2^(bits + 32), or of its negative: the mantissa and the exponent."""
    unsigned = turns.view(np.uint64) >> np.clip(bits, 0, 63).astype(np.uint64)
    size = np.where((bits < 0) | (bits > 63), 0, unsigned).astype(np.uint64).view(np.int64)
    size = np.where(negative, -size, size)
    return two_to(size & WORD), size >> 32


def exponential(x: IntArray, more: int, negative: BoolArray | bool) -> tuple[IntArray, IntArray]:
    """e^(2^more |x|) or its inverse: the mantissa with 30 bits after the point, and the exponent."""
    mantissa = top(x)
    turns = mantissa.astype(np.uint64) * np.uint64(0xB8AA3B29) + high(mantissa, 0x5C17F0BC).astype(np.uint64)
    return turned(turns.view(np.int64), 157 - more - field(x), np.broadcast_to(np.asarray(negative, np.bool_), x.shape))


def exp(x: IntArray) -> IntArray:
    """e^x."""
    power, exponent = exponential(x, 0, x < 0)
    result = np.where(field(x) >= 135, np.where(x < 0, 0, INFINITY), pack(np.zeros_like(x), exponent + 127, power))
    return np.where(is_nan(x), NAN, result)


def expm1(x: IntArray) -> IntArray:
    """e^x - 1."""
    power, exponent = exponential(x, 0, x < 0)
    below = normal(np.full_like(x, MINUS), np.full_like(x, 127), (UNIT - down(power, -exponent)) & WORD)
    above = normal(np.zeros_like(x), exponent + 127, (power - down(np.full_like(x, UNIT), exponent)) & WORD)
    large = np.where(x < 0, ONE + MINUS, INFINITY)
    result = np.where(field(x) >= 135, large, np.where(x < 0, below, above))
    return np.where(is_nan(x), NAN, np.where(field(x) < 126, grown(x, horner(EXPM1, signed_fraction(x))), result))


def log_of(mantissa: IntArray, exponent: IntArray) -> IntArray:
    """The logarithm of mantissa * 2^(exponent - 31)."""
    large = mantissa >= ROOT_OF_TWO
    z = signed(np.where(large, mantissa, mantissa << 1))
    return float32.scaled(((z * horner(LOG, z)) >> 8) + (exponent + large) * LN2_WIDE, -54)


def log(x: IntArray) -> IntArray:
    """Natural logarithm."""
    mantissa, exponent = opened(x)
    result = np.where(x < 0, NAN, np.where(x == INFINITY, x, log_of(mantissa, exponent - 127)))
    return np.where(x & ~MINUS == 0, MINUS + INFINITY, np.where(is_nan(x), NAN, result))


def log1p(x: IntArray) -> IntArray:
    """log(1 + x)."""
    mantissa, exponent, size = top(x), field(x) - 127, x & ~MINUS
    near = grown(x, horner(LOG, signed_fraction(x)))
    rest = (-down(mantissa, -1 - exponent)) & WORD
    up = 32 - float32.bit_length(np.maximum(rest, 1).astype(np.uint64))
    below = np.where(size > ONE, NAN, np.where(size == ONE, MINUS + INFINITY, log_of((rest << up) & WORD, -1 - up)))
    total = np.where(exponent < 0, SIGN + down(mantissa, -exponent), mantissa + down(np.full_like(x, SIGN), exponent))
    carry = total >> 32
    above = log_of(np.where(carry > 0, total >> 1, total), np.maximum(exponent, 0) + carry)
    result = np.where(x < 0, below, np.where(x == INFINITY, x, above))
    return np.where(is_nan(x), NAN, np.where(size < np.where(x < 0, 0x3E95F619, 0x3ED413CC), near, result))


def inverse(divisor: IntArray) -> IntArray:
    """2^61 / divisor, for divisors from 2^30 to 2^31."""
    y = 3031741620 - high(divisor, 4042322161)
    for _ in range(3):
        y = (high(y, ((UNIT - high(divisor, y)) << 2) & WORD) << 1) & WORD
    return y


def sigmoid(x: IntArray) -> IntArray:
    """1 / (1 + e^-x)."""
    power, exponent = exponential(x, 0, True)
    factor = inverse(UNIT + down(power, -exponent))
    zero = np.zeros_like(x)
    result = np.where(x < 0, normal(zero, exponent + 127, high(power, factor) << 1), pack(zero, np.full_like(x, 126), factor))
    return np.where(is_nan(x), NAN, np.where(field(x) >= 135, np.where(x < 0, 0, ONE), result))


def tanh(x: IntArray) -> IntArray:
    """Hyperbolic tangent."""
    sign = sign_of(x)
    power, exponent = exponential(x, 1, True)
    power = down(power, -exponent)
    far = normal(sign, np.full_like(x, 127), high((UNIT - power) << 1, inverse(UNIT + power)))
    result = np.where(field(x) >= 131, ONE + sign, far)
    return np.where(is_nan(x), NAN, np.where(field(x) < 126, grown(x, horner(TANH, square(x))), result))


def erf(x: IntArray) -> IntArray:
    """Error function."""
    z = signed((top(x) << 1) ^ SIGN)
    value = np.where(field(x) == 127, horner(ERF_MIDDLE, z), horner(ERF_FAR, z))
    result = np.where(field(x) >= 129, ONE + sign_of(x), normal(sign_of(x), np.full_like(x, 127), value))
    return np.where(is_nan(x), NAN, np.where(field(x) < 127, grown(x, horner(ERF, square(x) >> 1)), result))


def sinh(x: IntArray) -> IntArray:
    """Hyperbolic sine."""
    sign = sign_of(x)
    (power, up), (other, low) = exponential(x, 0, False), exponential(x, 0, True)
    far = normal(sign, up + 126, (power - down(other, up - low)) & WORD)
    result = np.where(field(x) >= 135, INFINITY + sign, far)
    return np.where(is_nan(x), NAN, np.where(field(x) < 127, grown(x, horner(SINH, square(x) >> 1)), result))


def cosh(x: IntArray) -> IntArray:
    """Hyperbolic cosine."""
    (power, up), (other, low) = exponential(x, 0, False), exponential(x, 0, True)
    result = normal(np.zeros_like(x), up + 126, (power + down(other, up - low)) & WORD)
    return np.where(is_nan(x), NAN, np.where(field(x) >= 135, INFINITY, result))


def softplus(x: IntArray) -> IntArray:
    """log(1 + e^x)."""
    below = log1p(exp(np.where(x < 0, x, float32.neg(x))))
    return np.where((x < 0) | is_nan(x), below, float32.add(x, below))


def asinh(x: IntArray) -> IntArray:
    """Inverse hyperbolic sine."""
    size, one = float32.abs(x), np.full_like(x, ONE)
    squared = float32.mul(size, size)
    root = float32.sqrt(float32.add(one, squared))
    near = log1p(float32.add(size, float32.div(squared, float32.add(one, root))))
    result = np.where(field(x) >= 140, float32.add(log(size), np.full_like(x, LN2)), near)
    return np.where(is_nan(x), NAN, result + sign_of(x))


def acosh(x: IntArray) -> IntArray:
    """Inverse hyperbolic cosine."""
    one = np.full_like(x, ONE)
    above = float32.sub(x, one)
    near = log1p(float32.add(above, float32.sqrt(float32.mul(above, float32.add(x, one)))))
    result = np.where(field(x) >= 140, float32.add(log(x), np.full_like(x, LN2)), near)
    return np.where(is_nan(x) | (x < ONE), NAN, result)


def atanh(x: IntArray) -> IntArray:
    """Inverse hyperbolic tangent."""
    size, half = float32.abs(x), np.full_like(x, HALF)
    rest, twice = float32.sub(np.full_like(x, ONE), size), float32.add(size, size)
    small = float32.add(twice, float32.div(float32.mul(twice, size), rest))
    ratio = np.where(size < HALF, small, float32.div(twice, rest))
    return np.where(size > ONE, NAN, float32.mul(half, log1p(ratio)) + sign_of(x))
