"""Attacks on tensor calls beside their sums: operands (G4), rescaling (G5), words and the input (G6), calls (G7).

See ``test_tensor_forgeries.py``.
"""

from __future__ import annotations

import pytest

from tests.forge import Forgery, forgery
from tests.riscv.vm.tensor_programs import bounds
from tests.sample import sample_run
from tests.soundness.tensor_forging import (
    A0,
    A2,
    EXPORTED,
    IMPORTED,
    LAYER,
    TWO_32,
    Program,
    descriptor_word,
    export_lane,
    follow_products,
    id_of,
    layer,
    lie,
    list_at,
    operand,
    padding_row,
    product_row,
    put,
    results_row,
    vector_of,
)
from zkvm.riscv.isa import tensors
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LOAD, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA
from zkvm.stark.field.goldilocks import P

PRODUCTS, RESULTS, TILES, WORDS, CALL, IMPORTS = (f"tensor_{name}" for name in ("products", "results", "tiles", "words", "call", "import"))


@pytest.fixture
def forged() -> Forgery:
    """A layer of 16 positions, 9 channels and 2 taps: one tile with both halves of both."""
    return layer().forged()


# --- G4: operands --------------------------------------------------------------------------------------------------------------------


def test_g4_the_constants_for_a_tensor(forged: Forgery) -> None:
    forged.write(PRODUCTS, product_row(forged, 0), x_tensor=0)
    assert forged.refusals() == {f"{PRODUCTS}: vector a", f"{PRODUCTS}: vector b", "bus tap path"}


def test_g4_two_entries_for_one_vector(forged: Forgery) -> None:
    """An import makes vector 0 twice, and a reader chooses: a path takes every index once."""
    row = forged.copy_row(IMPORTS, forged.row(IMPORTS, index=0))
    put(forged, IMPORTS, row, "x", range(100, 108))
    put(forged, PRODUCTS, product_row(forged, 0), "a", range(100, 108))
    assert follow_products(forged)
    assert forged.refusals() == {"bus import path"}


def test_g4_two_entries_in_a_circle(forged: Forgery) -> None:
    """A path of an import that nobody called has to go round the whole field."""
    for index in range(3):
        row = padding_row(forged, IMPORTS)
        forged.write(IMPORTS, row, real=1, tensor=EXPORTED, index=index)
    assert forged.refusals() == {"bus import path"}
    forged.write(IMPORTS, row, index=P - 1)
    assert forged.refusals() == {"bus import path"}


def test_g4_multiplicities(forged: Forgery) -> None:
    for chip, bus in ((IMPORTS, "vector"), (RESULTS, "vector"), ("constant_vectors", "vector"), ("channels", "channel")):
        forged.add(chip, 0, multiplicity=1)
        assert forged.refusals(recount=False) == {f"bus {bus}"}
        forged.add(chip, 0, multiplicity=-1)


def test_g4_a_vector_that_nobody_made(forged: Forgery) -> None:
    """The import is read past its end."""
    row = product_row(forged, 1)
    forged.add(PRODUCTS, row, x=2)
    assert {f"{PRODUCTS}: vector b", "bus tap path"} <= forged.refusals()


@pytest.mark.parametrize("start", [1, 4, 8, 15, 24, 2**32 - 1])
def test_g4_an_operand_that_is_not_aligned(forged: Forgery, start: int) -> None:
    """Its row is start / 16 mod p, far from every index that is served: all ends of the paths agree, and no vector is there."""
    descriptor_word(forged, 1, 4, start)
    forged.write(CALL, forged.row(CALL, linear=1), x=start)
    for chip, names in ((TILES, ("x", "next_x")), (PRODUCTS, ("x",))):
        for row in range(forged.tables[chip].used):
            forged.add(chip, row, **dict.fromkeys(names, start * pow(16, -1, P)))
    assert forged.refusals() == {f"{PRODUCTS}: vector a", f"{PRODUCTS}: vector b"}


@pytest.mark.parametrize("start", [CHANNELS + 8, CHANNELS + 16 * 9, CHANNELS - 16, 0])
def test_g5_channels_that_are_not_there(forged: Forgery, start: int) -> None:
    descriptor_word(forged, 1, 8, start)
    list_at(forged, forged.row(CALL, linear=1), start)
    for chip in (TILES, RESULTS):
        for row in range(forged.tables[chip].used):
            forged.add(chip, row, channel=(start - CHANNELS) * pow(16, -1, P))
    assert forged.refusals() == {f"{RESULTS}: channel"}


def test_g4_a_tensor_is_of_its_own_call() -> None:
    """Rows of one import say that they are another's."""
    calls = [(Descriptor(IMPORT, 2), 0, 0), (Descriptor(IMPORT, 2), 0, 0), (Descriptor(EXPORT, 2, 8, 0, 0, 1), id_of(0), DATA)]
    forged = Program(calls, imported=[[v] * 8 for v in range(4)], ram=[0] * 16).forged()
    assert forged.refusals() == set()
    for index in (0, 1):
        forged.write(IMPORTS, forged.row(IMPORTS, tensor=id_of(1), index=index), tensor=id_of(0))
    assert forged.refusals() == {"bus import path"}


# --- G5: rescaling -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["above", "below"])
def test_g5_a_flag_alone(forged: Forgery, flag: str) -> None:
    forged.write(RESULTS, results_row(forged, 0), **{f"{flag}0": 1})
    assert {f"{RESULTS}: lane 0 is divided", f"{RESULTS}: lane 0 is cut"} <= forged.refusals()


def test_g5_a_result_beside_the_quotient(forged: Forgery) -> None:
    for change in (1, -1, 1 << 16, (P + 1) // 2):
        own = layer().forged()
        own.add(RESULTS, results_row(own, 0), x0=change)
        assert {f"{RESULTS}: lane 0 is cut", f"{WORDS}: exported vector"} == own.refusals()


def test_g5_another_bias_or_bound(forged: Forgery) -> None:
    for name, change, line in (("bias", 4, f"{RESULTS}: channel"), ("multiplier", 4, f"{RESULTS}: channel")):
        own = layer().forged()
        own.add(RESULTS, results_row(own, 0), **{name: change})
        for k in range(8):
            lie(own, 0, k)
        assert own.refusals() == {line}
    forged.add(RESULTS, results_row(forged, 0), low=5)
    for k in range(8):
        lie(forged, 0, k)
    assert forged.refusals() == {"bus out path"}


# --- G6: words and the input ---------------------------------------------------------------------------------------------------------


def test_g6_an_exported_word_left_out(forged: Forgery) -> None:
    """The last vector is not written, and the memory keeps what it held."""
    row = forged.row(WORDS, operand=LAYER, operand_index=17)
    address, time = (forged.cell(WORDS, row, name) for name in ("address", "t"))
    for k in range(8):
        forged.pass_on(address + 4 * k, time + 1, 0)
        forged.follow(address + 4 * k, time + 1, forged.cell(WORDS, row, f"t{k}"))
    forged.erase(WORDS, row)
    assert forged.refusals() == {"bus words path"}


def test_g6_an_exported_word_elsewhere(forged: Forgery) -> None:
    row = forged.row(WORDS, operand=LAYER, operand_index=17)
    forged.add(WORDS, row, address=4, address_low=1)
    assert forged.refusals() == {"bus words path", "bus memory"}


def test_g6_another_vector_is_exported(forged: Forgery) -> None:
    row = forged.row(WORDS, operand=LAYER, operand_index=3)
    values = vector_of(forged, RESULTS, results_row(forged, 4), "x")
    for k, value in enumerate(values):
        export_lane(forged, LAYER, 3, k, value)
    forged.write(WORDS, row, operand_index=4)
    assert forged.refusals() == {"bus words path"}


def test_g6_words_in_the_place_of_registers() -> None:
    """An export that begins at the last word of the address space would go on at x0. The word before has no memory either."""
    forged = Program(
        [(Descriptor(IMPORT, 2), 0, 0), (Descriptor(EXPORT, 2, 1, 0, 0, 1), id_of(0), DATA)], imported=[[7] * 8] * 2, ram=[0] * 8
    ).forged()
    operand(forged, 1, A2, TWO_32 - 4)
    for index, (address, low) in enumerate(((TWO_32 - 4, (1 << 14) - 1), (TWO_32, 0))):
        forged.write(WORDS, forged.row(WORDS, index=index), address=address, address_low=low)
    assert forged.refusals() == {f"{WORDS}: address: high limb", "bus memory"}


@pytest.mark.parametrize("by", [1, 2, 3])
def test_g6_words_that_are_not_aligned(by: int) -> None:
    forged = Program([(Descriptor(LOAD, 1, 1), 0, DATA)], ram=[5, 6]).forged()
    row = forged.row(WORDS, load=1)
    forged.add(WORDS, row, address=by)
    assert forged.refusals() == {f"{WORDS}: address: high limb", "bus words path", "bus memory"}
    low = (DATA + by - (DATA >> 16 << 16)) * pow(4, -1, P)
    forged.write(WORDS, row, address_low=low)
    assert forged.refusals() == {f"{WORDS}: address: bits 2 to 15", "bus words path", "bus memory"}


def test_g6_an_export_that_loads_and_a_load_that_exports() -> None:
    """The kind is on the path."""
    forged = Program([(Descriptor(LOAD, 1, 8), 0, DATA)], ram=range(8)).forged()
    forged.write(WORDS, 0, load=0)
    assert forged.refusals() == {"bus words path", f"{WORDS}: exported vector"}
    forged = layer().forged()
    forged.write(WORDS, 0, load=1)
    assert "bus words path" in forged.refusals()


# --- G7: calls -----------------------------------------------------------------------------------------------------------------------


def test_g7_another_handle(forged: Forgery) -> None:
    """The id is a function of the time: what the program finds in a0 can be nothing else."""
    row = forged.row(CALL, linear=1)
    forged.pass_on(A0, forged.cell(CALL, row, "t"), IMPORTED)
    assert forged.refusals() == {"bus memory"}


@pytest.mark.parametrize("name", ["blocks", "channels", "taps", "x", "x_stride", "w", "w_stride", "channel_list", "bounds"])
def test_g7_another_descriptor(forged: Forgery, name: str) -> None:
    forged.add(CALL, forged.row(CALL, linear=1), **{name: 16})
    assert f"{CALL}: {name.replace('_', ' ')}" in forged.refusals()


def test_g7_a_descriptor_that_is_not_aligned(forged: Forgery) -> None:
    row = forged.row(CALL, linear=1)
    for change in (1, 2, 4, TWO_32, P - 4):
        forged.add(CALL, row, a0=change)
        assert f"{CALL}: operation" in forged.refusals()
        forged.add(CALL, row, a0=-change)


def test_g7_a_descriptor_in_memory() -> None:
    """The same words where the program can change them: its descriptor is looked up in ROM, not read."""
    blocks = 2
    forged = Program([(Descriptor(IMPORT, blocks), 0, 0)], imported=[[1] * 8] * blocks, ram=[IMPORT, blocks]).forged()
    assert forged.refusals() == set()
    operand(forged, 0, A0, DATA)
    forged.write(CALL, 0, a0=DATA)
    assert forged.refusals() == {f"{CALL}: operation", f"{CALL}: blocks"}


def test_g7_a_call_without_rows_and_rows_without_a_call() -> None:
    forged = Program([(Descriptor(IMPORT, 1), 0, 0)], imported=[[1] * 8]).forged()
    forged.erase(IMPORTS, 0)
    assert forged.refusals() == {"bus import path"}
    forged.write(IMPORTS, 0, real=1, tensor=id_of(1))
    assert forged.refusals() == {"bus import path"}
    forged = layer().forged()
    for row in range(forged.tables[TILES].used):
        forged.erase(TILES, row)
    assert forged.refusals() == {"bus tile path", "bus tap path", "bus out path"}


def test_g7_paths_of_other_calls(forged: Forgery) -> None:
    """A call of one kind opens no path of another: its ends are where they begin."""
    for kind, name, line in (
        ("imports", "moved", "vectors in words"),
        ("imports", "tiles", "only a layer has tiles"),
        ("imports", "two_blocks", "only a layer has two blocks"),
        ("imports", "linear_blocks", "blocks of a layer"),
        ("exports", "imported", "an import's vectors"),
        ("linear", "moved", "vectors in words"),
    ):
        row = forged.row(CALL, **{kind: 1})
        forged.add(CALL, row, **{name: 1})
        assert f"{CALL}: {line}" in forged.refusals()
        forged.add(CALL, row, **{name: -1})


def test_g7_the_call_is_another(forged: Forgery) -> None:
    """All flags of a row that makes a tensor call say which operation; none is no call."""
    row = forged.row(CALL, imports=1)
    forged.write(CALL, row, imports=0)
    assert {"bus state", f"{CALL}: an import's vectors"} <= forged.refusals()
    forged.write(CALL, row, imports=1, loads=1)
    assert f"{CALL}: at most one operation" in forged.refusals()


def test_sample_makes_every_operation() -> None:
    """Forgeries of its run in the generic tests are forgeries of tensor calls too."""
    run = sample_run()
    assert {call.descriptor.operation for call in run.tensor_calls} == set(tensors.NAMES)
    assert forgery(run).refusals() == set()
    assert bounds(0, 0) == 0x8000_8000
