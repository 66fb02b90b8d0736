"""Runs that make tensor calls, and what a forger of their tables writes besides his lie: limbs, words in memory, everything that reads.

Every call takes eight instructions, so that its id is known before the run: call k has the id 8 (k + 1).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tests.forge import Forgery, forgery
from tests.riscv.vm.tensor_programs import Vectors, bounds, channel_bytes, vector_bytes
from zkvm.riscv.chips.tensor.lanes import ROW
from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.calls import TENSOR
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LINEAR, Descriptor
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import CHANNELS, DATA, EXIT, RODATA, VECTORS, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

A0, A1, A2, A7 = (opcodes.REGISTER_BASE + number for number in (10, 11, 12, 17))
TWO_16, TWO_32 = 1 << 16, 1 << 32
HALF = 1 << 31
DESCRIPTOR_BYTES = 64
CALL_INSTRUCTIONS = 8
FULL = bounds(-(2**15), 2**15 - 1)
RESULTS = "tensor_results"
CUTTING = {
    "tensor_call": ("linear", "scaled"),
    "tensor_combine_call": ("combines", "multiplies"),
    "tensor_depthwise_call": ("listed", "scaled"),
}
"""Calls that rescale: the flags of their operations."""
END: tuple[Item, ...] = (("li", "a0", 0), *EXIT)
QUARTER = 1 << 30
"""A multiplier by which a result is a quarter of its sum."""

Call = tuple[Descriptor, int, int]
"""Descriptor, a1, a2."""


def id_of(call: int) -> int:
    """Id of the call at a place."""
    return CALL_INSTRUCTIONS * (call + 1)


@dataclass(frozen=True)
class Program:
    """Calls, and what they read."""

    calls: Sequence[Call]
    vectors: Vectors = field(default_factory=list)
    channels: Sequence[tuple[int, int, int]] = ()
    imported: Vectors = field(default_factory=list)
    ram: Sequence[int] = ()
    patterns: Vectors = field(default_factory=list)
    entries: Sequence[int] = ()
    last: Sequence[Item] = ()
    """Instructions before those of the last call."""
    ending: Sequence[Item] = END
    """Instructions behind the calls."""
    wide: bool = False
    """Whether whole fours of tiles are proven together."""
    given: bytes = b""
    """Private input before the imported vectors."""

    def forged(self) -> Forgery:
        """The honest tables of its run."""
        return forgery(self.executed())

    def executed(self) -> Execution:
        """Its run."""
        items: list[Item] = []
        for number, (_, first, second) in enumerate(self.calls):
            items += self.last if number == len(self.calls) - 1 else ()
            items += [("la", "a0", RODATA + DESCRIPTOR_BYTES * number), ("li", "a1", first)]
            items += [("li", "a2", second)] if second >= 2048 else [("nop",), ("li", "a2", second)]
            items += [("li", "a7", TENSOR.number), ("ecall",)]
        rodata = b"".join(struct.pack("<14I", *descriptor).ljust(DESCRIPTOR_BYTES, b"\0") for descriptor, _, _ in self.calls)
        ram = struct.pack(f"<{len(self.ram)}i", *self.ram)
        vectors, channels = vector_bytes(self.vectors), channel_bytes(self.channels)
        patterns = b"".join(struct.pack("<8I", *row) for row in self.patterns)
        functions = struct.pack(f"<{len(self.entries)}h", *self.entries)
        image = assemble(
            [*items, *self.ending],
            rodata=rodata,
            data=ram,
            vectors=vectors,
            channels=channels,
            patterns=patterns,
            functions=functions,
        )
        run = execute(image, self.given + vector_bytes(self.imported))
        return replace(run, tensor_calls=tuple(replace(call, wide=self.wide) for call in run.tensor_calls))


def layer(
    blocks: int = 2,
    channels: int = 9,
    taps: int = 2,
    *,
    low: int = -(2**15),
    high: int = 2**15 - 1,
    listed: Sequence[tuple[int, int, int]] = (),
    x: Vectors | None = None,
    w: Vectors | None = None,
) -> Program:
    """Import, a layer of that shape, and an export of all its results; without ``listed`` they are a quarter of the sums."""
    given = [[(17 * v + 5 * k) % 90 - 45 for k in range(8)] for v in range(blocks * taps)] if x is None else x
    halves = -(-channels // 8)
    weights = [[(13 * v + 7 * k) % 50 - 25 if 8 * (v // taps) + k < channels else 0 for k in range(8)] for v in range(halves * taps)]
    linear = Descriptor(LINEAR, blocks, channels, taps, 0, taps, VECTORS, taps, CHANNELS, bounds(low, high))
    count = blocks * channels
    calls = [(Descriptor(IMPORT, len(given)), 0, 0), (linear, id_of(0), 0), (Descriptor(EXPORT, count, 8, 0, 0, 1), id_of(1), DATA)]
    return Program(calls, weights if w is None else w, listed or [(0, QUARTER, QUARTER)] * channels, given, [0] * (8 * count))


IMPORTED, LAYER, EXPORTED = (id_of(k) for k in range(3))
"""Ids of the calls of :func:`layer`."""


def signed(value: int) -> int:
    """A field element between -p / 2 and p / 2."""
    return value - P if value > P // 2 else value


# --- forging -------------------------------------------------------------------------------------------------------------------------


def operand(forged: Forgery, call: int, register: int, value: int, before: int = 0) -> None:
    """The program loads another constant into a0, a1 or a2 before a call, and the call reads it.

    ``before``: instructions before those of the calls up to this one.
    """
    time = opcodes.FIRST_TIME + opcodes.TIME_STEP * (CALL_INSTRUCTIONS * call + before + {A0: 1, A1: 2, A2: 4}[register])
    row = forged.row("add_immediate", t=time)
    assert forged.cell("add_immediate", row, "rd") == register
    imm = (value - forged.cell("add_immediate", row, "v1")) % TWO_32
    forged.program(forged.cell("add_immediate", row, "pc"), imm=imm)
    written = time + opcodes.TIME_STEP - 1
    forged.write("add_immediate", row, imm=imm, vd=value, vd_low=value % TWO_16)
    forged.spread(register, written, value)


def apart(forged: Forgery, chip: str, row: int, name: str, value: int | None = None) -> int:
    """A call reads in a register what it leaves there, ``value``, and everybody else passes it by; when the register was written."""
    time, before = forged.cell(chip, row, "t"), forged.cell(chip, row, f"t_{name}")
    register = {"a1": A1, "a2": A2, "a7": A7}[name]
    if name in ("a1", "a2"):  # what others find there is what was there before the call
        forged.spread(register, time, forged.cell(chip, row, name))
    forged.follow(register, time, before)
    forged.write(chip, row, **{f"t_{name}": time})
    if value is not None:
        forged.write(chip, row, **{name: value} | ({f"next_{name}": value} if chip == "tensor_call" else {}))
    return before


def descriptor_word(forged: Forgery, call: int, number: int, value: int) -> None:
    """The image has another descriptor: the forged run is one of that program."""
    values = forged.image.rom_value.copy()
    place = int(np.flatnonzero(forged.image.rom_address == RODATA + DESCRIPTOR_BYTES * call + 4 * number)[0])
    values[place] = value
    forged.image = replace(forged.image, rom_value=values)
    forged[f"rom.value_{place % 2}"][place // 2] = value


def list_at(forged: Forgery, row: int, address: int) -> None:
    """A call says another address of its channels, its pattern or its function."""
    forged.write("tensor_call", row, channel_list=address, list_start=address * ROW)


def lane(forged: Forgery, row: int, k: int, total: int | None = None, flag: str = "") -> int:
    """Rescale a lane of a row of results, of another sum if one is given; by a flag, even if it is false. Returns the result.

    Limbs are those of the right side mod p, the top one as large as it has to be.
    """
    bias, multiplier, low, span = (signed(forged.cell("tensor_results", row, name)) for name in ("bias", "multiplier", "low", "span"))
    total = signed(forged.cell("tensor_results", row, f"sum{k}")) if total is None else total
    scaled = (total + bias) * multiplier + HALF
    quotient = scaled >> 32
    flag = flag or ("above" if quotient > low + span else "below" if quotient < low else "none")
    rest = {"above": scaled - (low + span + 1) * TWO_32, "below": low * TWO_32 - 1 - scaled}.get(flag, scaled - low * TWO_32)
    top = rest >> 32 if flag == "none" else rest % P >> 32
    x = {"above": low + span, "below": low}.get(flag, low + top)
    u, v = (top, span - top) if flag == "none" else (top % (1 << 15), top >> 15)
    s, r = (rest % P if flag != "none" else rest) % TWO_32 // TWO_16, (rest % P if flag != "none" else rest) % TWO_16
    cells = {"sum": total, "u": u, "v": v, "s": s, "r": r, "above": int(flag == "above"), "below": int(flag == "below"), "x": x}
    forged.write("tensor_results", row, **{f"{name}{k}": value for name, value in cells.items()})
    return x


def results_row(forged: Forgery, index: int, tensor: int = LAYER) -> int:
    """The row of a layer's result."""
    return forged.row("tensor_results", tensor=tensor, index=index)


def export_lane(forged: Forgery, tensor: int, index: int, k: int, value: int) -> None:
    """Every export of an element writes another one, which the memory then holds."""
    table = forged.tables["tensor_words"]
    for row in range(table.used):
        found = (forged.cell("tensor_words", row, "operand"), forged.cell("tensor_words", row, "operand_index"))
        if forged.cell("tensor_words", row, "load") or found != (tensor, index):
            continue
        forged.write("tensor_words", row, **{f"x{k}": value, f"neg{k}": int(value < 0)})
        if k == 0 or forged.cell("tensor_words", row, "wide"):
            address, time = (forged.cell("tensor_words", row, name) for name in ("address", "t"))
            forged.pass_on(address + 4 * k, time + 1, value % TWO_32)
        else:
            forged.write("tensor_words", row, **{f"before{k}": value % TWO_32})


def lie(forged: Forgery, index: int, k: int, total: int | None = None, flag: str = "", tensor: int = LAYER) -> int:
    """Another sum or flag for an element of a layer, rescaled and read by everybody."""
    value = lane(forged, results_row(forged, index, tensor), k, total, flag)
    export_lane(forged, tensor, index, k, value)
    recount(forged, tensor)
    return value


def path_of_results(forged: Forgery, tensor: int) -> list[int]:
    """The rows of a call's results in the order in which what is cut is counted."""
    places: dict[tuple[int, ...], int] = {}
    for row in range(forged.tables[RESULTS].used):
        if forged.cell(RESULTS, row, "real") and forged.cell(RESULTS, row, "tensor") == tensor:
            places[*(signed(forged.cell(RESULTS, row, name)) for name in ("tile", "half", "index")), row] = row
    return [places[key] for key in sorted(places)]


def recount(forged: Forgery, tensor: int) -> None:
    """Let everybody say how many results of a call are cut, as their flags are now; in a1 and a2 it is read by whoever reads them."""
    windows = forged.tables.get("tensor_depthwise")
    if windows is not None and tensor in forged["tensor_depthwise.tensor"][: windows.used]:
        _left_behind(forged, tensor, _recount_windows(forged, tensor))
        return
    counts, ends = [0, 0], dict[tuple[int, int], list[int]]()
    for row in path_of_results(forged, tensor):
        _count(forged, row, counts)
        ends[forged.cell(RESULTS, row, "tile"), forged.cell(RESULTS, row, "half")] = list(counts)
    last = [0, 0]
    for chip in ("tensor_tiles", "tensor_combine"):
        if chip not in forged.tables:
            continue
        rows = [row for row in range(forged.tables[chip].used) if forged.cell(chip, row, "tensor") == tensor]
        number = "tile" if chip == "tensor_tiles" else "index"
        for row in sorted((row for row in rows if forged.cell(chip, row, "real")), key=lambda row: forged.cell(chip, row, number)):
            at = forged.cell(chip, row, number)
            middle = ends.get((at, 0), last)
            behind = ends.get((at, 1), middle)
            said = {"cut": last, "next": behind} | ({"middle": middle} if chip == "tensor_tiles" else {})
            forged.write(chip, row, **{f"{name}_{side}": own[k] for name, own in said.items() for k, side in enumerate(("above", "below"))})
            last = behind
    _left_behind(forged, tensor, counts)


def _count(forged: Forgery, row: int, counts: list[int]) -> None:
    """A row of results takes the counts and adds its flags to them."""
    forged.write(RESULTS, row, cut_above=counts[0], cut_below=counts[1])
    for side, name in enumerate(("above", "below")):
        counts[side] += sum(vector_of(forged, RESULTS, row, name))


def _recount_windows(forged: Forgery, tensor: int) -> list[int]:
    """Counts along the rows of windows, each last of which has two results."""
    counts, chip = [0, 0], "tensor_depthwise"
    results = path_of_results(forged, tensor)
    rows = [row for row in range(forged.tables[chip].used) if forged.cell(chip, row, "tensor") == tensor]
    for row in sorted(rows, key=lambda row: (signed(forged.cell(chip, row, "index")), -signed(forged.cell(chip, row, "left")))):
        said = [list(counts)]
        index = signed(forged.cell(chip, row, "index"))
        for tile in (index, index + forged.cell(chip, row, "channels")):
            for result in results if forged.cell(chip, row, "last") else ():
                if signed(forged.cell(RESULTS, result, "tile")) == tile:
                    _count(forged, result, counts)
            said.append(list(counts))
        for stage, name in enumerate(("cut", "middle", "next")):
            forged.write(chip, row, **{f"{name}_above": said[stage][0], f"{name}_below": said[stage][1]})
    return counts


def _left_behind(forged: Forgery, tensor: int, counts: Sequence[int]) -> None:
    """The call that has cut so many results leaves that in a1 and a2."""
    for chip, flags in CUTTING.items():
        for row in range(forged.tables[chip].used if chip in forged.tables else 0):
            if forged.cell(chip, row, "t") == 4 * tensor and any(forged.cell(chip, row, flag) for flag in flags):
                _leave(forged, chip, row, counts)


def _leave(forged: Forgery, chip: str, row: int, counts: Sequence[int]) -> None:
    """A call that has cut so many results leaves that in a1 and a2."""
    time = forged.cell(chip, row, "t")
    for register, name, count in zip((A1, A2), ("a1", "a2"), counts, strict=True):
        side = "cut_above" if register == A1 else "cut_below"
        if forged.cell(chip, row, side) != count:
            forged.write(chip, row, **{side: count} | ({f"next_{name}": count} if chip == "tensor_call" else {}))
            forged.spread(register, time, count)


def sums_of(forged: Forgery, tensor: int = LAYER) -> dict[tuple[int, int, int], int]:
    """What the rows of products add up to: by tile, half and power of beta."""
    found: dict[tuple[int, int, int], int] = {}
    for chip, positions, channels in (("tensor_products", "ab", "cd"), ("tensor_wide_products", "abcd", "efgh")):
        for row in range(forged.tables[chip].active if chip in forged.tables else 0):
            if forged.cell(chip, row, "tensor") != tensor:
                continue
            tile = signed(forged.cell(chip, row, "tile"))
            across = signed(forged.cell(chip, row, "across")) if len(positions) > 2 else 0
            for block, stem in enumerate(positions):
                for channel, weight in enumerate([value for own in channels for value in vector_of(forged, chip, row, own)]):
                    place = tile + block // 2 * across + channel // 16, block % 2, 8 * (channel % 16)
                    for position, x in enumerate(vector_of(forged, chip, row, stem)):
                        key = (*place[:2], place[2] + position)
                        found[key] = found.get(key, 0) + x * weight
    return found


def follow_products(forged: Forgery, tensor: int = LAYER) -> int:
    """Let all results be those of the products as they are now; returns how many elements change."""
    sums, changed = sums_of(forged, tensor), 0
    table = forged.tables["tensor_results"]
    for row in range(table.used):
        cell = {name: forged.cell("tensor_results", row, name) for name in ("real", "tensor", "tile", "half", "index", "channel")}
        if not cell["real"] or cell["tensor"] != tensor:
            continue
        flags = [[forged.cell("tensor_results", row, f"{stem}{n}") for n in range(4)].index(1) for stem in ("high", "low")]
        place = 4 * flags[0] + flags[1]
        for k in range(8):
            before = signed(forged.cell("tensor_results", row, f"x{k}"))
            after = lane(forged, row, k, sums.get((cell["tile"], cell["half"], 8 * place + k), 0))
            if after != before:
                export_lane(forged, tensor, cell["index"], k, after)
                changed += 1
    recount(forged, tensor)
    return changed


def product_row(forged: Forgery, tap: int, tile: int = 0, tensor: int = LAYER) -> int:
    """The row of a tap: the first of the tile is number 0."""
    table = forged.tables["tensor_products"]
    rows = [
        row
        for row in range(table.used)
        if (forged.cell("tensor_products", row, "tensor"), forged.cell("tensor_products", row, "tile")) == (tensor, tile)
    ]
    return sorted(rows, key=lambda row: forged.cell("tensor_products", row, "x"))[tap]


def vector_of(forged: Forgery, chip: str, row: int, stem: str) -> list[int]:
    """A vector's elements."""
    return [signed(forged.cell(chip, row, f"{stem}{k}")) for k in range(8)]


def put(forged: Forgery, chip: str, row: int, stem: str, values: Sequence[int]) -> None:
    """Write a vector."""
    forged.write(chip, row, **{f"{stem}{k}": value for k, value in enumerate(values)})


def read_by_products(forged: Forgery, tensor: int, index: int, values: Sequence[int]) -> None:
    """Let every tap that reads a vector read other elements."""
    table = forged.tables["tensor_products"]
    for row in range(table.used):
        for name, stems, flag in (("x", "ab", "two_blocks"), ("w", "cd", "two_channels")):
            if forged.cell("tensor_products", row, f"{name}_tensor") != tensor:
                continue
            first, stride = (forged.cell("tensor_products", row, f"{name}{end}") for end in ("", "_stride"))
            for stem, place in zip(stems, (first, first + stride), strict=True):
                if place == index and (stem in "ac" or forged.cell("tensor_products", row, flag)):
                    put(forged, "tensor_products", row, stem, values)


def padding_row(forged: Forgery, chip: str) -> int:
    """A row that is no one's."""
    row = forged.free_row(chip)
    assert not np.any(forged.tables[chip].main[:, row])
    return row
