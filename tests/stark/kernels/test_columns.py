"""Column kernels in lockstep with their readable twins."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.stark.field import extension as ext
from zkvm.stark.field import goldilocks as gl
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import FieldArray, P
from zkvm.stark.kernels import columns as kernel
from zkvm.stark.kernels.fri_fold import fold8
from zkvm.stark.prover import twins

EDGES = np.array([0, 1, 2, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1], dtype=np.uint64)
POINT: Ext = (P - 1, 2**63, 2**32 - 1)


def random_matrix(width: int, rows: int, seed: int = 0) -> FieldArray:
    matrix = np.random.default_rng(seed).integers(0, P, (width, rows), dtype=np.uint64)
    matrix[:, :8] = EDGES
    matrix[0, 8:24] = P - 1
    return matrix


@pytest.mark.parametrize(("width", "rows"), [(1, 64), (5, 1024), (9, 520), (40, 64), (0, 64)])
@pytest.mark.parametrize("threads", [1, 2])
def test_accumulate(width: int, rows: int, threads: int) -> None:
    matrix = random_matrix(width, rows) if width else np.zeros((0, rows), dtype=np.uint64)
    coefficients = np.ascontiguousarray(np.random.default_rng(1).integers(0, P, (width, 3), dtype=np.uint64))
    coefficients[: width // 2] = P - 1
    accumulator = random_matrix(3, rows, 2)
    expected = twins.accumulate(matrix, coefficients, accumulator)
    longer = np.concatenate([matrix[1:], matrix[1:]], axis=1)
    kernel.accumulate([matrix[:1], longer], coefficients, accumulator, threads)
    assert np.array_equal(accumulator, expected)


def test_accumulate_many_maximal_columns() -> None:
    """Lazy reductions must survive the largest sums: every cell and every coefficient p - 1."""
    matrix = np.full((1500, 64), P - 1, dtype=np.uint64)
    coefficients = np.full((1500, 3), P - 1, dtype=np.uint64)
    accumulator = np.full((3, 64), P - 1, dtype=np.uint64)
    kernel.accumulate([matrix], coefficients, accumulator)
    assert (accumulator == np.uint64(1499)).all()  # (-1) + 1500 (-1)(-1)


@pytest.mark.parametrize(("width", "rows"), [(1, 64), (7, 512), (13, 2048)])
def test_dot(width: int, rows: int) -> None:
    matrix, weights = random_matrix(width, rows), random_matrix(3, rows, 7)
    assert np.array_equal(kernel.dot(matrix, weights, 2), twins.dot(matrix, weights))
    ones = np.full((2, rows), P - 1, dtype=np.uint64)
    assert (kernel.dot(ones, np.full((3, rows), P - 1, dtype=np.uint64)) == np.uint64(rows)).all()


def test_dot_of_leading_rows() -> None:
    matrix, weights = random_matrix(5, 256), random_matrix(3, 128, 7)
    assert np.array_equal(kernel.dot(matrix, weights), twins.dot(matrix[:, :128], weights))
    with pytest.raises(ValueError, match="weights"):
        kernel.dot(matrix[:, :64].copy(), weights)


def test_base_powers() -> None:
    assert np.array_equal(kernel.base_powers(P - 5, 64, 3), gl.mul(gl.powers(P - 5, 64), np.uint64(3)))


@pytest.mark.parametrize("height", [8, 64, 4096])
def test_barycentric_weights(height: int) -> None:
    weights = kernel.barycentric_weights(height, POINT, 2)
    assert np.array_equal(weights, twins.barycentric_weights(height, POINT))
    values = gl.pow_(gl.powers(gl.root_of_unity(height), height), height - 1)
    assert ext.to_ext(kernel.dot(values[None], weights)[0]) == ext.ext_pow(POINT, height - 1)
    with pytest.raises(ValueError, match="base field"):
        kernel.barycentric_weights(height, (gl.root_of_unity(height), 0, 0))
    with pytest.raises(ValueError, match="power of two"):
        kernel.barycentric_weights(height * 3, POINT)


def pairs(rows: int) -> tuple[FieldArray, FieldArray]:
    """Two (3, rows) vectors whose first rows are all pairs of edge values."""
    a, b = random_matrix(3, rows, 3), random_matrix(3, rows, 4)
    for i in range(3):
        a[i, :64] = np.roll(np.repeat(EDGES, 8), 8 * i)
        b[i, :64] = np.roll(np.tile(EDGES, 8), i)
    return a, b


@pytest.mark.parametrize("threads", [1, 2])
def test_row_products(threads: int) -> None:
    a, b = pairs(1000)
    out = a.copy()
    kernel.deep_divide_add(a, POINT, b, out, threads)
    assert np.array_equal(out, twins.deep_divide_add(a, ext.from_ext(POINT), b, a))
    for point in (POINT, (0, 1, 0), (5, 0, P - 1)):
        inverse = kernel.inverse_differences(point, b[0].copy(), None, threads)
        assert np.array_equal(inverse, ext.inv(ext.sub(ext.from_ext(point), ext.embed(b[0]))).T)
    with pytest.raises(ValueError, match="base field"):
        kernel.inverse_differences((5, 0, 0), b[0].copy())


@pytest.mark.parametrize("rows", [8, 64, 1024, 5000])
def test_batch_inverses(rows: int) -> None:
    base = np.random.default_rng(6).integers(1, P, rows, dtype=np.uint64)
    base[:7] = EDGES[1:]
    assert np.array_equal(kernel.base_batch_inverse(base, None, 2), gl.inv(base))
    with pytest.raises(ValueError, match="must not be the input"):
        kernel.base_batch_inverse(base, base)


@pytest.mark.parametrize(("columns", "first_term", "width"), [(1, 0, 32), (1, 1, 64), (4, 1, 96), (3, 3, 512), (5, 0, 4096)])
def test_fractions(columns: int, first_term: int, width: int) -> None:
    fractions = random_matrix(6 * columns, width, 9)
    fractions[4::6, :8] = fractions[5::6, :8] = 0  # denominators in the base field, without its zero
    fractions[3::6, 0] = 1
    expected, out = random_matrix(3 * columns, width + 64, 10), random_matrix(3 * columns, width + 64, 10)
    expected[:, 32 : 32 + width] = twins.ext_fractions(fractions, first_term)
    kernel.ext_fractions(fractions, first_term, out, 32, np.empty((2, columns * width), np.uint64))
    assert np.array_equal(out, expected)


@pytest.mark.parametrize(("width", "start"), [(8, 0), (32, 40), (32, 4), (32, -8)])
def test_fractions_outside_their_columns_are_refused(width: int, start: int) -> None:
    fractions, out, norms = (np.ones(shape, np.uint64) for shape in ((6, width), (3, 64), (2, width)))
    with pytest.raises(ValueError, match="do not fit"):
        kernel.ext_fractions(fractions, 0, out, start, norms)


@pytest.mark.parametrize("rows", [8, 64, 512, 4096, 5000])
def test_prefixes(rows: int) -> None:
    ratios = random_matrix(3, rows, 8)
    ratios[:, :8] = EDGES[::-1]
    ratios[0, 0] = 5
    for function, twin in ((kernel.prefix_product, twins.prefix_product), (kernel.prefix_sum, twins.prefix_sum)):
        expected = twin(ratios, ext.from_ext(POINT))
        for columns in (rows, rows + 1):
            out = np.zeros((3, columns), dtype=np.uint64)
            final = function(ratios, POINT, out)
            assert np.array_equal(out, expected[:, :columns])
            assert np.array_equal(final, expected[:, rows])


@pytest.mark.parametrize(("blowup", "height"), [(1, 64), (2, 64), (4, 512), (2, 2048)])
def test_fold8(blowup: int, height: int) -> None:
    values = random_matrix(3, blowup * height).reshape(3, blowup, height)
    assert np.array_equal(fold8(values, POINT, 12345, None, 2), twins.fold8(values, POINT, 12345))


def test_fold8_of_a_polynomial() -> None:
    """Folding the values of X^(8 a + r) leaves beta^r X^a on the coset of the eighth powers."""
    blowup, height, shift = 2, 512, 7**5
    points = twins.coset_points(height, blowup, shift)
    small = twins.coset_points(height // 8, blowup, pow(shift, 8, P))
    for a, r in ((0, 0), (3, 1), (17, 7), (5, 4)):
        values = np.zeros((3, blowup, height), dtype=np.uint64)
        values[1] = gl.pow_(points, 8 * a + r)  # the polynomial x X^(8 a + r), x the adjoined root
        expected = ext.mul_base(ext.from_ext(ext.ext_mul(ext.X, ext.ext_pow(POINT, r))), gl.pow_(small, a))
        assert np.array_equal(fold8(values, POINT, shift), np.moveaxis(expected, -1, 0))


def test_bad_shapes_are_refused() -> None:
    good, odd = np.zeros((3, 64), dtype=np.uint64), np.zeros((3, 63), dtype=np.uint64)
    with pytest.raises(ValueError, match="multiple of 8"):
        kernel.deep_divide_add(odd, POINT, odd, odd)
    with pytest.raises(ValueError, match="contiguous"):
        kernel.deep_divide_add(np.zeros((64, 3), dtype=np.uint64).T, POINT, good, good)
    with pytest.raises(ValueError, match="coefficients"):
        kernel.accumulate([good], np.zeros((2, 3), dtype=np.uint64), good)
    with pytest.raises(ValueError, match="scalar"):
        kernel.deep_divide_add(good, np.zeros(2, dtype=np.uint64), good, good)
    with pytest.raises(ValueError, match="fold"):
        fold8(np.zeros((3, 2, 32), dtype=np.uint64), POINT, 7)
    with pytest.raises(ValueError, match="output"):
        fold8(np.zeros((3, 2, 64), dtype=np.uint64), POINT, 7, np.zeros((3, 2, 64), dtype=np.uint64))
