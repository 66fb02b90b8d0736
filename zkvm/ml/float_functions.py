"""Functions of floats by name, in numpy on their words; the guest's are called ``f32_`` and the name, in ``runtime/float_elements.h``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from zkvm.ml import float32, float32_angles, float32_elementary
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray

LARGE = 1 << 20
"""Beyond all quantized integers, whatever their zero point."""


def relu(x: IntArray) -> IntArray:
    """The larger of x and 0; every NaN has a positive sign."""
    return np.where(x < 0, 0, x)


def truth(x: IntArray) -> IntArray:
    """1.0 or 0.0 from a boolean."""
    return np.where(x != 0, float32.ONE, 0)


def known(x: IntArray) -> IntArray:
    """Whether it is a number: 0 for NaN."""
    return np.asarray(~float32.is_nan(x), np.int64)


def infinite(x: IntArray) -> IntArray:
    """Whether it is an infinity."""
    return np.asarray((x & INT32_MAX) == float32.INFINITY, np.int64)


def nearest(x: IntArray) -> IntArray:
    """The nearest integer, of two the even one; cut to what quantized integers need. NaN gives the least."""
    floats = np.rint(np.nan_to_num(float32.to_floats(x).astype(np.float64), nan=-LARGE))
    return np.asarray(np.clip(floats, -LARGE, LARGE), np.int64)


def fixed(x: IntArray, factor: IntArray, lo: int, hi: int) -> IntArray:
    """The integer nearest to x times a factor, of two the even one, cut to bounds; NaN gives the lower one."""
    whole = float32.to_floats(float32.round(float32.mul(x, factor))).astype(np.float64)
    whole = np.nan_to_num(whole, nan=INT32_MIN, posinf=INT32_MAX, neginf=INT32_MIN)
    return np.asarray(np.clip(np.clip(whole, INT32_MIN, INT32_MAX).astype(np.int64), lo, hi), np.int64)


def at_least(x: IntArray, bound: IntArray) -> IntArray:
    """x, or the bound where x is less: NaN stays, and one as bound is none."""
    return np.where(float32.lt(x, bound) != 0, bound, x)


def at_most(x: IntArray, bound: IntArray) -> IntArray:
    """x, or the bound where x is more: NaN stays, and one as bound is none."""
    return np.where(float32.lt(bound, x) != 0, bound, x)


def less_words(left: IntArray, right: IntArray) -> IntArray:
    """Difference of integers."""
    return ((left - right + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def either(left: IntArray, right: IntArray) -> IntArray:
    """Whether one of two booleans is true."""
    return left | right


UNARY: Mapping[str, Callable[[IntArray], IntArray]] = {
    function.__name__: function
    for function in (
        float32.abs, float32.ceil, float32.floor, float32.from_i32, float32.neg, float32.round, float32.sqrt,
        float32_elementary.acosh, float32_elementary.asinh, float32_elementary.atanh, float32_elementary.cosh, float32_elementary.erf,
        float32_elementary.exp, float32_elementary.expm1, float32_elementary.log, float32_elementary.log1p, float32_elementary.sigmoid,
        float32_elementary.sinh, float32_elementary.softplus, float32_elementary.tanh,
        float32_angles.acos, float32_angles.asin, float32_angles.atan, float32_angles.cos, float32_angles.sin, float32_angles.tan,
        relu, truth, known, infinite, nearest,
    )
}  # fmt: skip
"""Functions of one float."""
BINARY: Mapping[str, Callable[[IntArray, IntArray], IntArray]] = {
    function.__name__: function
    for function in (
        float32.add, float32.sub, float32.mul, float32.div, float32.fmod, float32.max, float32.min,
        float32.lt, float32.le, float32.eq, float32_angles.pow, less_words, either, at_least, at_most,
    )
}  # fmt: skip
"""Functions of two floats, and comparisons, which give 0 or 1."""
COSTS = {
    "abs": 4, "neg": 6, "relu": 3, "truth": 5, "known": 5, "infinite": 5, "lt": 12, "le": 12, "eq": 12, "max": 25, "min": 25,
    "at_least": 16, "at_most": 16, "less_words": 1, "either": 1, "add": 45, "sub": 47, "mul": 40, "div": 80, "from_i32": 30,
    "floor": 30, "ceil": 30, "round": 30,
}  # fmt: skip
"""Instructions, roughly, of those that are far from :data:`COST`."""
COST = 130
