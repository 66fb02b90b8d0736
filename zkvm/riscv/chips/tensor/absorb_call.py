"""Calls of digested imports: one row a call. A table of its own, so that programs without them do not pay for its columns.

**Sound.** As :mod:`zkvm.riscv.chips.tensor.call`, with which it shares the id; and

* Rows that absorb are a path from all rows left, index 0 and a capacity of the tag and both numbers of rows to no row left. Rows of bytes
  come first. Where it ends any capacity will do: the digest is looked up, of the row that has one left.
* The two vectors of the digest have the tensor's last indices. Their lanes are int16 by range check; with 2^15 added four of them are a
  number of 64 bits, which is an element of the digest, and is not p or more: if the upper 32 bits are all ones (``inverse`` does not exist)
  the lower ones are zero. So one digest is right.
* Padding: no flag, no rows, hence the path begins where it ends, and nothing is looked up or served.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import ABSORB_PATH, DIGEST_MADE, RANGE16, ROM, VECTOR
from zkvm.riscv.chips.calls import call_columns, fill_calls
from zkvm.riscv.chips.common import TWO_16, TWO_32, WORD_MAX, assert_neutral, connect_accesses, connect_instruction, inverses, state_columns
from zkvm.riscv.chips.tensor.absorbing import CAPACITY, DIGEST_ELEMENTS
from zkvm.riscv.chips.tensor.call import call_accesses
from zkvm.riscv.chips.tensor.lanes import INT16_OFFSET, QUARTER, TensorChip, calls_of, elements
from zkvm.riscv.chips.tensor.uses import vector_uses
from zkvm.riscv.chips.tensor.words import WORD_BYTES
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.isa.tensors import BYTE_ROW_VECTORS, DIGEST_TAG, DIGEST_VECTORS, DIGESTED, LANES, ROW_VECTORS
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr

LIMBS = 4
"""Lanes of an element of the digest."""
WORDS = ("rows", "byte_rows")
"""Columns of the descriptor's words behind the first, in order."""


class AbsorbCallChip(TensorChip):
    """One call a row."""

    name = "tensor_absorb_call"
    columns = Columns(
        **state_columns(),
        **call_columns("a0", "a1", "a2"),
        t_a7=cell("previous access of a7"),
        real=bit("the row is a call"),
        rows=word("rows of three vectors of int16, of the descriptor"),
        byte_rows=word("rows of seven vectors of bytes, of the descriptor"),
        **{f"capacity{k}": cell(f"element {k} of the last state") for k in CAPACITY},
        **{f"lane{k}": cell(f"lane {k % LANES} of vector {k // LANES} of the digest") for k in range(DIGEST_VECTORS * LANES)},
        **{
            f"inverse{k}": cell(f"of 2^32 - 1 less the upper half of element {k} of the digest; 0 if there is none")
            for k in range(DIGEST_ELEMENTS)
        },
        **{f"multiplicity{k}": cell(f"times vector {k} of the digest is read") for k in range(DIGEST_VECTORS)},
    )
    counted = (VECTOR,)

    def _halves(self, row: Row, k: int) -> tuple[Expr, Expr]:
        """Element k of the digest: the lower 32 bits, and the upper ones."""
        limbs = [row[f"lane{LIMBS * k + i}"] + INT16_OFFSET for i in range(LIMBS)]
        return limbs[0] + limbs[1] * TWO_16, limbs[2] + limbs[3] * TWO_16

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """A canonical digest, neutral padding."""
        air.assert_bool("real is boolean", row.real)
        for name in (*WORDS, *(f"capacity{k}" for k in CAPACITY), *(f"multiplicity{k}" for k in range(DIGEST_VECTORS))):
            air.when(1 - row.real).assert_zero(f"padding has no {name.replace('_', ' ')}", row[name])
        for k in range(DIGEST_ELEMENTS):
            low, high = self._halves(row, k)
            beyond = row.real - (WORD_MAX - high) * row[f"inverse{k}"]
            air.assert_zero(f"element {k} of the digest is below p", low * beyond)
        assert_neutral(air, row.t, call_accesses(row, row.real, (row.a1, row.a2)))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, registers, descriptor, the path, the digest and its vectors."""
        real, identity = row.real, row.t * QUARTER
        connect_instruction(buses, row, real, ECALL)
        connect_accesses(buses, row.t, call_accesses(row, real, (row.a1, row.a2)))
        for k, (name, value) in enumerate([("operation", real * DIGESTED), *((name, row[name]) for name in WORDS)]):
            buses.lookup(name.replace("_", " "), ROM, (row.a0 + WORD_BYTES * k, value), real)
        end = BYTE_ROW_VECTORS * row.byte_rows + ROW_VECTORS * row.rows
        buses.pair(
            "path",
            ABSORB_PATH,
            receive=(identity, 0, 0, end, *(row[f"capacity{k}"] for k in CAPACITY)),
            send=(identity, row.byte_rows, row.rows, 0, DIGEST_TAG * real, row.rows, row.byte_rows, 0),
        )
        halves = [self._halves(row, k) for k in range(DIGEST_ELEMENTS)]
        buses.lookup("digest", DIGEST_MADE, (identity, *(low + high * TWO_32 for low, high in halves)), real)
        lanes = [row[f"lane{k}"] for k in range(DIGEST_VECTORS * LANES)]
        for k, lane in enumerate(lanes):
            buses.lookup(f"lane {k} is an int16", RANGE16, (lane + INT16_OFFSET,), real)
        for k in range(DIGEST_VECTORS):
            buses.serve(f"vector {k}", VECTOR, (identity, end + k, *lanes[LANES * k : LANES * (k + 1)]), row[f"multiplicity{k}"])

    def rows_of(self, call: TensorCall) -> int:
        """One a call."""
        return int(call.descriptor.operation == DIGESTED)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        calls = calls_of(execution, DIGESTED)
        if not calls:
            return
        records = execution.ecalls[[call.ecall for call in calls]]
        fill_calls(trace, execution, records, "a0", "a1", "a2")
        trace["t_a7"][: len(calls)] = records["t_a7"]
        uses = vector_uses(execution)
        for name, values in _columns(calls, np.stack([uses[call.id][-DIGEST_VECTORS:] for call in calls])).items():
            trace[name][: len(calls)] = values if values.dtype == np.uint64 else elements(values)


def _columns(calls: list[TensorCall], uses: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    last = np.stack([call.permuted[1, -1] for call in calls])
    digests = np.stack([call.vectors[-DIGEST_VECTORS:].reshape(-1) for call in calls])
    room = np.uint64(WORD_MAX) - (last[:, :DIGEST_ELEMENTS] >> np.uint64(32))
    return {
        "real": np.ones(len(calls), np.int64),
        "rows": np.array([call.descriptor.blocks for call in calls]),
        "byte_rows": np.array([call.descriptor.channels for call in calls]),
        **{f"capacity{k}": last[:, k] for k in CAPACITY},
        **{f"lane{k}": digests[:, k] for k in range(digests.shape[1])},
        **{f"inverse{k}": inverses(room[:, k]) for k in range(DIGEST_ELEMENTS)},
        **{f"multiplicity{k}": uses[:, k] for k in range(DIGEST_VECTORS)},
    }
