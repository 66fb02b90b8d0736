"""The base field against Python integers and published constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkvm.stark.field import goldilocks as gl

EDGES = [0, 1, 2, 2**32 - 2, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**63 + 1, gl.P - 2**32, gl.P - 2**32 - 1, gl.P - 2, gl.P - 1]
elements = st.integers(0, gl.P - 1) | st.sampled_from(EDGES)


def test_constants_are_the_published_ones() -> None:
    """p and the root of order 2^32 as in Plonky2's goldilocks_field.rs (POWER_OF_TWO_GENERATOR comes from generator 7)."""
    assert gl.P == 0xFFFF_FFFF_0000_0001
    assert gl.ROOT_OF_UNITY_2_32 == 1753635133440165772
    for prime in (2, 3, 5, 17, 257, 65537):  # p - 1 = 2^32 * 3 * 5 * 17 * 257 * 65537
        assert pow(gl.GENERATOR, (gl.P - 1) // prime, gl.P) != 1
    assert 2**32 * 3 * 5 * 17 * 257 * 65537 == gl.P - 1


def test_edge_pairs() -> None:
    values = np.array(EDGES, dtype=np.uint64)
    a, b = values[:, None], values[None, :]
    assert gl.mul(a, b).dtype == np.uint64
    assert gl.add(a, b).tolist() == [[(x + y) % gl.P for y in EDGES] for x in EDGES]
    assert gl.sub(a, b).tolist() == [[(x - y) % gl.P for y in EDGES] for x in EDGES]
    assert gl.mul(a, b).tolist() == [[x * y % gl.P for y in EDGES] for x in EDGES]
    assert gl.neg(values).tolist() == [-x % gl.P for x in EDGES]


@given(st.lists(st.tuples(elements, elements), min_size=1, max_size=20))
def test_random_pairs(pairs: list[tuple[int, int]]) -> None:
    a = np.array([x for x, _ in pairs], dtype=np.uint64)
    b = np.array([y for _, y in pairs], dtype=np.uint64)
    assert gl.mul(a, b).tolist() == [x * y % gl.P for x, y in pairs]
    assert gl.add(a, b).tolist() == [(x + y) % gl.P for x, y in pairs]
    assert gl.sub(a, b).tolist() == [(x - y) % gl.P for x, y in pairs]


def test_reduction_borrow_and_carry() -> None:
    """Products whose reduction wraps both ways: 2^96 = -1 and 2^64 = 2^32 - 1 in the field."""
    a = np.array([2**48, 2**63, 2**63, gl.P - 1, 2**32], dtype=np.uint64)
    b = np.array([2**48, 2**33, 2, gl.P - 1, 2**32], dtype=np.uint64)
    assert gl.mul(a, b).tolist() == [gl.P - 1, gl.P - 1, 2**32 - 1, 1, 2**32 - 1]


def test_inverse_and_powers() -> None:
    values = np.array(EDGES[1:], dtype=np.uint64)
    assert gl.mul(values, gl.inv(values)).tolist() == [1] * len(values)
    assert gl.pow_(values, 12345).tolist() == [pow(x, 12345, gl.P) for x in EDGES[1:]]
    assert gl.pow_(np.array([0], dtype=np.uint64), 0).tolist() == [1]
    assert gl.powers(gl.P - 3, 37).tolist() == [pow(gl.P - 3, i, gl.P) for i in range(37)]
    assert gl.powers(5, 1).tolist() == [1]
    assert gl.powers(5, 0).tolist() == []
    with pytest.raises(ZeroDivisionError):
        gl.inv(np.array([1, 0], dtype=np.uint64))
    with pytest.raises(ValueError, match="negative"):
        gl.pow_(values, -1)


def test_inverse_of_any_shape() -> None:
    values = np.array(EDGES[1:13], dtype=np.uint64).reshape(2, 3, 2)
    assert gl.inv(values).shape == (2, 3, 2)
    assert gl.mul(values, gl.inv(values)).ravel().tolist() == [1] * 12
    assert gl.inv(np.uint64(gl.P - 1)).tolist() == gl.P - 1
    assert gl.inv(np.array([], dtype=np.uint64)).tolist() == []
    with pytest.raises(ZeroDivisionError):
        gl.inv(np.uint64(0))


@pytest.mark.parametrize("count", [511, 512, 513, 1024, 1025, 1027, 5000])
def test_inverse_of_many(count: int) -> None:
    """First multiplied in pairs."""
    values = np.random.default_rng(count).integers(1, gl.P, count, dtype=np.uint64)
    values[: len(EDGES) - 1], values[-1] = EDGES[1:], gl.P - 1
    assert gl.inv(values).tolist() == [pow(value, -1, gl.P) for value in values.tolist()]
    for place in (0, count // 2, count - 1):
        values[place] = 0
        with pytest.raises(ZeroDivisionError):
            gl.inv(values)
        values[place] = 1


def test_operands_are_left_as_they_are() -> None:
    """Also where results are made in their place."""
    a, b = np.array(EDGES, dtype=np.uint64), np.array(EDGES[::-1], dtype=np.uint64)
    for operation in (gl.add, gl.sub, gl.mul):
        operation(a, b)
        operation(a, a)
    gl.inv(a[1:])
    gl.matmul(a[:, None], b[None])
    assert (a.tolist(), b.tolist()) == (EDGES, EDGES[::-1])


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8, 33])
def test_power_table(count: int) -> None:
    values = np.array(EDGES, dtype=np.uint64)
    assert gl.power_table(values, count).tolist() == [[pow(x, i, gl.P) for i in range(count)] for x in EDGES]


@pytest.mark.parametrize("inner", [0, 1, 14, 1023, 1024, 1025, 3000, 9000])
@pytest.mark.parametrize("outer", [4, 40])
def test_matrix_product(inner: int, outer: int) -> None:
    """The largest values fill the sums of limbs to their bounds."""
    rng = np.random.default_rng(inner)
    a, b = (rng.integers(0, gl.P, shape, dtype=np.uint64) for shape in ((outer, inner), (inner, 3)))
    a[0], b[:, 0] = gl.P - 1, gl.P - 1
    a[1], b[:, 1] = 2**63, 2**64 - 2**32
    if inner == 14:
        a[2], b[:, 2] = EDGES, EDGES[::-1]
    expected = [[sum(x * y for x, y in zip(row, column, strict=True)) % gl.P for column in b.T.tolist()] for row in a.tolist()]
    assert gl.matmul(a, b).tolist() == expected


@pytest.mark.parametrize("shapes", [((4, 1), (3, 2)), ((4, 3), (1, 2)), ((4, 0), (3, 2)), ((4, 3), (0, 2)), ((1, 2), (3, 2))])
def test_a_product_of_matrices_that_do_not_fit(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """One column is not taken for many, nor none for zeros."""
    a, b = (np.ones(shape, np.uint64) for shape in shapes)
    with pytest.raises(ValueError, match=f"^rows of {a.shape[1]} elements times columns of {len(b)}$"):
        gl.matmul(a, b)


def test_roots_of_unity() -> None:
    assert gl.root_of_unity(1) == 1
    assert gl.root_of_unity(2) == gl.P - 1
    assert gl.root_of_unity(4) == 2**48
    assert gl.root_of_unity(8) == gl.P - 2**24
    for log in range(1, 33):
        root = gl.root_of_unity(1 << log)
        assert pow(root, 1 << (log - 1), gl.P) == gl.P - 1
        assert pow(root, 2, gl.P) == gl.root_of_unity(1 << (log - 1))
    for order in (0, 3, 2**33, -8):
        with pytest.raises(ValueError, match="root of unity"):
            gl.root_of_unity(order)


def test_canonical() -> None:
    assert gl.is_canonical(np.array(EDGES, dtype=np.uint64))
    assert not gl.is_canonical(np.array([0, gl.P], dtype=np.uint64))
    assert not gl.is_canonical(np.array([2**64 - 1], dtype=np.uint64))
    assert gl.is_canonical(np.array([], dtype=np.uint64))


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.uint32, object])
def test_other_numbers_are_not_canonical(kind: Any) -> None:
    """Small ones too: the arithmetic is that of 64-bit words, and a negative one is below p."""
    assert not gl.is_canonical(np.array([0, 1], dtype=kind))
    assert not gl.is_canonical(np.array([], dtype=kind))
    if kind is not np.uint32:
        assert not gl.is_canonical(np.array([-1], dtype=kind))
