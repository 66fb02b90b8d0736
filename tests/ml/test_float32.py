"""Software floats: the guest's words against numpy's float32, and elementary functions against float64 too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.guest.compiled import needs_compiler
from tests.ml.guest_floats import EDGES, applied, pairs, words
from zkvm.ml import float32, float32_angles, float32_elementary
from zkvm.ml.arithmetic import IntArray

BINARY = ("add", "sub", "mul", "div", "fmod", "lt", "le", "eq", "max", "min")
UNARY = ("sqrt", "neg", "abs", "floor", "ceil", "trunc", "round", "key", "to_i32", "from_i32")
COUNT = 12_000


def in_float64(function: Callable[[float], float]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A function of Python's on arrays."""
    return lambda values: np.array([function(value) for value in values.tolist()])


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values < 0, small, 1) / (1 + small), np.float64)


ELEMENTARY: dict[str, tuple[Callable[..., Any], float]] = {
    "exp": (np.exp, 0.75),
    "expm1": (np.expm1, 0.75),
    "log": (np.log, 0.75),
    "log1p": (np.log1p, 0.75),
    "sigmoid": (sigmoid, 0.75),
    "tanh": (np.tanh, 0.75),
    "erf": (in_float64(math.erf), 0.75),
    "sinh": (np.sinh, 0.75),
    "cosh": (np.cosh, 0.75),
    "softplus": (lambda values: np.logaddexp(0, values), 2),
    "asinh": (np.arcsinh, 2),
    "acosh": (np.arccosh, 2),
    "atanh": (np.arctanh, 2),
    "sin": (np.sin, 0.75),
    "cos": (np.cos, 0.75),
    "tan": (np.tan, 2),
    "asin": (np.arcsin, 1.25),
    "acos": (np.arccos, 1.25),
    "atan": (np.arctan, 1.25),
    "pow": (np.power, 0.75),
}
"""What float64 says, and how many units in the last place a result may be away from it."""


def twin(name: str) -> Callable[..., IntArray]:
    for module in (float32_elementary, float32_angles):
        if hasattr(module, name):
            function: Callable[..., IntArray] = getattr(module, name)
            return function
    raise AssertionError(name)


@pytest.fixture(scope="module")
def numbers() -> IntArray:
    random = np.random.default_rng(7)
    shapes = [random.standard_normal(COUNT) * 3, np.linspace(-110, 110, COUNT), np.linspace(-1.1, 1.1, COUNT)]
    return np.concatenate([EDGES, words(random, COUNT), *(float32.to_bits(shape.astype(np.float32)) for shape in shapes)])


@pytest.fixture(scope="module")
def powers() -> tuple[IntArray, IntArray]:
    random = np.random.default_rng(8)
    left, right = pairs(random, COUNT)
    base = np.concatenate(
        [np.exp(random.standard_normal(COUNT) * 3), random.integers(-12, 12, COUNT), 1 + random.uniform(-1e-3, 1e-3, COUNT)]
    )
    power = np.concatenate([random.standard_normal(COUNT) * 5, random.integers(-9, 9, COUNT), random.standard_normal(COUNT) * 3e4])
    return (
        np.concatenate([left, float32.to_bits(base.astype(np.float32))]),
        np.concatenate([right, float32.to_bits(power.astype(np.float32))]),
    )


@needs_compiler
def test_basic_operations_are_those_of_numpy() -> None:
    left, right = pairs(np.random.default_rng(1), COUNT)
    expressions = [f"f32_{name}(x[i], y[i])" for name in BINARY] + [f"f32_{name}(x[i])" for name in UNARY]
    results = applied(expressions, left, right)
    for name, result in zip((*BINARY, *UNARY), results, strict=True):
        arguments = (left, right) if name in BINARY else (left,)
        assert np.array_equal(result, getattr(float32, name)(*arguments)), name


@needs_compiler
def test_scaled_rounds_once() -> None:
    left, right = pairs(np.random.default_rng(2), COUNT)
    wide = "(int64_t)((uint64_t)(uint32_t)x[i] << 32 | (uint32_t)(y[i] * 0x9E3779B1u)) >> (y[i] & 63)"
    (result,) = applied([f"f32_scaled({wide}, y[i] >> 22)"], left, right)
    values = ((left << 32) | ((right * 0x9E3779B1) & 0xFFFFFFFF)) >> (right & 63)
    assert np.array_equal(result, float32.scaled(values, right >> 22))
    for value, exponent, word in zip(values[::97].tolist(), (right >> 22)[::97].tolist(), result[::97], strict=True):
        # float64 rounds first, to 53 bits: values with more are left to the comparison above.
        if abs(value) < 1 << 53:
            with np.errstate(all="ignore"):
                assert word == float32.to_bits(np.array(np.ldexp(float(value), exponent)).astype(np.float32))


@needs_compiler
def test_elementary_functions_of_the_guest_are_those_of_numpy_twins(numbers: IntArray, powers: tuple[IntArray, IntArray]) -> None:
    unary = [name for name in ELEMENTARY if name != "pow"]
    results = applied([f"f32_{name}(x[i])" for name in unary], numbers, numbers)
    for name, result in zip(unary, results, strict=True):
        assert np.array_equal(result, twin(name)(numbers)), name
    (result,) = applied(["f32_pow(x[i], y[i])"], *powers)
    assert np.array_equal(result, float32_angles.pow(*powers))


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_are_close_to_the_true_ones(name: str, numbers: IntArray, powers: tuple[IntArray, IntArray]) -> None:
    true_function, bound = ELEMENTARY[name]
    arguments = powers if name == "pow" else (numbers,)
    result = float32.to_floats(twin(name)(*arguments))
    with np.errstate(all="ignore"):
        true = true_function(*(float32.to_floats(argument).astype(np.float64) for argument in arguments))
        rounded = true.astype(np.float32)
    assert np.array_equal(np.isnan(result), np.isnan(rounded))
    finite = np.isfinite(rounded) & np.isfinite(result)
    # A result that is infinite though the true one is not, or the other way round, is at the very end.
    ends = np.isfinite(rounded) != np.isfinite(result)
    assert (np.abs(true[ends].astype(np.longdouble) / 2.0**128 - np.sign(true[ends])) < 1e-6).all() or not ends.any()
    assert np.array_equal(np.signbit(result[finite]), np.signbit(rounded[finite]))
    limits = np.finfo(np.float32)
    units = np.spacing(np.clip(np.abs(rounded[finite]), limits.tiny, limits.max / 2)).astype(np.float64)
    units = np.where(np.abs(rounded[finite]) > limits.max / 2, 2.0**104, units)
    assert (np.abs(result[finite].astype(np.float64) - true[finite]) / units).max() < bound


def test_powers_with_integer_results_are_exact() -> None:
    base, power = (part.reshape(-1) for part in np.meshgrid(np.arange(-15, 16), np.arange(0, 6)))
    result = float32_angles.pow(float32.from_i32(base), float32.from_i32(power))
    assert np.array_equal(float32.to_floats(result), base.astype(np.float32) ** power.astype(np.float32))
