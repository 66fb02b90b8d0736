"""Polynomials on subgroups and their cosets, in numpy: coefficients from values, and values from coefficients.

A transform of size n is made of many of size about sqrt(n) (the four-step algorithm: D. H. Bailey, "FFTs in external or hierarchical
memory", 1990), which are made in blocks that stay in the processor's cache: numpy goes over its operands once for every operation.
Nothing but the result is as large as the input.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from zkvm.stark.field.goldilocks import FieldArray, P, add, mul, pow_, power_table, powers, root_of_unity, sub

_BLOCK = 1 << 14
"""Elements that are transformed at once."""


def interpolate(values: FieldArray) -> FieldArray:
    """Coefficients of the polynomial of degree < n with these values.

    Args:
        values: (n,) uint64, entry k at w_n^k; n is a power of two.

    Returns:
        (n,) uint64, the lowest coefficient first.
    """
    size = len(values)
    return _transform(values, pow(root_of_unity(size), -1, P), 1, pow(size, -1, P))


def evaluate(coefficients: FieldArray, shift: int) -> FieldArray:
    """Values of a polynomial on the coset ``shift <w_n>``.

    Args:
        coefficients: (n,) uint64, the lowest first; n is a power of two.
        shift: of the coset, not 0.

    Returns:
        (n,) uint64, entry k at ``shift w_n^k``.
    """
    return _transform(coefficients, root_of_unity(len(coefficients)), shift, 1)


def _transform(vector: FieldArray, root: int, shift: int, scale: int) -> FieldArray:
    """``result[m] = scale sum_k vector[k] (shift root^m)^k``: (n,) to (n,), for a root of unity of order n.

    With k = b k1 + k2 and m = m1 + a m2, where n = a b, the exponent splits: root^(k m) = (root^b)^(k1 m1) root^(k2 m1) (root^a)^(k2 m2).
    So the sums over k1 are transforms of size a, their entry m1 is multiplied by ``(shift root^m1)^k2``, and the sums over k2 are
    transforms of size b.
    """
    size = len(vector)
    b = 1 << (size.bit_length() - 1) // 2
    a = size // b
    grid, middle, result = vector.reshape(a, b), np.empty((a, b), np.uint64), np.empty((b, a), np.uint64)

    columns = min(max(_BLOCK // a, 1), b)
    layers = _layers(pow(root, b, P), a, columns)
    before = powers(pow(shift, b, P), a)[:, None]
    bases = mul(powers(root, a), np.uint64(shift))
    block_powers, step, start = power_table(bases, columns), pow_(bases, columns), np.full(a, scale, np.uint64)
    for first in range(0, b, columns):
        block = slice(first, first + columns)
        between = mul(block_powers, start[:, None])
        middle[:, block] = mul(_butterflies(mul(grid[:, block], before), layers), between)
        start = mul(start, step)

    rows = min(max(_BLOCK // b, 1), a)
    layers = _layers(pow(root, a, P), b, rows)
    for first in range(0, a, rows):
        block = slice(first, first + rows)
        result[:, block] = _butterflies(np.ascontiguousarray(middle[block].T), layers)
    return result.reshape(size)


@lru_cache(maxsize=8)
def _layers(root: int, size: int, lanes: int) -> tuple[FieldArray, ...]:
    """Factors of :func:`_butterflies`: for each layer those of the differences, one for each of them. Shared: only to be read."""
    table = powers(root, size // 2)
    return tuple(np.repeat(table[::done], done * lanes) for done in (1 << layer for layer in range(size.bit_length() - 1)))


def _butterflies(block: FieldArray, layers: tuple[FieldArray, ...]) -> FieldArray:
    """``result[m, i] = sum_k block[k, i] root^(k m)``: (n, lanes) to (n, lanes), by Stockham's algorithm.

    Args:
        block: contiguous.
        layers: of :func:`_layers`, for the root, n and the number of lanes.
    """
    shape = block.shape
    for layer, factors in enumerate(layers):
        first, second = block.reshape(2, -1)
        run = shape[1] << layer
        block = np.empty((len(first) // run, 2, run), np.uint64)
        block[:, 0] = add(first, second).reshape(-1, run)
        block[:, 1] = mul(sub(first, second), factors).reshape(-1, run)
    return block.reshape(shape)
