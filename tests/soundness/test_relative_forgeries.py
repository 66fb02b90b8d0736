"""Attacks on functions of differences, and on the counts of what calls cut, which one line refuses. See ``test_single_checks.py``.

The classes: G16 functions of an element less one of the block's vector, G17 counts of results that were cut.
"""

from __future__ import annotations

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import Vectors
from tests.soundness.combining_forging import ROWS as COMBINE_ROWS
from tests.soundness.combining_forging import combining
from tests.soundness.moving_forging import APPLIES, CALL, applied, applying, descriptor_word
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import (
    A1,
    A2,
    LAYER,
    RESULTS,
    TWO_16,
    Program,
    id_of,
    layer,
    lie,
    list_at,
    operand,
    padding_row,
    put,
    recount,
    results_row,
    vector_of,
)
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, RELATIVE, RELATIVE_OFFSET, Descriptor
from zkvm.riscv.vm.assemble import DATA, FUNCTIONS

IMPORTED, MADE = id_of(0), id_of(1)
LEAST, MOST = -64, 63
BLOCKS, CHANNELS = 2, 2
ENTRIES = [x * x % 97 - 40 for x in range(LEAST, MOST + 1)]
OTHER = [x % 50 for x in range(LEAST, MOST + 1)]
FUNCTION = FUNCTIONS - 2 * (LEAST + RELATIVE_OFFSET)
"""Address of the function's entry for -65535, of which only those for small differences exist."""
ELEMENTS: Vectors = [[(3 * v + 5 * k) % 23 - 11 for k in range(8)] for v in range(BLOCKS * CHANNELS)]
TAKEN: Vectors = [[(7 * v + k) % 9 for k in range(8)] for v in range(3)]
"""Vectors of the same tensor behind the elements: one for each block, and one that no block reads."""


def differing(entries: list[int] = ENTRIES) -> Forgery:
    """Entries for two blocks of two vectors less a vector for each block; another function lies behind the first."""
    relative = Descriptor(RELATIVE, BLOCKS, CHANNELS, x_stride=1, w=16 * len(ELEMENTS), channel_list=FUNCTION)
    count = BLOCKS * CHANNELS
    calls = [(Descriptor(IMPORT, count + 3), 0, 0), (relative, IMPORTED, IMPORTED), (Descriptor(EXPORT, count, 8, 0, 0, 1), MADE, DATA)]
    return Program(calls, imported=ELEMENTS + TAKEN, ram=[0] * (8 * count), entries=entries + OTHER).forged()


def call_row(forged: Forgery) -> int:
    return forged.row(CALL, relatives=1)


def took(forged: Forgery, row: int, m: list[int], entries: list[int] = ENTRIES) -> None:
    """A row takes this vector from its elements, and everybody reads the entries for that."""
    put(forged, APPLIES, row, "m", m)
    x = vector_of(forged, APPLIES, row, "x")
    applied(forged, row, x, [entries[a - b - LEAST] for a, b in zip(x, m, strict=True)])


def at_second(forged: Forgery, row: int, place: int) -> None:
    """A row takes the vector at a place of those that blocks have."""
    forged.write(APPLIES, row, other_index=len(ELEMENTS) + place)
    took(forged, row, TAKEN[place])


# --- G16: functions of differences ---------------------------------------------------------------------------------------------------


def g16_another_entry() -> Forged:
    forged = differing()
    x = vector_of(forged, APPLIES, 1, "x")
    applied(forged, 1, x, [vector_of(forged, APPLIES, 1, "y")[0] + 1, *vector_of(forged, APPLIES, 1, "y")[1:]])
    return forged, f"{APPLIES}: entry y0"


def g16_a_vector_of_nobody() -> Forged:
    forged = differing()
    took(forged, 1, [4] * 8)
    return forged, f"{APPLIES}: vector m"


def g16_something_is_taken_without_m() -> Forged:
    """A function of one operand, of an argument that is another."""
    forged = applying()
    x, y = (vector_of(forged, APPLIES, 0, stem) for stem in "xy")
    forged.write(APPLIES, 0, m3=1)
    applied(forged, 0, x, [*y[:3], y[2], *y[4:]])
    assert x[3] - 1 == x[2]
    return forged, f"{APPLIES}: m3 is 0 without m"


def g16_the_last_too_early() -> Forged:
    """One vector of the first block, and three of the second."""
    forged = differing()
    forged.write(APPLIES, 0, last=1, back=CHANNELS)
    forged.write(APPLIES, 1, last=0, back=0, left=3)
    at_second(forged, 1, 1)
    return forged, f"{APPLIES}: the last has no channels behind it"


def g16_other_channels_for_the_next_block() -> Forged:
    """The second block has one vector, and the next three: so the last one is of a third block."""
    forged = differing()
    forged.write(APPLIES, 1, back=1)
    forged.write(APPLIES, 2, left=1, last=1, back=3)
    forged.write(APPLIES, 3, left=3, last=0, back=0)
    at_second(forged, 3, 2)
    return forged, f"{APPLIES}: back to all channels"


def g16_fewer_blocks_than_the_descriptor_says() -> Forged:
    forged = differing()
    row = call_row(forged)
    forged.write(CALL, row, relative_blocks=1, applied=CHANNELS, applied_stride=CHANNELS)
    export = forged.row(CALL, exports=1)
    assert forged.cell(CALL, export, "blocks") == BLOCKS * CHANNELS
    for gone in (2, 3):  # nobody reads them: the export is of what is left, read again
        forged.erase(APPLIES, gone)
    return _exported_again(forged, "vectors that are relative_blocks")


def _exported_again(forged: Forgery, line: str) -> Forged:
    """An export of the image that reads the first two vectors, each twice: stride 0 within each, by another descriptor."""
    words = [forged.row("tensor_words", operand=MADE, operand_index=index) for index in (2, 3)]
    for row in words:
        address, time = (forged.cell("tensor_words", row, name) for name in ("address", "t"))
        for k in range(8):
            before = forged.cell("tensor_words", row, f"before{k}")
            forged.follow(address + 4 * k, time + 1, forged.cell("tensor_words", row, f"t{k}"))
            forged.pass_on(address + 4 * k, forged.cell("tensor_words", row, f"t{k}"), before)
        forged.erase("tensor_words", row)
    export = forged.row(CALL, exports=1)
    descriptor_word(forged, 2, 1, CHANNELS)
    forged.write(CALL, export, blocks=CHANNELS, moved=CHANNELS, moved_bytes=CHANNELS * 32, moved_stride=CHANNELS)
    return forged, f"{CALL}: {line}"


def g16_another_function_than_the_descriptor_says() -> Forged:
    forged = differing()
    address = FUNCTION + 2 * len(ENTRIES)
    list_at(forged, call_row(forged), address)
    for row in range(BLOCKS * CHANNELS):
        forged.write(APPLIES, row, function=address // 2 + RELATIVE_OFFSET)
        took(forged, row, vector_of(forged, APPLIES, row, "m"), OTHER)
    return forged, f"{CALL}: channel list"


def g16_another_vector_than_the_descriptor_says() -> Forged:
    """The blocks' vectors begin one further."""
    forged = differing()
    forged.write(CALL, call_row(forged), w=16 * (len(ELEMENTS) + 1))
    for row in range(BLOCKS * CHANNELS):
        at_second(forged, row, row // CHANNELS + 1)
    return forged, f"{CALL}: w"


def g16_the_call_itself() -> Forged:
    """What is taken from the elements is what comes out: every entry is 7, so that it is."""
    forged = differing([7] * len(ENTRIES))
    operand(forged, 1, A2, MADE)
    forged.write(CALL, call_row(forged), second_low=TWO_16 - 1, w=0)
    descriptor_word(forged, 1, 6, 0)
    for row in range(BLOCKS * CHANNELS):
        forged.write(APPLIES, row, other=MADE, other_index=row // CHANNELS)
        put(forged, APPLIES, row, "m", [7] * 8)
    return forged, f"{CALL}: second operand is earlier: high limb"


# --- G17: counts of what was cut -----------------------------------------------------------------------------------------------------


def g17_padding_cuts() -> Forged:
    """A row that makes nothing is on the way of the counts, with a flag."""
    forged = layer().forged()
    first, row = results_row(forged, 0), padding_row(forged, RESULTS)
    path = ("tensor", "tile", "half", "index", "channel", "low", "span", "limit")
    cells = {name: forged.cell(RESULTS, first, name) for name in path}
    low, span = -(2**15), 2**16 - 1
    forged.write(RESULTS, row, **cells)
    for k in range(8):  # limbs that nobody checks on padding: 0 is the lane's result, or the greatest one
        forged.write(RESULTS, row, **{f"u{k}": -low, f"v{k}": span + low})
    forged.write(RESULTS, row, above0=1, u0=-(low + span + 1), v0=0, x0=low + span)
    _count(forged, 1)
    return forged, f"{RESULTS}: padding is not above0"


def _count(forged: Forgery, cuts: int) -> None:
    """All rows of the layer, and its call, say so many results above the bounds, which one more at the beginning has cut."""
    for chip in (RESULTS, "tensor_tiles"):
        for row in range(forged.tables[chip].used):
            if forged.cell(chip, row, "real"):
                names = ("cut",) if chip == RESULTS else ("cut", "middle", "next")
                forged.write(chip, row, **{f"{name}_above": cuts for name in names})
    forged.write("tensor_tiles", forged.row("tensor_tiles", tile=0), cut_above=0)
    left(forged, cuts)


def left(forged: Forgery, count: int, name: str = "cut_above") -> None:
    """The layer's call leaves this count of results above the bounds in a1."""
    row = forged.row(CALL, linear=1)
    forged.write(CALL, row, next_a1=count, **({name: count} if name else {}))
    forged.spread(A1, forged.cell(CALL, row, "t"), count)


def g17_another_count_in_the_register() -> Forged:
    forged = layer(high=3).forged()
    assert forged.cell(CALL, forged.row(CALL, linear=1), "cut_above") > 0
    left(forged, 0, "")
    return forged, f"{CALL}: a1 after the call"


def g17_a_result_at_its_bound_is_called_cut() -> Forged:
    """It is the greatest; the sum is not larger."""
    forged = layer().forged()
    value = vector_of(forged, RESULTS, results_row(forged, 0), "x")[0]
    low = min(value, 0)
    forged = layer(low=low, high=value).forged()
    assert vector_of(forged, RESULTS, results_row(forged, 0), "above")[0] == 0
    assert lie(forged, 0, 0, flag="above") == value
    return forged, f"{RESULTS}: v0 has 16 bits"


FORGERIES: tuple[Attack, ...] = (
    g16_another_entry, g16_a_vector_of_nobody, g16_something_is_taken_without_m, g16_the_last_too_early,
    g16_other_channels_for_the_next_block, g16_fewer_blocks_than_the_descriptor_says, g16_another_function_than_the_descriptor_says,
    g16_another_vector_than_the_descriptor_says, g16_the_call_itself,
    g17_padding_cuts, g17_another_count_in_the_register, g17_a_result_at_its_bound_is_called_cut,
)  # fmt: skip
PROVEN = (g16_the_last_too_early, g16_the_call_itself, g17_padding_cuts)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


def test_g17_what_is_cut_and_not_counted() -> None:
    """The call says that nothing was cut, and leaves that in its register: its path does not end where its rows do."""
    forged = layer(high=3).forged()
    left(forged, 0)
    assert forged.refusals() == {"bus tile path"}


def test_g17_counts_start_at_zero_and_go_on() -> None:
    """A tile that begins with another count than the one before it ended with, or a row within it."""
    forged = layer(2, 20, high=3).forged()
    forged.add("tensor_tiles", forged.row("tensor_tiles", tile=1), cut_above=-1)
    assert forged.refusals() == {"bus tile path", "bus out path"}
    forged = layer(high=3).forged()
    forged.add(RESULTS, results_row(forged, 1), cut_above=-1)
    assert forged.refusals() == {"bus out path"}


def test_g17_counts_of_elementwise_calls() -> None:
    forged = combining()
    forged.add(COMBINE_ROWS, 1, cut_below=1)
    assert forged.refusals() == {"bus combine path", "bus out path"}
    forged = combining()
    forged.add("tensor_combine_call", 0, cut_below=1)
    forged.spread(A2, forged.cell("tensor_combine_call", 0, "t"), forged.cell("tensor_combine_call", 0, "cut_below"))
    assert forged.refusals() == {"bus combine path"}


def test_recounting_changes_nothing_of_an_honest_run() -> None:
    for forged, tensor in ((layer(2, 20, high=3).forged(), LAYER), (combining(), id_of(2))):
        before = {name: table.main.copy() for name, table in forged.tables.items()}
        recount(forged, tensor)
        assert all((before[name] == table.main).all() for name, table in forged.tables.items())
        assert forged.refusals() == set()


def test_differences_are_honest() -> None:
    assert differing().refusals() == set()
