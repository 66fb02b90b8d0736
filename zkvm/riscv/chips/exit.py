"""The end of a run: ecall 93 (exit) or 94 (exit_group). Consumes the state and produces none.

Soundness: the verifier puts one state on the bus and takes none back; every other instruction row consumes one and produces
one. So a balanced state bus has exactly one real row here, and the run is the path from the entry to it. The exit code is what
a0 holds at that time.
"""

from __future__ import annotations

from zkvm.riscv.chips.buses import EXIT as EXIT_BUS
from zkvm.riscv.chips.buses import PROGRAM, STATE
from zkvm.riscv.chips.calls import call_columns, fill_calls, register_access, select_calls
from zkvm.riscv.chips.common import Access, assert_neutral, connect_accesses, state_columns
from zkvm.riscv.isa.calls import EXIT, EXIT_GROUP, numbers_of
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit


class ExitChip(Chip):
    """Ecalls exit and exit_group."""

    name = "exit"
    columns = Columns(**state_columns(), **call_columns("a7", "a0"), real=bit("the row is an exit"))

    def _accesses(self, row: Row) -> list[Access]:
        return [register_access(row, "a7", row.real), register_access(row, "a0", row.real)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The call's number, neutral padding."""
        air.assert_bool("real is boolean", row.real)
        air.assert_zero("the call is exit or exit_group", row.real * (row.a7 - EXIT.number) * (row.a7 - EXIT_GROUP.number))
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, two accesses, the exit code."""
        buses.receive_if("state", STATE, (row.pc, row.t), row.real)
        buses.lookup("instruction", PROGRAM, (row.pc, ECALL, 0, 0, 0, 0), row.real)
        connect_accesses(buses, row.t, self._accesses(row))
        buses.lookup("exit code", EXIT_BUS, (row.a0,), row.real)

    def rows(self, execution: Execution) -> int:
        """One in a run that ends."""
        return len(select_calls(execution, numbers_of(self.name)))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the record."""
        calls = select_calls(execution, numbers_of(self.name))
        fill_calls(trace, execution, calls, "a7", "a0")
        trace["real"][: len(calls)] = 1
