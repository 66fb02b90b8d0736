"""Gathering: vectors of elements that patterns name.

**Sound.** A row of a pattern is preprocessed, and the row's place on the path says which. An element's place in its tensor is 1 + 8 v + k
for lane k of vector v: one place for one element, as k is below 8 and a constant of the chip. A row of elements is a vector that somebody
made, so it needs no call and says nothing new: served twice it says the same twice. Place 0 holds zero in every tensor that has a vector:
no vector has the index from which a lane's place would be 0. Padding serves nothing. Which of both operands a row reads is the pattern's,
and both are earlier than the call, whose row proves it.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import ELEMENT, GATHER_PATH, PATTERN, VECTOR
from zkvm.riscv.chips.tensor.lanes import TensorChip, assert_muted, calls_of, joined, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.uses import element_uses, operands, pattern_rows, vector_uses
from zkvm.riscv.isa.tensors import GATHER, LANES, PATTERN_BYTES, SECOND_OPERAND
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell


class ElementsChip(Chip):
    """Serves the elements of a vector, one vector a row."""

    name = "tensor_elements"
    by_call = True
    columns = Columns(
        real=bit("the row holds a vector"),
        tensor=cell("of the vector"),
        index=cell("of the vector"),
        zeros=cell("times place 0 is read"),
        **lane_columns("x", "element"),
        **lane_columns("multiplicity", "times the element is read"),
    )
    counted = (ELEMENT,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding is mute."""
        air.assert_bool("real is boolean", row.real)
        for name in ("zeros", *lanes("multiplicity")):
            air.when(1 - row.real).assert_zero(f"padding serves no {name}", row[name])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The vector, its elements, and zero."""
        buses.lookup("vector", VECTOR, (row.tensor, row.index, *vector(row, "x")), row.real)
        for k, name in enumerate(lanes("x")):
            buses.serve(f"element {k}", ELEMENT, (row.tensor, row.index * LANES + (k + 1), row[name]), row[f"multiplicity{k}"])
        buses.serve("zero", ELEMENT, (row.tensor, 0, 0), row.zeros)

    def rows(self, execution: Execution) -> int:
        """One a vector of which an element is read."""
        return sum(len(part.index) for part in element_uses(execution))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """The vectors that patterns reach, and how often each element is read."""
        start = 0
        for used in element_uses(execution):
            count = len(used.index)
            part = {name: column[start : start + count] for name, column in trace.items()}
            part["real"][:] = 1
            part["tensor"][:] = used.tensor
            part["index"][:] = used.index
            part["zeros"][0] = used.zeros
            put(part, "x", used.vectors)
            put(part, "multiplicity", used.times)
            start += count


class GatherChip(TensorChip):
    """One gathered vector a row."""

    name = "tensor_gather"
    columns = Columns(
        real=bit("the row makes a vector"),
        tensor=cell("id of the call"),
        index=cell("of the vector"),
        first=cell("first operand"),
        second=cell("second operand"),
        pattern=cell("address / 32 of the pattern's row"),
        of_second=bit("the elements are the second operand's"),
        operand=cell("tensor of the elements"),
        multiplicity=cell("times the vector is read"),
        **lane_columns("place", "place of the element"),
        **lane_columns("x", "element"),
    )
    counted = (VECTOR,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The operand; padding is mute."""
        air.assert_bool("real is boolean", row.real)
        air.assert_bool("of_second is boolean", row.of_second)
        air.assert_equal("the operand", row.operand, row.first + row.of_second * (row.second - row.first))
        assert_muted(air, row, row.real)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, the pattern's row, eight elements, the served vector."""
        own = (row.first, row.second)
        buses.pair(
            "path",
            GATHER_PATH,
            receive=(row.tensor, row.index, *own, row.pattern),
            send=(row.tensor, row.index + row.real, *own, row.pattern + row.real),
        )
        buses.lookup("pattern", PATTERN, (row.pattern, row.of_second, *vector(row, "place")), row.real)
        for place, x in zip(lanes("place"), lanes("x"), strict=True):
            buses.lookup(f"element {x}", ELEMENT, (row.operand, row[place], row[x]), row.real)
        buses.serve("vector", VECTOR, (row.tensor, row.index, *vector(row, "x")), row.multiplicity)

    def rows_of(self, call: TensorCall) -> int:
        """One a vector."""
        return len(call.vectors) if call.descriptor.operation == GATHER else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy pattern and elements."""
        calls = calls_of(execution, GATHER)
        if not calls:
            return
        uses = vector_uses(execution)
        places = joined([pattern_rows(execution, call) for call in calls], np.uint32)
        handles = [operands(execution, call.ecall) for call in calls]
        of_second = places[:, 0] >= SECOND_OPERAND
        first, second = (
            joined([np.full(len(call.vectors), handle[k]) for call, handle in zip(calls, handles, strict=True)]) for k in (0, 1)
        )
        columns = {
            "real": np.ones(len(places), np.int64),
            "tensor": joined([np.full(len(call.vectors), call.id) for call in calls]),
            "index": joined([np.arange(len(call.vectors)) for call in calls]),
            "first": first,
            "second": second,
            "pattern": joined([call.descriptor.channel_list // PATTERN_BYTES + np.arange(len(call.vectors)) for call in calls]),
            "of_second": of_second,
            "operand": np.where(of_second, second, first),
            "multiplicity": joined([uses[call.id] for call in calls]),
        }
        for name, column in columns.items():
            trace[name][: len(column)] = column
        put(trace, "place", places % SECOND_OPERAND)
        put(trace, "x", joined([call.vectors for call in calls], np.int16))
