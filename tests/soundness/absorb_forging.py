"""Runs with digested imports, and what a forger of their tables writes besides his lie. See ``tensor_forging.py``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import Vectors, input_bytes
from tests.soundness.tensor_forging import (
    END,
    FULL,
    LAYER,
    QUARTER,
    TWO_16,
    TWO_32,
    Program,
    export_lane,
    follow_products,
    id_of,
    read_by_products,
    signed,
)
from zkvm.riscv.chips.poseidon2 import permuted_columns
from zkvm.riscv.isa.poseidon2 import WIDTH, permute
from zkvm.riscv.isa.tensors import DIGESTED, EXPORT, LANES, LINEAR, RATE, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, VECTORS, Item
from zkvm.stark.field.goldilocks import P

CALL, BYTES, ROWS, WORDS, PERMUTATIONS = "tensor_absorb_call", "tensor_absorb_bytes", "tensor_absorb", "tensor_words", "poseidon2"
HELD = {BYTES: 7, ROWS: 3}
"""Vectors of a row. So many lanes are an element of the field, too."""
BITS = {BYTES: 8, ROWS: 16}
"""Of a lane."""
STEPS = {BYTES: 1 << 8, ROWS: 1, CALL: 1}
"""What a cell counts where it is read."""
CAPACITY = range(RATE, WIDTH)
TENSOR, SECOND = id_of(0), id_of(2)
"""Ids of the calls that digest."""
Place = tuple[str, int]
"""Chip and row."""


def content(rows: int, byte_rows: int, seed: int = 0) -> tuple[Vectors, Vectors]:
    """Vectors of bytes, as they are read, and of int16: none of the elements is an extreme."""
    small = [[STEPS[BYTES] * ((37 * v + 11 * k + seed) % 250 - 125) for k in range(8)] for v in range(HELD[BYTES] * byte_rows)]
    return small, [[(4099 * v + 977 * k + seed) % 60000 - 30000 for k in range(8)] for v in range(HELD[ROWS] * rows)]


def given(rows: int, byte_rows: int, seed: int = 0) -> bytes:
    """The private input of such a call."""
    small, large = content(rows, byte_rows, seed)
    return input_bytes(Descriptor(DIGESTED, rows, byte_rows), small + large)


def size(rows: int, byte_rows: int) -> int:
    """Vectors that it makes."""
    return HELD[BYTES] * byte_rows + HELD[ROWS] * rows + 2


def digesting(
    rows: int = 2,
    byte_rows: int = 2,
    *,
    second: tuple[int, int] | None = None,
    exported: int = 0,
    ending: Sequence[Item] = END,
) -> Program:
    """A digested import and an export of all that it makes.

    Args:
        second: another one, of other sizes, that nobody reads.
        exported: only so many vectors are.
    """
    count = exported or size(rows, byte_rows)
    calls = [(Descriptor(DIGESTED, rows, byte_rows), 0, 0), (Descriptor(EXPORT, count, 8, 0, 0, 1), TENSOR, DATA)]
    stdin = given(rows, byte_rows)
    if second is not None:
        calls.append((Descriptor(DIGESTED, *second), 0, 0))
        stdin += given(*second, seed=5)
    return Program(calls, ram=[0] * (8 * count), given=stdin, ending=ending)


def digested(rows: int = 2, byte_rows: int = 2, *, second: tuple[int, int] | None = None) -> Forgery:
    """Its honest tables."""
    return digesting(rows, byte_rows, second=second).forged()


def multiplied(rows: int = 1, byte_rows: int = 0) -> Forgery:
    """A digested import, a layer that makes a quarter of every element, which is not asked to be an int16; an export of that."""
    count = size(rows, byte_rows)
    calls = [
        (Descriptor(DIGESTED, rows, byte_rows), 0, 0),
        (Descriptor(LINEAR, count, 1, 1, 0, 1, VECTORS, 1, CHANNELS, FULL), TENSOR, 0),
        (Descriptor(EXPORT, count, 8, 0, 0, 1), LAYER, DATA),
    ]
    vectors, channels = [[1, *[0] * 7]], [(0, QUARTER, QUARTER)]
    return Program(calls, vectors, channels, ram=[0] * (8 * count), given=given(rows, byte_rows)).forged()


# --- what is where ---------------------------------------------------------------------------------------------------------------------


def call_row(forged: Forgery, tensor: int = TENSOR) -> int:
    """The row of a call."""
    return forged.row(CALL, real=1, t=4 * tensor)


def path_of(forged: Forgery, tensor: int = TENSOR) -> list[Place]:
    """The rows that absorb for a call, in the order of their path."""
    found = []
    for chip in HELD:
        for row in range(forged.tables[chip].used if chip in forged.tables else 0):
            if forged.cell(chip, row, "real") and forged.cell(chip, row, "tensor") == tensor:
                found.append((signed(forged.cell(chip, row, "index")), chip, row))
    return [(chip, row) for _, chip, row in sorted(found)]


def lanes_of(forged: Forgery, chip: str, row: int) -> list[int]:
    """What a row holds."""
    return [signed(forged.cell(chip, row, f"lane{k}")) for k in range(LANES * HELD[chip])]


def index_behind(forged: Forgery) -> int:
    """Index of the first vector of the first call's digest."""
    row = call_row(forged)
    return HELD[BYTES] * forged.cell(CALL, row, "byte_rows") + HELD[ROWS] * forged.cell(CALL, row, "rows")


def place_of(forged: Forgery, index: int) -> tuple[str, int, int]:
    """Chip and row of a vector of the first call, and its first lane."""
    for chip, row in path_of(forged):
        first = forged.cell(chip, row, "index")
        if first <= index < first + HELD[chip]:
            return chip, row, LANES * (index - first)
    return CALL, call_row(forged), LANES * (index - index_behind(forged))


def vector(forged: Forgery, index: int) -> list[int]:
    """A vector of the first call, as it is read."""
    chip, row, lane = place_of(forged, index)
    return [STEPS[chip] * signed(forged.cell(chip, row, f"lane{lane + k}")) for k in range(LANES)]


# --- forging ---------------------------------------------------------------------------------------------------------------------------


def read(forged: Forgery, index: int, values: Sequence[int]) -> None:
    """Whoever reads a vector of the first call reads another one."""
    if "tensor_products" in forged.tables:
        read_by_products(forged, TENSOR, index, values)
        follow_products(forged)
        return
    for k, value in enumerate(values):
        export_lane(forged, TENSOR, index, k, value)


def hold(forged: Forgery, index: int, changes: dict[int, int]) -> None:
    """Some cells of a vector of the first call are other ones, by the number of their lane, and so for everybody who reads it."""
    chip, row, lane = place_of(forged, index)
    forged.write(chip, row, **{f"lane{lane + k}": value for k, value in changes.items()})
    read(forged, index, vector(forged, index))


def state_before(forged: Forgery, chip: str, row: int) -> list[int]:
    """What a row gives to the permutation."""
    lanes = [lane + (1 << BITS[chip] - 1) for lane in lanes_of(forged, chip, row)]
    count = HELD[chip]
    packed = [
        sum(lane << BITS[chip] * k for k, lane in enumerate(lanes[start : start + count])) % P for start in range(0, len(lanes), count)
    ]
    return packed + [forged.cell(chip, row, f"before{k}") for k in CAPACITY]


def state_after(forged: Forgery, chip: str, row: int) -> list[int]:
    """What a row says that comes out."""
    return [forged.cell(chip, row, f"after{k}") for k in range(WIDTH)]


def leave(forged: Forgery, chip: str, row: int, state: Sequence[int]) -> None:
    """Another state comes out."""
    forged.write(chip, row, **{f"after{k}": value for k, value in enumerate(state)})


def absorb(forged: Forgery, path: Sequence[Place], capacity: Sequence[int] | None = None) -> list[int]:
    """Let rows permute what they hold, each from the capacity that the one before left; the state in the end. Calls end with any."""
    state = [0] * RATE + (list(capacity) if capacity is not None else state_before(forged, *path[0])[RATE:])
    for chip, row in path:
        forged.write(chip, row, **{f"before{k}": state[k] for k in CAPACITY})
        state = permute(state_before(forged, chip, row))
        leave(forged, chip, row, state)
    permute_all(forged)
    return state


def absorb_all(forged: Forgery, capacity: Sequence[int] | None = None) -> None:
    """The same of the first call, which tells the digest of that."""
    state = absorb(forged, path_of(forged), capacity)
    end(forged, state)
    tell(forged, state[:4])


def end(forged: Forgery, state: Sequence[int]) -> None:
    """The path of the first call ends with this state."""
    forged.write(CALL, call_row(forged), **{f"capacity{k}": state[k] for k in CAPACITY})


def tell(forged: Forgery, words: Sequence[int]) -> None:
    """The first call says this digest, of four numbers of 64 bits or more: the upper limb has the rest."""
    row = call_row(forged)
    limbs = [word >> shift & (TWO_16 - 1 if shift < 48 else -1) for word in words for shift in range(0, 64, 16)]
    tell_limbs(forged, row, limbs)


def tell_limbs(forged: Forgery, row: int, limbs: Sequence[int]) -> None:
    """A call says a digest of these 16 limbs; whoever reads that of the first call reads it."""
    forged.write(CALL, row, **{f"lane{k}": limb - (1 << 15) for k, limb in enumerate(limbs)})
    for k in range(4):
        room = (TWO_32 - 1 - limbs[4 * k + 2] - limbs[4 * k + 3] * TWO_16) % P
        forged.write(CALL, row, **{f"inverse{k}": pow(room, P - 2, P)})
    if row == call_row(forged):
        for k in range(2):
            read(forged, index_behind(forged) + k, [limb - (1 << 15) for limb in limbs[LANES * k : LANES * (k + 1)]])


def limbs_of(forged: Forgery) -> list[int]:
    """Of the digest that the first call says."""
    return [signed(forged.cell(CALL, call_row(forged), f"lane{k}")) + (1 << 15) for k in range(16)]


def permute_all(forged: Forgery, chips: Sequence[str] = tuple(HELD)) -> None:
    """The table of permutations has those that the rows of these chips ask for."""
    asking = [(chip, row) for chip in chips if chip in forged.tables for row in range(forged.tables[chip].used)]
    asking = [(chip, row) for chip, row in asking if forged.cell(chip, row, "real") == 1]
    states = np.array([state_before(forged, *place) for place in asking], np.uint64).reshape(-1, WIDTH)
    table = forged.tables[PERMUTATIONS]
    assert len(states) <= table.active
    table.used, table.main[:] = len(states), 0
    columns = permuted_columns(states)
    table.main[: len(columns), : len(states)] = columns
    forged[f"{PERMUTATIONS}.real"][: len(states)] = 1


def put_vector(forged: Forgery, chip: str, row: int, number: int, values: Sequence[int]) -> None:
    """A row holds a vector."""
    forged.write(chip, row, **{f"lane{LANES * number + k}": value for k, value in enumerate(values)})
