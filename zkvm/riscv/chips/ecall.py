"""Every ecall but exit and brk: read, write, cycles, and the calls that fail. One row a call; the bytes move in chain rows.

Each kind is a flag, at most one of them is 1:

============  ==============================  ==============================================================
flag          the call                        result
============  ==============================  ==============================================================
read          63 with fd 0                    count, at most len; chain rows write the bytes
journal       64 with fd 3                    len; chain rows read the bytes, the journal pointer grows by len
output        64 with fd 1 or 2               len; nothing is read or proven
bad_read      63 with any other fd            -EBADF
bad_write     64 with any other fd            -EBADF
cycles        4096                            instructions executed before the call
unknown       no number that any chip serves  -ENOSYS
============  ==============================  ==============================================================

========  ======  ======================================================================  ===============
bus       kind    tuples                                                                  count
========  ======  ======================================================================  ===============
state     pair    (pc, t) -> (pc + 4, t + 4)
memory    pair    a7, a0 (old -> result), a1, a2 at t
memory    pair    journal pointer at t, neutral unless journal
chain     pair    sends (kind, t, a1, count, shift), receives (kind, t, a1 + count, 0, shift)
program   lookup  (pc, ECALL, 0, 0, 0, 0)                                                 real
range16   lookup  four times; both limbs of ``checked``                                   real; read + journal
range16   lookup  the journal pointer's time                                              journal
========  ======  ======================================================================  ===============

Soundness.

* The result is a function of a7, a0, a2, t and the count of a read. Kinds prove what they need: equalities directly, inequality
  by an inverse of a product over the excluded values. ``unknown`` excludes exactly SERVED, the numbers of all chips: the last one
  by an inverse of its own, in ``checked``, which nothing else constrains in such a row.
* cycles: states are on one path from (entry, FIRST_TIME), every instruction adds TIME_STEP, and the verifier bounds the sum of all heights
  below 2^28. So at the k-th instruction t = 4 + 4 k as integers, without wrapping, and (t - 4) / 4 = k is a word.
* Chain: t is the time of one call only, because states are on one path of increasing time. The two tuples that the call puts on
  the bus are joined by rows that each move one to four bytes of a word, at strictly increasing addresses in [0, 2^32):
  they form one path, no cycle, and its length proves count = a sum of at most 2^26 bytes, as an integer. With no chain rows
  count = 0, and the call's own two tuples are equal: so calls without data set it to 0. The path starts at a1 and ends at
  a1 + count <= 2^32.
* read: len - count is in [0, 2^32), so count <= len; both are the proven result. journal: count = len.
* ``checked`` is len - count of a read, or the new journal pointer of a write, which must be a word again. ``shift`` on the
  chain is journal pointer - a1, so that the byte at address x has the journal index pointer + (x - a1). A read passes on a
  shift of 0, which its rows demand: its ``journal_pointer`` cell holds a1, on a pair that is neutral.
* Padding (no flag): result = a0, count = 0, times and pointer unchanged: every pair is neutral.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import CHAIN, CHAIN_READ, CHAIN_WRITE
from zkvm.riscv.chips.calls import call_columns, fill_calls, register_access
from zkvm.riscv.chips.common import (
    Access,
    assert_flags,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    low16,
    low_limb,
    range_word,
    state_columns,
)
from zkvm.riscv.isa.opcodes import (
    EBADF,
    ECALL,
    ENOSYS,
    FD_INPUT,
    FD_JOURNAL,
    FD_STDERR,
    FD_STDOUT,
    FIRST_TIME,
    SYS_BRK,
    SYS_CYCLES,
    SYS_EXIT,
    SYS_EXIT_GROUP,
    SYS_READ,
    SYS_WRITE,
    TIME_STEP,
)
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr, total
from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P

FLAGS = ("read", "journal", "output", "bad_read", "bad_write", "cycles", "unknown")
SERVED = (SYS_READ, SYS_WRITE, SYS_EXIT, SYS_EXIT_GROUP, SYS_BRK, SYS_CYCLES)
"""The one list of calls that some chip proves; ``unknown`` is every other number."""
_FIRST = -SYS_READ * SYS_WRITE * SYS_EXIT % P
_SECOND = _FIRST * SYS_EXIT_GROUP * SYS_BRK % P
_DESCRIPTOR = -FD_STDOUT * FD_STDERR * FD_JOURNAL % P
"""Products at a7 = 0 and a0 = 0: the columns hold the products less these, so that a row of zeros is consistent without a flag."""


class EcallChip(Chip):
    """read, write, cycles and failing calls."""

    name = "ecall"
    columns = Columns(
        **state_columns(),
        **call_columns("a7", "a0", "a1", "a2", "journal_pointer"),
        result=word("what a0 holds after the call"),
        pointer_after=word("journal pointer after the call"),
        count=cell("bytes that the chain moves"),
        checked=cell("len - count of a read; the journal pointer after a write; the inverse of a7 - 4096 of an unknown call"),
        checked_low=low_limb("checked"),
        read=bit("read from fd 0"),
        journal=bit("write to fd 3"),
        output=bit("write to fd 1 or 2"),
        bad_read=bit("read from another fd"),
        bad_write=bit("write to another fd"),
        cycles=bit("how many instructions were executed"),
        unknown=bit("a number that no chip serves"),
        number_first=cell("(a7 - 63) (a7 - 64) (a7 - 93), less its value at 0"),
        number_second=cell("that product times (a7 - 94) (a7 - 214), less its value at 0"),
        descriptor=cell("(a0 - 1) (a0 - 2) (a0 - 3), less its value at 0"),
        inverse=cell("inverse of what must not be 0"),
    )

    def _real(self, row: Row) -> Expr:
        return total(*(row[name] for name in FLAGS))

    def _accesses(self, row: Row) -> list[Access]:
        real = self._real(row)
        return [
            register_access(row, "a7", real),
            register_access(row, "a0", real, row.result),
            register_access(row, "a1", real),
            register_access(row, "a2", real),
            register_access(row, "journal_pointer", row.journal, row.pointer_after),
        ]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Which call it is, what it returns, what it moves."""
        assert_flags(air, row, *FLAGS)
        air.assert_zero("read calls have number 63", (row.read + row.bad_read) * (row.a7 - SYS_READ))
        air.assert_zero("write calls have number 64", (row.journal + row.output + row.bad_write) * (row.a7 - SYS_WRITE))
        air.assert_zero("cycles has number 4096", row.cycles * (row.a7 - SYS_CYCLES))
        air.assert_zero("read is from fd 0", row.read * (row.a0 - FD_INPUT))
        air.assert_zero("journal is fd 3", row.journal * (row.a0 - FD_JOURNAL))
        air.assert_zero("output is fd 1 or 2", row.output * (row.a0 - FD_STDOUT) * (row.a0 - FD_STDERR))
        self._inequalities(air, row)
        air.assert_zero("read returns count", row.read * (row.result - row.count))
        air.assert_zero("write returns len", (row.journal + row.output) * (row.result - row.a2))
        air.assert_zero("a bad descriptor returns -EBADF", (row.bad_read + row.bad_write) * (row.result - EBADF))
        air.assert_zero("an unknown number returns -ENOSYS", row.unknown * (row.result - ENOSYS))
        air.assert_zero("cycles returns the instructions before it", row.cycles * (row.result * TIME_STEP + FIRST_TIME - row.t))
        air.assert_zero("only read and journal move bytes", (1 - row.read - row.journal) * row.count)
        air.assert_zero("journal moves len bytes", row.journal * (row.count - row.a2))
        air.assert_zero("journal pointer grows by count", row.journal * (row.pointer_after - row.journal_pointer - row.count))
        air.assert_zero("checked is what read leaves", row.read * (row.checked - row.a2 + row.count))
        air.assert_zero("checked is the pointer after a write", row.journal * (row.checked - row.pointer_after))
        assert_neutral(air, row.t, self._accesses(row))

    def _inequalities(self, air: AirBuilder, row: Row) -> None:
        first, second = row.number_first + _FIRST, row.number_second + _SECOND
        descriptor = row.descriptor + _DESCRIPTOR
        air.assert_zero("first product of numbers", first - (row.a7 - SYS_READ) * (row.a7 - SYS_WRITE) * (row.a7 - SYS_EXIT))
        air.assert_zero("second product of numbers", second - first * (row.a7 - SYS_EXIT_GROUP) * (row.a7 - SYS_BRK))
        air.assert_zero("product of descriptors", descriptor - (row.a0 - FD_STDOUT) * (row.a0 - FD_STDERR) * (row.a0 - FD_JOURNAL))
        air.assert_zero("an unknown number is none that is served", row.unknown * (second * row.inverse - 1))
        air.assert_zero("an unknown number is not that of cycles", row.unknown * ((row.a7 - SYS_CYCLES) * row.checked - 1))
        air.assert_zero("a bad read is not from fd 0", row.bad_read * ((row.a0 - FD_INPUT) * row.inverse - 1))
        air.assert_zero("a bad write is not to fd 1, 2 or 3", row.bad_write * (descriptor * row.inverse - 1))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, five accesses, the chain's ends, the range check."""
        connect_instruction(buses, row, self._real(row), ECALL)
        connect_accesses(buses, row.t, self._accesses(row))
        kind, shift = row.read * CHAIN_READ + row.journal * CHAIN_WRITE, row.journal_pointer - row.a1
        buses.pair(
            "chain",
            CHAIN,
            receive=(kind, row.t, row.a1 + row.count, 0, shift),
            send=(kind, row.t, row.a1, row.count, shift),
        )
        range_word(buses, "checked", row.checked, row.checked_low, row.read + row.journal)

    def rows(self, execution: Execution) -> int:
        """Every call but exit and brk."""
        return int(np.count_nonzero(~np.isin(execution.ecalls["a7"], (SYS_EXIT, SYS_EXIT_GROUP, SYS_BRK))))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and compute the witnesses of the kind."""
        calls = execution.ecalls[~np.isin(execution.ecalls["a7"], (SYS_EXIT, SYS_EXIT_GROUP, SYS_BRK))]
        fill_calls(trace, execution, calls, "a7", "a0", "a1", "a2", "journal_pointer")
        values = {name: calls[name].astype(np.uint64) for name in ("a7", "a0", "a1", "a2", "result", "count", "journal_pointer")}
        number, fd = values["a7"], values["a0"]
        is_read, is_write, is_cycles = number == SYS_READ, number == SYS_WRITE, number == SYS_CYCLES
        flags = {
            "read": is_read & (fd == FD_INPUT),
            "journal": is_write & (fd == FD_JOURNAL),
            "output": is_write & ((fd == FD_STDOUT) | (fd == FD_STDERR)),
            "bad_read": is_read & (fd != FD_INPUT),
            "bad_write": is_write & ((fd == 0) | (fd > FD_JOURNAL)),
            "cycles": is_cycles,
            "unknown": ~(is_read | is_write | is_cycles),
        }
        journal, read = flags["journal"], flags["read"]
        pointer = np.where(journal, values["journal_pointer"], values["a1"])
        after = np.where(journal, pointer + values["count"], pointer)
        not_cycles = goldilocks.inv(np.where(flags["unknown"], _product(number, (SYS_CYCLES,)), np.uint64(1)))
        checked = np.select([journal, read, flags["unknown"]], [after, values["a2"] - values["count"], not_cycles], 0).astype(np.uint64)
        first, second = _product(number, SERVED[:3]), _product(number, SERVED[:5])
        descriptor = _product(fd, (FD_STDOUT, FD_STDERR, FD_JOURNAL))
        nonzero = np.select([flags["unknown"], flags["bad_read"], flags["bad_write"]], [second, fd, descriptor], 1).astype(np.uint64)
        columns = {
            **flags,
            "result": values["result"],
            "count": values["count"],
            "journal_pointer": pointer,
            "pointer_after": after,
            "t_journal": np.where(journal, calls["t_journal"], calls["time"]),
            "checked": checked,
            "checked_low": low16(checked),
            "number_first": goldilocks.sub(first, np.uint64(_FIRST)),
            "number_second": goldilocks.sub(second, np.uint64(_SECOND)),
            "descriptor": goldilocks.sub(descriptor, np.uint64(_DESCRIPTOR)),
            "inverse": goldilocks.inv(nonzero),
        }
        for name, column in columns.items():
            trace[name][: len(calls)] = column


def _product(values: NDArray[np.uint64], roots: tuple[int, ...]) -> NDArray[np.uint64]:
    """Product of (value - root) in the field."""
    result = np.ones(len(values), np.uint64)
    for root in roots:
        result = goldilocks.mul(result, goldilocks.sub(values, np.uint64(root)))
    return result
