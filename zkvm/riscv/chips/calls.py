"""What the chips for ecalls share: accesses of fixed registers, all at the call's time, and the records of calls.

The registers of a call have distinct addresses, so one time is enough for all of them; an address that is read and written (a0)
is one access that consumes the old value and produces the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.common import Access
from zkvm.riscv.isa.opcodes import BREAK, HEAP_LIMIT, HEAP_START, JOURNAL_POINTER, REGISTER_BASE
from zkvm.riscv.records import Execution
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Column, Row, cell, word
from zkvm.stark.air.expression import Expr

SLOT_CALL = 0
"""Every register access of a call is at its state time."""
SLOT_CHAIN = 1
"""The words that a call moves are accessed at the time after it."""

ADDRESSES = {
    "a0": REGISTER_BASE + 10,
    "a1": REGISTER_BASE + 11,
    "a2": REGISTER_BASE + 12,
    "a7": REGISTER_BASE + 17,
    "journal_pointer": JOURNAL_POINTER,
    "break_": BREAK,
    "heap_start": HEAP_START,
    "heap_limit": HEAP_LIMIT,
}
"""Memory-bus addresses by the names of the records."""


def call_columns(*names: str) -> dict[str, Column]:
    """Value and previous access of registers: ``name`` and ``t_name``."""
    columns: dict[str, Column] = {}
    for name in names:
        columns[name] = word(f"value of {name.rstrip('_')} before the call, consumed from memory")
        columns[time_column(name)] = cell(f"previous access of {name.rstrip('_')}")
    return columns


def time_column(name: str) -> str:
    """Name of the previous time, in columns and in records."""
    return {"journal_pointer": "t_journal", "break_": "t_break"}.get(name, f"t_{name}")


def register_access(row: Row, name: str, live: Expr, after: Expr | None = None, before: Expr | None = None) -> Access:
    """Access of a register at the call's time; ``after`` (default: unchanged) is what it holds then."""
    value = row[name] if before is None else before
    return Access(name.rstrip("_"), ADDRESSES[name], value, value if after is None else after, row[time_column(name)], SLOT_CALL, live)


def select_calls(execution: Execution, numbers: Sequence[int]) -> NDArray[Any]:
    """ECALL records with one of these numbers in a7."""
    return execution.ecalls[np.isin(execution.ecalls["a7"], numbers)]


def fill_calls(trace: Trace, execution: Execution, calls: NDArray[Any], *names: str) -> None:
    """Write pc, time and the columns of :func:`call_columns`."""
    count = len(calls)
    trace["pc"][:count] = execution.image.program["pc"][calls["row"]]
    trace["t"][:count] = calls["time"]
    for name in names:
        trace[name][:count] = calls[name]
        trace[time_column(name)][:count] = calls[time_column(name)]
