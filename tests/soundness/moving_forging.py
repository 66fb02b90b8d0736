"""Runs that gather, compare and look functions up, and what a forger of their tables writes besides his lie.

Each run imports tensors, makes one of them, and exports it: see ``tensor_forging.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import Vectors
from tests.sample_moves import of_second
from tests.soundness.tensor_forging import DESCRIPTOR_BYTES, Program, export_lane, id_of, put, vector_of
from zkvm.riscv.isa.tensors import APPLY, EXPORT, GATHER, IMPORT, INT16_OFFSET, MAXIMUM, Descriptor
from zkvm.riscv.vm.assemble import DATA, FUNCTIONS, PATTERNS, RODATA, VECTORS

CALL, IMPORTS, ELEMENTS, GATHERS, MAXIMA, APPLIES = (
    f"tensor_{name}" for name in ("call", "import", "elements", "gather", "maxima", "apply")
)
EIGHTS = list(range(100, 108))


def descriptor_word(forged: Forgery, call: int, word: int, value: int) -> None:
    """The image's descriptor says something else."""
    address = RODATA + DESCRIPTOR_BYTES * call + 4 * word
    held = forged.image.rom_value.copy()
    place = int((forged.image.rom_address == address).nonzero()[0][0])
    held[place] = value
    forged.image = replace(forged.image, rom_value=held)
    forged[f"rom.value_{place % 2}"][place // 2] = value


# --- gathering -----------------------------------------------------------------------------------------------------------------------

FIRST: Vectors = [[10 * v + k for k in range(8)] for v in range(3)]
SECOND: Vectors = [[-10 * v - k - 1 for k in range(8)] for v in range(2)]
ROWS: Vectors = [[1, 24, 0, 9, 9, 2, 3, 0], of_second(1, 2, 3, 4, 5, 6, 7, 16), [8, 7, 6, 5, 4, 3, 2, 1], of_second(*[0] * 8)]
FIRST_ID, SECOND_ID, GATHERED = (id_of(k) for k in range(3))


def gathering(rows: Vectors = ROWS, count: int | None = None) -> Forgery:
    """A gather of these rows, or of the first so many, from two imports."""
    blocks = len(rows) if count is None else count
    gather, export = Descriptor(GATHER, blocks, channel_list=PATTERNS), Descriptor(EXPORT, blocks, 8, 0, 0, 1)
    calls = [(Descriptor(IMPORT, 3), 0, 0), (Descriptor(IMPORT, 2), 0, 0), (gather, FIRST_ID, SECOND_ID), (export, GATHERED, DATA)]
    return Program(calls, imported=FIRST + SECOND, ram=[0] * (8 * len(rows)), patterns=rows).forged()


def gathered(forged: Forgery, row: int, lanes: dict[int, int]) -> None:
    """Other elements in some lanes of a gathered vector, which is exported."""
    index, tensor = (forged.cell(GATHERS, row, name) for name in ("index", "tensor"))
    for k, value in lanes.items():
        forged.write(GATHERS, row, **{f"x{k}": value})
        export_lane(forged, tensor, index, k, value)


def places(forged: Forgery, row: int) -> list[int]:
    """The places that a row gathers."""
    return vector_of(forged, GATHERS, row, "place")


# --- maxima --------------------------------------------------------------------------------------------------------------------------

COMPARED: Vectors = [[(7 * v * v + 13 * k * v + 29 * k) % 101 - 50 for k in range(8)] for v in range(7)]
TAPS = 3
IMPORTED, MADE = id_of(0), id_of(1)
"""Of the runs below: what is read, and what is made of it."""


def comparing(blocks: int = 3, taps: int = TAPS) -> Forgery:
    """Maxima of three vectors each, the last of which is the first of the next result."""
    maximum = Descriptor(MAXIMUM, blocks, 0, taps, 0, 2, 0, 1)
    calls = [(Descriptor(IMPORT, 7), 0, 0), (maximum, IMPORTED, 0), (Descriptor(EXPORT, blocks, 8, 0, 0, 1), MADE, DATA)]
    return Program(calls, imported=COMPARED, ram=[0] * (8 * blocks)).forged()


def path_of(forged: Forgery) -> list[int]:
    """The rows of the maxima in the order of their path."""
    table = forged.tables[MAXIMA]
    rows = [row for row in range(table.used) if forged.cell(MAXIMA, row, "real")]
    return sorted(rows, key=lambda row: (forged.cell(MAXIMA, row, "index"), -forged.cell(MAXIMA, row, "left")))


def compare(forged: Forgery, rows: Sequence[int]) -> None:
    """Let all maxima be those of the vectors that these rows read; exports write them."""
    largest: list[int] = []
    for row in rows:
        x, first = vector_of(forged, MAXIMA, row, "x"), forged.cell(MAXIMA, row, "first")
        before = [0] * 8 if first else largest
        largest = x if first else [max(pair) for pair in zip(x, before, strict=True)]
        put(forged, MAXIMA, row, "m", before)
        put(forged, MAXIMA, row, "y", largest)
        if forged.cell(MAXIMA, row, "last"):
            for k, value in enumerate(largest):
                export_lane(forged, MADE, forged.cell(MAXIMA, row, "index"), k, value)


def lay_out(forged: Forgery, results: Sequence[tuple[int, int]], taps: int = TAPS) -> None:
    """Another path: how many vectors each result compares, and how many taps its last row says that the next has."""
    rows, back = path_of(forged), 3 - taps
    index, left = 0, taps
    position = iter(rows)
    at = 0
    for index, (count, renewed) in enumerate(results):
        for tap in range(count):
            row, last = next(position), tap == count - 1
            cells = {"first": int(tap == 0), "last": int(last), "index": index, "left": left, "taps": taps, "back": back}
            following = at + (back if last else 1)
            cells |= {"multiplicity": 0, "operand_index": at, "renewed": renewed * last, "next_operand_index": following}
            forged.write(MAXIMA, row, **cells)
            put(forged, MAXIMA, row, "x", COMPARED[at])
            left, at = left - 1 + renewed * last, following
    used = rows[: sum(count for count, _ in results)]
    for row in rows[len(used) :]:
        forged.erase(MAXIMA, row)
    compare(forged, used)


def served(forged: Forgery, index: int, values: list[int]) -> None:
    """What the export of a result writes."""
    for k, value in enumerate(values):
        export_lane(forged, MADE, index, k, value)


def follow(forged: Forgery, rows: list[int]) -> None:
    """y of every row as it follows from x and m; exports write it."""
    for row in rows:
        x, m = (vector_of(forged, MAXIMA, row, stem) for stem in "xm")
        y = x if forged.cell(MAXIMA, row, "first") else [max(pair) for pair in zip(x, m, strict=True)]
        put(forged, MAXIMA, row, "y", y)
        if forged.cell(MAXIMA, row, "last"):
            served(forged, forged.cell(MAXIMA, row, "index"), y)


# --- functions -----------------------------------------------------------------------------------------------------------------------

ARGUMENTS: Vectors = [[k - 4 for k in range(8)], [4 * k - 16 for k in range(8)]]
LEAST = -32
EVEN_STAY = [x if x % 2 == 0 else x // 2 for x in range(LEAST, -LEAST)]
OTHER = [30 - x for x in range(LEAST, -LEAST)]
FUNCTION = FUNCTIONS - 2 * (LEAST + INT16_OFFSET)
OTHER_FUNCTION = FUNCTION + 2 * len(EVEN_STAY)


def applying() -> Forgery:
    """A function of two vectors; another one lies behind it."""
    apply = Descriptor(APPLY, 2, x_stride=1, channel_list=FUNCTION)
    calls = [(Descriptor(IMPORT, 2), 0, 0), (apply, IMPORTED, 0), (Descriptor(EXPORT, 2, 8, 0, 0, 1), MADE, DATA)]
    return Program(calls, imported=ARGUMENTS, ram=[0] * 16, entries=EVEN_STAY + OTHER).forged()


def entry_of(address: int) -> int:
    """What the path holds of a function: the place of its entry for 0."""
    assert address % 2 == 0
    return address // 2 + INT16_OFFSET


def applied(forged: Forgery, row: int, x: Sequence[int], y: Sequence[int]) -> None:
    """Other arguments and entries of a vector, which is exported."""
    put(forged, APPLIES, row, "x", x)
    put(forged, APPLIES, row, "y", y)
    for k, value in enumerate(y):
        export_lane(forged, forged.cell(APPLIES, row, "tensor"), forged.cell(APPLIES, row, "index"), k, value)


# --- calls that are something else ---------------------------------------------------------------------------------------------------


def all_kinds() -> Forgery:
    """An import of one vector, which is exported, and one call of each kind on the constant vector, which is all eights."""
    operations = (
        Descriptor(GATHER, 1, channel_list=PATTERNS),
        Descriptor(MAXIMUM, 1, 0, 1, VECTORS, 0, 0, 0),
        Descriptor(APPLY, 1, x=VECTORS, channel_list=FUNCTION),
    )
    calls = [(Descriptor(IMPORT, 1), 0, 0), (Descriptor(EXPORT, 1, 8, 0, 0, 1), IMPORTED, DATA), *((own, 0, 0) for own in operations)]
    pattern = [[1 + 8 * (VECTORS // 16) + k for k in range(8)]]
    return Program(calls, [[8] * 8], imported=[[1] * 8], ram=[0] * 8, patterns=pattern, entries=EVEN_STAY).forged()
