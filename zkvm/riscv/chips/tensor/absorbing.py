"""Digested imports: vectors of the private input that Poseidon2 absorbs as they are made, 56 bytes or 24 int16 a row.

**Sound.** The rows of a call are a path: first those of bytes, on which the number of byte rows left falls by one a row, then those of
int16, which are only there when no byte row is left, and on which their own number falls. So it has no circle, and has as many rows of each
kind as the descriptor says, in this order.

* Elements are free: they are the private input. Lanes are bytes or int16 by range check, also those that the program does not use. What is
  served of a byte is 2^8 times it, an int16.
* Seven bytes without their signs, with weights 1, 2^8, ..., are an element of the field below 2^56; three int16, with weights 1, 2^16,
  2^32, one below 2^48. No other lanes give the same. A row asks for the permutation of its eight elements and the capacity that the path
  brings, as one tuple with what comes out, and sends the capacity on.
* The capacity begins with a tag and both numbers of rows, so what one call digests is no beginning of what another does, and nobody can
  read bytes as int16.
* Only the row with one int16 row left says what the digest is (``final``), and a call has one such row.
* Padding is a step of nothing: without flag there is no look-up, nothing is served, and receive and send are the same.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import ABSORB_PATH, BYTES, DIGEST_MADE, PERMUTATION, RANGE16, VECTOR
from zkvm.riscv.chips.tensor.lanes import INT16_OFFSET, TensorChip, calls_of, elements, joined
from zkvm.riscv.chips.tensor.uses import vector_uses
from zkvm.riscv.isa.poseidon2 import WIDTH
from zkvm.riscv.isa.tensors import (
    BYTE_OFFSET,
    BYTE_ROW_VECTORS,
    BYTE_STEP,
    DIGESTED,
    LANES,
    PACKED,
    PACKED_BYTES,
    RATE,
    ROW_VECTORS,
    Descriptor,
)
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, Bus, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Column, Columns, Row, bit, cell
from zkvm.stark.air.expression import Expr, const, weighted_sum

CAPACITY = range(RATE, WIDTH)
DIGEST_ELEMENTS = 4
"""Elements of the last state that are the digest."""


def _row_columns(vectors: int) -> dict[str, Column]:
    """Columns of a row that absorbs so many vectors."""
    return {
        "real": bit("the row absorbs"),
        "tensor": cell("id of the call"),
        "left": cell("rows of int16 that absorb from here on"),
        "index": cell("of the row's first vector"),
        **{f"before{k}": cell(f"element {k} of the state before: of the capacity") for k in CAPACITY},
        **{f"lane{k}": cell(f"lane {k % LANES} of vector {k // LANES}") for k in range(LANES * vectors)},
        **{f"multiplicity{k}": cell(f"times vector {k} is read") for k in range(vectors)},
        **{f"after{k}": cell(f"element {k} of the state after") for k in range(WIDTH)},
    }


class _Absorbing(TensorChip):
    """Rows of one kind."""

    vectors: int
    packed: int
    offset: int
    step: int
    counted: ClassVar[tuple[Bus, ...]] = (VECTOR,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding is mute."""
        air.assert_bool("real is boolean", row.real)
        for k in CAPACITY:
            air.when(1 - row.real).assert_equal(f"padding keeps element {k}", row[f"after{k}"], row[f"before{k}"])
        for k in range(self.vectors):
            air.when(1 - row.real).assert_zero(f"padding serves nothing for vector {k}", row[f"multiplicity{k}"])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, the lanes' range, the served vectors, the permutation."""
        before, after = self._rows_left(row)
        index = row.index + self.vectors * row.real
        capacity = [row[f"before{k}"] for k in CAPACITY]
        buses.pair(
            "path",
            ABSORB_PATH,
            receive=(row.tensor, *before, row.index, *capacity),
            send=(row.tensor, *after, index, *(row[f"after{k}"] for k in CAPACITY)),
        )
        lanes = [row[f"lane{k}"] for k in range(LANES * self.vectors)]
        numbers = [lane + self.offset for lane in lanes]
        self._check_range(buses, row, numbers)
        for k in range(self.vectors):
            served = (row.tensor, row.index + k, *(self.step * lane for lane in lanes[LANES * k : LANES * (k + 1)]))
            buses.serve(f"vector {k}", VECTOR, served, row[f"multiplicity{k}"])
        weights = [(2 * self.offset) ** i for i in range(self.packed)]  # lanes without their signs are below 2 offset
        absorbed = [weighted_sum(numbers[self.packed * k : self.packed * (k + 1)], weights) for k in range(RATE)]
        buses.lookup("permutation", PERMUTATION, (*absorbed, *capacity, *(row[f"after{k}"] for k in range(WIDTH))), row.real)

    def _rows_left(self, row: Row) -> tuple[tuple[Expr, Expr], tuple[Expr, Expr]]:
        """Rows of bytes and of int16 that are left, before the row and behind it."""
        raise NotImplementedError

    def _check_range(self, buses: BusBuilder, row: Row, numbers: list[Expr]) -> None:
        """Lanes without their signs are what they should be."""
        raise NotImplementedError

    def _first(self, words: Descriptor) -> int:
        """Rows of the call that absorb before those of this chip."""
        raise NotImplementedError

    def _fill_rows(self, execution: Execution, trace: Trace) -> None:
        calls = [call for call in calls_of(execution, DIGESTED) if self.rows_of(call)]
        if not calls:
            return
        uses = vector_uses(execution)
        parts = [self._columns(call, uses[call.id]) for call in calls]
        for name in parts[0]:
            column = joined([part[name] for part in parts], parts[0][name].dtype)
            trace[name][: len(column)] = column if column.dtype == np.uint64 else elements(column)

    def _columns(self, call: TensorCall, uses: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        count, first = self.rows_of(call), self._first(call.descriptor)
        start = BYTE_ROW_VECTORS * first
        held = slice(start, start + self.vectors * count)
        lanes = call.vectors[held].reshape(count, LANES * self.vectors) // self.step
        read = uses[held].reshape(count, self.vectors)
        before, after = call.permuted[:, first : first + count]
        return {
            "real": np.ones(count, np.int64),
            "tensor": np.full(count, call.id),
            "left": np.full(count, call.descriptor.blocks),
            "index": start + self.vectors * np.arange(count),
            **{f"before{k}": before[:, k] for k in CAPACITY},
            **{f"lane{k}": lanes[:, k] for k in range(LANES * self.vectors)},
            **{f"multiplicity{k}": read[:, k] for k in range(self.vectors)},
            **{f"after{k}": after[:, k] for k in range(WIDTH)},
        }


class AbsorbBytesChip(_Absorbing):
    """One row for each seven vectors of bytes."""

    name = "tensor_absorb_bytes"
    vectors, packed, offset, step = BYTE_ROW_VECTORS, PACKED_BYTES, BYTE_OFFSET, BYTE_STEP
    columns = Columns(bytes_left=cell("rows of bytes that absorb from here on, its own included"), **_row_columns(BYTE_ROW_VECTORS))

    def _rows_left(self, row: Row) -> tuple[tuple[Expr, Expr], tuple[Expr, Expr]]:
        return (row.bytes_left, row.left), (row.bytes_left - row.real, row.left)

    def _check_range(self, buses: BusBuilder, row: Row, numbers: list[Expr]) -> None:
        for k in range(0, len(numbers), 2):
            buses.lookup(f"lanes {k} and {k + 1} are bytes", BYTES, (numbers[k], numbers[k + 1]), row.real)

    def _first(self, words: Descriptor) -> int:
        return 0

    def rows_of(self, call: TensorCall) -> int:
        """As many as the descriptor says."""
        return call.descriptor.channels if call.descriptor.operation == DIGESTED else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        self._fill_rows(execution, trace)

    def _columns(self, call: TensorCall, uses: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        return {**super()._columns(call, uses), "bytes_left": np.arange(call.descriptor.channels, 0, -1)}


class AbsorbChip(_Absorbing):
    """One row for each three vectors of int16."""

    name = "tensor_absorb"
    vectors, packed, offset, step = ROW_VECTORS, PACKED, INT16_OFFSET, 1
    columns = Columns(final=bit("the row is the last, and says the digest"), **_row_columns(ROW_VECTORS))
    counted = (VECTOR, DIGEST_MADE)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding is mute, and only the last row says the digest."""
        super().constraints(air, row)
        air.assert_bool("final is boolean", row.final)
        air.when(1 - row.real).assert_zero("padding says no digest", row.final)
        air.when(row.final).assert_equal("the last row has one left", row.left, 1)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Those of all rows, and the digest."""
        super().interactions(buses, row)
        digest = [row[f"after{k}"] for k in range(DIGEST_ELEMENTS)]
        buses.serve("digest", DIGEST_MADE, (row.tensor, *digest), row.final)

    def _rows_left(self, row: Row) -> tuple[tuple[Expr, Expr], tuple[Expr, Expr]]:
        return (const(0), row.left), (const(0), row.left - row.real)

    def _check_range(self, buses: BusBuilder, row: Row, numbers: list[Expr]) -> None:
        for k, number in enumerate(numbers):
            buses.lookup(f"lane {k} is an int16", RANGE16, (number,), row.real)

    def _first(self, words: Descriptor) -> int:
        return words.channels

    def rows_of(self, call: TensorCall) -> int:
        """As many as the descriptor says."""
        return call.descriptor.blocks if call.descriptor.operation == DIGESTED else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        self._fill_rows(execution, trace)

    def _columns(self, call: TensorCall, uses: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        left = np.arange(call.descriptor.blocks, 0, -1)
        return {**super()._columns(call, uses), "left": left, "final": (left == 1).astype(np.int64)}
