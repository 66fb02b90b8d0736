"""A toy machine with sums: Y = X W for two constant matrices, proven by tiles of 8 positions by 4 channels.

A `mac` row multiplies the 8 positions of a tile by its 4 channels at one tap. The two halves of its positions meet, each under a key of its
own, with the `out` rows, which hold 4 results each: lane i of channel p at the power i + 41 p of beta. The verifier closes both paths of
every tile, and knows the results. `echo` rows add vectors to another sum, and take them away again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.builder import AirBuilder, Argument, Bus, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.expression import Expr
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Closing, Table, closing
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import EXEMPT_MAX, Parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover import tapes
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed
from zkvm.stark.tables import build_tables

I64 = NDArray[np.int64]
LANES, CHANNELS, TAPS = 4, 4, 5
ROWS, COLUMNS = 16, 8
TILES_DOWN, TILES_ACROSS = ROWS // (2 * LANES), COLUMNS // CHANNELS
TABLE_ROWS = (1 << 15) - EXEMPT_MAX
MAX_ROWS = (1 << 28) - (1 << 8)
CHANNEL_STEP = 41
"""Lane i of channel p stands at the power i + 41 p of beta: the largest is 126."""

TAP = Bus("tap", 1, 4, Argument.PRODUCT, "(tile, tap, vector of X, vector of W)")
OUTPUT = Bus("output", 2, 3, Argument.PRODUCT, "(tile, half, channel)")
VECTOR = Bus("vector", 3, 2 + LANES, Argument.LOGUP, "(matrix, number, 4 values)")
RESULT = Bus("result", 4, 3 + LANES, Argument.LOGUP, "(tile, half, channel, 4 values)")
SUMS = Bus("tile sums", 5, 2, Argument.SUM, "(tile, half)", power=127)
ECHOES = Bus("echoes", 6, 2, Argument.SUM, "(tile, half)", power=127)


def lanes(name: str) -> list[str]:
    """Names of a vector's columns."""
    return [f"{name}{lane}" for lane in range(LANES)]


def vector(row: Row, name: str, step: int = 1) -> list[tuple[int, Expr]]:
    """A vector's columns with their powers of beta."""
    return [(step * lane, row[column]) for lane, column in enumerate(lanes(name))]


class MacChip(Chip):
    """One tap of a tile."""

    name = "mac"
    columns = Columns(
        real=bit("row is used"), tile=cell("number of the tile"), tap=cell("number of the tap"),
        x=cell("vector of X"), w=cell("vector of W"),
        **{column: cell(f"value of {column[0]}") for name in "abc" for column in lanes(name)},
    )  # fmt: skip

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("real is boolean", row.real)
        for column in lanes("c"):
            air.assert_zero(f"a padding row multiplies by nothing: {column}", (1 - row.real) * row[column])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        here = (row.tile, row.tap, row.x, row.w)
        buses.pair("tap", TAP, receive=here, send=(here[0], *(value + row.real for value in here[1:])))
        for name, matrix, number in (("a", 0, row.x), ("b", 0, row.x + TAPS), ("c", 1, row.w)):
            buses.lookup(f"vector {name}", VECTOR, (matrix, number, *(row[column] for column in lanes(name))), row.real)
        for half, name in enumerate("ab"):
            buses.contribute(f"products of half {half}", SUMS, (row.tile, half), vector(row, name), vector(row, "c", CHANNEL_STEP))

    def rows(self, execution: None) -> int:
        return TILES_DOWN * TILES_ACROSS * TAPS

    def fill(self, execution: None, trace: Trace) -> None:
        for tile, (down, across) in enumerate(np.ndindex(TILES_DOWN, TILES_ACROSS)):
            for tap in range(TAPS):
                at, x, w = TAPS * tile + tap, 2 * down * TAPS + tap, across * TAPS + tap
                for name, value in (("real", 1), ("tile", tile), ("tap", tap), ("x", x), ("w", w)):
                    trace[name][at] = value
                for name, (matrix, number) in {"a": (0, x), "b": (0, x + TAPS), "c": (1, w)}.items():
                    for column, value in zip(lanes(name), vectors()[matrix][number], strict=True):
                        trace[column][at] = value


class OutChip(Chip):
    """Four results of one channel of a tile. Its channel is also two groups of flags, so that its power of beta has degree 2."""

    name = "out"
    columns = Columns(
        real=bit("row is used"), tile=cell("number of the tile"), half=cell("half of the tile's positions"), channel=cell("channel"),
        high0=bit("channel is 0 or 1"), high1=bit("channel is 2 or 3"), low0=bit("channel is even"), low1=bit("channel is odd"),
        **{column: cell("result") for column in lanes("y")},
    )  # fmt: skip

    def constraints(self, air: AirBuilder, row: Row) -> None:
        for name in ("real", "high0", "high1", "low0", "low1"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.assert_equal("one high flag", row.high0 + row.high1, row.real)
        air.assert_equal("one low flag", row.low0 + row.low1, row.real)
        air.when(row.real).assert_equal("the flags are the channel", 2 * row.high1 + row.low1, row.channel)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        results = [row[column] for column in lanes("y")]
        here = (row.tile, row.half, row.channel)
        buses.pair("output", OUTPUT, receive=here, send=(row.tile, row.half, row.channel + row.real))
        buses.lookup("result", RESULT, (*here, *results), row.real)
        high, low = [(0, row.high0), (2 * CHANNEL_STEP, row.high1)], [(0, row.low0), (CHANNEL_STEP, row.low1)]
        buses.contribute("results", SUMS, (row.tile, row.half), high, low, [(lane, -value) for lane, value in enumerate(results)])

    def rows(self, execution: None) -> int:
        return len(result_tuples(product()))

    def fill(self, execution: None, trace: Trace) -> None:
        for at, (tile, half, channel, *values) in enumerate(result_tuples(product())):
            cells = {"real": 1, "tile": tile, "half": half, "channel": channel, f"high{channel // 2}": 1, f"low{channel % 2}": 1}
            for name, value in (cells | dict(zip(lanes("y"), values, strict=True))).items():
                trace[name][at] = value


class EchoChip(Chip):
    """Adds a vector to a sum of its own and takes one away; a flag as a factor mutes its padding."""

    name = "echo"
    columns = Columns(
        real=bit("row is used"), tile=cell("number of the tile"),
        **{column: cell(f"value of {column[0]}") for name in "sr" for column in lanes(name)},
    )  # fmt: skip
    bus = ECHOES

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("real is boolean", row.real)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        for label, name, sign in (("call", "s", 1), ("echo", "r", -1)):
            buses.contribute(label, self.bus, (row.tile, 0), [(0, row.real * sign)], vector(row, name))

    def rows(self, execution: None) -> int:
        return TILES_DOWN * TILES_ACROSS

    def fill(self, execution: None, trace: Trace) -> None:
        count = self.rows(execution)
        trace["real"][:count], trace["tile"][:count] = 1, np.arange(count)
        for number, (call, echo) in enumerate(zip(lanes("s"), lanes("r"), strict=True)):
            trace[call][:count] = trace[echo][:count] = 100 * number + np.arange(count)


class VectorsChip(Chip):
    """The vectors of both matrices."""

    name = "vectors"
    mandatory = True
    columns = Columns(multiplicity=cell("times asked"))
    preprocessed = Columns(
        used=bit("entry"), matrix=cell("0: X, 1: W"), number=cell("of the vector"), **{column: cell("value") for column in lanes("v")}
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        pass

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        values = [row[column] for column in lanes("v")]
        buses.serve("entry", VECTOR, (row.matrix, row.number, *values), row.multiplicity * row.used)

    def rows(self, execution: None) -> int:
        return TABLE_ROWS

    def fill(self, execution: None, trace: Trace) -> None:
        pass

    def preprocessed_rows(self, image: object) -> int:
        return TABLE_ROWS

    def fill_preprocessed(self, image: object, trace: Trace) -> None:
        rows = [(1, matrix, number, *values) for matrix, own in enumerate(vectors()) for number, values in enumerate(own.tolist())]
        for name, column in zip(self.preprocessed, zip(*rows, strict=True), strict=True):
            trace[name][: len(rows)] = column

    def serve_row(self, image, bus, values):  # type: ignore[no-untyped-def]
        rows = {(matrix, number): row for row, (matrix, number) in enumerate((m, n) for m in (0, 1) for n in range(len(vectors()[m])))}
        asked = list(zip(*(column.tolist() for column in values), strict=True))
        where = np.array([rows.get(own[:2], 0) for own in asked], np.int64)
        inside = [own[:2] in rows and vectors()[own[0]][own[1]].tolist() == list(own[2:]) for own in asked]
        return [("multiplicity", where, np.array(inside, bool))]


TILES = Machine("tiles", (MacChip(), OutChip(), EchoChip(), VectorsChip()), MAX_ROWS)


@cache
def matrices() -> tuple[I64, I64]:
    """X and W, small and of both signs."""
    rng = np.random.default_rng(7)
    return rng.integers(-99, 100, (ROWS, TAPS)), rng.integers(-99, 100, (TAPS, COLUMNS))


def product() -> I64:
    """Y = X W."""
    x, w = matrices()
    return x @ w


@cache
def vectors() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Vector ``block TAPS + tap`` of each matrix holds the 4 positions, or channels, of a block at a tap."""
    x, w = matrices()
    blocks = (x.reshape(-1, LANES, TAPS).transpose(0, 2, 1), w.T.reshape(-1, CHANNELS, TAPS).transpose(0, 2, 1))
    first, second = (np.mod(own.astype(object), P).astype(np.uint64).reshape(-1, LANES) for own in blocks)
    return first, second


def result_tuples(result: I64) -> list[tuple[int, ...]]:
    """What the verifier serves if it is told that this is the product: (tile, half, channel, 4 values)."""
    tuples = []
    for tile, (down, across) in enumerate(np.ndindex(TILES_DOWN, TILES_ACROSS)):
        for half, channel in np.ndindex(2, CHANNELS):
            first = LANES * (2 * down + half)
            values = result[first : first + LANES, CHANNELS * across + channel]
            tuples.append((tile, half, channel, *(value % P for value in values.tolist())))
    return tuples


def closings_of(result: I64) -> tuple[Closing, ...]:
    """The ends of all paths, and the results."""
    tiles = list(enumerate(np.ndindex(TILES_DOWN, TILES_ACROSS)))
    heads = [(tile, 0, 2 * down * TAPS, across * TAPS) for tile, (down, across) in tiles]
    halves = [(tile, half) for tile, _ in tiles for half in range(2)]
    return (
        closing(TAP, *heads, sent=True),
        closing(TAP, *((tile, *(value + TAPS for value in rest)) for tile, *rest in heads), sent=False),
        closing(OUTPUT, *((*own, 0) for own in halves), sent=True),
        closing(OUTPUT, *((*own, CHANNELS) for own in halves), sent=False),
        closing(RESULT, *result_tuples(result), sent=True),
    )


@cache
def committed(blowup: int) -> Preprocessed:
    """The vectors: the same for all machines that differ in other chips only."""
    return commit_preprocessed(TILES, preprocess(TILES, None), blowup)


def tile_statement(chosen: Parameters, result: I64 | None = None) -> Statement:
    """The product is ``result``; None: it is what it is."""
    claimed = product() if result is None else result
    fields = (("result", np.mod(claimed, 1 << 32).astype("<u4").tobytes()),)
    return Statement(fields, (0, 0, 0, 1 << 15), committed(chosen.blowup).root, closings_of(claimed))


def tile_tables(chosen: Parameters, machine: Machine = TILES) -> dict[str, Table]:
    """Honest tables by name."""
    tables: Sequence[Table] = build_tables(machine, None, None, chosen.exempt, evaluate=tapes.evaluate_columns)
    return {table.chip.name: table for table in tables}
