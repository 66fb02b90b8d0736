"""Every ecall but brk and tensor calls: read, write, cycles, exit, and the calls that fail. One row a call; bytes move in chain rows.

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
exit          93 or 94                        none: a0 is the exit code, and the state is the last
============  ==============================  ==============================================================

Soundness.

* The result is a function of a7, a0, a2, t and the count of a read. Kinds prove what they need: equalities directly, inequality
  by an inverse of a product over the excluded values. ``unknown`` excludes exactly SERVED, the numbers of all chips.
  The inverse is in ``witness``, as is the limb of a read: no row needs both.
* cycles: states are on one path from (entry, FIRST_TIME), every instruction adds TIME_STEP, and the verifier bounds the sum of all heights
  below 2^28. So at the k-th instruction t = 4 + 4 k as integers, without wrapping, and (t - 4) / 4 = k is a word.
* exit: the next state is (LAST_PC + a0, LAST_TIME). a0 is a word, since memory carries nothing else, so this pc is in [2^32, 2^33), where
  the program table has nothing: no row consumes such a state, only the verifier does, once, with the exit code that was claimed. Every
  other row that consumes a state produces one, at the next time. So the run is one path from the entry to one exit, with this code.
* Chain: t is the time of one call only, because states are on one path of increasing time. The two tuples that the call puts on
  the bus are joined by rows that each move one to four bytes of a word, at strictly increasing addresses in [0, 2^32):
  they form one path, no cycle, and its length proves count = a sum of at most 2^26 bytes, as an integer. With no chain rows
  count = 0, and the call's own two tuples are equal: so calls without data set it to 0. The path starts at a1 and ends at
  a1 + count <= 2^32.
* read: len - count is in [0, 2^32), so count <= len; both are the proven result. journal: count = len.
* The journal pointer is a word without a check: it starts at 0 and each write adds its count, the bytes of rows that are in no other
  call's chain. There are less than 2^28 rows of at most four bytes, so it stays below 2^30.
* ``shift`` on the chain is journal pointer - a1, so that the byte at address x has the journal index pointer + (x - a1). A read passes on a
  shift of 0, which its rows demand: its ``journal_pointer`` cell holds a1, on a pair that is neutral.
* Padding (no flag): result = a0, count = 0, times, pointer and state unchanged: every pair is neutral.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import CHAIN, CHAIN_READ, CHAIN_WRITE, PROGRAM, STATE
from zkvm.riscv.chips.calls import call_columns, fill_calls, register_access
from zkvm.riscv.chips.common import (
    Access,
    assert_flags,
    assert_neutral,
    connect_accesses,
    low16,
    range_word,
    state_columns,
)
from zkvm.riscv.isa.calls import (
    CALLS,
    CYCLES,
    EBADF,
    ENOSYS,
    EXIT,
    EXIT_GROUP,
    FD_INPUT,
    FD_JOURNAL,
    FD_STDERR,
    FD_STDOUT,
    READ,
    WRITE,
    numbers_of,
)
from zkvm.riscv.isa.opcodes import ECALL, FIRST_TIME, LAST_PC, LAST_TIME, TIME_STEP
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr, total
from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P

FLAGS = ("read", "journal", "output", "bad_read", "bad_write", "cycles", "unknown", "exit")
SERVED = tuple(call.number for call in CALLS)
"""The numbers that ``unknown`` excludes."""
FACTORS = (SERVED[:3], *(SERVED[k : k + 2] for k in range(3, len(SERVED), 2)))
"""The excluded numbers by product column: each is the one before it times these factors, of degree 3 at most."""
PRODUCTS = tuple(f"numbers_{k}" for k in range(len(FACTORS)))
DESCRIPTORS = (FD_STDOUT, FD_STDERR, FD_JOURNAL)


def _at_zero(roots: tuple[int, ...]) -> int:
    """The product of (x - root) at x = 0: a column holds the product less this, so that a row of zeros is consistent without a flag."""
    return math.prod(-root for root in roots) % P


def _roots(number: int) -> tuple[int, ...]:
    """All factors of a product column."""
    return tuple(root for factors in FACTORS[: number + 1] for root in factors)


class EcallChip(Chip):
    """read, write, cycles, exit and failing calls."""

    name = "ecall"
    columns = Columns(
        **state_columns(),
        **call_columns("a7", "a0", "a1", "a2", "journal_pointer"),
        result=word("what a0 holds after the call"),
        pointer_after=word("journal pointer after the call"),
        count=cell("bytes that the chain moves"),
        read=bit("read from fd 0"),
        journal=bit("write to fd 3"),
        output=bit("write to fd 1 or 2"),
        bad_read=bit("read from another fd"),
        bad_write=bit("write to another fd"),
        cycles=bit("how many instructions were executed"),
        unknown=bit("a number that no chip serves"),
        exit=bit("the run ends"),
        next_pc=cell("address of the next instruction; the last pc, plus the exit code, after an exit"),
        next_t=cell("time of the next state; the last time after an exit"),
        **{name: cell(f"product of a7 - {', a7 - '.join(map(str, _roots(k)))}, less its value at 0") for k, name in enumerate(PRODUCTS)},
        descriptor=cell("(a0 - 1) (a0 - 2) (a0 - 3), less its value at 0"),
        witness=cell("low 16 bits of len - count of a read; in calls that fail the inverse of what must not be 0"),
    )

    def _real(self, row: Row) -> Expr:
        return total(*(row[name] for name in FLAGS))

    def _accesses(self, row: Row) -> list[Access]:
        real = self._real(row)
        return [
            register_access(row, "a7", real),
            register_access(row, "a0", real, row.result),
            register_access(row, "a1", real - row.exit),
            register_access(row, "a2", real - row.exit),
            register_access(row, "journal_pointer", row.journal, row.pointer_after),
        ]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Which call it is, what it returns, what it moves, what follows."""
        assert_flags(air, row, *FLAGS)
        air.when(row.read + row.bad_read).assert_equal("read calls have number 63", row.a7, READ.number)
        air.when(row.journal + row.output + row.bad_write).assert_equal("write calls have number 64", row.a7, WRITE.number)
        air.when(row.cycles).assert_equal("cycles has number 4096", row.a7, CYCLES.number)
        air.when(row.read).assert_equal("read is from fd 0", row.a0, FD_INPUT)
        air.when(row.journal).assert_equal("journal is fd 3", row.a0, FD_JOURNAL)
        air.assert_zero("output is fd 1 or 2", row.output * (row.a0 - FD_STDOUT) * (row.a0 - FD_STDERR))
        self._inequalities(air, row)
        air.when(row.read).assert_equal("read returns count", row.result, row.count)
        air.when(row.journal + row.output).assert_equal("write returns len", row.result, row.a2)
        air.when(row.bad_read + row.bad_write).assert_equal("a bad descriptor returns -EBADF", row.result, EBADF)
        air.when(row.unknown).assert_equal("an unknown number returns -ENOSYS", row.result, ENOSYS)
        air.when(row.cycles).assert_equal("cycles returns the instructions before it", row.result * TIME_STEP + FIRST_TIME, row.t)
        air.when(1 - row.read - row.journal).assert_zero("only read and journal move bytes", row.count)
        air.when(row.journal).assert_equal("journal moves len bytes", row.count, row.a2)
        air.when(row.journal).assert_equal("journal pointer grows by count", row.pointer_after - row.journal_pointer, row.count)
        self._ending(air, row)
        assert_neutral(air, row.t, self._accesses(row))

    def _ending(self, air: AirBuilder, row: Row) -> None:
        air.assert_zero("exit has number 93 or 94", row.exit * (row.a7 - EXIT.number) * (row.a7 - EXIT_GROUP.number))
        air.when(row.exit).assert_equal("exit keeps a0", row.result, row.a0)
        going_on = self._real(row) - row.exit
        air.assert_zero("next pc", row.next_pc - row.pc - going_on * 4 - row.exit * (row.a0 + LAST_PC - row.pc))
        air.assert_zero("next time", row.next_t - row.t - going_on * TIME_STEP - row.exit * (LAST_TIME - row.t))

    def _inequalities(self, air: AirBuilder, row: Row) -> None:
        before: Expr | None = None
        for k, (name, factors) in enumerate(zip(PRODUCTS, FACTORS, strict=True)):
            terms = [row.a7 - factor for factor in factors]
            product, *rest = terms if before is None else [before, *terms]
            for term in rest:
                product = product * term
            before = row[name] + _at_zero(_roots(k))
            air.assert_equal(f"{name} is the product of factors", before, product)
        assert before is not None
        descriptor = row.descriptor + _at_zero(DESCRIPTORS)
        air.assert_equal("product of descriptors", descriptor, (row.a0 - FD_STDOUT) * (row.a0 - FD_STDERR) * (row.a0 - FD_JOURNAL))
        air.when(row.unknown).assert_zero("an unknown number is none that is served", before * row.witness - 1)
        air.when(row.bad_read).assert_zero("a bad read is not from fd 0", (row.a0 - FD_INPUT) * row.witness - 1)
        air.when(row.bad_write).assert_zero("a bad write is not to fd 1, 2 or 3", descriptor * row.witness - 1)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, five accesses, the chain's ends, the range check."""
        buses.pair("state", STATE, receive=(row.pc, row.t), send=(row.next_pc, row.next_t))
        buses.lookup("instruction", PROGRAM, (row.pc, ECALL, 0, 0, 0, 0), self._real(row))
        connect_accesses(buses, row.t, self._accesses(row))
        kind, shift = row.read * CHAIN_READ + row.journal * CHAIN_WRITE, row.journal_pointer - row.a1
        buses.pair(
            "chain",
            CHAIN,
            receive=(kind, row.t, row.a1 + row.count, 0, shift),
            send=(kind, row.t, row.a1, row.count, shift),
        )
        range_word(buses, "len - count", row.a2 - row.count, row.witness, row.read)

    def rows(self, execution: Execution) -> int:
        """Every call that no other chip proves."""
        return len(_calls(execution))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and compute the witnesses of the kind."""
        calls = _calls(execution)
        fill_calls(trace, execution, calls, "a7", "a0", "a1", "a2", "journal_pointer")
        values = {name: calls[name].astype(np.uint64) for name in ("a7", "a0", "a1", "a2", "result", "count", "journal_pointer", "time")}
        number, fd = values["a7"], values["a0"]
        flags = _kinds(number, fd)
        journal, ends = flags["journal"], flags["exit"]
        pointer = np.where(journal, values["journal_pointer"], values["a1"])
        after = np.where(journal, pointer + values["count"], pointer)
        products = {name: _product(number, _roots(k)) for k, name in enumerate(PRODUCTS)}
        descriptor = _product(fd, DESCRIPTORS)
        nonzero = np.select([flags["unknown"], flags["bad_read"], flags["bad_write"]], [products[PRODUCTS[-1]], fd, descriptor], 1)
        columns = {
            **flags,
            "result": values["result"],
            "count": values["count"],
            "journal_pointer": pointer,
            "next_pc": np.where(ends, np.uint64(LAST_PC) + fd, trace["pc"][: len(calls)] + np.uint64(4)),
            "next_t": np.where(ends, np.uint64(LAST_TIME), values["time"] + np.uint64(TIME_STEP)),
            **{name: np.where(ends, calls["time"], calls[name]) for name in ("t_a1", "t_a2")},
            "pointer_after": after,
            "t_journal": np.where(journal, calls["t_journal"], calls["time"]),
            **{name: goldilocks.sub(products[name], np.uint64(_at_zero(_roots(k)))) for k, name in enumerate(PRODUCTS)},
            "descriptor": goldilocks.sub(descriptor, np.uint64(_at_zero(DESCRIPTORS))),
            "witness": np.where(flags["read"], low16(values["a2"] - values["count"]), goldilocks.inv(nonzero.astype(np.uint64))),
        }
        for name, column in columns.items():
            trace[name][: len(calls)] = column


def _kinds(number: NDArray[np.uint64], fd: NDArray[np.uint64]) -> dict[str, NDArray[np.bool_]]:
    """The flags of calls with these numbers and these values of a0."""
    is_read, is_write, is_cycles = number == READ.number, number == WRITE.number, number == CYCLES.number
    ends = np.isin(number, (EXIT.number, EXIT_GROUP.number))
    return {
        "read": is_read & (fd == FD_INPUT),
        "journal": is_write & (fd == FD_JOURNAL),
        "output": is_write & ((fd == FD_STDOUT) | (fd == FD_STDERR)),
        "bad_read": is_read & (fd != FD_INPUT),
        "bad_write": is_write & ((fd == 0) | (fd > FD_JOURNAL)),
        "cycles": is_cycles,
        "unknown": ~(is_read | is_write | is_cycles | ends),
        "exit": ends,
    }


def _calls(execution: Execution) -> NDArray[Any]:
    """ECALL records of this chip's calls, those of unknown numbers among them."""
    others = tuple(set(SERVED) - set(numbers_of(EcallChip.name)))
    return execution.ecalls[~np.isin(execution.ecalls["a7"], others)]


def _product(values: NDArray[np.uint64], roots: tuple[int, ...]) -> NDArray[np.uint64]:
    """Product of (value - root) in the field."""
    result = np.ones(len(values), np.uint64)
    for root in roots:
        result = goldilocks.mul(result, goldilocks.sub(values, np.uint64(root)))
    return result
