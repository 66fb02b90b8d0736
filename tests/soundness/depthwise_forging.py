"""Runs with sums over windows, and what a forger of their tables writes besides his lie. See ``tensor_forging.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import Vectors
from tests.soundness.tensor_forging import (
    FULL,
    TWO_16,
    TWO_32,
    Program,
    descriptor_word,
    export_lane,
    id_of,
    lane,
    put,
    recount,
    signed,
    vector_of,
)
from zkvm.riscv.chips.tensor.channels import TENSOR_KEYS
from zkvm.riscv.chips.tensor.depthwise import STRIPS, SUMS_OF, WEIGHTS
from zkvm.riscv.isa.tensors import DEPTHWISE, EXPORT, IMPORT, SCALED_DEPTHWISE, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, VECTORS

CALL, ROWS, RESULTS = "tensor_depthwise_call", "tensor_depthwise", "tensor_results"
X: Vectors = [[(7 * v + 3 * k) % 60 - 30 for k in range(8)] for v in range(30)]
W: Vectors = [[(5 * v + k) % 23 - 11 for k in range(8)] for v in range(36)]
X_AT, W_AT, LIST_AT = 2, 8, 3
"""Where x, the weights and the channels begin: something is before each."""
UNIT = 1 << 26
"""A multiplier by which a result is the 64th of its sum."""
FACTOR = 1 << 14
"""What makes it the 128th, of a channel in a vector whose limit is UNIT."""
SCALES: Vectors = [[8 * c, 0, FACTOR - c, 0, 0, 0, 0, 0] for c in range(9)]
LIST = [(64 * c, UNIT - c, UNIT) for c in range(9)]
X_ID, W_ID, MADE = (id_of(k) for k in range(3))
WINDOWED = 2
"""Place of the call with windows."""


def depthwise(
    blocks: int = 4,
    channels: int = 2,
    windows: int = 2,
    steps: tuple[int, int, int] = (3, 1, 2),
    *,
    scaled: bool = False,
    x: Vectors = X,
    w: Vectors = W,
    exported: Sequence[int] | None = None,
    limits: int = FULL,
    constant: bool = False,
) -> Forgery:
    """Two imports, a call with windows on both, and exports of its results, or of these. ``steps``: of windows, of the second row, of the
    third. ``constant``: the call reads constants that are the same.
    """
    step, second, third = steps
    listed = 16 * (len(w) + LIST_AT) if scaled else CHANNELS + 16 * LIST_AT
    limit = UNIT if scaled else 0
    x_at, w_at = (VECTORS, VECTORS + 16 * len(x)) if constant else (0, 0)
    words = (blocks, channels, windows, x_at + 16 * X_AT, step, w_at + 16 * W_AT, second, listed, limits, limit, third)
    own = [*w, *SCALES] if scaled else w
    out = range(blocks * channels) if exported is None else exported
    calls = [
        (Descriptor(IMPORT, len(x)), 0, 0),
        (Descriptor(IMPORT, len(own)), 0, 0),
        (Descriptor(SCALED_DEPTHWISE if scaled else DEPTHWISE, *words), *((0, 0) if constant else (X_ID, W_ID))),
        *((Descriptor(EXPORT, 1, 8, 0, 16 * index, 1), MADE, DATA + 32 * number) for number, index in enumerate(out)),
    ]
    return Program(calls, [*x, *w] if constant else [], LIST, [*x, *own], [0] * (8 * len(out))).forged()


def path_of(forged: Forgery, tensor: int = MADE) -> list[int]:
    """The rows of the call in the order of their path."""
    table = forged.tables[ROWS]
    rows = [row for row in range(table.used) if forged.cell(ROWS, row, "tensor") == tensor]
    return sorted(rows, key=lambda row: (forged.cell(ROWS, row, "index"), -forged.cell(ROWS, row, "left")))


@dataclass(frozen=True)
class Step:
    """A row of a path: its flags, and how many windows and channels its last one says that the next has; None: all."""

    last: int = 1
    end: int = 0
    real: int = 1
    windows: int | None = None
    channels: int | None = None


def walk(forged: Forgery, steps: Sequence[Step], *, tensor: int = MADE) -> None:
    """Another path of the call: rows read where their cells say, sums and results follow, and are read by everybody.

    The end of the path is where the call says if the steps lead there.
    """
    rows = path_of(forged, tensor)
    honest = rows[0]
    index, left, channels_left = (signed(forged.cell(ROWS, honest, name)) for name in ("index", "left", "channels_left"))
    windows, channels = (forged.cell(ROWS, honest, name) for name in ("windows", "channels"))
    rows += [forged.copy_row(ROWS, honest) for _ in steps[len(rows) :]]
    made: list[tuple[int, int, int]] = []
    for row, step in zip(rows, steps, strict=False):
        renewed = step.last * (windows if step.windows is None else step.windows)
        back = step.end * (channels if step.channels is None else step.channels)
        cells = {"index": index, "left": left, "channels_left": channels_left, "renewed": renewed, "back": back}
        forged.write(ROWS, row, real=step.real, last=step.last, end=step.end, **cells)
        channel = forged.cell(ROWS, row, "channel_end") - channels_left
        made += [(index + block + number, index + block, channel + number) for block in (0, channels) for number in range(step.last)]
        index, left, channels_left = index + step.last + back, left - step.real + renewed, channels_left - step.last + back
    for row in rows[len(steps) :]:
        forged.erase(ROWS, row)
    for row in rows[: len(steps)]:
        forged.write(
            ROWS,
            row,
            x_left=signed(forged.cell(ROWS, row, "left")) * forged.cell(ROWS, row, "x_step"),
            w_left=signed(forged.cell(ROWS, row, "channels_left")) * windows,
        )
        read(forged, row)
    results(forged, made, tensor)


def results(forged: Forgery, made: Sequence[tuple[int, int, int]], tensor: int = MADE) -> None:
    """The results of a call: of each the index, the number of its sum, and the key of its channel. One that is not
    the first of its sum takes what is nobody's: 0.
    """
    table = forged.tables[RESULTS]
    own = [row for row in range(table.used) if forged.cell(RESULTS, row, "tensor") == tensor]
    own += [forged.copy_row(RESULTS, own[0]) for _ in made[len(own) :]]
    for row in own[len(made) :]:
        forged.erase(RESULTS, row)
    for row, (index, tile, channel) in zip(own, made, strict=False):
        place = index - tile
        forged.write(RESULTS, row, index=index, tile=tile, **channel_at(forged, channel))
        forged.write(RESULTS, row, **{f"low{k}": int(k == place) for k in range(4)})
    follow(forged, tensor)


def channel_at(forged: Forgery, key: int) -> dict[str, int]:
    """The cells of the channel with this key, of the image or of the second import."""
    number = key - CHANNELS // 16 if key < TENSOR_KEYS else key % TENSOR_KEYS - len(W)
    bias, multiplier = LIST[number][:2]
    if key >= TENSOR_KEYS:
        vector = SCALES[number]
        bias, multiplier = vector[0] * 2**14 // (UNIT >> 15), vector[2] * (UNIT >> 15)
    return {"channel": key, "bias": bias, "multiplier": multiplier}


def read(forged: Forgery, row: int) -> None:
    """Let a row hold the vectors that it names, of imports, and their sums; one that is not real holds zeros."""
    real = forged.cell(ROWS, row, "real")
    cell = {name: signed(forged.cell(ROWS, row, name)) for name in ("x_tensor", "w_tensor", "index", "channels", "left")}
    x_at = signed(forged.cell(ROWS, row, "x_end")) + cell["index"] - signed(forged.cell(ROWS, row, "x_left"))
    w_at = signed(forged.cell(ROWS, row, "w_end")) - 2 * (signed(forged.cell(ROWS, row, "w_left")) + cell["left"])
    for stems, name in zip(STRIPS, ("", "second", "third"), strict=True):
        offset = signed(forged.cell(ROWS, row, name)) if name else 0
        for number, stem in enumerate(stems):
            put(forged, ROWS, row, stem, held(forged, cell["x_tensor"], x_at + offset + number * cell["channels"]) if real else [0] * 8)
    for number, stem in enumerate(WEIGHTS):
        put(forged, ROWS, row, stem, held(forged, cell["w_tensor"], w_at + number) if real else [0] * 8)
    add_up(forged, row)


def held(forged: Forgery, tensor: int, index: int) -> list[int]:
    """A vector that an import, or a call with results, has made."""
    chip = next(chip for chip in ("tensor_import", RESULTS) if tensor in forged[f"{chip}.tensor"][: forged.tables[chip].used])
    return vector_of(forged, chip, forged.row(chip, tensor=tensor, index=index), "x")


def add_up(forged: Forgery, row: int) -> None:
    """Let the sums of a row be those of what it holds."""
    strips = [sum((vector_of(forged, ROWS, row, stem) for stem in stems), []) for stems in STRIPS]
    weights = sum((vector_of(forged, ROWS, row, stem) for stem in WEIGHTS), [])
    sums = [sum(strips[r][k + tap] * weights[5 * r + tap] for r in range(3) for tap in range(5)) for k in range(16)]
    for number, stem in enumerate(SUMS_OF):
        put(forged, ROWS, row, stem, sums[8 * number :][:8])


def follow(forged: Forgery, tensor: int = MADE) -> None:
    """Let results be those of the sums that rows have, and everybody read them; of two of one sum the last has all of it."""
    sums: dict[int, list[int]] = {}
    table = forged.tables[ROWS]
    for row in range(table.active):
        if forged.cell(ROWS, row, "tensor") == tensor:
            index = signed(forged.cell(ROWS, row, "index"))
            for stem, key in zip(SUMS_OF, (index, index + forged.cell(ROWS, row, "channels")), strict=True):
                added = vector_of(forged, ROWS, row, stem)
                sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 8), added, strict=True)]
    made = [row for row in range(forged.tables[RESULTS].used) if forged.cell(RESULTS, row, "tensor") == tensor]
    last = {signed(forged.cell(RESULTS, row, "tile")): row for row in made if forged.cell(RESULTS, row, "low0")}
    for row in made:
        tile = signed(forged.cell(RESULTS, row, "tile"))
        own = sums.get(tile, [0] * 8) if last.get(tile) == row else [0] * 8
        for k in range(8):
            export_lane(forged, tensor, forged.cell(RESULTS, row, "index"), k, lane(forged, row, k, own[k]))
    recount(forged, tensor)


def everywhere(forged: Forgery, call: int = 0, tensor: int = MADE, **cells: int) -> None:
    """A call and all its rows say something else; they read what they then name, and everything follows."""
    forged.write(CALL, call, **{name: value for name, value in cells.items() if name in forged.tables[CALL].chip.main})
    for row in path_of(forged, tensor):
        forged.write(ROWS, row, **{name: value for name, value in cells.items() if name in forged.tables[ROWS].chip.main})
        read(forged, row)
    follow(forged, tensor)


def bounded(forged: Forgery, word: int, lent: int = 0) -> None:
    """The image has other bounds, and the call splits their word, so many of the upper half's units counted with the lower half."""
    low, high = word % TWO_16 + lent * TWO_16, word // TWO_16 - lent
    descriptor_word(forged, WINDOWED, 9, word)
    forged.write(CALL, 0, bounds=word, low=low)
    for chip in (ROWS, RESULTS):
        for row in range(forged.tables[chip].used):
            if forged.cell(chip, row, "tensor") == MADE:
                forged.write(chip, row, low=low - (1 << 15), span=high - low)
    follow(forged)


def too_many_windows(products: int, room_low: int | None = None) -> Forgery:
    """A limit that leaves no room for sums of 15 products, of private channels: nothing has to wrap for it, all elements are zero."""
    limit = 1 << 29
    forged = depthwise(scaled=True, x=[[0] * 8] * len(X))
    descriptor_word(forged, WINDOWED, 10, limit)
    room_low = (TWO_32 - products) % TWO_16 if room_low is None else room_low
    forged.write(CALL, 0, limit=limit, products=products, room_low=room_low)
    for row in path_of(forged):
        forged.write(ROWS, row, limit=limit)
    for row in range(forged.tables["tensor_channels"].used):
        low, factor = (signed(forged.cell("tensor_channels", row, name)) for name in ("bias_low", "factor"))
        forged.write("tensor_channels", row, scale=limit >> 15, step=1, bias=low, multiplier=factor * (limit >> 15))
        key = (W_ID + 1) * TENSOR_KEYS + forged.cell("tensor_channels", row, "index")
        for result in range(forged.tables[RESULTS].used):
            if forged.cell(RESULTS, result, "channel") == key:
                forged.write(RESULTS, result, bias=low, multiplier=factor * (limit >> 15), limit=limit)
    follow(forged)
    return forged
