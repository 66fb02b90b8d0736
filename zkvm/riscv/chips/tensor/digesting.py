"""Digests of tensors: Poseidon2 in overwrite mode over 24 elements a row, compared with the two vectors that follow what is digested.

**Sound.** The rows of a call are a path on which the number of rows left falls by one a row, so it has no circle: it begins with as many
as the descriptor says and ends behind the row with ``last``, where none is left.

* A row that absorbs looks up the next three vectors. Their elements are int16, so with 2^15 added, three by three with weights 1, 2^16,
  2^32, they are eight elements of the field below 2^48: no other lanes give the same. It asks for the permutation of these and the capacity
  that the path brings, as one tuple with what comes out, and sends the first half of the rate and the capacity on.
* The last row looks up the next two vectors. Their 16 lanes, with 2^15 added, are four numbers of 64 bits, which equal what came last; none
  is p or more: if the upper 32 bits are all ones (``inverse`` does not exist) the lower ones are zero. So one digest is right.
* The capacity begins with a tag and the number of rows, so what is digested in one call is no beginning of what is in another.
* Padding is a step of nothing: without flags there is no look-up, and receive and send are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import DIGEST_PATH, PERMUTATION, VECTOR
from zkvm.riscv.chips.tensor.lanes import INT16_OFFSET, TensorChip, calls_of, elements
from zkvm.riscv.chips.tensor.uses import operands
from zkvm.riscv.isa.poseidon2 import WIDTH
from zkvm.riscv.isa.tensors import DIGEST, DIGEST_TAG, DIGEST_VECTORS, LANES, PACKED, RATE, ROW_BYTES, ROW_VECTORS
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.expression import Expr, weighted_sum
from zkvm.stark.field.goldilocks import P

CARRIED = [*range(4), *range(RATE, WIDTH)]
"""Elements of a state that the path brings: what the digest is read from, and the capacity, which a row that absorbs keeps."""
ABSORBED = ROW_VECTORS * LANES
LIMBS = 4
"""Lanes of an element of the digest."""


class DigestChip(TensorChip):
    """One row for each three vectors that are digested, and one for the digest."""

    name = "tensor_digest"
    columns = Columns(
        absorb=bit("the row absorbs three vectors"),
        last=bit("the row compares the digest"),
        tensor=cell("id of the call"),
        left=cell("rows that absorb from here on, its own included"),
        operand=cell("tensor that is digested"),
        index=cell("of its first vector"),
        **{f"before{k}": cell(f"element {k} of the state before") for k in CARRIED},
        **{f"lane{k}": cell(f"lane {k % LANES} of vector {k // LANES}") for k in range(ABSORBED)},
        **{f"after{k}": cell(f"element {k} of the state after") for k in range(WIDTH)},
        **{f"inverse{k}": cell(f"of the upper half of element {k} of the digest less 2^32 - 1") for k in range(4)},
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags; what rows that do not absorb leave alone; the digest."""
        for name in ("absorb", "last"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.assert_zero("a row absorbs or is the last", row.absorb * row.last)
        air.when(row.last).assert_zero("the last row comes when none is left", row.left)
        for k in CARRIED:
            air.when(1 - row.absorb).assert_zero(f"element {k} comes from a permutation", row[f"after{k}"])
            air.when(1 - row.absorb - row.last).assert_zero(f"padding has no element {k}", row[f"before{k}"])
        for k in range(4):
            limbs = [row[f"lane{LIMBS * k + i}"] + INT16_OFFSET for i in range(LIMBS)]
            low, high = limbs[0] + limbs[1] * (1 << 16), limbs[2] + limbs[3] * (1 << 16)
            air.when(row.last).assert_equal(f"element {k} of the digest", low + high * (1 << 32), row[f"before{k}"])
            beyond = row.last - (high - ((1 << 32) - 1)) * row[f"inverse{k}"]
            air.assert_zero(f"element {k} of the digest is below p", low * beyond)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, the vectors, the permutation."""
        step = ROW_VECTORS * row.absorb
        buses.pair(
            "path",
            DIGEST_PATH,
            receive=(row.tensor, row.left, row.operand, row.index, *(row[f"before{k}"] for k in CARRIED)),
            send=(row.tensor, row.left - row.absorb - row.last, row.operand, row.index + step, *(row[f"after{k}"] for k in CARRIED)),
        )
        for k in range(ROW_VECTORS):
            lanes = [row[f"lane{LANES * k + i}"] for i in range(LANES)]
            count = row.absorb + row.last if k < DIGEST_VECTORS else row.absorb
            buses.lookup(f"vector {k}", VECTOR, (row.operand, row.index + k, *lanes), count)
        absorbed = [self._packed(row, k) for k in range(RATE)]
        capacity = [row[f"before{k}"] for k in range(RATE, WIDTH)]
        after = [row[f"after{k}"] for k in range(WIDTH)]
        buses.lookup("permutation", PERMUTATION, (*absorbed, *capacity, *after), row.absorb)

    @staticmethod
    def _packed(row: Row, k: int) -> Expr:
        """Element k of what is absorbed."""
        weights = [1 << 16 * i for i in range(PACKED)]
        return weighted_sum([row[f"lane{PACKED * k + i}"] + INT16_OFFSET for i in range(PACKED)], weights)

    def rows_of(self, call: TensorCall) -> int:
        """One for each three vectors, and the last."""
        return call.descriptor.blocks + 1 if call.descriptor.operation == DIGEST else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Absorb again."""
        start = 0
        for call in calls_of(execution, DIGEST):
            count = self.rows_of(call)
            columns = _columns(execution, call)
            for name, values in columns.items():
                trace[name][start : start + count] = values
            start += count


def _columns(execution: Execution, call: TensorCall) -> dict[str, NDArray[np.uint64]]:
    d, count = call.descriptor, call.descriptor.blocks
    before, after = np.zeros((2, count + 1, WIDTH), np.uint64)
    after[:count] = call.permuted[1]
    before[0, RATE : RATE + 2] = DIGEST_TAG, count
    before[1:] = after[:-1]
    lanes = np.zeros((count + 1, ABSORBED), np.int16)
    lanes[:count] = call.x[: ROW_VECTORS * count].reshape(count, ABSORBED)
    lanes[count, : DIGEST_VECTORS * LANES] = call.x[ROW_VECTORS * count :].reshape(-1)
    halves = (lanes[count, : 4 * LIMBS].astype(np.int64) + INT16_OFFSET).reshape(4, LIMBS) @ np.array([[0, 0, 1, 1 << 16]]).T
    columns: dict[str, NDArray[np.uint64]] = {
        "absorb": np.append(np.ones(count, np.uint64), 0),
        "last": np.append(np.zeros(count, np.uint64), 1),
        "tensor": np.full(count + 1, call.id, np.uint64),
        "left": np.arange(count, -1, -1).astype(np.uint64),
        "operand": np.full(count + 1, operands(execution, call.ecall)[0], np.uint64),
        "index": d.x // ROW_BYTES + ROW_VECTORS * np.arange(count + 1, dtype=np.uint64),
    }
    columns |= {f"lane{k}": elements(lanes[:, k]) for k in range(ABSORBED)}
    columns |= {f"before{k}": before[:, k] for k in CARRIED}
    columns |= {f"after{k}": after[:, k] for k in range(WIDTH)}
    for k in range(4):
        inverse = pow((int(halves[k, 0]) - (1 << 32) + 1) % P, -1, P) if halves[k, 0] != (1 << 32) - 1 else 0
        columns[f"inverse{k}"] = np.append(np.zeros(count, np.uint64), np.uint64(inverse))
    return columns
