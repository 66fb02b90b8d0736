"""The cubic extension against polynomial arithmetic on Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkvm.stark.field import extension as ext
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import P

coordinate = st.integers(0, P - 1) | st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1])
elements = st.tuples(coordinate, coordinate, coordinate)


def polynomial_product(a: Ext, b: Ext) -> Ext:
    """Schoolbook product, then long division by x^3 - x - 1: shares nothing with the code under test."""
    coefficients = [0] * 5
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            coefficients[i + j] += x * y
    for degree in (4, 3):
        lead = coefficients[degree]
        for offset, value in ((0, 1), (-2, -1), (-3, -1)):  # lead x^(degree-3) (x^3 - x - 1)
            coefficients[degree + offset] -= lead * value
    assert coefficients[3:] == [0, 0]
    return (coefficients[0] % P, coefficients[1] % P, coefficients[2] % P)


@given(elements, elements)
def test_product(a: Ext, b: Ext) -> None:
    expected = polynomial_product(a, b)
    assert ext.ext_mul(a, b) == expected
    assert ext.mul(ext.from_ext(a), ext.from_ext(b)).tolist() == list(expected)


@pytest.mark.parametrize("count", [511, 512, 513, 1500])
def test_products_of_many(count: int) -> None:
    """In blocks, also where one operand is for several of the other."""
    generator = np.random.default_rng(count)
    a, b = (generator.integers(0, P, (count, 3), dtype=np.uint64) for _ in range(2))
    a[-1], b[-1], a[0] = P - 1, P - 1, 0
    expected = [list(polynomial_product(tuple(x), tuple(y))) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert ext.mul(a, b).tolist() == expected
    scaled = [list(polynomial_product(tuple(x), tuple(b[-1].tolist()))) for x in a.tolist()]
    assert ext.mul(a, b[-1]).tolist() == ext.mul(b[-1], a).tolist() == scaled
    wide = ext.mul(a[:, None], b[-2:])
    assert wide.shape == (count, 2, 3)
    assert wide[:, 1].tolist() == scaled
    assert wide[-1, 1].tolist() == expected[-1]


@given(elements, elements)
def test_linear_operations(a: Ext, b: Ext) -> None:
    assert ext.ext_sub(ext.ext_add(a, b), b) == a
    assert ext.ext_scale(a, b[0]) == ext.ext_mul(a, ext.ext_from_base(b[0]))
    pair = (ext.from_ext(a), ext.from_ext(b))
    assert ext.add(*pair).tolist() == list(ext.ext_add(a, b))
    assert ext.sub(*pair).tolist() == list(ext.ext_sub(a, b))
    assert ext.mul_base(pair[0], np.uint64(b[0])).tolist() == list(ext.ext_scale(a, b[0]))


@given(elements)
def test_inverse(a: Ext) -> None:
    if a == ext.ZERO:
        return
    assert polynomial_product(a, ext.ext_inv(a)) == ext.ONE
    assert ext.inv(ext.from_ext(a)).tolist() == list(ext.ext_inv(a))


def test_inverse_of_zero() -> None:
    with pytest.raises(ZeroDivisionError):
        ext.ext_inv(ext.ZERO)
    with pytest.raises(ZeroDivisionError):
        ext.inv(np.array([[1, 2, 3], [0, 0, 0]], dtype=np.uint64))


def test_modulus_is_irreducible() -> None:
    """x^p is another root and x^(p^3) = x: Frobenius has order 3, so x generates a field of degree 3."""
    assert ext.ext_mul(ext.X, ext.ext_mul(ext.X, ext.X)) == ext.ext_add(ext.X, ext.ONE)
    first = ext.ext_pow(ext.X, P)
    second = ext.ext_pow(first, P)
    assert first != ext.X
    assert second not in (ext.X, first)
    assert ext.ext_pow(second, P) == ext.X
    # The three conjugates are the roots of x^3 - x - 1: their sum is 0, their product 1.
    assert ext.ext_add(ext.ext_add(ext.X, first), second) == ext.ZERO
    assert ext.ext_mul(ext.ext_mul(ext.X, first), second) == ext.ONE


def test_powers() -> None:
    element = (5, P - 1, 2**63)
    values = ext.powers(element, 21)
    expected = ext.ONE
    for row in values.tolist():
        assert tuple(row) == expected
        expected = polynomial_product(expected, element)
    assert ext.ext_pow(element, 21) == expected
    assert ext.ext_mul(ext.ext_pow(element, -21), expected) == ext.ONE
    assert ext.powers(element, 0).shape == (0, 3)
    table = ext.power_table([element, ext.ZERO, ext.ONE], 7)
    assert table[0].tolist() == values[:7].tolist()
    assert table[1].tolist() == [[1, 0, 0]] + [[0, 0, 0]] * 6
    assert table[2].tolist() == [[1, 0, 0]] * 7


def test_sums_and_dots() -> None:
    generator = np.random.default_rng(1)
    a = generator.integers(0, P, (40, 3), dtype=np.uint64)
    b = generator.integers(0, P, (40, 3), dtype=np.uint64)
    a[:20] = P - 1
    total, dot, dot_base = ext.ZERO, ext.ZERO, ext.ZERO
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        total = ext.ext_add(total, tuple(x))
        dot = ext.ext_add(dot, polynomial_product(tuple(x), tuple(y)))
        dot_base = ext.ext_add(dot_base, ext.ext_scale(tuple(x), y[0]))
    assert ext.to_ext(ext.total(a)) == total
    assert ext.to_ext(ext.dot(a, b)) == dot
    assert ext.to_ext(ext.dot_base(a, b[:, 0])) == dot_base
    assert ext.total(a[:0]).tolist() == [0, 0, 0]
    assert ext.embed(b[:, 0]).tolist() == [[x, 0, 0] for x in b[:, 0].tolist()]
