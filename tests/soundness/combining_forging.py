"""Runs with elementwise products, and what a forger of their tables writes besides his lie. See ``tensor_forging.py``."""

from __future__ import annotations

from collections.abc import Sequence

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import Vectors
from tests.soundness.tensor_forging import (
    FULL,
    QUARTER,
    TWO_16,
    TWO_32,
    Program,
    descriptor_word,
    export_lane,
    id_of,
    lane,
    put,
    recount,
    results_row,
    signed,
    vector_of,
)
from zkvm.riscv.isa.tensors import COMBINE, EXPORT, IMPORT, MULTIPLY, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, VECTORS

CALL, ROWS = "tensor_combine_call", "tensor_combine"
FIRST: Vectors = [[(7 * v + 3 * k) % 60 - 30 for k in range(8)] for v in range(10)]
SECOND: Vectors = [[(11 * v + 5 * k) % 40 - 20 for k in range(8)] for v in range(10)]
FACTORS: Vectors = [[(5 * v + k) % 9 - 4 for k in range(8)] for v in range(12)]
FIRST_ID, SECOND_ID, MADE = (id_of(k) for k in range(3))
COMBINED = 2
"""Place of the elementwise call."""
TERMS = "xwyv"


def combining(
    operation: int = COMBINE,
    blocks: int = 2,
    channels: int = 3,
    weight: int = 3,
    strides: tuple[int, int, int] = (4, 1, 3),
    steps: int = 2,
    second: Vectors = SECOND,
    limits: int = FULL,
    constant: bool = False,
) -> Forgery:
    """Two imports, an elementwise call on both, or on constants, and an export of its result, a quarter of the sums."""
    x_stride, y_stride, w_stride = strides
    start, x = 0 if operation == MULTIPLY else VECTORS, 16 + constant * VECTORS
    words = (blocks, channels, weight, x, x_stride, start, w_stride, CHANNELS + 16, limits, x, y_stride, start + 16, steps)
    count = blocks * channels
    calls = [
        (Descriptor(IMPORT, len(FIRST)), 0, 0),
        (Descriptor(IMPORT, len(second)), 0, 0),
        (Descriptor(operation, *words), *((0, 0) if constant else (FIRST_ID, SECOND_ID))),
        (Descriptor(EXPORT, count, 8, 0, 0, 1), MADE, DATA),
    ]
    return Program(calls, FACTORS, [(0, QUARTER, QUARTER)] * (channels + 2), FIRST + second, [0] * (8 * count)).forged()


def path_of(forged: Forgery, tensor: int = MADE) -> list[int]:
    """The rows of the call in the order of their path."""
    table = forged.tables[ROWS]
    rows = [row for row in range(table.used) if forged.cell(ROWS, row, "real") and forged.cell(ROWS, row, "tensor") == tensor]
    return sorted(rows, key=lambda row: forged.cell(ROWS, row, "index"))


def result(forged: Forgery, index: int, sums: Sequence[int], tensor: int = MADE) -> None:
    """A result takes these sums; exports write it."""
    row = results_row(forged, index, tensor)
    for k, value in enumerate(sums):
        export_lane(forged, tensor, index, k, lane(forged, row, k, value))
    recount(forged, tensor)


def follow(forged: Forgery, rows: Sequence[int] | None = None) -> None:
    """Let the sums be those of the terms that the rows hold, and results those of the sums."""
    for row in path_of(forged) if rows is None else rows:
        weight = forged.cell(ROWS, row, "weight")
        x, w, y, v = (vector_of(forged, ROWS, row, stem) for stem in TERMS)
        sums = [a * b + weight * c * d for a, b, c, d in zip(x, w, y, v, strict=True)]
        put(forged, ROWS, row, "u", sums)
        result(forged, forged.cell(ROWS, row, "index"), sums, forged.cell(ROWS, row, "tensor"))


def read(forged: Forgery, row: int) -> None:
    """Let a row hold the vectors that it names, of imports or of constants."""
    held = {0: FACTORS, FIRST_ID: FIRST, SECOND_ID: SECOND}
    for stem, name in zip(TERMS, ("x_tensor", "factors", "y_tensor", "factors"), strict=True):
        tensor = forged.cell(ROWS, row, name)
        at = signed(forged.cell(ROWS, row, stem)) - (VECTORS // 16 if tensor == 0 else 0)
        put(forged, ROWS, row, stem, held[tensor][at])


def everywhere(forged: Forgery, call: int = 0, tensor: int = MADE, **cells: int) -> None:
    """An elementwise call and all its rows say something else; its results follow."""
    forged.write(CALL, call, **{name: value for name, value in cells.items() if name in forged.tables[CALL].chip.main})
    for row in path_of(forged, tensor):
        forged.write(ROWS, row, **{name: value for name, value in cells.items() if name in forged.tables[ROWS].chip.main})
        read(forged, row)
    follow(forged, path_of(forged, tensor))


def bounded(forged: Forgery, word: int, lent: int = 0) -> None:
    """The image has other bounds, and the call splits their word, so many of the upper half's units counted with the lower half."""
    low, high = word % TWO_16 + lent * TWO_16, word // TWO_16 - lent
    descriptor_word(forged, COMBINED, 9, word)
    forged.write(CALL, 0, bounds=word, low=low)
    for row in path_of(forged):
        results = results_row(forged, forged.cell(ROWS, row, "index"), MADE)
        for chip, at in ((ROWS, row), ("tensor_results", results)):
            forged.write(chip, at, low=low - (1 << 15), span=high - low)
    follow(forged)


def too_large_a_weight(products: int, room_low: int | None = None) -> Forgery:
    """A weight of 2^32 - 1. Nothing has to wrap for it: all second elements are zero."""
    forged = combining(second=[[0] * 8] * len(SECOND))
    descriptor_word(forged, COMBINED, 3, TWO_32 - 1)
    room_low = (TWO_32 - products) % TWO_16 if room_low is None else room_low
    forged.write(CALL, 0, weight=TWO_32 - 1, products=products, room_low=room_low)
    for row in path_of(forged):
        forged.write(ROWS, row, weight=TWO_32 - 1)
    return forged


STEPPING = ("last", "channels", "x_jump", "y_step", "y_jump", "w_step", "w_jump")


def walk(forged: Forgery) -> None:
    """Let the operands of a call move as the constants of each of its rows say, and everything follow."""
    rows = path_of(forged)
    at = {name: signed(forged.cell(ROWS, rows[0], name)) for name in (*TERMS, "left", "channel")}
    for row in rows:
        cell = {name: signed(forged.cell(ROWS, row, name)) for name in STEPPING}
        last, back = cell["last"], cell["last"] * cell["channels"]
        moved = {name: cell.get(f"{name}_step", 1) + last * cell[f"{name}_jump"] for name in "xyw"}
        forged.write(ROWS, row, **at, back=back, **{f"next_{name}": at[name] + moved[name] for name in "xyw"})
        forged.write("tensor_results", results_row(forged, forged.cell(ROWS, row, "index"), MADE), channel=at["channel"])
        at |= {name: at[name] + moved[name] for name in "xyw"} | {"v": at["v"] + moved["w"]}
        at |= {"left": at["left"] - 1 + back, "channel": at["channel"] + 1 - back}
        read(forged, row)
    follow(forged)


def lay_out(forged: Forgery, shape: Sequence[tuple[int, int]], *, idle: int | None = None) -> None:
    """Another path: how many rows each block has, and how many channels its last row says that the next has.

    Operands move as the constants of the rows say, counted by rows and blocks. ``idle``: the last row of that block is not real.
    """
    rows = iter(path_of(forged))
    first = next(rows)
    fixed = {name: signed(forged.cell(ROWS, first, name)) for name in ("x_jump", "y_step", "y_jump", "w_step", "w_jump", "channels")}
    at = {name: signed(forged.cell(ROWS, first, name)) for name in (*TERMS, "index", "left", "channel")}
    used: list[int] = []
    for block, (count, following) in enumerate(shape):
        for number in range(count):
            last = number == count - 1
            real = int(not (last and block == idle))
            row = first if not used else next(rows) if real else forged.copy_row(ROWS, first)
            back = following * last
            moved = {"x": real + last * fixed["x_jump"]} | {n: real * fixed[f"{n}_step"] + last * fixed[f"{n}_jump"] for n in "yw"}
            forged.write(ROWS, row, real=real, last=int(last), back=back, **at, **{f"next_{n}": at[n] + moved[n] for n in "xyw"})
            if real:
                channel = signed(forged.cell(ROWS, row, "channel"))
                forged.write("tensor_results", results_row(forged, at["index"], MADE), channel=channel)
                used.append(row)
            else:
                for stem in (*TERMS, "u"):
                    put(forged, ROWS, row, stem, [0] * 8)
            at |= {n: at[n] + moved[n] for n in "xyw"} | {"v": at["v"] + moved["w"]}
            at |= {"index": at["index"] + real, "left": at["left"] - real + back, "channel": at["channel"] + real - back}
    for row in used:
        read(forged, row)
    follow(forged, used)
