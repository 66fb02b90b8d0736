"""The row of a tensor call that is no elementwise one: what it reads, when, and within which bounds. One line refuses each of these.

See ``test_tensor_single_checks.py``; rows that read from the future and bounds in disorder are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import bounds
from tests.soundness.moving_forging import applying, comparing, gathering
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused, refused_by
from tests.soundness.tensor_forging import (
    A1,
    A2,
    LAYER,
    TWO_16,
    Program,
    apart,
    descriptor_word,
    export_lane,
    follow_products,
    id_of,
    layer,
    lie,
    operand,
    product_row,
    put,
    results_row,
    vector_of,
)
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LINEAR, LOAD, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA

CALL, RESULTS, TILES, WORDS = (f"tensor_{name}" for name in ("call", "results", "tiles", "words"))
LAYER_LIMIT = 1 << 30

# --- the descriptor ------------------------------------------------------------------------------------------------------------------


def loading() -> Forgery:
    calls = [(Descriptor(LOAD, 1, 8), 0, DATA), (Descriptor(EXPORT, 1, 8, 0, 0, 1), id_of(0), DATA)]
    return Program(calls, ram=[3] * 8).forged()


RUNS: dict[str, tuple[Callable[[], Forgery], int]] = {
    "imports": (lambda: layer().forged(), 0),
    "linear": (lambda: layer().forged(), 1),
    "exports": (lambda: layer().forged(), 2),
    "loads": (loading, 0),
    "gathers": (gathering, 2),
    "maxima": (comparing, 1),
    "applies": (applying, 1),
}
"""A run with a call of each kind, and its place."""
READ = {
    "imports": "blocks",
    "linear": "blocks channels taps x x_stride w w_stride channel_list bounds",
    "exports": "blocks channels x x_stride",
    "loads": "blocks channels",
    "gathers": "blocks channel_list",
    "maxima": "blocks taps x x_stride w_stride",
    "applies": "blocks x x_stride channel_list",
}
"""The words that each kind of call reads, behind the first."""


@pytest.mark.parametrize(("flag", "name"), [(flag, name) for flag, names in READ.items() for name in names.split()])
def test_g7_another_word(flag: str, name: str) -> None:
    """Every word that a kind of call reads is the descriptor's."""
    run, place = RUNS[flag]
    forged = run()
    row = forged.row(CALL, **{flag: 1})
    descriptor_word(forged, place, Descriptor._fields.index(name), forged.cell(CALL, row, name) + 16)
    refused_by(forged, f"{CALL}: {name.replace('_', ' ')}")


def g7_an_export_of_another_stride() -> Forged:
    """Vectors 0 and 2 instead of 0 and 1."""
    calls = [(Descriptor(IMPORT, 3), 0, 0), (Descriptor(EXPORT, 2, 8, 0, 0, 1), id_of(0), DATA)]
    forged = Program(calls, imported=[[10 * v + k for k in range(8)] for v in range(3)], ram=[0] * 16).forged()
    forged.write(CALL, forged.row(CALL, exports=1), stride=2, moved_stride=4)
    for k in range(8):
        export_lane(forged, id_of(0), 1, k, 20 + k)
    for number in range(2):
        forged.write(WORDS, number, stride=2, operand_index=2 * number)
    return forged, f"{CALL}: stride of an export"


def g7_three_words_of_a_vector() -> Forged:
    """Of no vectors: the executor refuses the call, and so must the machine."""
    calls = [(Descriptor(IMPORT, 1), 0, 0), (Descriptor(EXPORT, 0, 8, 0, 0, 1), id_of(0), DATA)]
    forged = Program(calls, imported=[[5] * 8]).forged()
    descriptor_word(forged, 1, 2, 3)
    forged.write(CALL, forged.row(CALL, exports=1), channels=3)
    return forged, f"{CALL}: one or eight words"


def g7_channels(number: int) -> Attack:
    """Of no block."""

    def make() -> Forged:
        layer_of_none = Descriptor(LINEAR, 0, 1, 1, 0, 0, 0, 0, CHANNELS, bounds(0, 0))
        forged = Program([(Descriptor(IMPORT, 0), 0, 0), (layer_of_none, id_of(0), 0)]).forged()
        descriptor_word(forged, 1, 2, number)
        forged.write(CALL, forged.row(CALL, linear=1), channels=number)
        return forged, f"{CALL}: 1 to 2^16 channels"

    make.__name__ = f"g7_{number}_channels"
    return make


def g7_another_instruction() -> Forged:
    forged = layer().forged()
    forged.program(forged.cell(CALL, forged.row(CALL, linear=1), "pc"), imm=1)
    return forged, f"{CALL}: instruction"


# --- bounds --------------------------------------------------------------------------------------------------------------------------


def g5_a_least_result_below_2_16() -> Forged:
    """hi = lo - 2, but a unit of hi is counted with lo: results from lo - 2^16 on, which are no int16."""
    forged = layer(1, 1, 1).forged()
    word = bounds(5, 3)
    descriptor_word(forged, 1, 9, word)
    low, span = word % TWO_16 - TWO_16, word // TWO_16 + 1 - (word % TWO_16 - TWO_16)
    forged.write(CALL, forged.row(CALL, linear=1), bounds=word, low=low)
    for chip in (TILES, RESULTS):
        forged.write(chip, 0, low=low - (1 << 15), span=span)
    for k in range(8):
        lie(forged, 0, k)
    return forged, f"{CALL}: least result"


def too_many_taps(products: int, room_low: int) -> Forgery:
    """Of no block, so that nothing is rescaled, and the limit is the prover's."""
    layer_of_none = Descriptor(LINEAR, 0, 1, 1, 0, 0, 0, 0, CHANNELS, bounds(0, 0))
    forged = Program([(Descriptor(IMPORT, 0), 0, 0), (layer_of_none, id_of(0), 0)]).forged()
    descriptor_word(forged, 1, 3, 5)
    forged.write(CALL, forged.row(CALL, linear=1), taps=5, back=0, limit=LAYER_LIMIT, products=products, room_low=room_low)
    return forged


def g5_too_many_taps_with_a_large_limb() -> Forged:
    return too_many_taps(5 * LAYER_LIMIT, (1 << 32) - 5 * LAYER_LIMIT), f"{CALL}: 2^32 - taps limit: low limb"


def g5_other_products_than_of_taps_and_limit() -> Forged:
    return too_many_taps(4 * LAYER_LIMIT, 0), f"{CALL}: products of taps and limit"


def test_g5_another_lower_half_of_the_bounds() -> None:
    """Then the upper half is no integer: it is not in range, and its difference to one that is cannot be either."""
    layer_of_none = Descriptor(LINEAR, 0, 1, 1, 0, 0, 0, 0, CHANNELS, bounds(0, 0))
    forged = Program([(Descriptor(IMPORT, 0), 0, 0), (layer_of_none, id_of(0), 0)]).forged()
    forged.add(CALL, forged.row(CALL, linear=1), low=1)
    assert forged.refusals() == {f"{CALL}: {line}" for line in ("greatest result", "bounds are in order")}


# --- operands ------------------------------------------------------------------------------------------------------------------------


def g4_an_operand_of_a_layer_without_blocks(register: int) -> Attack:
    """Nothing is read, but the operand is the call itself: id - id - 1 = -1 as a low limb."""
    number, name = (1, "first") if register == A1 else (2, "second")

    def make() -> Forged:
        layer_of_none = Descriptor(LINEAR, 0, 1, 1, 0, 0, 0, 0, CHANNELS, bounds(0, 0))
        forged = Program([(Descriptor(IMPORT, 0), 0, 0), (layer_of_none, id_of(0), 0)]).forged()
        operand(forged, 1, register, id_of(1))
        forged.write(CALL, forged.row(CALL, linear=1), **{f"a{number}": id_of(1), f"{name}_low": -1})
        return forged, f"{CALL}: {name} operand is earlier: low limb"

    make.__name__ = f"g4_the_{name}_operand_of_a_layer_without_blocks"
    return make


def g4_a_first_operand_of_its_own() -> Forged:
    """The call reads in a1 what it leaves there: another import."""
    calls = [
        (Descriptor(IMPORT, 1), 0, 0),
        (Descriptor(IMPORT, 1), 0, 0),
        (Descriptor(EXPORT, 1, 8, 0, 0, 1), id_of(0), DATA),
    ]
    forged = Program(calls, imported=[[5] * 8, [7] * 8], ram=[0] * 8).forged()
    row = forged.row(CALL, exports=1)
    apart(forged, CALL, row, "a1", id_of(1))
    for k in range(8):
        export_lane(forged, id_of(0), 0, k, 7)
    forged.write(CALL, row, a1=id_of(1), first_low=id_of(2) - id_of(1) - 1)
    forged.write(WORDS, 0, operand=id_of(1))
    return forged, f"{CALL}: a1 is later"


def g4_a_second_operand_of_its_own() -> Forged:
    """Of a gather: every row of the pattern takes the first operand's, but for what the second one is."""
    forged = gathering()
    row = forged.row(CALL, gathers=1)
    first = forged.cell(CALL, row, "a1")
    apart(forged, CALL, row, "a2", first)
    forged.write(CALL, row, a2=first, second_low=id_of(2) - first - 1)
    for number in range(forged.tables["tensor_gather"].used):
        forged.write("tensor_gather", number, second=first, operand=first)
        if forged.cell("tensor_gather", number, "of_second"):
            places = vector_of(forged, "tensor_gather", number, "place")
            held = [v for index in range(3) for v in vector_of(forged, "tensor_import", index, "x")]
            made = [held[place - 1] if place else 0 for place in places]
            put(forged, "tensor_gather", number, "x", made)
            for k, value in enumerate(made):
                export_lane(forged, id_of(2), forged.cell("tensor_gather", number, "index"), k, value)
    return forged, f"{CALL}: a2 is later"


# --- tiles ---------------------------------------------------------------------------------------------------------------------------


def g3_a_tile_that_has_a_block_less() -> Forged:
    """Of two blocks the first tile has one, the last one both: 16 channels of the second block have no results."""
    program = layer(2, 17)
    forged = replace(program, calls=[*program.calls[:2], (Descriptor(EXPORT, 17, 8, 0, 0, 1), LAYER, DATA)]).forged()
    first = forged.row(TILES, tile=0)
    assert forged.cell(TILES, first, "last") == 0
    forged.write(CALL, forged.row(CALL, linear=1), two_blocks=0)
    forged.write(TILES, first, two_blocks=0, next_two_blocks=1, second_width=0)
    for tap in range(2):
        row = product_row(forged, tap)
        forged.write("tensor_products", row, two_blocks=0)
        put(forged, "tensor_products", row, "b", [0] * 8)
    for index in range(17, 33):
        forged.erase(RESULTS, results_row(forged, index))
    return forged, f"{TILES}: tiles of one block agree whether there are two"


def g3_fewer_channels_in_the_middle() -> Forged:
    """A tile of 9 channels before the last: the others are taken from the weights of channels 16 to 23."""
    w = [[k + 1 if v < 2 or k == 0 else 0 for k in range(8)] for v in range(6)]
    forged = layer(1, 17, w=w).forged()
    first, last = (forged.row(TILES, tile=number) for number in range(2))
    start = forged.cell(TILES, first, "channel")
    forged.write(TILES, first, width=9)
    forged.write(TILES, last, channels_left=8, width=8, result=9, channel=start + 9)
    for index in range(9, 17):
        row, place = results_row(forged, index), index - 9
        flags = {f"{stem}{k}": int(k == at) for stem, at in (("high", place // 4), ("low", place % 4)) for k in range(4)}
        forged.write(RESULTS, row, tile=1, **flags)
    assert follow_products(forged)
    return forged, f"{TILES}: 16 channels unless it is the last"


def g4_a_vector_of_nobody_in_the_second_half(stem: str) -> Attack:
    """Of 9 channels the second half has one, and the sums of the other lanes have to be 0."""

    def make() -> Forged:
        forged = layer().forged()
        put(forged, "tensor_products", product_row(forged, 0), stem, [77, *([0] * 7)])
        assert follow_products(forged)
        return forged, f"tensor_products: vector {stem}"

    make.__name__ = f"g4_a_vector_of_nobody_as_{stem}"
    return make


FORGERIES: tuple[Attack, ...] = (
    g3_a_tile_that_has_a_block_less,
    g3_fewer_channels_in_the_middle,
    *map(g4_a_vector_of_nobody_in_the_second_half, "bd"),
    g7_an_export_of_another_stride,
    g7_three_words_of_a_vector,
    *map(g7_channels, (0, (1 << 16) + 1)),
    g7_another_instruction,
    g5_a_least_result_below_2_16,
    g5_too_many_taps_with_a_large_limb,
    g5_other_products_than_of_taps_and_limit,
    *map(g4_an_operand_of_a_layer_without_blocks, (A1, A2)),
    g4_a_first_operand_of_its_own,
    g4_a_second_operand_of_its_own,
)
PROVEN = (g7_an_export_of_another_stride,)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)
