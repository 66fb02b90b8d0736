"""Tensor calls but elementwise ones: one row a call. It reads the descriptor, makes the handle, and holds both ends of the call's path.

**Sound.**

* The id is a quarter of the time: one more than the instructions executed before the call, so it is a word and no other call of the run
  has it.
* **No reading from the future.** A look-up has no time: two tensors could be made from one another. So id - operand - 1 is a word for every
  operand that is read, and so are both: a tensor is made from earlier ones, by induction a function of program and input. Operand 0
  names the image's constants.
* Words of the descriptor are those of read-only memory at a0: a call's meaning does not change, and an address that is no multiple of 4, or
  past 2^32, is not there.
* Paths: rows of import and words begin at index 0 and end at as many as the descriptor says; tiles begin with all blocks and end with none.
  A kind of path that the call does not have begins where it ends.
* ``lo + 2^15``, ``hi + 2^15`` and hi - lo are in [0, 2^16): results within these bounds are int16, and there are some.
* taps limit = 2^32 - x with a word x, so it is from 1 to 2^32: taps is a word of the descriptor, and limit that of every channel that a
  result is rescaled by, so their product does not wrap. Channels are from 1 to 2^16. A layer whose channels are in vectors has its limit
  from the descriptor, and they are the second operand's, which is earlier.
* What a layer cut is counted along its tiles from 0, above the bounds and below; a1 and a2 hold it after the call. There are fewer results
  than 2^31, so both are words. Other operations leave both registers as they are.
* A function with a second operand is applied to blocks channels vectors; the vectors of that operand are as many as blocks.
* Padding: no flag, hence nothing is looked up, every count is 0, and every pair is neutral.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import APPLY_PATH, DIGEST_PATH, GATHER_PATH, IMPORT_PATH, MAXIMUM_PATH, RANGE16, ROM, TILE_PATH, WORDS_PATH
from zkvm.riscv.chips.calls import call_columns, fill_calls, register_access
from zkvm.riscv.chips.common import (
    TWO_16,
    TWO_32,
    Access,
    assert_flags,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    high_limb,
    low16,
    low_limb,
    range_word,
    state_columns,
)
from zkvm.riscv.chips.tensor.channels import TENSOR_KEYS
from zkvm.riscv.chips.tensor.lanes import INT16_OFFSET, QUARTER, ROW, TensorChip, calls_of, elements
from zkvm.riscv.chips.tensor.products import tile_count
from zkvm.riscv.chips.tensor.tiles import CONSTANT
from zkvm.riscv.chips.tensor.words import WIDE_BYTES, WORD_BYTES
from zkvm.riscv.isa.calls import TENSOR
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.isa.tensors import (
    APPLY,
    DIGEST,
    DIGEST_TAG,
    ENTRY_BYTES,
    EXPORT,
    GATHER,
    IMPORT,
    IN_VECTORS,
    LANES,
    LINEAR,
    LISTED,
    LOAD,
    MAXIMUM,
    PATTERN_BYTES,
    RELATIVE,
    RELATIVE_OFFSET,
    ROW_BYTES,
    ROW_VECTORS,
    SCALED,
    Descriptor,
)  # fmt: skip
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr, total
from zkvm.stark.field.goldilocks import P

FLAGS = {
    "imports": IMPORT, "loads": LOAD, "linear": LINEAR, "exports": EXPORT, "gathers": GATHER, "maxima": MAXIMUM, "applies": APPLY,
    "digests": DIGEST, "scaled": SCALED, "relatives": RELATIVE,
}  # fmt: skip
"""Flag of each operation."""
LAYER = ("linear", "scaled")
READ_BY = {
    "blocks": tuple(FLAGS),
    "channels": ("loads", *LAYER, "exports", "relatives"),
    "taps": (*LAYER, "maxima"),
    "x": (*LAYER, "exports", "maxima", "applies", "digests", "relatives"),
    "x_stride": (*LAYER, "exports", "maxima", "applies", "relatives"),
    "w": (*LAYER, "relatives"),
    "w_stride": (*LAYER, "maxima"),
    "channel_list": (*LAYER, "gathers", "applies", "relatives"),
    "bounds": LAYER,
}
"""Words of the descriptor behind the first, in order: which operations read them. A scaled layer has its limit behind them."""
LIMIT_WORD = 1 + len(READ_BY)
OPERANDS = (*LAYER, "exports", "gathers", "maxima", "applies", "digests", "relatives"), (*LAYER, "gathers", "relatives")
"""Which operations read a first operand, and a second one."""
MOVED = ("gathered", "gathers"), ("compared", "maxima"), ("digested", "digests"), ("relative_blocks", "relatives")
"""How many blocks an operation has, else 0: the column, and its flag."""
PATTERN_ROW, ENTRY = pow(PATTERN_BYTES, -1, P), pow(ENTRY_BYTES, -1, P)
"""Of bytes to rows of patterns, and to entries of functions."""


def call_accesses(row: Row, real: Expr, left: tuple[Expr, Expr]) -> list[Access]:
    """Registers of a call: its number, the descriptor's address, for which it leaves the id, and operands, for which it leaves ``left``."""
    return [
        register_access(row, "a7", real, before=real * TENSOR.number),
        register_access(row, "a0", real, row.t * QUARTER),
        register_access(row, "a1", real, left[0]),
        register_access(row, "a2", real, left[1]),
    ]


class TensorCallChip(TensorChip):
    """One call a row."""

    name = "tensor_call"
    columns = Columns(
        **state_columns(),
        **call_columns("a0", "a1", "a2"),
        t_a7=cell("previous access of a7"),
        **{name: bit(f"the operation is {number}") for name, number in FLAGS.items()},
        **{name: word(f"{name.replace('_', ' ')}, of the descriptor") for name in READ_BY},
        wide=bit("eight words for a vector; else one"),
        imported=cell("vectors that an import makes"),
        moved=cell("vectors that words move"),
        moved_bytes=cell("bytes of these words"),
        stride=cell("of an export, else 0"),
        moved_stride=cell("vectors from the first that is exported to the one behind the last"),
        linear_blocks=cell("blocks of a layer, else 0"),
        tiles=cell("of a layer"),
        two_blocks=cell("whether the first tile has two blocks"),
        x_moved=cell("vectors from the first block to the one behind the last"),
        results=cell("vectors of a layer's result"),
        gathered=cell("vectors that are gathered"),
        compared=cell("results of comparisons"),
        compared_stride=cell("vectors from the first result's first to the one behind the last's"),
        back=cell("vectors from the last that is compared for a result to the first for the next"),
        applied=cell("vectors that a function is applied to"),
        applied_stride=cell("vectors from the first of these to the one behind the last"),
        digested=cell("rows of vectors that are digested"),
        relative_blocks=cell("blocks of a function with a second operand"),
        limit=cell("bound of the multipliers"),
        list_start=cell("key of the first channel"),
        cut_above=cell("results of a layer that were above its bounds, else 0"),
        cut_below=cell("results of a layer that were below its bounds, else 0"),
        next_a1=cell("a1 after the call: of a layer cut_above, else what it was"),
        next_a2=cell("a2 after the call: of a layer cut_below, else what it was"),
        products=cell("taps limit"),
        low=cell("least result + 2^15"),
        first_low=low_limb("id - first operand - 1"),
        second_low=low_limb("id - second operand - 1"),
        room_low=low_limb("2^32 - taps limit"),
    )

    def _real(self, row: Row) -> Expr:
        return total(*(row[name] for name in FLAGS))

    def _layer(self, row: Row) -> Expr:
        return row.linear + row.scaled

    def _accesses(self, row: Row) -> list[Access]:
        return call_accesses(row, self._real(row), (row.next_a1, row.next_a2))

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The operation, and how far each path goes."""
        assert_flags(air, row, *FLAGS)
        words, layer = row.loads + row.exports, self._layer(row)
        air.assert_bool("wide is boolean", row.wide)
        air.when(words).assert_equal("one or eight words", row.channels, 1 + (LANES - 1) * row.wide)
        air.assert_equal("an import's vectors", row.imported, row.imports * row.blocks)
        air.assert_equal("vectors in words", row.moved, words * row.blocks)
        air.assert_equal("bytes of words", row.moved_bytes, row.moved * (WORD_BYTES + WIDE_BYTES * row.wide))
        air.assert_equal("stride of an export", row.stride, row.exports * row.x_stride)
        air.assert_equal("vectors over an export", row.moved_stride, row.moved * row.stride)
        air.assert_equal("blocks of a layer", row.linear_blocks, layer * row.blocks)
        for name in ("tiles", "two_blocks", "cut_above", "cut_below"):
            air.when(1 - layer).assert_zero(f"only a layer has {name.replace('_', ' ')}", row[name])
        air.assert_equal("vectors over a layer", row.x_moved, row.linear_blocks * row.x_stride)
        air.assert_equal("vectors of a result", row.results, row.linear_blocks * row.channels)
        for name, flag in MOVED:
            air.assert_equal(f"vectors that are {name}", row[name], row[flag] * row.blocks)
        applied = row.applies * row.blocks + row.relative_blocks * row.channels
        air.assert_equal("vectors that a function is applied to", row.applied, applied)
        for name in ("compared", "applied"):
            air.assert_equal(f"vectors over what is {name}", row[f"{name}_stride"], row[name] * row.x_stride)
        air.assert_equal("from result to result", row.back, row.x_stride + row.w_stride - row.taps * row.w_stride)
        air.assert_equal("first channel", row.list_start, row.channel_list * ROW + row.scaled * (row.a2 + 1) * TENSOR_KEYS)
        air.assert_equal("products of taps and limit", row.products, row.taps * row.limit)
        for name, count in (("a1", row.cut_above), ("a2", row.cut_below)):
            air.assert_equal(f"{name} after the call", row[f"next_{name}"], row[name] - layer * row[name] + count)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, registers, descriptor, order of operands, bounds, paths."""
        real, layer = self._real(row), self._layer(row)
        connect_instruction(buses, row, real, ECALL)
        connect_accesses(buses, row.t, self._accesses(row))
        operation = total(*(row[name] * number for name, number in FLAGS.items()))
        buses.lookup("operation", ROM, (row.a0, operation), real)
        for k, (name, flags) in enumerate(READ_BY.items(), 1):
            buses.lookup(name.replace("_", " "), ROM, (row.a0 + WORD_BYTES * k, row[name]), total(*(row[flag] for flag in flags)))
        buses.lookup("limit", ROM, (row.a0 + WORD_BYTES * LIMIT_WORD, row.limit), row.scaled)
        identity = row.t * QUARTER
        range_word(buses, "first operand is earlier", identity - row.a1 - 1, row.first_low, total(*(row[name] for name in OPERANDS[0])))
        range_word(buses, "second operand is earlier", identity - row.a2 - 1, row.second_low, total(*(row[name] for name in OPERANDS[1])))
        buses.lookup("1 to 2^16 channels", RANGE16, (row.channels - 1,), layer)
        high = high_limb(row.bounds, row.low)
        for label, value in (("least result", row.low), ("greatest result", high), ("bounds are in order", high - row.low)):
            buses.lookup(label, RANGE16, (value,), layer)
        range_word(buses, "2^32 - taps limit", TWO_32 - row.products, row.room_low, layer)
        self._paths(buses, row)

    def _paths(self, buses: BusBuilder, row: Row) -> None:
        identity, x, w = row.t * QUARTER, row.x * ROW, row.w * ROW
        buses.pair("import path", IMPORT_PATH, receive=(identity, row.imported), send=(identity, 0))
        fixed = (row.t, row.loads, row.wide)
        buses.pair(
            "words path",
            WORDS_PATH,
            receive=(*fixed, row.moved, row.a2 + row.moved_bytes, row.a1, x + row.moved_stride, row.stride),
            send=(*fixed, 0, row.a2, row.a1, x, row.stride),
        )
        self._moving_paths(buses, row)
        span = high_limb(row.bounds, row.low) - row.low
        constant: dict[str, Expr] = {name: row[name] for name in ("taps", "channels", "x_stride", "w_stride", "limit")}
        constant |= {"x_tensor": row.a1, "w_tensor": row.a2, "first_w": w, "low": row.low - INT16_OFFSET, "span": span}
        tail = [constant[name] for name in CONSTANT]
        channel, cuts = row.list_start, (row.cut_above, row.cut_below)
        buses.pair(
            "tile path",
            TILE_PATH,
            receive=(identity, row.tiles, 0, row.channels, 0, x + row.x_moved, w, row.results, channel, *cuts, *tail),
            send=(identity, 0, row.linear_blocks, row.channels, row.two_blocks, x, w, 0, channel, 0, 0, *tail),
        )

    def _moving_paths(self, buses: BusBuilder, row: Row) -> None:
        identity, x, pattern = row.t * QUARTER, row.x * ROW, row.channel_list * PATTERN_ROW
        buses.pair(
            "gather path",
            GATHER_PATH,
            receive=(identity, row.gathered, row.a1, row.a2, pattern + row.gathered),
            send=(identity, 0, row.a1, row.a2, pattern),
        )
        steps = (row.w_stride, row.back, row.taps)
        buses.pair(
            "maximum path",
            MAXIMUM_PATH,
            receive=(identity, row.compared, row.taps, 1, row.a1, x + row.compared_stride, *steps),
            send=(identity, 0, row.taps, 1, row.a1, x, *steps),
        )
        offset = INT16_OFFSET + (RELATIVE_OFFSET - INT16_OFFSET) * row.relatives
        fixed = (row.x_stride, row.channel_list * ENTRY + offset, row.relatives, row.a2, row.channels)
        w = row.w * ROW
        buses.pair(
            "apply path",
            APPLY_PATH,
            receive=(identity, row.applied, row.a1, x + row.applied_stride, row.channels, w + row.relative_blocks, *fixed),
            send=(identity, 0, row.a1, x, row.channels, w, *fixed),
        )
        buses.pair(
            "digest path",
            DIGEST_PATH,
            receive=(identity, -row.digests, row.a1, x + ROW_VECTORS * row.digested, *[0] * 8),
            send=(identity, row.digested, row.a1, x, *[0] * 4, DIGEST_TAG * row.digests, row.digested, 0, 0),
        )

    def rows_of(self, call: TensorCall) -> int:
        """One a call."""
        return int(call.descriptor.operation in FLAGS.values())

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and compute both ends of the paths."""
        calls = calls_of(execution, *FLAGS.values())
        if not calls:
            return
        records = execution.ecalls[[call.ecall for call in calls]]
        fill_calls(trace, execution, records, "a0", "a1", "a2")
        trace["t_a7"][: len(calls)] = records["t_a7"]
        limits = np.array([limit_of(execution, call) for call in calls], np.int64)
        for name, values in _columns(calls, records, limits).items():
            trace[name][: len(calls)] = elements(np.asarray(values))


def limit_of(execution: Execution, call: TensorCall) -> int:
    """Of the channels that rescale the results; of an operation on nothing, or without channels, one that the bound allows."""
    constants, d = execution.image.tensors, call.descriptor
    if d.operation in IN_VECTORS:
        return d.y
    first = d.channel_list // ROW_BYTES - (0 if constants is None else constants.first_channel)
    if constants is None or d.operation not in LISTED or not d.blocks:
        return 1
    return int(constants.channels["limit"][first])


def cuts_of(calls: list[TensorCall]) -> NDArray[np.int64]:
    """(2, n): what calls cut above their bounds, and below."""
    return np.stack([call.cuts.sum(axis=0, dtype=np.int64) for call in calls], axis=1)


def list_start(call: TensorCall, second: int) -> int:
    """Key of the first channel, mod p: what is not a layer has any word there."""
    start = call.descriptor.channel_list * ROW % P + (second + 1) * TENSOR_KEYS * (call.descriptor.operation in IN_VECTORS)
    return start - P if start > P // 2 else start


def _back(words: Descriptor) -> int:
    """From the last vector that is compared to the first for the next result, mod p: where nothing is compared, taps may be any word."""
    back = (words.x_stride + words.w_stride - words.taps * words.w_stride) % P
    return back - P if back > P // 2 else back


def _columns(calls: list[TensorCall], records: NDArray[Any], limits: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    words = {name: np.array([getattr(call.descriptor, name) for call in calls], np.int64) for name in Descriptor._fields}
    flags = {name: words["operation"] == number for name, number in FLAGS.items()}
    linear, exports, moving = flags["linear"] | flags["scaled"], flags["exports"], flags["loads"] | flags["exports"]
    identity, (above, below) = np.array([call.id for call in calls], np.int64), cuts_of(calls)
    operands = [records[name].astype(np.int64) for name in ("a1", "a2")]
    first, second = (identity - operand - 1 for operand in operands)
    wide = moving & (words["channels"] == LANES)
    moved, blocks = moving * words["blocks"], linear * words["blocks"]
    stride = exports * words["x_stride"]
    applied = (flags["applies"] + flags["relatives"] * words["channels"]) * words["blocks"]
    products = words["taps"] * limits
    reads = [np.any([flags[name] for name in names], axis=0) for names in OPERANDS]
    return {
        **flags,
        **{name: words[name] for name in READ_BY},
        "wide": wide,
        "imported": flags["imports"] * words["blocks"],
        "moved": moved,
        "moved_bytes": moved * (WORD_BYTES + WIDE_BYTES * wide),
        "stride": stride,
        "moved_stride": moved * stride,
        "linear_blocks": blocks,
        "tiles": np.array([tile_count(call) for call in calls]),
        "two_blocks": blocks > 1,
        "x_moved": blocks * words["x_stride"],
        "results": blocks * words["channels"],
        **{name: flags[flag] * words["blocks"] for name, flag in MOVED},
        "applied": applied,
        "compared_stride": flags["maxima"] * words["blocks"] * words["x_stride"],
        "applied_stride": applied * words["x_stride"],
        "cut_above": above,
        "cut_below": below,
        **{f"next_a{k}": np.where(linear, count, operands[k - 1]) for k, count in ((1, above), (2, below))},
        "back": np.array([_back(call.descriptor) for call in calls], np.int64),
        "limit": limits,
        "list_start": np.array([list_start(call, int(second)) for call, second in zip(calls, records["a2"], strict=True)], np.int64),
        "products": products,
        "low": words["bounds"] % TWO_16,
        "first_low": np.where(reads[0], low16(first.view(np.uint64)), 0),
        "second_low": np.where(reads[1], low16(second.view(np.uint64)), 0),
        "room_low": np.where(linear, low16((TWO_32 - products).astype(np.uint64)), 0),
    }
