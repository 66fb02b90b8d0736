"""Drives the tape kernel: column sets, scratch space and threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.air.expression import Straight
from zkvm.air.tape import Tape, lower
from zkvm.errors import ProvingError
from zkvm.kernels.parallel import run_ranges
from zkvm.kernels.tape_runner import BLOCK, GROUPS, LANES, MAX_TERMS, SUMS, run_tape
from zkvm.prover.scratch import scratch

U64 = NDArray[np.uint64]
_EMPTY: U64 = np.zeros(1, np.uint64)


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """Columns of one coset or trace: flat storage, distance between columns, first row."""

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


def run(
    tape: Tape,
    params: Sequence[int],
    main: ColumnSet,
    pre: ColumnSet,
    out: U64,
    rows: int,
    *,
    bus: ColumnSet | None = None,
    following: ColumnSet | None = None,
    shift: int = 1,
    powers: U64 | None = None,
    threads: int = 1,
) -> None:
    """Run a tape on ``rows`` rows.

    Args:
        out: (outputs, rows) uint64, or (9, rows) sums of an accumulating tape (``powers`` given: (k, 3) challenge powers).
    """
    if rows % LANES or out.shape[1] != rows:
        raise ProvingError(f"a tape runs on whole vectors of {LANES} rows, not on {rows} of {out.shape[1]}")
    if powers is not None and tape.outputs > MAX_TERMS:
        raise ProvingError(f"{tape.outputs} constraints do not fit one accumulator of {MAX_TERMS}")
    nothing = ColumnSet(_EMPTY, 0, 0)
    bus, following = bus or nothing, following or nothing
    pool = tape.pool(params)
    flat_powers = _EMPTY if powers is None else np.ascontiguousarray(powers).reshape(-1)
    flat_out = out.reshape(-1)

    def work(start: int, stop: int) -> None:
        registers = scratch("tape registers", tape.registers * BLOCK)
        accumulators = scratch("tape sums", GROUPS * SUMS * BLOCK)
        run_tape(
            tape.code, pool, flat_powers,
            main.data, main.stride, main.offset, pre.data, pre.stride, pre.offset, bus.data, bus.stride, bus.offset,
            following.data, following.stride, following.offset, shift, rows, start, stop,
            registers, accumulators, flat_out, rows, powers is not None,
        )  # fmt: skip

    run_ranges(work, rows, len(tape.code), threads, BLOCK)


def evaluate_columns(code: Straight, main: U64, pre: U64) -> list[U64]:
    """The tape's version of :func:`zkvm.air.evaluate.evaluate_columns`; the arrays are contiguous with a multiple of 8 rows."""
    rows = main.shape[1]
    out = np.empty((len(code.outputs), rows), np.uint64)
    run(lower(code), (), columns_of(np.ascontiguousarray(main)), columns_of(np.ascontiguousarray(pre)), out, rows)
    return list(out)
