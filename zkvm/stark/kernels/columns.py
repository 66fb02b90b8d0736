"""Column kernels as the prover calls them: shapes checked, rows split over threads.

Arrays are ``uint64``, C-contiguous, writable and canonical. A matrix is (w, m): w columns of m rows; an extension
vector is (3, m). Row counts are multiples of 8. Extension scalars are tuples of three integers or arrays (3,).
Every function raises ValueError if an array has another layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from zkvm.stark.field.goldilocks import FieldArray, P, root_of_unity
from zkvm.stark.kernels import dots, inverses
from zkvm.stark.kernels.library import Kernel, kernel
from zkvm.stark.kernels.parallel import run_ranges
from zkvm.stark.kernels.twiddles import fill_geometric

Scalar: TypeAlias = tuple[int, int, int] | FieldArray

deep_divide_add_rows = kernel("column_loops.deep_divide_add_rows")
prefix_product_rows = kernel("prefixes.prefix_product_rows")
prefix_sum_rows = kernel("prefixes.prefix_sum_rows")


def _check(name: str, array: FieldArray, shape: tuple[int, ...]) -> FieldArray:
    if array.shape != shape or array.dtype != np.uint64 or not array.flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous uint64 array of shape {shape}, got {array.dtype} {array.shape}")
    return array


def _rows(array: FieldArray) -> int:
    rows = int(array.shape[-1])
    if array.ndim != 2 or rows % 8 or rows == 0:
        raise ValueError(f"expected two axes and a row count that is a multiple of 8, got {array.shape}")
    return rows


def _output(out: FieldArray | None, shape: tuple[int, ...]) -> FieldArray:
    return np.empty(shape, dtype=np.uint64) if out is None else _check("out", out, shape)


def _scalar(value: Scalar) -> FieldArray:
    return _check("scalar", np.ascontiguousarray(value, dtype=np.uint64), (3,))


def accumulate(matrices: Sequence[FieldArray], coefficients: FieldArray, accumulator: FieldArray, threads: int = 1) -> None:
    """``accumulator += sum_c coefficients[c] columns[c]``, the columns those of all matrices, one after the other.

    Args:
        matrices: each (w_i, n) uint64, n >= m: the first m rows count.
        coefficients: (w, 3), an extension element for each column, w the sum of the w_i.
        accumulator: (3, m), an extension vector.
        threads: at most this many.

    Raises:
        ValueError: an array has another layout.
    """
    rows, width = _rows(accumulator), sum(len(matrix) for matrix in matrices)
    for matrix in matrices:
        _check("matrix", matrix, (len(matrix), max(matrix.shape[1], rows)))
    _check("coefficients", coefficients, (width, 3))
    _check("accumulator", accumulator, (3, rows))
    if width:
        kept = tuple(matrices)  # as long as a range runs, which an interrupt does not stop
        addresses = np.concatenate([column_addresses(matrix) for matrix in kept])

        def work(first: int, last: int, _columns: Sequence[FieldArray] = kept) -> None:
            dots.accumulate_rows(addresses, coefficients, accumulator, first, last)

        run_ranges(work, rows, width, threads, dots.BLOCK)


def column_addresses(columns: FieldArray) -> FieldArray:
    """Byte address of each column's first element: (w, ..) uint64, every column contiguous, to (w,).

    Raises:
        ValueError: the columns are not contiguous, or not uint64.
    """
    if columns.dtype != np.uint64 or (len(columns) and not columns[0].flags.c_contiguous):
        raise ValueError(f"expected uint64 columns, each contiguous, got {columns.dtype} {columns.shape} with strides {columns.strides}")
    return np.uint64(columns.ctypes.data) + np.arange(len(columns), dtype=np.uint64) * np.uint64(columns.strides[0])


def dot(matrix: FieldArray, weights: FieldArray, threads: int = 1) -> FieldArray:
    """``result[c] = sum_k weights[:, k] matrix[c, k]``: (w, m), (3, n) to (w, 3); the first n <= m rows count."""
    rows, width = _rows(weights), matrix.shape[0]
    if matrix.shape[1] < rows:
        raise ValueError(f"{rows} weights for {matrix.shape[1]} rows")
    _check("matrix", matrix, (width, matrix.shape[1]))
    _check("weights", weights, (3, rows))
    out = np.empty((width, 3), dtype=np.uint64)

    def task(first: int, last: int) -> None:
        sums = np.empty(dots.DOT_WORDS * (last - first), dtype=np.uint64)
        dots.dot_columns(matrix, weights, out, sums, first, last)

    run_ranges(task, width, 0, threads)  # one range a thread: each cuts the weights
    return out


def base_powers(base: int, count: int, first: int = 1, out: FieldArray | None = None) -> FieldArray:
    """(count,): first base^i; the count is a multiple of 8."""
    result = _output(out, (count,))
    _rows(result[None])
    fill_geometric(result, 0, count, np.uint64(first), np.uint64(base))
    return result


def ext_fractions(fractions: FieldArray, first_term: int, out: FieldArray, start: int, norms: FieldArray) -> None:
    """``out[:, start + i] = numerators / denominators`` for c columns of the extension; the last column gets others added to it.

    Args:
        fractions: (6 c, m), three rows a numerator, three its denominator; destroyed. m is a multiple of 32. Callers exclude zero
            denominators, which spoil the whole call.
        first_term: the last column gets columns first_term to c - 2 added to it; nothing from c - 1 on.
        out: (3 c, n).
        start: first row of ``out`` that is written, a multiple of 8.
        norms: (2, c m) work space.

    Raises:
        ValueError: an array has another layout, or the fractions do not fit ``out``.
    """
    rows, columns = _rows(out), out.shape[0] // 3
    width = _rows(fractions)
    _check("fractions", fractions, (6 * columns, width))
    _check("out", out, (3 * columns, rows))
    _check("norms", norms, (2, columns * width))
    if width % 32 or columns == 0 or start % 8 or first_term < 0 or not 0 <= start <= rows - width:
        raise ValueError(f"{width} fractions from row {start} do not fit {columns} columns of {rows} rows")
    inverses.fraction_rows(fractions, first_term, out, start, norms)


def base_batch_inverse(values: FieldArray, out: FieldArray | None = None, threads: int = 1) -> FieldArray:
    """``1 / values``: (m,) to (m,), not in place.

    A zero makes the inverses of up to 4096 rows around it zero: callers exclude zeros.
    """
    rows = _rows(values[None])
    _check("values", values, (rows,))
    result = _output(out, (rows,))
    if np.shares_memory(values, result):
        raise ValueError("the output must not be the input")
    run_ranges(lambda i, j: inverses.base_inverse_rows(values, result, i, j), rows, 2, threads, inverses.BLOCK)
    return result


def prefix_product(ratios: FieldArray, start: Scalar, out: FieldArray) -> FieldArray:
    """``out[:, 0] = start``, ``out[:, i + 1] = out[:, i] ratios[:, i]``.

    Args:
        ratios: (3, m).
        start: the first product.
        out: (3, m) or (3, m + 1), not the memory of ``ratios``.

    Returns:
        The last product ``start * all ratios``, (3,), whether ``out`` holds it or not.
    """
    return _prefix(prefix_product_rows, ratios, start, out)


def prefix_sum(terms: FieldArray, start: Scalar, out: FieldArray) -> FieldArray:
    """``out[:, 0] = start``, ``out[:, i + 1] = out[:, i] + terms[:, i]``; shapes and result as of :func:`prefix_product`."""
    return _prefix(prefix_sum_rows, terms, start, out)


def deep_divide_add(accumulated: FieldArray, constant: Scalar, inverse: FieldArray, out: FieldArray, threads: int = 1) -> None:
    """``out += (accumulated - constant) inverse``: (3, m), (3,), (3, m), (3, m)."""
    rows = _rows(accumulated)
    _check("accumulated", accumulated, (3, rows))
    _check("inverse", inverse, (3, rows))
    _check("out", out, (3, rows))
    subtrahend = _scalar(constant)
    run_ranges(lambda i, j: deep_divide_add_rows(accumulated, subtrahend, inverse, out, i, j), rows, 12, threads, 8)


def inverse_differences(point: Scalar, values: FieldArray, out: FieldArray | None = None, threads: int = 1) -> FieldArray:
    """``1 / (point - values)`` for base-field values: (3,), (m,) to (3, m).

    Raises:
        ValueError: the point is in the base field.
    """
    return _rational(point, (1, 0, 0), values, False, out, threads)


def barycentric_weights(height: int, point: Scalar, threads: int = 1) -> FieldArray:
    """(3, n): w^k (z^n - 1) / (n (z - w^k)), so that f(z) = sum_k weights[:, k] f(w^k) for deg f < n.

    Raises:
        ValueError: n is not a power of two, at least 8, or the point is in the base field.
    """
    if height < 8 or height & (height - 1):
        raise ValueError(f"height {height} is not a power of two of at least 8")
    power = _integers(point)
    for _ in range(height.bit_length() - 1):
        power = _product(power, power)
    scale = pow(height, -1, P)
    numerator = ((power[0] - 1) * scale % P, power[1] * scale % P, power[2] * scale % P)
    return _rational(point, numerator, base_powers(root_of_unity(height), height), True, None, threads)


def _integers(value: Scalar) -> tuple[int, int, int]:
    return int(value[0]), int(value[1]), int(value[2])


def _product(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    c3, c4 = a[1] * b[2] + a[2] * b[1], a[2] * b[2]  # x^3 = x + 1, x^4 = x^2 + x
    c1, c2 = a[0] * b[1] + a[1] * b[0], a[0] * b[2] + a[1] * b[1] + a[2] * b[0]
    return (a[0] * b[0] + c3) % P, (c1 + c3 + c4) % P, (c2 + c4) % P


def _rational(
    point: Scalar, numerator: tuple[int, int, int], values: FieldArray, times_x: bool, out: FieldArray | None, threads: int
) -> FieldArray:
    """``numerator / (z - x)`` through the characteristic polynomial chi(X) = X^3 - t X^2 + e X - N of the point z.

    chi(x) = (x - z) A(x) with A(x) = x^2 + (z - t) x + (z^2 - t z + e), hence 1 / (z - x) = A(x) / -chi(x): the
    denominator is in the base field, and it has no zero there unless z is in it.
    """
    z = _integers(point)
    if z[1:] == (0, 0):
        raise ValueError("the point is in the base field")
    square = _product(z, z)
    trace, square_trace = (3 * z[0] + 2 * z[2]) % P, (3 * square[0] + 2 * square[2]) % P
    second = (trace * trace - square_trace) * pow(2, -1, P) % P
    norm = (_product(square, z)[0] - trace * square[0] + second * z[0]) % P
    linear = ((z[0] - trace) % P, z[1], z[2])
    constant = ((square[0] - trace * z[0] + second) % P, (square[1] - trace * z[1]) % P, (square[2] - trace * z[2]) % P)
    terms = np.array([_product(numerator, constant), _product(numerator, linear), numerator], dtype=np.uint64)
    cubic = np.array([norm, second, trace], dtype=np.uint64)
    rows = _rows(values[None])
    _check("values", values, (rows,))
    result = _output(out, (3, rows))
    run_ranges(lambda i, j: inverses.rational_rows(values, terms, cubic, times_x, result, i, j), rows, 4, threads, inverses.BLOCK)
    return result


def _prefix(running: Kernel, terms: FieldArray, start: Scalar, out: FieldArray) -> FieldArray:
    rows = _rows(terms)
    _check("terms", terms, (3, rows))
    _check("out", out, (3, rows + 1 if out.shape[-1] > rows else rows))
    final = np.empty(3, dtype=np.uint64)
    running(terms, _scalar(start), out, final)
    return final
