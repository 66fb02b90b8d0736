"""Batch inversion by Montgomery's trick, lane by lane: one Fermat power serves a whole block."""

from __future__ import annotations

from typing import Any

from numba import boolean, int64, njit, uint64, void

from zkvm.stark.kernels.inverses import BLOCK
from zkvm.stark.kernels.source.entry import entry, stack_array
from zkvm.stark.kernels.source.extension import ext_add, ext_adjugate_any, ext_load, ext_mul, ext_scale, ext_store
from zkvm.stark.kernels.source.goldilocks import ONE
from zkvm.stark.kernels.source.tiles import canonical4, load4, store4
from zkvm.stark.kernels.source.vectors import add, add_any, load, mul, mul_any, splat, store, sub
from zkvm.stark.kernels.source.words import LANES

MATRIX = uint64[:, ::1]
WORDS = uint64[::1]
GROUP = 4 * LANES
"""Elements that a batch inversion takes in one step."""
_norms, _inverses = stack_array(uint64, BLOCK), stack_array(uint64, BLOCK)


@njit(inline="always")
def _square_times(value: Any, count: Any) -> Any:
    for _ in range(count):
        value = mul_any(value, value)
    return value


@njit(inline="always")
def _inverse(a: Any) -> Any:
    """a^(p-2), any word, by an addition chain; o_k = a^(2^k - 1), and p - 2 = (2^31 - 1) 2^33 + 2^32 - 1."""
    o2 = mul_any(mul_any(a, a), a)
    o3 = mul_any(mul_any(o2, o2), a)
    o6 = mul_any(_square_times(o3, 3), o3)
    o12 = mul_any(_square_times(o6, 6), o6)
    o24 = mul_any(_square_times(o12, 12), o12)
    o30 = mul_any(_square_times(o24, 6), o6)
    o31 = mul_any(mul_any(o30, o30), a)
    o32 = mul_any(mul_any(o31, o31), a)
    return mul_any(_square_times(o31, 33), o32)


@njit(inline="always")
def _times4(v: Any, w: Any) -> Any:
    return mul_any(v[0], w[0]), mul_any(v[1], w[1]), mul_any(v[2], w[2]), mul_any(v[3], w[3])


@njit(void(WORDS, int64, WORDS, int64, int64), nogil=True)
def invert_block(values: Any, first: Any, out: Any, start: Any, count: Any) -> None:
    """out[start + i] = 1 / values[first + i] for i < count, a multiple of :data:`GROUP`.

    Takes any words; no value is zero; not in place. Four interleaved chains: each product waits for the one before it in its chain.
    """
    p = load4(values, first, LANES)
    for i in range(GROUP, count, GROUP):
        store4(out, start + i - GROUP, LANES, p)
        p = _times4(p, load4(values, first + i, LANES))
    p01, p23 = mul_any(p[0], p[1]), mul_any(p[2], p[3])
    inverse = _inverse(mul_any(p01, p23))
    i01, i23 = mul_any(inverse, p23), mul_any(inverse, p01)
    chains = mul_any(i01, p[1]), mul_any(i01, p[0]), mul_any(i23, p[3]), mul_any(i23, p[2])
    for i in range(count - GROUP, 0, -GROUP):
        store4(out, start + i, LANES, canonical4(_times4(chains, load4(out, start + i - GROUP, LANES))))
        chains = _times4(chains, load4(values, first + i, LANES))
    store4(out, start, LANES, canonical4(chains))


@njit(inline="always")
def _invert_padded(norms: Any, inverses: Any, count: Any) -> None:
    """The inverses of the first ``count`` norms; ones fill the last group."""
    padded = (count + GROUP - 1) // GROUP * GROUP
    for i in range(count, padded):
        norms[i] = ONE
    invert_block(norms, 0, inverses, 0, padded)


@entry(void(WORDS, WORDS, int64, int64))
def base_inverse_rows(values: Any, out: Any, first: Any, last: Any) -> None:
    """out[i] = 1 / values[i] on a range of rows."""
    norms, inverses = _norms(), _inverses()
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        for i in range(0, count, LANES):
            store(norms, i, load(values, block + i))
        _invert_padded(norms, inverses, count)
        for i in range(0, count, LANES):
            store(out, block + i, load(inverses, i))


@entry(void(MATRIX, int64, MATRIX, int64, MATRIX))
def fraction_rows(fractions: Any, first_term: Any, out: Any, start: Any, norms: Any) -> None:
    """Column c of ``out``, from row ``start`` on, = numerator c / denominator c; the last also gets columns first_term and on.

    One Fermat power serves all columns.

    Args:
        fractions: (6 c, m), numerators and denominators by turns, m a multiple of :data:`GROUP`; the denominators become their adjugates.
        first_term: first of the columns that are added to the last.
        out: (3 c, n).
        start: first row of ``out`` that is written.
        norms: (2, c m) work space.
    """
    width, rows, columns = fractions.shape[1], out.shape[1], out.shape[0] // 3
    inverses = norms[1]
    for number in range(columns):
        denominator = (6 * number + 3) * width
        for i in range(0, width, LANES):
            d0, d1, d2, norm = ext_adjugate_any(ext_load(fractions, denominator + i, width))
            ext_store(fractions, denominator + i, width, (d0, d1, d2))
            store(norms, number * width + i, norm)
    invert_block(norms[0], 0, inverses, 0, columns * width)
    for number in range(columns):
        numerator, target = 6 * number * width, 3 * number * rows + start
        for i in range(0, width, LANES):
            adjugate = ext_load(fractions, numerator + 3 * width + i, width)
            inverse = ext_scale(adjugate, load(inverses, number * width + i))
            ext_store(out, target + i, rows, ext_mul(ext_load(fractions, numerator + i, width), inverse))
    last = 3 * (columns - 1) * rows + start
    for number in range(first_term, columns - 1):
        for i in range(0, width, LANES):
            term = ext_load(out, 3 * number * rows + start + i, rows)
            ext_store(out, last + i, rows, ext_add(ext_load(out, last + i, rows), term))


@njit(inline="always")
def _quadratic(coefficients: Any, coordinate: Any, x: Any) -> Any:
    """u + v x + w x^2, any word, with (u, v, w) one column of ``coefficients`` (3, 3)."""
    u, v, w = splat(coefficients[0, coordinate]), splat(coefficients[1, coordinate]), splat(coefficients[2, coordinate])
    return add_any(mul_any(add_any(mul_any(w, x), v), x), u)


@entry(void(WORDS, MATRIX, WORDS, boolean, MATRIX, int64, int64))
def rational_rows(values: Any, numerator: Any, cubic: Any, times_x: Any, out: Any, first: Any, last: Any) -> None:
    """out = (u + v x + w x^2) / (c0 - c1 x + c2 x^2 - x^3), times x if wanted, for base-field values x.

    Args:
        values: (m,), the values x, of which none makes the denominator zero.
        numerator: (3, 3), rows u, v, w in the extension.
        cubic: (c0, c1, c2) in the base field.
        times_x: whether the quotient is multiplied by x.
        out: (3, m).
        first: first row.
        last: row after the last.
    """
    rows = out.shape[1]
    norms, inverses = _norms(), _inverses()
    c0, c1, c2 = splat(cubic[0]), splat(cubic[1]), splat(cubic[2])
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        for i in range(0, count, LANES):
            x = load(values, block + i)
            inner = sub(mul(sub(c2, x), x), c1)
            store(norms, i, add(mul(inner, x), c0))
        _invert_padded(norms, inverses, count)
        for i in range(0, count, LANES):
            x = load(values, block + i)
            factor = load(inverses, i)
            if times_x:
                factor = mul_any(factor, x)
            quotient = (
                mul(_quadratic(numerator, 0, x), factor),
                mul(_quadratic(numerator, 1, x), factor),
                mul(_quadratic(numerator, 2, x), factor),
            )
            ext_store(out, block + i, rows, quotient)
