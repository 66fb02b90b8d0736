"""Vectors to and from RAM: load makes a vector of one or eight words, export writes one or eight elements of a vector.

**Sound.** A word is ``x + 2^32 neg`` with a boolean ``neg``, and ``x + 2^15 neg`` in [0, 2^15): x is an int16, negative exactly where neg
is 1, and the word is x mod 2^32. So an export writes a word, and a load has no witness for a word that is no int16. The address of the last
word is range-checked, hence so are all: they are those of memory, not of registers. The words are accessed once, at the time after
the call's, the rows of one call at addresses that grow along the path. A load leaves its words as they are. Lanes without a word are
neutral on memory, and 0 in a load.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import RANGE15, VECTOR, WORDS_PATH
from zkvm.riscv.chips.calls import SLOT_CHAIN
from zkvm.riscv.chips.common import TWO_32, Access, assert_neutral, connect_accesses, low16
from zkvm.riscv.chips.memory_access import check_aligned
from zkvm.riscv.chips.tensor.lanes import (
    INT16_OFFSET,
    QUARTER,
    TensorChip,
    assert_muted,
    calls_of,
    joined,
    lane_columns,
    lanes,
    put,
    vector,
)
from zkvm.riscv.chips.tensor.uses import operands, vector_uses
from zkvm.riscv.isa.opcodes import TIME_STEP
from zkvm.riscv.isa.tensors import EXPORT, LANES, LOAD, ROW_BYTES
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb
from zkvm.stark.air.expression import Expr

WORD_BYTES = 4
WIDE_BYTES = WORD_BYTES * (LANES - 1)
"""From the first word of a row of eight to the last."""


class WordsChip(TensorChip):
    """One vector a row."""

    name = "tensor_words"
    columns = Columns(
        real=bit("the row moves a vector"),
        load=bit("from RAM; else to it"),
        wide=bit("all eight elements have a word; else the first"),
        t=cell("time of the call"),
        index=cell("of the row in its call; of the vector that a load makes"),
        address=cell("byte address of the first word"),
        address_low=limb(14, "bits 2 to 15 of the last word's address"),
        operand=cell("tensor that an export reads"),
        operand_index=cell("its vector"),
        stride=cell("vectors from one row of an export to the next"),
        multiplicity=cell("times the loaded vector is read"),
        **lane_columns("x", "element"),
        **{name: bit("the element is negative") for name in lanes("neg")},
        **lane_columns("before", "word before"),
        **lane_columns("t", "previous access of the word"),
    )
    counted = (VECTOR,)

    def _accesses(self, row: Row) -> list[Access]:
        return [
            Access(
                f"word {k}",
                row.address + WORD_BYTES * k,
                row[f"before{k}"],
                row[f"x{k}"] + row[f"neg{k}"] * TWO_32,
                row[f"t{k}"],
                SLOT_CHAIN,
                row.wide if k else row.real,
            )
            for k in range(LANES)
        ]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags, what a load keeps, lanes without a word."""
        for name in ("real", "load", "wide", *lanes("neg")):
            air.assert_bool(f"{name} is boolean", row[name])
        for name in ("load", "wide", "stride"):
            air.when(1 - row.real).assert_zero(f"padding has no {name}", row[name])
        for access in self._accesses(row):
            air.when(row.load).assert_equal(f"a load keeps {access.label}", access.after, access.before)
        for name in lanes("x")[1:]:
            air.assert_zero(f"{name} of a load without a word for it is 0", row.load * (1 - row.wide) * row[name])
        assert_neutral(air, row.t, self._accesses(row))
        assert_muted(air, row, row.load)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, eight words, the vector."""
        fixed: tuple[Expr, ...] = (row.t, row.load, row.wide)
        moving = (row.index, row.address, row.operand, row.operand_index, row.stride)
        step = (row.index + row.real, row.address + WORD_BYTES * row.real + WIDE_BYTES * row.wide, row.operand)
        buses.pair("path", WORDS_PATH, receive=(*fixed, *moving), send=(*fixed, *step, row.operand_index + row.stride, row.stride))
        connect_accesses(buses, row.t, self._accesses(row))
        check_aligned(buses, row.address + WIDE_BYTES * row.wide, row.address_low, row.real)
        for k, (x, neg) in enumerate(zip(lanes("x"), lanes("neg"), strict=True)):
            buses.lookup(f"{x} is an int16 of that sign", RANGE15, (row[x] + INT16_OFFSET * row[neg],), row.wide if k else row.real)
        buses.lookup("exported vector", VECTOR, (row.operand, row.operand_index, *vector(row, "x")), row.real - row.load)
        buses.serve("loaded vector", VECTOR, (row.t * QUARTER, row.index, *vector(row, "x")), row.multiplicity)

    def rows_of(self, call: TensorCall) -> int:
        """One a vector."""
        return call.descriptor.blocks if call.descriptor.operation in (LOAD, EXPORT) else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        calls = [call for call in calls_of(execution, LOAD, EXPORT) if call.descriptor.blocks]
        if not calls:
            return
        uses = vector_uses(execution)
        parts = [self._rows(execution, call, uses) for call in calls]
        for name in parts[0]:
            column = joined([part[name] for part in parts], np.uint64)
            trace[name][: len(column)] = column
        put(trace, "x", joined([_moved(call) for call in calls], np.int16))

    def _rows(self, execution: Execution, call: TensorCall, uses: dict[int, NDArray[np.int64]]) -> dict[str, NDArray[np.uint64]]:
        """The columns of a call, but for the elements."""
        d, time = call.descriptor, call.id * TIME_STEP
        count, wide = d.blocks, d.channels == LANES
        words = call.words.reshape(count, d.channels)
        load = d.operation == LOAD
        stride = 0 if load else d.x_stride
        numbers = np.arange(count, dtype=np.uint64)
        elements = _moved(call)
        columns = {
            "real": 1,
            "load": load,
            "wide": wide,
            "t": time,
            "index": numbers,
            "address": words["address"][:, 0],
            "address_low": low16(words["address"][:, -1].astype(np.uint64)) >> np.uint64(2),
            "operand": operands(execution, call.ecall)[0],
            "operand_index": first_index(d.x) + numbers * np.uint64(stride),
            "stride": stride,
            "multiplicity": uses[call.id] if load else 0,
        }
        for k in range(LANES):
            there = k < d.channels
            negative = elements[:, k] < 0
            kept = elements[:, k].astype(np.int32).view(np.uint32)  # a lane without a word produces what it consumes
            columns[f"neg{k}"] = negative
            columns[f"before{k}"] = words["old"][:, k] if there else kept
            columns[f"t{k}"] = words["t_prev"][:, k] if there else time
        return {name: np.broadcast_to(np.asarray(value), count).astype(np.uint64) for name, value in columns.items()}


def first_index(start: int) -> np.uint64:
    """Row of an operand's first byte."""
    return np.uint64(start // ROW_BYTES)


def _moved(call: TensorCall) -> NDArray[np.int16]:
    """The vectors that a call loads or reads."""
    return call.vectors if call.descriptor.operation == LOAD else call.x
