"""Low-degree extensions of many columns: plans, and the split over threads.

Layout (the same everywhere in the prover): matrices are (columns, rows), ``uint64``, C-contiguous, canonical. The
evaluations of a polynomial on the coset ``shift <w_{B n}>`` are stored as B cosets in natural order: element [j, k] is
the value at ``shift w_{Bn}^(j + B k)``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from zkvm.stark.field import goldilocks as gl
from zkvm.stark.field.goldilocks import FieldArray, P, coset_shift, powers, root_of_unity
from zkvm.stark.kernels.library import kernel
from zkvm.stark.kernels.parallel import run_ranges
from zkvm.stark.kernels.twiddles import TALL, Levels, bit_reversed_powers, forward_transform, inverse_transform
from zkvm.stark.kernels.width import WORD_LANES

EXTRA_POINTS = 512
"""Size of the extra cosets that a plan can evaluate besides the extension."""
MINIMUM_HEIGHT, MAXIMUM_HEIGHT = 2**6, 2**24

extend_columns = kernel("ntt.extend_columns")
inverse = kernel("transforms.inverse")
bit_reverse = kernel("interpolation.bit_reverse")
join_cosets = kernel("interpolation.join_cosets")
scale_by_powers = kernel("interpolation.scale_by_powers")


def _check_height(height: int, minimum: int = MINIMUM_HEIGHT) -> None:
    if height < minimum or height > MAXIMUM_HEIGHT or height & (height - 1):
        raise ValueError(f"height {height} is not a power of two in [{minimum}, 2^24]")


def _flat(array: FieldArray, shape: tuple[int, ...]) -> FieldArray:
    """The array's words in a row, as a view.

    Raises:
        ValueError: wrong shape, or not C-contiguous ``uint64``.
    """
    if array.shape != shape or array.dtype != np.uint64 or not array.flags.c_contiguous:
        raise ValueError(f"expected a C-contiguous uint64 array of shape {shape}, got {array.dtype} {array.shape}")
    return array.reshape(-1)


def _stacked(transforms: list[tuple[Levels, FieldArray]]) -> tuple[Levels, FieldArray]:
    """The levels that some transforms of one size share, and their tables: (t, words)."""
    if not transforms:
        return np.empty((0, 3), dtype=np.int64), np.empty((0, 0), dtype=np.uint64)
    return transforms[0][0], np.stack([table for _, table in transforms])


def _limbs(factors: FieldArray) -> FieldArray:
    """Limbs of 22 bits of factors c and 2^32 c, six vectors at a time: (w, m) to (w, 6 m).

    For sums of products (:mod:`zkvm.stark.kernels.source.dots`). Fewer factors than a vector has are left out.
    """
    count = factors.shape[1] // WORD_LANES * WORD_LANES
    pair = factors[:, :count], gl.mul(factors[:, :count], np.uint64(2**32))
    cut = np.stack([half >> np.uint64(bits) & np.uint64(2**22 - 1) for half in pair for bits in (0, 22, 44)], axis=1)
    split = cut.reshape(len(factors), 6, count // WORD_LANES, WORD_LANES).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(split).reshape(len(factors), 6 * count)


class LdePlan:
    """Everything needed to extend columns of one height: precomputed twiddles, shared by all threads. :func:`lde_plan` keeps plans.

    Args:
        height: rows n, a power of two in [2^6, 2^24].
        blowup: number of cosets B, a power of two.
        shift: shift of the large coset; :func:`coset_shift` of the height if None.
        extra_shifts: g of the extra cosets g <w_512> on which columns are evaluated too (needs n >= 512).

    Raises:
        ValueError: a size out of range.
    """

    def __init__(self, height: int, blowup: int, shift: int | None = None, extra_shifts: tuple[int, ...] = ()) -> None:
        _check_height(height, EXTRA_POINTS if extra_shifts else MINIMUM_HEIGHT)
        if blowup < 1 or blowup & (blowup - 1):
            raise ValueError(f"blowup {blowup} is not a power of two")
        self.height, self.blowup, self.extra_shifts = height, blowup, extra_shifts
        self.shift = coset_shift(height) if shift is None else shift
        self._inverse = _inverse_transform(height)
        self._levels, self._tables = _coset_transforms(height, blowup, self.shift)
        small = [forward_transform(EXTRA_POINTS, s) for s in extra_shifts]
        weights = [bit_reversed_powers(pow(s, EXTRA_POINTS, P), height // EXTRA_POINTS) for s in extra_shifts]
        self._extra_levels, self._extra_tables = _stacked(small)
        self._extra_weights = np.array(weights, dtype=np.uint64).reshape(len(small), height // EXTRA_POINTS)
        self._extra_limbs = _limbs(self._extra_weights)

    def run(self, columns: FieldArray, out: FieldArray, threads: int = 1, extra_out: FieldArray | None = None) -> None:
        """Extends values on <w_n>.

        Args:
            columns: (w, n), left as they are.
            out: (w, B, n).
            threads: at most this many.
            extra_out: (w, len(extra_shifts), 512), natural order; needed if the plan has extra shifts.

        Raises:
            ValueError: shapes that do not fit.
        """
        self._run(_flat(columns, (columns.shape[0], self.height)), self.height, True, out, threads, extra_out)

    def run_coefficients(self, coefficients: FieldArray, out: FieldArray, threads: int = 1, extra_out: FieldArray | None = None) -> None:
        """Evaluates polynomials given by their coefficients.

        Args:
            coefficients: (w, count) in natural order, count <= n.
            out: (w, B, n).
            threads: at most this many.
            extra_out: (w, len(extra_shifts), 512), natural order; needed if the plan has extra shifts.

        Raises:
            ValueError: shapes that do not fit.
        """
        width, count = coefficients.shape
        if count > self.height:
            raise ValueError(f"{count} coefficients do not fit height {self.height}")
        self._run(_flat(coefficients, (width, count)), count, False, out, threads, extra_out)

    def _run(self, source: FieldArray, count: int, is_values: bool, out: FieldArray, threads: int, extra_out: FieldArray | None) -> None:
        width, height, extras = out.shape[0], self.height, len(self.extra_shifts)
        if source.size != width * count:
            raise ValueError(f"{source.size} source words for {width} output columns")
        target = _flat(out, (width, self.blowup, height))
        extra = np.empty((width, 0, EXTRA_POINTS), dtype=np.uint64) if extra_out is None else extra_out
        extra_target = _flat(extra, (width, extras, EXTRA_POINTS))

        def task(first: int, last: int) -> None:
            scratch = np.empty(height if height < TALL or count < height else 0, dtype=np.uint64)
            given = (source, count, is_values, height, first, last, target, scratch, *self._inverse, self._levels, self._tables)
            extend_columns(*given, extra_target, self._extra_levels, self._extra_tables, self._extra_weights, self._extra_limbs)

        run_ranges(task, width, height * (1 + self.blowup), threads)


@lru_cache(maxsize=64)
def lde_plan(height: int, blowup: int, shift: int | None = None, extra_shifts: tuple[int, ...] = ()) -> LdePlan:
    """The cached :class:`LdePlan` of these parameters."""
    return LdePlan(height, blowup, shift, extra_shifts)


def evaluate_coset(coefficients: FieldArray, height: int, blowup: int, shift: int | None = None, threads: int = 1) -> FieldArray:
    """Natural-order coefficients (w, count), count <= height, to values (w, B, height) on the cosets of ``shift <w_Bn>``."""
    out = np.empty((coefficients.shape[0], blowup, height), dtype=np.uint64)
    lde_plan(height, blowup, shift).run_coefficients(coefficients, out, threads)
    return out


def interpolate_cosets(values: FieldArray, shift: int, threads: int = 1) -> FieldArray:
    """Values (w, B, n) on the cosets of ``shift <w_Bn>`` to natural-order coefficients (w, B n).

    The inverse transform on coset j, over the powers of its shift g_j = shift w_Bn^j, gives sum_t c[m + t n] g_j^(t n) for every
    m < n; an inverse transform over j then separates the parts t.

    Raises:
        ValueError: n is not a power of two in [2^6, 2^24], or the array is not contiguous.
    """
    width, blowup, size = values.shape
    _check_height(size)
    out = np.empty((width, blowup * size), dtype=np.uint64)
    source, target = _flat(values, (width, blowup, size)), out.reshape(-1)
    transform, factors = _inverse_transform(size), _separating_factors(size, blowup, shift % P)
    root = root_of_unity(size * blowup)
    ratios = [powers(pow(shift * pow(root, coset, P), -1, P), 8) for coset in range(blowup)]

    def task(first: int, last: int) -> None:
        scratch = np.empty(size, dtype=np.uint64)
        for start in range(first * blowup * size, last * blowup * size, blowup * size):
            for coset in range(blowup):
                place = start + coset * size
                inverse(source, place, scratch, 0, size, *transform)
                bit_reverse(scratch, 0, target, place, size)
                scale_by_powers(target, place, size, ratios[coset])
            if blowup > 1:
                parts = target[start : start + blowup * size]
                join_cosets(parts, blowup, size, factors, np.empty(WORD_LANES * blowup, dtype=np.uint64))

    run_ranges(task, width, 3 * blowup * size, threads)
    return out


def interpolate_coset(values: FieldArray, shift: int = 1, threads: int = 1) -> FieldArray:
    """Values (w, n) in natural order on ``shift <w_n>`` to natural-order coefficients (w, n).

    Raises:
        ValueError: as in :func:`interpolate_cosets`.
    """
    return interpolate_cosets(values[:, None], shift, threads)


@lru_cache(maxsize=64)
def _inverse_transform(size: int) -> tuple[Levels, FieldArray]:
    return inverse_transform(size)


@lru_cache(maxsize=64)
def _coset_transforms(height: int, blowup: int, shift: int) -> tuple[Levels, FieldArray]:
    """The transforms onto all cosets of ``shift <w_Bn>``: plans that differ in their extra shifts share them."""
    root = root_of_unity(height * blowup)
    return _stacked([forward_transform(height, shift * pow(root, coset, P) % P) for coset in range(blowup)])


@lru_cache(maxsize=64)
def _separating_factors(size: int, blowup: int, shift: int) -> FieldArray:
    """``factors[t, j]`` = w_B^(-jt) shift^(-tn) / B, which separate the parts t of :func:`interpolate_cosets`."""
    root = root_of_unity(blowup)
    rows = [[pow(root, -j * t, P) * pow(shift, -t * size, P) * pow(blowup, -1, P) % P for j in range(blowup)] for t in range(blowup)]
    return np.array(rows, dtype=np.uint64)
