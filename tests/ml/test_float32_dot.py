"""Sums of products of software floats: the guest against numpy, and both against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.guest.compiled import needs_compiler
from tests.ml.guest_floats import run, words
from zkvm.errors import UsageError
from zkvm.ml import float32, float32_dot
from zkvm.ml.arithmetic import IntArray

Array = NDArray[np.float32]
LINEAR = """#include <float32_dot.h>
enum {{ rows = {rows}, taps = {taps}, channels = {channels} }};
static int32_t x[rows * taps], aligned[rows * taps], units[rows], w[channels * taps], e[channels], b[channels], s[taps], y[rows * channels];
int main(void) {{
    zkvm_read_exact(x, sizeof x);
    zkvm_read_exact(w, sizeof w);
    zkvm_read_exact(e, sizeof e);
    zkvm_read_exact(b, sizeof b);
    zkvm_read_exact(s, sizeof s);
    int32_t special = 0;
    for (int i = 0; i < rows; i++) units[i] = f32_align(x + i * taps, taps, 1, 1, s, 28, aligned + i * taps, 1, &special);
    const struct f32_linear g = {{1, 1, taps, 0, 0, 1, 1, rows, 0, taps, 0, channels, 1, 0, 1, 0}};
    f32_linear(g, aligned, units, w, e, b, y, channels, {together}, {at_once});
    if (special) f32_linear_special(&g, x, w, 0, b, y, channels, {at_once});
    zkvm_commit(y, sizeof y);
    return 0;
}}
"""
MATMUL = """#include <float32_dot.h>
enum {{ rows = {rows}, depth = {depth}, columns = {columns} }};
static int32_t l[rows * depth], r[depth * columns], al[rows * depth], ar[depth * columns];
static int32_t ul[rows], ur[columns], y[rows * columns], t[rows];
int main(void) {{
    zkvm_read_exact(l, sizeof l);
    zkvm_read_exact(r, sizeof r);
    int32_t special = 0;
    for (int i = 0; i < rows; i++) {{
        ul[i] = f32_align(l + i * depth, 1, depth, 1, 0, {bits}, al + i * depth, 1, &special);
        t[i] = f32_sum(l + i * depth, depth, 1);
    }}
    for (int j = 0; j < columns; j++) {{
        int block = j / 4 * 4, width = block + 4 > columns ? columns - block : 4;
        ur[j] = f32_align(r + j, 1, depth, columns, 0, {bits}, ar + block * depth + (j - block), width, &special);
    }}
    const struct f32_linear g = {{1, 1, depth, 0, 0, 1, 1, rows, 0, depth, 0, columns, 1, 0, 1, 0}};
    f32_linear(g, al, ul, ar, ur, 0, y, columns, 2, 4);
    if (special) f32_linear_special(&g, l, r, 1, 0, y, columns, columns);
    zkvm_commit(y, sizeof y);
    zkvm_commit(t, sizeof t);
    return 0;
}}
"""


def blocked(integers: IntArray, at_once: int) -> IntArray:
    """(channels, taps) in the order in which the guest reads them."""
    parts = [integers[start : start + at_once].T.reshape(-1) for start in range(0, len(integers), at_once)]
    return np.concatenate(parts)


def guest_linear(x: Array, weights: float32_dot.Weights, bias: IntArray, together: int, at_once: int) -> IntArray:
    (rows, taps), channels = x.shape, len(bias)
    source = LINEAR.format(rows=rows, taps=taps, channels=channels, together=together, at_once=at_once)
    shifts = np.zeros(taps, np.int64) if weights.shifts is None else weights.shifts
    inputs = (float32.to_bits(x), blocked(weights.integers, at_once), weights.exponents, bias, shifts)
    return run(source, *inputs).reshape(rows, channels)


def relative_error(result: IntArray, x: Array, w: Array, bias: Array) -> Any:
    """Largest error in parts of the sum of the products' magnitudes."""
    wide, factors = x.astype(np.float64), w.astype(np.float64)
    errors = np.abs(float32.to_floats(result) - (wide @ factors.T + bias))
    return (errors / (np.abs(wide) @ np.abs(factors).T + np.abs(bias))).max()


@needs_compiler
@pytest.mark.parametrize(("together", "at_once"), [(1, 8), (2, 4), (4, 2)])
def test_badly_scaled_columns_lose_nothing(together: int, at_once: int) -> None:
    random = np.random.default_rng(3)
    scales = np.exp2(random.integers(-3, 3, 50)).astype(np.float64)
    scales[7], scales[20] = 1.6e9, 1e-3
    x, w = (random.standard_normal((6, 50)) * scales).astype(np.float32), (random.standard_normal((11, 50)) / scales).astype(np.float32)
    x[random.random(x.shape) < 0.2] = 0
    bias = random.standard_normal(11).astype(np.float32)
    weights = float32_dot.weights(w, "dense")
    assert weights.shifts is not None
    words_of_x, words_of_bias = float32.to_bits(x), float32.to_bits(bias)
    expected = float32_dot.linear(float32_dot.align(words_of_x, shifts=weights.shifts), weights, words_of_x, words_of_bias)
    assert np.array_equal(guest_linear(x, weights, words_of_bias, together, at_once), expected)
    assert relative_error(expected, x, w, bias) < 2.0**-24


@needs_compiler
def test_nan_and_infinities_follow_the_classes() -> None:
    random = np.random.default_rng(4)
    x, w = random.standard_normal((8, 9)).astype(np.float32), random.standard_normal((5, 9)).astype(np.float32)
    x[1, 3], x[2, 0], x[3, 1:3], x[4, 5], x[5, 2:4] = np.inf, np.nan, (np.inf, -np.inf), -np.inf, np.inf
    w[0, 3], w[2, 1] = 0, 1e-30
    bias = np.array([0, 1, np.inf, np.nan, -np.inf], np.float32)
    weights = float32_dot.weights(w, "dense", secret=True)
    words_of_x, words_of_bias = float32.to_bits(x), float32.to_bits(bias)
    result = guest_linear(x, weights, words_of_bias, 1, 4)
    aligned = float32_dot.align(words_of_x, shifts=weights.shifts)
    assert np.array_equal(result, float32_dot.linear(aligned, weights, words_of_x, words_of_bias))
    with np.errstate(all="ignore"):
        true = (x[:, None, :] * w).sum(axis=2) + bias
    assert np.allclose(float32.to_floats(result), true, rtol=1e-5, equal_nan=True)


@needs_compiler
def test_words_that_no_compiler_made_are_harmless() -> None:
    """Whoever proves chooses the private words. Their layer ends, and where only the integers are theirs, with what its twin says."""
    random = np.random.default_rng(5)
    x, bias = words(random, 60).reshape(4, 15), words(random, 6)
    x = np.where(float32.is_nan(x), float32.NAN, x)
    integers, exponents, shifts = words(random, 90).reshape(6, 15), words(random, 6), words(random, 15)
    assert guest_linear(float32.to_floats(x), float32_dot.Weights(integers, exponents, shifts), bias, 1, 6).shape == (4, 6)
    near = np.where((x >> 23) & 255 == 255, 0, x)
    exponents[:3], shifts = random.integers(-40, 40, 3), random.integers(-1000, 1000, 15)
    hostile = float32_dot.Weights(integers >> 4, exponents, shifts)
    expected = float32_dot.linear(float32_dot.align(near, shifts=shifts), hostile, near, bias)
    assert np.array_equal(guest_linear(float32.to_floats(near), hostile, bias, 1, 6), expected)


@needs_compiler
@pytest.mark.parametrize("special", [False, True])
def test_products_of_activations_and_sums(special: bool) -> None:
    random = np.random.default_rng(6)
    left, right = (random.standard_normal((5, 33)) * 1e20).astype(np.float32), (random.standard_normal((33, 7)) * 1e-20).astype(np.float32)
    if special:
        left[1, 3], left[2, 5], right[4, 2], right[5, 5] = np.inf, 0, np.nan, -np.inf
    bits = float32_dot.product_bits(33)
    result = run(MATMUL.format(rows=5, depth=33, columns=7, bits=bits), float32.to_bits(left), float32.to_bits(right))
    product, sums = result[:35].reshape(5, 7), result[35:]
    assert np.array_equal(product, float32_dot.matmul(float32.to_bits(left), float32.to_bits(right)))
    assert np.array_equal(sums, float32_dot.sum_rows(float32.to_bits(left)))
    with np.errstate(all="ignore"):
        true = (left[:, :, None] * right).sum(axis=1)
        assert np.allclose(float32.to_floats(product), true, rtol=1e-4, atol=1e-5, equal_nan=True)
        assert np.allclose(float32.to_floats(sums), left.sum(axis=1), rtol=1e-4, equal_nan=True)


def test_products_are_exact_in_halves() -> None:
    random = np.random.default_rng(7)
    for depth, bits in ((1, 30), (40, 29), (1024, 25), (3000, 23)):
        left = random.integers(-(1 << 28) + 1, 1 << 28, (3, depth))
        right = random.integers(-(1 << bits) + 1, 1 << bits, (depth, 4))
        right[0, 0], right[0, 1] = (1 << bits) - 1, 1 - (1 << bits)
        assert np.array_equal(float32_dot.products(left, right), left @ right)


def test_weights_other_than_zero_stay_so() -> None:
    weights = float32_dot.weights(np.array([[1, 1e-30, 0], [-1e-38, 2, -3]], np.float32), "dense")
    assert np.array_equal(np.sign(weights.integers), [[1, 1, 0], [-1, 1, -1]])


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="dense: a weight is NaN or infinite"):
        float32_dot.weights(np.array([[1, np.nan]]), "dense")
