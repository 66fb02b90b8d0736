"""The cubic extension on vectors: an element is three ``Vector`` values (twin: :mod:`zkvm.stark.field.extension`).

These functions are inlined into kernels (they have no compiled form of their own).
"""

from __future__ import annotations

from typing import Any

from numba import njit

from zkvm.stark.kernels.source.limbs import product, zero
from zkvm.stark.kernels.source.tiles import on_one_tuple, on_two_tuples
from zkvm.stark.kernels.source.vectors import add, add_any, canonical, load, mul, mul_any, splat, store, sub, sub_any
from zkvm.stark.kernels.source.words import WIDE, emit_add_any


@njit(inline="always")
def ext_load(array: Any, index: Any, stride: Any) -> Any:
    """LANES elements from ``index`` on of an extension vector whose coordinates are ``stride`` words apart."""
    return load(array, index), load(array, index + stride), load(array, index + 2 * stride)


@njit(inline="always")
def ext_store(array: Any, index: Any, stride: Any, value: Any) -> None:
    """Stores LANES elements from ``index`` on into an extension vector whose coordinates are ``stride`` words apart."""
    store(array, index, value[0])
    store(array, index + stride, value[1])
    store(array, index + 2 * stride, value[2])


@njit(inline="always")
def ext_splat(scalar: Any) -> Any:
    """Three words (a tuple or an array) in all lanes."""
    return splat(scalar[0]), splat(scalar[1]), splat(scalar[2])


@njit(inline="always")
def ext_add(a: Any, b: Any) -> Any:
    """a + b."""
    return add(a[0], b[0]), add(a[1], b[1]), add(a[2], b[2])


@njit(inline="always")
def ext_sub(a: Any, b: Any) -> Any:
    """a - b."""
    return sub(a[0], b[0]), sub(a[1], b[1]), sub(a[2], b[2])


@njit(inline="always")
def ext_scale(a: Any, factor: Any) -> Any:
    """factor a, for a base-field vector."""
    return mul(a[0], factor), mul(a[1], factor), mul(a[2], factor)


@njit(inline="always")
def _ext_mul_wide(a: Any, b: Any) -> Any:
    v0, v1, v2 = mul(a[0], b[0]), mul(a[1], b[1]), mul(a[2], b[2])
    m01 = mul_any(add_any(a[0], a[1]), add_any(b[0], b[1]))
    m02 = mul_any(add_any(a[0], a[2]), add_any(b[0], b[2]))
    m12 = mul(add_any(a[1], a[2]), add_any(b[1], b[2]))
    v01 = sub(v0, v1)
    c0 = canonical(add_any(sub_any(v01, v2), m12))
    c1 = canonical(sub_any(sub_any(sub_any(add_any(m01, m12), v0), v1), v1))
    c2 = canonical(sub_any(m02, v01))
    return c0, c1, c2


@njit(inline="always")
def _ext_adjugate_wide(a: Any) -> Any:
    a02, a12 = add_any(a[0], a[2]), add_any(a[1], a[2])
    d0 = sub_any(mul_any(a02, a02), mul(a12, a[1]))
    d1 = sub_any(mul_any(a12, a[2]), mul(a[1], a02))
    d2 = sub_any(mul_any(a[1], a[1]), mul(a02, a[2]))
    return d0, d1, d2, add_any(add_any(mul_any(a[0], d0), mul(a[2], d1)), mul(a[1], d2))


# The narrow functions add products before they reduce: the parts of at most five are below 2^36.


def _emit_ext_mul(builder: Any, a: list[Any], b: list[Any]) -> list[Any]:
    v0, v1, v2 = (product(builder, left, right) for left, right in zip(a, b, strict=True))
    sums = [(emit_add_any(builder, a[i], a[j]), emit_add_any(builder, b[i], b[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
    m01, m02, m12 = (product(builder, left, right) for left, right in sums)
    v01, positive = v0 - v1, zero(builder, 36)
    m02, m12 = m02 + positive, m12 + positive
    return [(v01 - v2 + m12).canonical(), (m01 + m12 - v0 - v1 - v1).canonical(), (m02 - v01).canonical()]


def _emit_ext_adjugate(builder: Any, a: list[Any]) -> list[Any]:
    positive = zero(builder, 36)
    a02, a12 = emit_add_any(builder, a[0], a[2]), emit_add_any(builder, a[1], a[2])
    d0 = (product(builder, a02, a02) - product(builder, a12, a[1]) + positive).word()
    d1 = (product(builder, a12, a[2]) - product(builder, a[1], a02) + positive).word()
    d2 = (product(builder, a[1], a[1]) - product(builder, a02, a[2]) + positive).word()
    norm = product(builder, a[0], d0) + product(builder, a[2], d1) + product(builder, a[1], d2) + positive
    return [d0, d1, d2, norm.word()]


ext_mul = _ext_mul_wide if WIDE else on_two_tuples(_emit_ext_mul, 3, "a b.")
"""a b with six products (Karatsuba): m_ij = (a_i + a_j)(b_i + b_j), v_i = a_i b_i, and x^3 = x + 1."""
ext_adjugate_any = _ext_adjugate_wide if WIDE else on_one_tuple(_emit_ext_adjugate, 4, "The adjugate.")
"""d (three coordinates) and the norm a d, a base-field vector, as any words: 1 / a = d / norm (formulas: ``ext_inv`` of the twin)."""
