"""Readable twins of the kernels: the same results from definitions, on Python integers or plain numpy.

Slow on purpose; used by the lockstep tests and by whoever wants to know what a kernel computes.
"""

from __future__ import annotations

import numpy as np

from zkvm.stark.field import extension as ext
from zkvm.stark.field import goldilocks as gl
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import FieldArray, P, root_of_unity


def evaluate(coefficients: FieldArray, points: FieldArray) -> FieldArray:
    """Values of one polynomial (natural-order coefficients) at base-field points, by Horner's rule."""
    result = np.zeros_like(points)
    for coefficient in coefficients[::-1]:
        result = gl.add(gl.mul(result, points), coefficient)
    return result


def interpolate(values: FieldArray, shift: int = 1) -> FieldArray:
    """Natural-order coefficients from values on ``shift <w_n>``: c_m = shift^-m / n sum_k v_k w^(-mk)."""
    size = len(values)
    inverse_root = pow(root_of_unity(size), -1, P)
    sums = evaluate(values, gl.powers(inverse_root, size))
    return gl.mul(gl.mul(sums, gl.powers(pow(shift, -1, P), size)), np.uint64(pow(size, -1, P)))


def coset_points(height: int, blowup: int, shift: int) -> FieldArray:
    """The points ``shift w_{Bn}^(j + B k)`` as (B, n)."""
    points = gl.mul(gl.powers(root_of_unity(height * blowup), height * blowup), np.uint64(shift))
    return np.ascontiguousarray(points.reshape(height, blowup).T)


def lde(columns: FieldArray, blowup: int, shift: int) -> FieldArray:
    """Values (w, n) on <w_n> to (w, B, n)."""
    points = coset_points(columns.shape[1], blowup, shift)
    return np.stack([evaluate(interpolate(column), points) for column in columns])


def accumulate(matrix: FieldArray, coefficients: FieldArray, accumulator: FieldArray) -> FieldArray:
    """``accumulator + sum_c coefficients[c] matrix[c]``: (w, m), (w, 3), (3, m) to (3, m)."""
    result = accumulator
    for column, coefficient in zip(matrix, coefficients, strict=True):
        result = gl.add(result, gl.mul(coefficient[:, None], column[None, :]))
    return result


def dot(matrix: FieldArray, weights: FieldArray) -> FieldArray:
    """``result[c] = sum_k weights[:, k] matrix[c, k]``: (w, n), (3, n) to (w, 3)."""
    return np.stack([ext.dot_base(np.ascontiguousarray(weights.T), column) for column in matrix])


def barycentric_weights(height: int, point: Ext) -> FieldArray:
    """(3, n): w^k (z^n - 1) / (n (z - w^k)), so that f(z) = sum_k weights[k] f(w^k) for deg f < n.

    Raises:
        ZeroDivisionError: the point is in <w_n>.
    """
    roots = gl.powers(root_of_unity(height), height)
    differences = ext.sub(ext.from_ext(point), ext.embed(roots))
    factor = ext.ext_scale(ext.ext_sub(ext.ext_pow(point, height), ext.ONE), pow(height, -1, P))
    weights = ext.mul(ext.mul_base(ext.inv(differences), roots), ext.from_ext(factor))
    return np.ascontiguousarray(weights.T)


def ext_fractions(fractions: FieldArray, first_term: int) -> FieldArray:
    """(6 c, m), numerators and denominators by turns, to quotients (3 c, m); the last one plus those from first_term on."""
    columns = [ext.mul(six[:3].T, ext.inv(six[3:].T)) for six in fractions.reshape(-1, 6, fractions.shape[1])]
    for term in columns[first_term:-1]:
        columns[-1] = ext.add(columns[-1], term)
    return np.concatenate([column.T for column in columns])


def prefix_product(ratios: FieldArray, start: FieldArray) -> FieldArray:
    """(3, m), (3,) to (3, m + 1): out[0] = start, out[i + 1] = out[i] ratios[i]."""
    out = [ext.to_ext(start)]
    for ratio in ratios.T.tolist():
        out.append(ext.ext_mul(out[-1], (ratio[0], ratio[1], ratio[2])))
    return np.array(out, dtype=np.uint64).T.copy()


def prefix_sum(terms: FieldArray, start: FieldArray) -> FieldArray:
    """(3, m), (3,) to (3, m + 1): out[0] = start, out[i + 1] = out[i] + terms[i]."""
    out = [ext.to_ext(start)]
    for term in terms.T.tolist():
        out.append(ext.ext_add(out[-1], (term[0], term[1], term[2])))
    return np.array(out, dtype=np.uint64).T.copy()


def deep_divide_add(accumulated: FieldArray, constant: FieldArray, inverses: FieldArray, before: FieldArray) -> FieldArray:
    """``before + (accumulated - constant) inverses``: (3, m), (3,), (3, m), (3, m) to (3, m)."""
    return gl.add(before, ext.mul(ext.sub(accumulated.T, constant), inverses.T).T)


def fold8(values: FieldArray, beta: Ext, shift: int) -> FieldArray:
    """One FRI fold (3, B, n) to (3, B, n/8).

    The eight values at x w_8^m interpolate to sum_r c_r X^r of degree < 8, and the folded value at x^8 is that
    polynomial at beta.
    """
    _, blowup, height = values.shape
    points = coset_points(height, blowup, shift)[:, : height // 8]
    groups = values.reshape(3, blowup, 8, height // 8)
    inverse_root = pow(root_of_unity(8), -1, P)
    result = np.zeros((blowup, height // 8, 3), dtype=np.uint64)
    for r in range(8):
        component = np.zeros((3, blowup, height // 8), dtype=np.uint64)
        for m in range(8):
            component = gl.add(component, gl.mul(groups[:, :, m], np.uint64(pow(inverse_root, r * m, P))))
        component = gl.mul(component, gl.mul(gl.pow_(gl.inv(points), r), np.uint64(pow(8, -1, P))))
        result = ext.add(result, ext.mul(np.moveaxis(component, 0, -1), ext.from_ext(ext.ext_pow(beta, r))))
    return np.ascontiguousarray(np.moveaxis(result, -1, 0))
