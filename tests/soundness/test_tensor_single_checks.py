"""Attacks on tensor calls that one line refuses and nothing else: the machine without the line accepts them.

See ``test_single_checks.py``. Classes G1 to G7 are those of ``test_tensor_forgeries.py``; G8: other constants under the same image ID.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import bounds
from tests.soundness.cheating import skip_own_checks
from tests.soundness.proven import CHOSEN, expected, verdict
from tests.soundness.single import refused_by
from tests.soundness.tensor_forging import (
    A0,
    A1,
    A2,
    IMPORTED,
    LAYER,
    QUARTER,
    TWO_16,
    Program,
    export_lane,
    follow_products,
    id_of,
    lane,
    layer,
    lie,
    operand,
    padding_row,
    product_row,
    put,
    read_by_products,
    results_row,
    vector_of,
)
from zkvm.errors import RejectReason
from zkvm.riscv.chips.ecall import FACTORS
from zkvm.riscv.chips.tensor import call, results
from zkvm.riscv.isa import calls, tensors
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LINEAR, LOAD, Descriptor
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import CHANNELS, DATA, RODATA, VECTORS
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.prover.preprocessed import commit_preprocessed

PRODUCTS, RESULTS, TILES, WORDS, CALL, IMPORTS = (f"tensor_{name}" for name in ("products", "results", "tiles", "words", "call", "import"))
Forged = tuple[Forgery, str]
"""Forged tables and the one line that refuses them."""
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


# --- G5: rescaling -------------------------------------------------------------------------------------------------------------------


def g5_false_saturation() -> Forged:
    """Limbs of a negative difference mod p: the top one has 17 bits."""
    forged = layer().forged()
    assert abs(vector_of(forged, RESULTS, results_row(forged, 0), "x")[0]) < 1000
    assert lie(forged, 0, 0, flag="above") == 2**15 - 1
    return forged, f"{RESULTS}: v0 has 16 bits"


def g5_false_saturation_below() -> Forged:
    forged = layer().forged()
    assert lie(forged, 0, 0, flag="below") == -(2**15)
    return forged, f"{RESULTS}: v0 has 16 bits"


def g5_beyond_the_greatest() -> Forged:
    forged = layer(high=3).forged()
    assert vector_of(forged, RESULTS, results_row(forged, 0), "above")[0] == 1
    assert lie(forged, 0, 0, flag="none") > 3
    return forged, f"{RESULTS}: v0 has 16 bits"


def g5_beyond_the_greatest_with_a_limb() -> Forged:
    forged, _ = g5_beyond_the_greatest()
    forged.write(RESULTS, results_row(forged, 0), v0=0)
    return forged, f"{RESULTS}: lane 0 is at most the greatest"


def g5_below_the_least() -> Forged:
    forged = layer(low=0, high=3).forged()
    row = next(k for k in range(18) if vector_of(forged, RESULTS, results_row(forged, k), "below")[0])
    assert lie(forged, row, 0, flag="none") < 0
    return forged, f"{RESULTS}: u0 has 16 bits"


def g5_a_rest_of_more_than_one() -> Forged:
    """The quotient less one, and a rest of 2^32 and more."""
    forged = layer().forged()
    row = results_row(forged, 0)
    forged.add(RESULTS, row, u0=-1, v0=1, s0=TWO_16, x0=-1)
    export_lane(forged, LAYER, 0, 0, vector_of(forged, RESULTS, row, "x")[0])
    return forged, f"{RESULTS}: s0 has 16 bits"


def g5_low_limb_of_a_rest() -> Forged:
    forged = layer().forged()
    row = results_row(forged, 0)
    forged.add(RESULTS, row, u0=-1, v0=1, r0=1 << 32, x0=-1)
    export_lane(forged, LAYER, 0, 0, vector_of(forged, RESULTS, row, "x")[0])
    return forged, f"{RESULTS}: r0 has 16 bits"


def g5_cut_twice() -> Forged:
    """With both flags the top limb weighs 2^16 and the result is hi - u: a sum far below the least becomes 1 of 0 to 2."""
    x, w = [[-26216] + [0] * 7], [[10] + [0] * 7]
    forged = layer(1, 1, 1, low=0, high=2, x=x, w=w).forged()
    row = results_row(forged, 0)
    right = -((-262160 * QUARTER) + (1 << 31)) - 2 * (1 << 32) - 1 - ((1 << 16) + 1) * (1 << 32)
    assert 0 <= right < 1 << 32
    forged.write(RESULTS, row, above0=1, below0=1, u0=1, v0=1, s0=right >> 16, r0=right % TWO_16, x0=1)
    export_lane(forged, LAYER, 0, 0, 1)
    return forged, f"{RESULTS}: lane 0 is not cut twice"


def g5_another_channel() -> Forged:
    """bias and multiplier of the next channel, which is in the list."""
    listed = [(40 * c, QUARTER >> c, QUARTER) for c in range(9)]
    forged = layer(listed=listed).forged()
    row = results_row(forged, 0)
    forged.write(RESULTS, row, bias=listed[1][0], multiplier=listed[1][1])
    for k in range(8):
        lie(forged, 0, k)
    return forged, f"{RESULTS}: channel"


def g5_another_limit() -> Forged:
    """The list has another limit than the call says: for more taps than are safe."""
    forged = layer().forged()
    forged.write(CALL, forged.row(CALL, linear=1), limit=1, products=2, room_low=TWO_16 - 2)
    for chip in (TILES, RESULTS):
        table = forged.tables[chip]
        for row in range(table.used):
            forged.write(chip, row, limit=1)
    return forged, f"{RESULTS}: channel"


def g5_too_many_taps(monkeypatch: pytest.MonkeyPatch) -> Forged:
    """5 taps of a limit of 2^30: an executor without the rule computes the same, and a sum might wrap."""
    with monkeypatch.context() as patch:
        patch.setattr(tensors, "MAX_PRODUCT_LIMIT", 1 << 40)
        patch.setattr(call, "_limit", lambda execution, call: 1)
        forged = layer(1, 1, 5).forged()
    products = 5 * QUARTER
    forged.write(CALL, forged.row(CALL, linear=1), limit=QUARTER, products=products, room_low=((1 << 32) - products) % P % TWO_16)
    return forged, f"{CALL}: 2^32 - taps limit: high limb"


def g5_bounds_in_disorder() -> Forged:
    """The image's descriptor has hi = lo - 1: sums at the edge could be called larger than one, or smaller than the other."""
    forged = layer(1, 1, 1, low=5, high=6, x=[[4 * k for k in range(8)]], w=[[1] + [0] * 7]).forged()
    word = bounds(5, 4)
    value = forged.image.rom_value.copy()
    place = int((forged.image.rom_address == RODATA + 64 + 36).nonzero()[0][0])
    value[place] = word
    forged.image = replace(forged.image, rom_value=value)
    forged[f"rom.value_{place % 2}"][place // 2] = word
    forged.write(CALL, forged.row(CALL, linear=1), bounds=word, low=word % TWO_16)
    row = results_row(forged, 0)
    for chip, at in ((TILES, 0), (RESULTS, row)):
        forged.write(chip, at, low=5, span=-1)
    for k in range(8):
        lie(forged, 0, k, flag="above" if k >= 4 else "below")
    return forged, f"{CALL}: bounds are in order"


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
    forged.tables["ecall"] = _table_of_unknown_calls(forged)
    number = calls.TENSOR.number
    products = {}
    for k in range(len(FACTORS)):
        product = at_zero = 1
        for root in (root for factors in FACTORS[: k + 1] for root in factors):
            product, at_zero = product * (number - root), at_zero * -root
        products[f"numbers_{k}"] = product - at_zero
    row = padding_row(forged, "ecall")
    cells = {"a7": number, "result": calls.ENOSYS, "unknown": 1, "journal_pointer": kept["a1"], "pointer_after": kept["a1"], **products}
    descriptor = (kept["a0"] - 1) * (kept["a0"] - 2) * (kept["a0"] - 3) + 6
    forged.write("ecall", row, **kept, **cells, t_journal=kept["t"], descriptor=descriptor)
    forged.pass_on(A0, kept["t"], calls.ENOSYS)
    return forged, "ecall: an unknown number is none that is served"


def _table_of_unknown_calls(forged: Forgery) -> Table:
    """An empty table of the chip that answers unknown calls: the run has none."""
    assert "ecall" not in forged.tables
    other, chip = forged.tables["exit"], machine().chips[machine().chip_number("ecall")]
    return replace(other, chip=chip, used=0, main=np.zeros((len(chip.main), other.height), np.uint64))


FORGERIES: tuple[Callable[[], Forged], ...] = (
    g1_padding_contributes, g2_two_taps_at_once, g3_channels_beyond_8_are_muted, g3_another_start_of_the_next_tile,
    g4_a_vector_of_nobody, g4_weights_of_nobody, g4_another_vector, g4_padding_of_an_import_serves, g4_padding_of_words_serves,
    g4_padding_of_results_serves, g4_an_export_serves, g4_the_call_itself, g4_the_call_itself_as_weights, g4_two_calls_feed_each_other,
    g4_an_export_of_the_future,
    g5_false_saturation, g5_false_saturation_below, g5_beyond_the_greatest, g5_beyond_the_greatest_with_a_limb, g5_below_the_least,
    g5_a_rest_of_more_than_one, g5_low_limb_of_a_rest, g5_cut_twice, g5_another_channel, g5_another_limit, g5_bounds_in_disorder,
    g6_an_input_that_is_no_int16, g6_a_negative_word_without_its_sign, g6_a_positive_word_with_a_sign, g6_a_loaded_word_that_is_no_int16,
    g6_a_load_that_writes, g6_a_lane_without_a_word,
    g7_fewer_vectors_than_the_descriptor_says, g7_other_bounds_than_the_descriptor_says, g7_another_operation,
    g7_the_machine_does_not_know_the_call,
)  # fmt: skip
PROVEN = (g1_padding_contributes, g4_the_call_itself, g5_false_saturation)
"""Proven in every run of the tests; all of them in the slow tests."""


def name_of(make: Callable[[], Forged]) -> str:
    return make.__name__


@pytest.mark.parametrize("make", FORGERIES, ids=name_of)
def test_one_line_refuses(make: Callable[[], Forged]) -> None:
    refused_by(*make())


def test_g5_too_many_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tensors.MAX_PRODUCT_LIMIT == 1 << 32
    refused_by(*g5_too_many_taps(monkeypatch))


@pytest.mark.parametrize("make", PROVEN, ids=name_of)
def test_without_the_line_the_verifier_accepts(make: Callable[[], Forged], monkeypatch: pytest.MonkeyPatch) -> None:
    forged, line = make()
    assert forged.refusals() == {line}
    with monkeypatch.context() as patch:
        skip_own_checks(patch)
        assert verdict(forged) is expected({line})
    assert verdict(forged, refused_by(forged, line)) is None


@pytest.mark.slow
@pytest.mark.parametrize("make", [make for make in FORGERIES if make not in PROVEN], ids=name_of)
def test_without_the_line_the_verifier_accepts_every_one(make: Callable[[], Forged], monkeypatch: pytest.MonkeyPatch) -> None:
    test_without_the_line_the_verifier_accepts(make, monkeypatch)


def test_g5_a_top_limb_that_weighs_2_16_accepts_false_saturation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the top limb weighs 2^15: with 2^16 every element of the field is a right side, and the verifier is convinced."""
    forged = layer().forged()
    row = results_row(forged, 0)
    assert lie(forged, 0, 0, flag="above") == 2**15 - 1
    scaled = vector_of(forged, RESULTS, row, "sum")[0] * QUARTER + (1 << 31)
    rest = (scaled - ((2**15 - 1) << 32)) % P
    limbs = {name: rest >> shift & 0xFFFF for name, shift in (("v0", 48), ("u0", 32), ("s0", 16), ("r0", 0))}
    forged.write(RESULTS, row, **limbs)
    assert forged.refusals() == {f"{RESULTS}: lane 0 is divided"}
    monkeypatch.setattr(results, "TOP_BITS", 16)
    chips = tuple(results.ResultsChip() if chip.name == RESULTS else chip for chip in machine().chips)
    weak = Machine("rv32im with a top limb of 2^16", chips, machine().max_rows)
    forged.tables[RESULTS].chip = weak.chips[weak.chip_number(RESULTS)]
    for index in range(1, 18):  # honest lanes that are cut have other limbs under that weight
        for k in range(8):
            lane(forged, results_row(forged, index), k)
    assert forged.refusals() == set()
    assert verdict(forged, weak) is None


# --- G8: constants -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "value"), [("constant_vectors.x0", 99), ("channels.bias", 4000)])
def test_g8_other_constants(column: str, value: int) -> None:
    """Other weights or channels in the prover's own tables: nothing but the root in the image ID refuses them."""
    forged = layer().forged()
    forged[column][0] = value
    if column.startswith("channels"):
        for index in (0, 9):
            forged.write(RESULTS, results_row(forged, index), bias=value)
    else:
        read_by_products(forged, 0, VECTORS // 16, [99, *vector_of(forged, "constant_vectors", 0, "x")[1:]])
    assert follow_products(forged)
    assert forged.refusals() == set()
    columns = preprocess(machine(), forged.image)
    name = column.split(".")[0]
    columns[name] = forged.tables[name].pre
    own = commit_preprocessed(machine(), columns, CHOSEN.blowup)
    assert verdict(forged, tables=own) is RejectReason.MERKLE
    assert verdict(forged, tables=own, believed=True) is None
