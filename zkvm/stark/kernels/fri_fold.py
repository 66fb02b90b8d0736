"""One FRI fold by eight.

Values of f on the coset s <w_{Bn}>, stored as B cosets (3, B, n), become values of f_beta on s^8 <w_{Bn/8}> in the same
layout: with f(X) = sum_{r<8} X^r f_r(X^8), f_beta = sum_r beta^r f_r. The eight points over x^8 are x w_8^m, at the
places [j, k + m n/8]; an 8-point inverse transform of their values gives 8 x^r f_r(x^8).
"""

from __future__ import annotations

import numpy as np

from zkvm.stark.field.goldilocks import FieldArray, P, root_of_unity
from zkvm.stark.kernels.library import kernel
from zkvm.stark.kernels.parallel import run_ranges
from zkvm.stark.kernels.twiddles import fill_geometric

fold8_rows = kernel("fri_fold.fold8_rows")


def fold8(
    values: FieldArray, beta: tuple[int, int, int] | FieldArray, shift: int, out: FieldArray | None = None, threads: int = 1
) -> FieldArray:
    """Folds values on the cosets of ``shift <w_Bn>`` into values on ``shift^8 <w_Bn/8>``.

    Args:
        values: (3, B, n) ``uint64``, C-contiguous, n a power of two, at least 64.
        beta: the challenge.
        shift: shift of the large coset.
        out: (3, B, n / 8), the result array, allocated if None; not the memory of ``values``.
        threads: at most this many.

    Returns:
        (3, B, n / 8).

    Raises:
        ValueError: a shape or layout that does not fit.
    """
    _, blowup, height = values.shape
    if height < 64 or height & (height - 1) or values.shape[0] != 3 or not values.flags.c_contiguous:
        raise ValueError(f"cannot fold an array of shape {values.shape}: a contiguous (3, B, n) with n >= 64 is needed")
    small = height // 8
    result = np.empty((3, blowup, small), dtype=np.uint64) if out is None else out
    if result.shape != (3, blowup, small) or not result.flags.c_contiguous:
        raise ValueError(f"the output must be contiguous and (3, {blowup}, {small}), not {result.shape}")
    challenge = np.asarray(beta, dtype=np.uint64)
    inverse_root, large_root = pow(root_of_unity(height), -1, P), root_of_unity(height * blowup)
    flat, flat_out = values.reshape(-1), result.reshape(-1)

    def task(first: int, last: int) -> None:
        points = np.empty(small, dtype=np.uint64)
        for coset in range(first, last):
            inverse_shift = pow(shift * pow(large_root, coset, P), -1, P)
            fill_geometric(points, 0, small, np.uint64(inverse_shift), np.uint64(inverse_root))
            planes = (blowup * height, coset * height, challenge, points, np.uint64(pow(8, -1, P)))
            fold8_rows(flat, *planes, flat_out, blowup * small, coset * small)

    run_ranges(task, blowup, 4 * height, threads)
    return result
