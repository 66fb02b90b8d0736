"""Scalar and vector arithmetic of the kernels against Python integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from zkvm.stark.field import extension as ext
from zkvm.stark.field.goldilocks import FieldArray, P
from zkvm.stark.kernels.source import extension as kernel_ext
from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source import vectors
from zkvm.stark.kernels.source.words import LANES

EDGES = [0, 1, 2, 2**8, 2**16, 2**24 - 1, 2**24, 2**32 - 1, 2**32, 2**32 + 1, 2**40, 2**48, 2**63 - 1, 2**63]
EDGES += [P - 2**32, P - 2**24, P - 2, P - 1]
WORDS = [*EDGES, P, P + 1, 2**64 - 2**32, 2**64 - 1]


def operands(values: list[int]) -> tuple[FieldArray, FieldArray]:
    """All pairs of the values, then random pairs; a multiple of 8 long."""
    random = np.random.default_rng(3).integers(0, P, (2, 1024), dtype=np.uint64)
    edges = np.array(values, dtype=np.uint64)
    count = len(values) ** 2
    random[0, :count], random[1, :count] = np.repeat(edges, len(edges)), np.tile(edges, len(edges))
    return random[0].copy(), random[1].copy()


@njit
def run_vectors(a: Any, b: Any, out: Any) -> None:
    for i in range(0, len(a), LANES):
        x, y = vectors.load(a, i), vectors.load(b, i)
        vectors.store(out[0], i, vectors.add(x, y))
        vectors.store(out[1], i, vectors.sub(x, y))
        vectors.store(out[2], i, vectors.mul(x, y))
        vectors.store(out[3], i, vectors.mul_2_22(x))
        vectors.store(out[4], i, vectors.mul_2_44(x))
        vectors.store(out[5], i, vectors.splat(a[i | 7]))
        vectors.store(out[6], i, vectors.canonical(x))
        z = vectors.canonical(y)
        vectors.store(out[7], i, vectors.add_any(x, z))
        vectors.store(out[8], i, vectors.sub_any(x, z))
        vectors.store(out[9], i, vectors.mul_any(x, y))
        vectors.store(out[10], i, vectors.reduce_sums(x, y))


def test_vector_operations() -> None:
    a, b = operands(EDGES)
    out = np.zeros((11, len(a)), dtype=np.uint64)
    run_vectors(a, b, out)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    assert out[0].tolist() == [(x + y) % P for x, y in pairs]
    assert out[1].tolist() == [(x - y) % P for x, y in pairs]
    assert out[2].tolist() == [x * y % P for x, y in pairs]
    for row, shift in ((3, 22), (4, 44)):
        assert out[row].tolist() == [(x << shift) % P for x, _ in pairs]
    assert np.array_equal(out[5], np.repeat(a[7::8], 8))


def test_operations_on_any_words() -> None:
    a, b = operands(WORDS)
    out = np.zeros((11, len(a)), dtype=np.uint64)
    run_vectors(a, b, out)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    assert out[2].tolist() == [x * y % P for x, y in pairs]
    for row, shift in ((3, 22), (4, 44)):
        assert out[row].tolist() == [(x << shift) % P for x, _ in pairs]
    assert out[6].tolist() == [x % P for x, _ in pairs]
    assert [x % P for x in out[7].tolist()] == [(x + y) % P for x, y in pairs]
    assert [x % P for x in out[8].tolist()] == [(x - y) % P for x, y in pairs]
    assert [x % P for x in out[9].tolist()] == [x * y % P for x, y in pairs]
    assert out[10].tolist() == [(x + (y << 32)) % P for x, y in pairs]


@njit
def run_extension(a: Any, b: Any, out: Any) -> None:
    rows = a.shape[1]
    for i in range(0, rows, LANES):
        x, y = kernel_ext.ext_load(a, i, rows), kernel_ext.ext_load(b, i, rows)
        kernel_ext.ext_store(out[0], i, rows, kernel_ext.ext_add(x, y))
        kernel_ext.ext_store(out[1], i, rows, kernel_ext.ext_sub(x, y))
        kernel_ext.ext_store(out[2], i, rows, kernel_ext.ext_mul(x, y))
        kernel_ext.ext_store(out[3], i, rows, kernel_ext.ext_scale(x, y[0]))
        d0, d1, d2, norm = kernel_ext.ext_adjugate_any(x)
        adjugate = vectors.canonical(d0), vectors.canonical(d1), vectors.canonical(d2)
        kernel_ext.ext_store(out[4], i, rows, kernel_ext.ext_mul(adjugate, x))
        vectors.store(out[5], i, vectors.canonical(norm))


def test_extension_operations() -> None:
    first, second = operands(EDGES)
    a = np.stack([first, second, np.roll(first, 7)])
    b = np.stack([np.roll(second, 3), first, np.roll(second, 11)])
    out = np.zeros((6, 3, len(first)), dtype=np.uint64)
    run_extension(a, b, out)
    assert np.array_equal(out[0], ext.add(a.T, b.T).T)
    assert np.array_equal(out[1], ext.sub(a.T, b.T).T)
    assert np.array_equal(out[2], ext.mul(a.T, b.T).T)
    assert np.array_equal(out[3], ext.mul_base(a.T, b[0]).T)
    assert np.array_equal(out[4], ext.embed(out[5, 0]).T)  # adjugate times element is the norm, in the base field


def test_scalar_operations() -> None:
    for x in EDGES:
        if x:
            assert int(gl.inverse(np.uint64(x))) * x % P == 1
        assert gl.power(np.uint64(x), np.uint64(12345)) == pow(x, 12345, P)
        for y in EDGES:
            u, v = np.uint64(x), np.uint64(y)
            assert gl.add(u, v) == (x + y) % P
    for x in WORDS:
        for y in WORDS:
            assert gl.mul(np.uint64(x), np.uint64(y)) == x * y % P
            assert gl.reduce(np.uint64(x), np.uint64(y)) == ((x << 64) + y) % P


def test_scalar_extension() -> None:
    a, b = (EDGES[-1], EDGES[3], 2**63), (5, EDGES[-2], 2**32 - 1)
    assert tuple(int(word) for word in gl.ext_mul(*map(np.uint64, a), *map(np.uint64, b))) == ext.ext_mul(a, b)


def test_python_integers_above_2_63_are_accepted() -> None:
    """The eager signatures: a lazily typed function called with 5 first would refuse these."""
    untyped: Any = gl.add
    assert untyped(5, 6) == 11
    assert untyped(P - 1, 2**63) == 2**63 - 1
    with pytest.raises(TypeError):
        untyped("5", 6)
