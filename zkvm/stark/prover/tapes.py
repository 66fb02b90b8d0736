"""Drives the tape kernel: column sets, scratch space and threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from zkvm.errors import ProvingError
from zkvm.stark.air.expression import Straight
from zkvm.stark.air.tape import Tape, lower
from zkvm.stark.kernels.parallel import run_ranges
from zkvm.stark.kernels.scratch import scratch
from zkvm.stark.kernels.tape_runner import BLOCK, CUT, GROUPS, MAX_TERMS, SUMS, cut_words, run_tape
from zkvm.stark.kernels.width import WORD_LANES as LANES

U64 = NDArray[np.uint64]
_EMPTY: U64 = np.zeros(1, np.uint64)


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """Columns of one coset or trace.

    Attributes:
        data: flat storage.
        stride: words between two columns.
        offset: word of the first row of the first column.
    """

    data: U64
    stride: int
    offset: int


def columns_of(array: U64 | None, coset: int = 0) -> ColumnSet:
    """The columns of a (w, n) trace or of one coset of a (w, B, n) LDE array; None or no columns: an empty set."""
    if array is None or array.size == 0:
        return ColumnSet(_EMPTY, 0, 0)
    if array.ndim == 2:
        return ColumnSet(array.reshape(-1), array.shape[1], 0)
    return ColumnSet(array.reshape(-1), array.shape[1] * array.shape[2], coset * array.shape[2])


_NOTHING = ColumnSet(_EMPTY, 0, 0)


@dataclass(frozen=True, slots=True)
class Bound:
    """A tape with its runtime constants.

    Attributes:
        tape: the tape.
        pool: the constant pool.
        factors: the pool, cut for unreduced sums.
        powers: challenge powers of an accumulating tape, cut; None: the tape writes its outputs.
    """

    tape: Tape
    pool: U64
    factors: U64
    powers: U64 | None

    def run(
        self,
        main: ColumnSet,
        pre: ColumnSet,
        out: U64,
        height: int,
        *,
        bus: ColumnSet = _NOTHING,
        following: ColumnSet = _NOTHING,
        shift: int = 1,
        start: int = 0,
        threads: int = 1,
    ) -> None:
        """Run on as many rows as ``out`` has.

        Args:
            main: main columns.
            pre: preprocessed columns.
            out: (outputs, rows) uint64, or (9, rows) to which an accumulating tape adds.
            height: rows of the columns.
            bus: bus columns.
            following: bus columns at the next row.
            shift: row r reads row r + shift of ``following``: 1 if these are the bus columns themselves, 0 if columns at the next point.
            start: the row of the columns that the first row of ``out`` belongs to.
            threads: at most this many.

        Raises:
            ProvingError: these are not whole vectors of rows of the columns.
        """
        rows = out.shape[1]
        if rows % LANES or start % LANES or start + rows > height:
            raise ProvingError(f"a tape runs on whole vectors of {LANES} rows, not on {rows} from row {start} of {height}")
        tape, flat_out = self.tape, out.reshape(-1)
        powers = _EMPTY if self.powers is None else self.powers
        places = np.array([(columns.stride, columns.offset) for columns in (main, pre, bus, following)], np.int64)

        def work(first: int, last: int) -> None:
            registers = scratch("tape registers", tape.registers * BLOCK)
            accumulators = scratch("tape sums", GROUPS * SUMS * BLOCK)
            run_tape(
                tape.code, self.pool, self.factors, powers,
                main.data, pre.data, bus.data, following.data, places, shift, height, start + first, start + last,
                registers, accumulators, flat_out, rows, start, self.powers is not None,
            )  # fmt: skip

        run_ranges(work, rows, len(tape.code), threads, BLOCK)


def bind(tape: Tape, params: Sequence[int], powers: U64 | None = None) -> Bound:
    """Fix the runtime constants of a tape.

    Args:
        tape: the tape.
        params: its runtime constants.
        powers: (k, 3) challenge powers of an accumulating tape.

    Returns:
        What runs.

    Raises:
        ProvingError: more constraints than an accumulator takes.
    """
    pool = tape.pool(params)
    if powers is None:
        return Bound(tape, pool, _cut(pool), None)
    if tape.outputs > MAX_TERMS:
        raise ProvingError(f"{tape.outputs} constraints do not fit one accumulator of {MAX_TERMS}")
    return Bound(tape, pool, _cut(pool), _cut(np.ascontiguousarray(powers).reshape(-1)))


def _cut(words: U64) -> U64:
    out = np.empty(len(words) * CUT * LANES, np.uint64)
    cut_words(words, out)
    return out


@lru_cache(maxsize=64)
def _lowered(code: Straight) -> Tape:
    return lower(code)


def _rows_of(columns: U64) -> ColumnSet:
    """Rows of a trace, a view (w, m) of a contiguous (w, n) array, without a copy."""
    width, rows = columns.shape
    if not columns.size:
        return _NOTHING
    stride = columns.strides[0] // columns.itemsize
    return ColumnSet(as_strided(columns, ((width - 1) * stride + rows,), (columns.itemsize,)), stride, 0)


def evaluate_columns(code: Straight, main: U64, pre: U64) -> U64:
    """The tape's version of :func:`zkvm.stark.air.evaluate.evaluate_columns` on a multiple of 8 consecutive rows of traces."""
    rows = main.shape[1]
    out = np.empty((len(code.outputs), rows), np.uint64)
    bind(_lowered(code), ()).run(_rows_of(main), _rows_of(pre), out, rows)
    return out
