"""Transforms and extensions against evaluation by Horner's rule."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.stark.field import goldilocks as gl
from zkvm.stark.field.goldilocks import FieldArray, P, coset_shift
from zkvm.stark.kernels import ntt as kernel
from zkvm.stark.kernels.twiddles import TALL
from zkvm.stark.prover import twins

EDGES = np.array([0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1], dtype=np.uint64)


def random_columns(width: int, rows: int, seed: int = 0) -> FieldArray:
    columns = np.random.default_rng(seed).integers(0, P, (width, rows), dtype=np.uint64)
    columns[0, : len(EDGES)] = EDGES
    if width > 1:
        columns[1] = P - 1
    return columns


def lde(columns: FieldArray, blowup: int, shift: int | None = None, threads: int = 1) -> FieldArray:
    """Values (w, n) on <w_n> to values (w, B, n) on the cosets of ``shift <w_Bn>``, by the kernels."""
    out = np.empty((len(columns), blowup, columns.shape[1]), dtype=np.uint64)
    kernel.lde_plan(columns.shape[1], blowup, shift).run(columns, out, threads)
    return out


@pytest.mark.parametrize("log_height", range(6, 12))
@pytest.mark.parametrize("blowup", [1, 2, 4])
def test_lde_agrees_with_evaluation(log_height: int, blowup: int) -> None:
    columns = random_columns(3, 1 << log_height, log_height)
    before = columns.copy()
    shift = coset_shift(1 << log_height)
    result = lde(columns, blowup, threads=2)
    assert np.array_equal(columns, before)
    if log_height <= 9:
        assert np.array_equal(result, twins.lde(columns, blowup, shift))
    coefficients = kernel.interpolate_coset(columns)
    points = twins.coset_points(1 << log_height, blowup, shift)[:, [0, 1, 17, -1]]
    for column in range(3):
        assert np.array_equal(twins.evaluate(coefficients[column], points), result[column][:, [0, 1, 17, -1]])


@pytest.mark.parametrize("log_height", range(12, 19))
def test_tall_columns(log_height: int) -> None:
    """A sparse polynomial has values that need no transform; all radix combinations of levels occur."""
    height, blowup, shift = 1 << log_height, 2, 3
    coefficients = np.zeros((2, height), dtype=np.uint64)
    coefficients[0, [0, 5, height - 1]] = [P - 1, 2**63, 7]
    coefficients[1, [1, height // 2]] = [1, P - 2**32]
    points = twins.coset_points(height, blowup, shift)
    power = gl.pow_
    first = gl.add(gl.add(gl.mul(power(points, 5), np.uint64(2**63)), gl.mul(power(points, height - 1), np.uint64(7))), np.uint64(P - 1))
    second = gl.add(points, gl.mul(power(points, height // 2), np.uint64(P - 2**32)))
    result = kernel.evaluate_coset(coefficients, height, blowup, shift)
    assert np.array_equal(result, np.stack([first, second]))
    trace = kernel.evaluate_coset(coefficients, height, 1, 1)[:, 0]
    assert np.array_equal(kernel.interpolate_coset(np.ascontiguousarray(trace)), coefficients)
    assert np.array_equal(lde(np.ascontiguousarray(trace), blowup, shift), result)
    assert np.array_equal(kernel.interpolate_cosets(result, shift)[:, :height], coefficients)
    assert not kernel.interpolate_cosets(result, shift)[:, height:].any()


@pytest.mark.parametrize("height", [512, 1024, 2048, 4096, 8192])
def test_extra_cosets(height: int) -> None:
    columns = random_columns(3, height, 5)
    shifts = (49, P - 5)
    plan = kernel.lde_plan(height, 2, None, shifts)
    out, extra = np.empty((3, 2, height), dtype=np.uint64), np.empty((3, 2, 512), dtype=np.uint64)
    plan.run(columns, out, 1, extra)
    assert np.array_equal(out, lde(columns, 2))
    coefficients = kernel.interpolate_coset(columns)
    for index, shift in enumerate(shifts):
        points = twins.coset_points(512, 1, shift)[0]
        for column in range(3):
            assert np.array_equal(extra[column, index], twins.evaluate(coefficients[column], points))
    again = np.empty_like(extra)
    plan.run_coefficients(coefficients, out, 2, again)
    assert np.array_equal(again, extra)
    assert np.array_equal(out, lde(columns, 2))


@pytest.mark.parametrize("height", [TALL // 2, TALL, 2 * TALL])
def test_values_of_tall_columns_are_extended_part_by_part(height: int) -> None:
    """What the parts of the coefficients add up to on the extra cosets and on the cosets is what all of them give at once."""
    coefficients = random_columns(3, height, 6)
    plan = kernel.lde_plan(height, 4, None, (49, P - 5))
    values = np.ascontiguousarray(kernel.evaluate_coset(coefficients, height, 1, 1)[:, 0])
    results = []
    for run, columns in ((plan.run, values), (plan.run_coefficients, coefficients)):
        out, extra = np.empty((3, 4, height), dtype=np.uint64), np.empty((3, 2, 512), dtype=np.uint64)
        run(columns, out, 2, extra)
        results.append((out, extra))
    points = twins.coset_points(512, 1, 49)[0, :2]
    assert np.array_equal(results[0][1][1, 0, :2], twins.evaluate(coefficients[1], points))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("height", [TALL // 2, TALL])
def test_few_coefficients_of_a_tall_column(height: int) -> None:
    coefficients = random_columns(3, 40, 8)
    padded = np.zeros((3, height), dtype=np.uint64)
    padded[:, :40] = coefficients
    few, all_of_them = (kernel.evaluate_coset(given, height, 2, 11, threads=2) for given in (coefficients, padded))
    assert np.array_equal(few, all_of_them)
    points = twins.coset_points(height, 2, 11)[:, :2]
    assert np.array_equal(few[1, :, :2], twins.evaluate(coefficients[1], points))


def test_extra_cosets_of_a_tall_column() -> None:
    """More terms than one sum can take."""
    height, shift = 1 << 22, 49
    coefficients = np.zeros((1, height), dtype=np.uint64)
    places = [0, 5, height // 3, height - 1]
    coefficients[0, places] = [P - 1, 2**63, 7, P - 2**32]
    plan = kernel.LdePlan(height, 1, None, (shift,))
    out, extra = np.empty((1, 1, height), dtype=np.uint64), np.empty((1, 1, 512), dtype=np.uint64)
    plan.run_coefficients(coefficients, out, 1, extra)
    points = twins.coset_points(512, 1, shift)[0]
    expected = np.zeros(512, dtype=np.uint64)
    for place in places:
        expected = gl.add(expected, gl.mul(gl.pow_(points, place), coefficients[0, place]))
    assert np.array_equal(extra[0, 0], expected)


def test_short_coefficients_and_interpolation_on_a_coset() -> None:
    coefficients = random_columns(2, 40)
    values = kernel.evaluate_coset(coefficients, 64, 4, 11)
    points = twins.coset_points(64, 4, 11)
    assert np.array_equal(values, np.stack([twins.evaluate(c, points) for c in coefficients]))
    back = kernel.interpolate_cosets(values, 11)
    assert np.array_equal(back[:, :40], coefficients)
    assert not back[:, 40:].any()
    column = np.ascontiguousarray(values[:, 0])
    assert np.array_equal(kernel.interpolate_coset(column, 11)[1], twins.interpolate(column[1], 11))


def test_threads_do_not_change_results() -> None:
    columns = random_columns(13, 4096)
    assert np.array_equal(lde(columns, 2, threads=1), lde(columns, 2, threads=3))


def test_bad_shapes_are_refused() -> None:
    good = np.zeros((2, 64), dtype=np.uint64)
    with pytest.raises(ValueError, match="power of two"):
        lde(np.zeros((2, 96), dtype=np.uint64), 2)
    with pytest.raises(ValueError, match="power of two"):
        lde(np.zeros((2, 32), dtype=np.uint64), 2)
    with pytest.raises(ValueError, match="blowup"):
        lde(good, 3)
    with pytest.raises(ValueError, match="contiguous"):
        lde(np.zeros((64, 2), dtype=np.uint64).T, 2)
    with pytest.raises(ValueError, match="shape"):
        kernel.lde_plan(64, 2).run(good, np.zeros((2, 64), dtype=np.uint64))
    with pytest.raises(ValueError, match="shape"):
        kernel.lde_plan(512, 2, None, (49,)).run(np.zeros((1, 512), dtype=np.uint64), np.zeros((1, 2, 512), dtype=np.uint64))
    with pytest.raises(ValueError, match="height"):
        kernel.LdePlan(256, 2, None, (49,))
    with pytest.raises(ValueError, match="do not fit"):
        kernel.evaluate_coset(np.zeros((1, 65), dtype=np.uint64), 64, 2)


def test_plans_of_one_extension_share_their_tables() -> None:
    """Those of main and bus columns differ in what they evaluate beside it."""
    plain, other = kernel.lde_plan(1024, 4), kernel.lde_plan(1024, 4, None, (49, P - 5))
    assert plain is not other
    assert plain._tables is other._tables
    assert plain._inverse is other._inverse
