"""The numpy transforms against Horner's rule, against sparse polynomials, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.stark.field import goldilocks as gl
from zkvm.stark.field import transform
from zkvm.stark.field.goldilocks import FieldArray, P, root_of_unity
from zkvm.stark.field.transform import evaluate, interpolate
from zkvm.stark.prover import twins

EDGES = np.array([0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1], dtype=np.uint64)
SHIFTS = (1, 7, P - 1, 2**32, 12345678901234567890 % P)


def vectors(size: int) -> list[FieldArray]:
    """Random elements with the edges among them, the edges over and over, and the largest element."""
    random = np.random.default_rng(size).integers(0, P, size, dtype=np.uint64)
    random[: len(EDGES)] = EDGES[:size]
    return [random, np.resize(EDGES, size), np.full(size, P - 1, np.uint64)]


def points(size: int, shift: int) -> FieldArray:
    return gl.mul(gl.powers(root_of_unity(size), size), np.uint64(shift))


@pytest.mark.parametrize("log_size", range(10))
def test_definitions(log_size: int) -> None:
    size = 1 << log_size
    for vector in vectors(size):
        before = vector.copy()
        assert np.array_equal(interpolate(vector), twins.interpolate(vector))
        for shift in SHIFTS:
            assert np.array_equal(evaluate(vector, shift), twins.evaluate(vector, points(size, shift)))
        assert np.array_equal(vector, before)


@pytest.mark.parametrize("log_size", range(10, 20))
def test_long_vectors(log_size: int) -> None:
    """A sparse polynomial has values that need no transform; of a dense one, some values by Horner's rule and all coefficients again."""
    size, shift = 1 << log_size, 3
    sparse = np.zeros(size, np.uint64)
    sparse[[0, 5, size // 2, size - 1]] = [P - 1, 2**63, P - 2**32, 7]
    at = points(size, shift)
    expected = np.full(size, P - 1, np.uint64)
    for exponent, coefficient in ((5, 2**63), (size // 2, P - 2**32), (size - 1, 7)):
        expected = gl.add(expected, gl.mul(gl.pow_(at, exponent), np.uint64(coefficient)))
    assert np.array_equal(evaluate(sparse, shift), expected)
    for vector in vectors(size):
        values = evaluate(vector, 1)
        assert np.array_equal(interpolate(values), vector)
        assert gl.is_canonical(values)
        chosen = [1, size // 2 + 1, size - 1]
        few = evaluate(vector, shift)[chosen]
        assert [horner(vector, int(point)) for point in at[chosen]] == few.tolist()


def horner(coefficients: FieldArray, point: int) -> int:
    result = 0
    for coefficient in coefficients[::-1].tolist():
        result = (result * point + coefficient) % P
    return result


@pytest.mark.parametrize("block", [1, 1 << 9, 1 << 20])
def test_blocks_do_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One column at a time, two, and all."""
    [vector, *_] = vectors(1 << 16)
    expected = evaluate(vector, 7), interpolate(vector)
    monkeypatch.setattr(transform, "_BLOCK", block)
    assert np.array_equal(evaluate(vector, 7), expected[0])
    assert np.array_equal(interpolate(vector), expected[1])
