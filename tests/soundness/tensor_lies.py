"""Forged tensor calls, each consistent but for one line, of the classes G1 to G4, G6 and G7: see ``test_tensor_single_checks.py``."""

from __future__ import annotations

from dataclasses import replace

from tests.forge import Forgery
from tests.riscv.chips.call_rows import products_at
from tests.riscv.vm.tensor_programs import bounds
from tests.soundness.single import Forged
from tests.soundness.tensor_forging import (
    A0,
    A1,
    A2,
    IMPORTED,
    LAYER,
    QUARTER,
    TWO_16,
    Program,
    follow_products,
    id_of,
    layer,
    lie,
    operand,
    padding_row,
    product_row,
    put,
    read_by_products,
    vector_of,
)
from zkvm.riscv.isa import calls
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LINEAR, LOAD, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, RODATA, VECTORS
from zkvm.stark.field.goldilocks import P

PRODUCTS, RESULTS, TILES, WORDS, CALL, IMPORTS = (f"tensor_{name}" for name in ("products", "results", "tiles", "words", "call", "import"))
EIGHTS = list(range(100, 108))


# --- G1, G2, G3: sums, taps, tiles ---------------------------------------------------------------------------------------------------


def g1_padding_contributes() -> Forged:
    forged = layer().forged()
    row = padding_row(forged, PRODUCTS)
    forged.write(PRODUCTS, row, tensor=LAYER, a0=1, c0=4000)
    assert follow_products(forged) == 1
    return forged, f"{PRODUCTS}: c0 is 0 on padding"


def g2_two_taps_at_once() -> Forged:
    """A row that is real twice takes two steps, and its weights must be 0: the tap behind one of weights 0 is left out."""
    forged = layer(1, 8, w=[[0] * 8, list(range(1, 9))]).forged()
    row, gone = product_row(forged, 0), product_row(forged, 1)
    forged.write(PRODUCTS, row, real=2)
    forged.erase(PRODUCTS, gone)
    assert follow_products(forged)
    return forged, f"{PRODUCTS}: real is boolean"


def g3_channels_beyond_8_are_muted() -> Forged:
    forged = layer(1, 16).forged()
    forged.write(TILES, 0, two_channels=0)
    for tap in (0, 1):
        row = product_row(forged, tap)
        forged.write(PRODUCTS, row, two_channels=0)
        put(forged, PRODUCTS, row, "d", [0] * 8)
    assert follow_products(forged)
    return forged, f"{TILES}: channels beyond 8 need two_channels"


def g3_another_start_of_the_next_tile() -> Forged:
    """The second tile reads the first one's weights; its channels beyond the last have none there."""
    weights = [[(v + k) % 7 if k < 3 else 0 for k in range(8)] for v in range(6)]
    forged = layer(1, 19, 2, w=weights).forged()
    first, second = (forged.row(TILES, tile=tile) for tile in (0, 1))
    w = VECTORS // 16
    forged.write(TILES, first, next_w=w)
    forged.write(TILES, second, w=w)
    for tap in (0, 1):
        row = product_row(forged, tap, 1)
        forged.write(PRODUCTS, row, w=w + tap)
        put(forged, PRODUCTS, row, "c", weights[tap])
    assert follow_products(forged)
    return forged, f"{TILES}: w of the next tile"


# --- G4: operands --------------------------------------------------------------------------------------------------------------------


def g4_a_vector_of_nobody() -> Forged:
    forged = layer().forged()
    put(forged, PRODUCTS, product_row(forged, 1), "a", EIGHTS)
    assert follow_products(forged)
    return forged, f"{PRODUCTS}: vector a"


def g4_weights_of_nobody() -> Forged:
    forged = layer().forged()
    put(forged, PRODUCTS, product_row(forged, 1), "c", EIGHTS)
    assert follow_products(forged)
    return forged, f"{PRODUCTS}: vector c"


def g4_another_vector() -> Forged:
    """The tap's own vector is asked for by nobody, and another one is read in its place."""
    forged = layer().forged()
    put(forged, PRODUCTS, product_row(forged, 1), "a", vector_of(forged, IMPORTS, 0, "x"))
    assert follow_products(forged)
    return forged, f"{PRODUCTS}: vector a"


def served_by_padding(chip: str) -> Forged:
    """The layer reads a vector of the right name, which a row serves that no call has made."""
    forged = layer().forged()
    tap = product_row(forged, 1)
    put(forged, PRODUCTS, tap, "a", EIGHTS)
    assert follow_products(forged)
    row, index = padding_row(forged, chip), forged.cell(PRODUCTS, tap, "x")
    time = 4 * IMPORTED
    named = {"index": index, "t": time, **{f"t{k}": time for k in range(8)}} if chip == WORDS else {"index": index, "tensor": IMPORTED}
    forged.write(chip, row, multiplicity=1, **named)
    put(forged, chip, row, "x", EIGHTS)
    if chip == WORDS:
        forged.write(chip, row, **{f"before{k}": value for k, value in enumerate(EIGHTS)})
    if chip == RESULTS:  # limbs that nobody checks on padding
        forged.write(chip, row, multiplier=1 << 32)
        for k, value in enumerate(EIGHTS):
            forged.write(chip, row, **{f"sum{k}": value, f"u{k}": value, f"v{k}": -value})
    return forged, f"{chip}: padding serves nothing"


def g4_padding_of_an_import_serves() -> Forged:
    return served_by_padding(IMPORTS)


def g4_padding_of_words_serves() -> Forged:
    return served_by_padding(WORDS)


def g4_padding_of_results_serves() -> Forged:
    return served_by_padding(RESULTS)


def g4_an_export_serves() -> Forged:
    """An export's row is real, but makes nothing: it offers what it wrote as a tensor, which a later call reads."""
    export, again = (Descriptor(EXPORT, 1, 8, 0, 0, 1), id_of(0), DATA), (Descriptor(EXPORT, 1, 8, 0, 0, 1), id_of(0), DATA + 32)
    forged = Program([(Descriptor(IMPORT, 1), 0, 0), export, again], imported=[[5] * 8], ram=[0] * 16).forged()
    operand(forged, 2, A1, id_of(1))
    last = forged.row(WORDS, operand=id_of(0), address=DATA + 32)
    forged.write(WORDS, last, operand=id_of(1))
    row = forged.row(CALL, a0=RODATA + 128)
    forged.write(CALL, row, first_low=id_of(2) - id_of(1) - 1)
    forged.write(WORDS, forged.row(WORDS, address=DATA), multiplicity=1)
    return forged, f"{WORDS}: padding serves nothing"


def fed_by(source: int, *, second: bool = False) -> tuple[Forgery, int]:
    """A layer whose operand is made to be a call that is not earlier; returns the place of the layer.

    Its sums are four times its operand and its results a quarter of the sums: every number is a fixed point.
    """
    one = Descriptor(LINEAR, 1, 1, 1, 0, 0, VECTORS, 0, CHANNELS, bounds(-(2**15), 2**15 - 1))
    swapped = one._replace(x=VECTORS, w=0)
    linear = (swapped, 0, id_of(0)) if second else (one, id_of(0), 0)
    made = [[3] + [0] * 7]
    program = [(Descriptor(IMPORT, 1), 0, 0), linear, (one._replace(x=0), id_of(1), 0), (Descriptor(EXPORT, 1, 8, 0, 0, 1), id_of(1), DATA)]
    forged = Program(program, [[4] + [0] * 7], [(0, QUARTER, QUARTER)], made, [0] * 8).forged()
    assert forged.refusals() == set()
    operand(forged, 1, A2 if second else A1, id_of(source))
    row, which = forged.row(CALL, a0=RODATA + 64), "w" if second else "x"
    low = "second_low" if second else "first_low"
    forged.write(CALL, row, **{low: (id_of(1) - id_of(source) - 1) % P % TWO_16})
    for chip in (TILES, PRODUCTS):
        forged.write(chip, forged.row(chip, tensor=id_of(1)), **{f"{which}_tensor": id_of(source)})
    return forged, 1


def fixed_point(forged: Forgery, tensors_: tuple[int, ...], second: bool = False) -> None:
    """All these tensors hold 77 in lane 0, which they have from one another."""
    for tensor in tensors_:
        stem = "c" if second else "a"
        forged.write(PRODUCTS, forged.row(PRODUCTS, tensor=tensor), **{f"{stem}0": 77})
        follow_products(forged, tensor)


def g4_the_call_itself() -> Forged:
    forged, _ = fed_by(1)
    fixed_point(forged, (id_of(1), id_of(2)))
    return forged, f"{CALL}: first operand is earlier: high limb"


def g4_the_call_itself_as_weights() -> Forged:
    forged, _ = fed_by(1, second=True)
    fixed_point(forged, (id_of(1),), second=True)
    fixed_point(forged, (id_of(2),))
    return forged, f"{CALL}: second operand is earlier: high limb"


def g4_two_calls_feed_each_other() -> Forged:
    forged, _ = fed_by(2)
    fixed_point(forged, (id_of(1), id_of(2)))
    return forged, f"{CALL}: first operand is earlier: high limb"


def g4_an_export_of_the_future() -> Forged:
    """What is exported is made later, from what the export wrote: a program would read its own answer."""
    calls_ = [(Descriptor(IMPORT, 1), 0, 0), (Descriptor(EXPORT, 1, 8, 0, 0, 1), id_of(0), DATA), (Descriptor(LOAD, 1, 8), 0, DATA)]
    forged = Program(calls_, imported=[[5] * 8], ram=[0] * 8).forged()
    assert forged.refusals() == set()
    operand(forged, 1, A1, id_of(2))
    forged.write(CALL, forged.row(CALL, exports=1), first_low=TWO_16 - id_of(1) - 1)
    row, load = forged.row(WORDS, load=0), forged.row(WORDS, load=1)
    forged.write(WORDS, row, operand=id_of(2))
    for k in range(8):
        forged.write(WORDS, row, **{f"x{k}": 9})
        forged.spread(DATA + 4 * k, forged.cell(WORDS, row, "t") + 1, 9)
        forged.write(WORDS, load, **{f"x{k}": 9, f"before{k}": 9})
        forged.pass_on(DATA + 4 * k, forged.cell(WORDS, load, "t") + 1, 9)
    return forged, f"{CALL}: first operand is earlier: high limb"


# --- G6: words and the input ---------------------------------------------------------------------------------------------------------


def g6_an_input_that_is_no_int16() -> Forged:
    forged = layer().forged()
    values = [40000, *vector_of(forged, IMPORTS, 0, "x")[1:]]
    put(forged, IMPORTS, 0, "x", values)
    read_by_products(forged, IMPORTED, 0, values)
    assert follow_products(forged)
    return forged, f"{IMPORTS}: x0 is an int16"


def exported_sign(value: int, negative: int) -> Forged:
    """A word that is not the element's: its sign bit is another."""
    forged = layer(1, 1, 1, x=[[4 * value] + [0] * 7], w=[[1] + [0] * 7]).forged()
    row = forged.row(WORDS, operand=LAYER)
    assert vector_of(forged, WORDS, row, "x")[0] == value
    forged.write(WORDS, row, neg0=negative)
    forged.pass_on(DATA, forged.cell(WORDS, row, "t") + 1, value + (negative << 32))
    return forged, f"{WORDS}: x0 is an int16 of that sign"


def g6_a_negative_word_without_its_sign() -> Forged:
    return exported_sign(-9, 0)


def g6_a_positive_word_with_a_sign() -> Forged:
    return exported_sign(9, 1)


def g6_a_loaded_word_that_is_no_int16() -> Forged:
    """The memory's image has 70,000; the executor would trap."""
    forged = Program([(Descriptor(LOAD, 1, 8), 0, DATA)], ram=range(8)).forged()
    image = forged.image
    value = image.ram_value.copy()
    value[int((image.ram_address == DATA).nonzero()[0][0])] = 70_000
    forged.image = replace(image, ram_value=value)
    row = forged.row("ram_image", address=DATA)
    forged["ram_image.value"][row] = 70_000
    forged.write(WORDS, 0, x0=70_000, before0=70_000)
    forged.pass_on(DATA, forged.cell(WORDS, 0, "t") + 1, 70_000)
    return forged, f"{WORDS}: x0 is an int16 of that sign"


def g6_a_load_that_writes() -> Forged:
    """A load makes a vector of what it says, and the memory holds that afterwards."""
    forged = Program([(Descriptor(LOAD, 1, 8), 0, DATA)], ram=range(8)).forged()
    forged.write(WORDS, 0, x3=99)
    forged.pass_on(DATA + 12, forged.cell(WORDS, 0, "t") + 1, 99)
    return forged, f"{WORDS}: a load keeps word 3"


def g6_a_lane_without_a_word() -> Forged:
    forged = Program([(Descriptor(LOAD, 1, 1), 0, DATA)], ram=range(8)).forged()
    forged.write(WORDS, 0, x3=99, before3=99)
    return forged, f"{WORDS}: x3 of a load without a word for it is 0"


# --- G7: calls -----------------------------------------------------------------------------------------------------------------------


def g7_fewer_vectors_than_the_descriptor_says() -> Forged:
    forged = Program([(Descriptor(IMPORT, 2), 0, 0)], imported=[[1] * 8] * 2).forged()
    forged.add(CALL, 0, blocks=-1, imported=-1)
    forged.erase(IMPORTS, forged.row(IMPORTS, index=1))
    return forged, f"{CALL}: blocks"


def g7_other_bounds_than_the_descriptor_says() -> Forged:
    forged = layer(1, 1, 1).forged()
    word = bounds(-3, 3)
    forged.write(CALL, forged.row(CALL, linear=1), bounds=word, low=word % TWO_16)
    for chip in (TILES, RESULTS):
        forged.write(chip, 0, low=-3, span=6)
    for k in range(8):
        lie(forged, 0, k)
    return forged, f"{CALL}: bounds"


def g7_another_operation() -> Forged:
    """An import of nothing says that it is a load of nothing; the word that a load reads is there."""
    forged = Program([(Descriptor(IMPORT, 0, 8), 0, 0)]).forged()
    forged.write(CALL, 0, imports=0, loads=1, channels=8, wide=1)
    return forged, f"{CALL}: operation"


def g7_the_machine_does_not_know_the_call() -> Forged:
    """A tensor call that is answered by -ENOSYS, so that the guest computes in C: one run of two."""
    forged = Program([(Descriptor(IMPORT, 0, 8), 0, 0)]).forged()
    kept = {name: forged.cell(CALL, 0, name) for name in ("pc", "t", "a0", "a1", "a2", "t_a0", "t_a1", "t_a2", "t_a7")}
    forged.erase(CALL, 0)
    number = calls.TENSOR.number
    row = padding_row(forged, "ecall")
    cells = {"a7": number, "result": calls.ENOSYS, "unknown": 1, "journal_pointer": kept["a1"], "pointer_after": kept["a1"]}
    descriptor = (kept["a0"] - 1) * (kept["a0"] - 2) * (kept["a0"] - 3) + 6
    state = {"next_pc": kept["pc"] + 4, "next_t": kept["t"] + 4}
    forged.write("ecall", row, **kept, **cells, **state, **products_at(number), t_journal=kept["t"], descriptor=descriptor)
    forged.pass_on(A0, kept["t"], calls.ENOSYS)
    return forged, "ecall: an unknown number is none that is served"
