"""Attacks on the sums of tensor calls, by class: consistent forgeries, and everything that refuses each.

The classes: G1 sums, G2 taps, G3 tiles here; G4 operands, G5 rescaling, G6 words and the input, G7 calls in ``test_tensor_calls.py``.
Those that one line refuses, and nothing else, are in ``test_tensor_single_checks.py``. A forger recomputes: results are those of the
forged sums, exports write them, and multiplicities are counted again.
"""

from __future__ import annotations

import pytest

from tests.forge import Forgery
from tests.soundness.tensor_forging import (
    LAYER,
    QUARTER,
    Program,
    follow_products,
    id_of,
    lane,
    layer,
    lie,
    padding_row,
    product_row,
    put,
    results_row,
    vector_of,
)
from zkvm.riscv.vm.assemble import CHANNELS, VECTORS

PRODUCTS, RESULTS, TILES, WORDS, CALL, IMPORTS = (f"tensor_{name}" for name in ("products", "results", "tiles", "words", "call", "import"))


@pytest.fixture
def forged() -> Forgery:
    """A layer of 16 positions, 9 channels and 2 taps: one tile with both halves of both."""
    return layer().forged()


@pytest.fixture
def tiles() -> Forgery:
    """A layer of 24 positions and 19 channels: four tiles."""
    return layer(3, 19).forged()


def test_honest(forged: Forgery, tiles: Forgery) -> None:
    for own in (forged, tiles):
        assert own.refusals() == set()
        assert own.refusals(recount=False) == set()


# --- G1: sums ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "k"), [(0, 0), (8, 7), (9, 3), (17, 7)])
def test_g1_another_sum(forged: Forgery, index: int, k: int) -> None:
    """The quotient is that of the false sum, and the memory holds it."""
    lie(forged, index, k, 4000)
    assert forged.refusals() == {"bus sums"}


def test_g1_one_more_and_one_less(forged: Forgery) -> None:
    """All sums of a tile have one total, but not one power of beta."""
    for index, change in ((0, 400), (1, -400)):
        lie(forged, index, 2, vector_of(forged, RESULTS, results_row(forged, index), "sum")[2] + change)
    assert forged.refusals() == {"bus sums"}


def test_g1_lanes_exchanged(forged: Forgery) -> None:
    row = results_row(forged, 3)
    first, second = vector_of(forged, RESULTS, row, "sum")[:2]
    assert first != second
    lie(forged, 3, 0, second)
    lie(forged, 3, 1, first)
    assert forged.refusals() == {"bus sums"}


def test_g1_padding_takes_a_sum(forged: Forgery) -> None:
    """A row that makes nothing takes the difference away: it has no place, so both groups of flags object."""
    before = vector_of(forged, RESULTS, results_row(forged, 0), "sum")[0]
    lie(forged, 0, 0, before + 4000)
    row = padding_row(forged, RESULTS)
    forged.write(RESULTS, row, tensor=LAYER, high0=1, low0=1, sum0=-4000)
    assert forged.refusals() == {f"{RESULTS}: one of high0 to high3", f"{RESULTS}: one of low0 to low3"}


def test_g1_key_of_another_tile(tiles: Forgery) -> None:
    for row in (product_row(tiles, 0, 1), product_row(tiles, 1, 1)):
        tiles.write(PRODUCTS, row, tile=0)
    assert tiles.refusals() == {"bus tap path", "bus sums"}


def test_g1_key_of_another_call() -> None:
    """Two equal calls: products of the second count for the first."""
    honest = layer()
    again = Program([*honest.calls, honest.calls[1]], honest.vectors, honest.channels, honest.imported, honest.ram)
    forged = again.forged()
    assert forged.refusals() == set()
    forged.write(PRODUCTS, product_row(forged, 0, tensor=id_of(3)), tensor=LAYER)
    assert forged.refusals() == {"bus tap path", "bus sums"}


def test_g1_another_power_of_beta(forged: Forgery) -> None:
    """A result takes the sums of another channel, at whose place it says that it is."""
    first, second = results_row(forged, 1), results_row(forged, 2)
    for row, flag in ((first, 2), (second, 1)):
        forged.write(RESULTS, row, **{"low1": 0, "low2": 0, f"low{flag}": 1})
    sums = [vector_of(forged, RESULTS, row, "sum") for row in (first, second)]
    for index, values in ((1, sums[1]), (2, sums[0])):
        for k, value in enumerate(values):
            lie(forged, index, k, value)
    assert forged.refusals() == {"bus out path"}


# --- G2: taps ------------------------------------------------------------------------------------------------------------------------


def test_g2_a_tap_left_out(forged: Forgery) -> None:
    forged.erase(PRODUCTS, product_row(forged, 1))
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


def test_g2_a_tap_twice(forged: Forgery) -> None:
    forged.copy_row(PRODUCTS, product_row(forged, 0))
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


def test_g2_a_tap_instead_of_another(forged: Forgery) -> None:
    rows = [product_row(forged, tap) for tap in (0, 1)]
    main = forged.tables[PRODUCTS].main
    main[:, rows[1]] = main[:, rows[0]]
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


def test_g2_operands_of_different_taps(forged: Forgery) -> None:
    """x of one tap with w of the other: all vectors are read once, as they should be."""
    rows = [product_row(forged, tap) for tap in (0, 1)]
    cells = [{name: forged.cell(PRODUCTS, row, name) for name in ("w", *(f"{s}{k}" for s in "cd" for k in range(8)))} for row in rows]
    for row, other in zip(rows, reversed(cells), strict=True):
        forged.write(PRODUCTS, row, **other)
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


def test_g2_one_tap_too_many() -> None:
    """The vectors behind the last tap are there, and a row reads them."""
    honest = layer(blocks=1, channels=8, taps=2, x=[[k + v for k in range(8)] for v in range(3)], w=[[1 + k for k in range(8)]] * 3)
    forged = honest.forged()
    row = forged.copy_row(PRODUCTS, product_row(forged, 1))
    forged.add(PRODUCTS, row, x=1, w=1)
    put(forged, PRODUCTS, row, "a", [k + 2 for k in range(8)])
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


@pytest.mark.parametrize(("flag", "stem"), [("two_blocks", "b"), ("two_channels", "d")])
def test_g2_half_of_a_tap_is_left_out(forged: Forgery, flag: str, stem: str) -> None:
    """The tile has both halves, and one tap says that it has not: its products with that half count for nothing."""
    row = product_row(forged, 1)
    forged.write(PRODUCTS, row, **{flag: 0})
    put(forged, PRODUCTS, row, stem, [0] * 8)
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


def test_g2_vectors_of_another_stride(forged: Forgery) -> None:
    row = product_row(forged, 1)
    forged.add(PRODUCTS, row, x_stride=-1)
    put(forged, PRODUCTS, row, "b", vector_of(forged, PRODUCTS, product_row(forged, 0), "b"))
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


# --- G3: tiles -----------------------------------------------------------------------------------------------------------------------


def tile_row(forged: Forgery, tile: int, tensor: int = LAYER) -> int:
    return forged.row(TILES, tensor=tensor, tile=tile)


def test_g3_the_last_tile_too_early(tiles: Forgery) -> None:
    """Channels that are left would be more than there are, and the path has no end. The other rows are left out."""
    row = tile_row(tiles, 2)
    tiles.write(TILES, row, last=1, back=19, next_blocks_left=0, next_x=tiles.cell(TILES, row, "x") + 2, next_w=VECTORS // 16)
    gone = tile_row(tiles, 3)
    tiles.erase(TILES, gone)
    for tap in (1, 0):
        tiles.erase(PRODUCTS, product_row(tiles, tap, 3))
    for index in range(54, 57):
        tiles.erase(RESULTS, results_row(tiles, index))
    found = tiles.refusals()
    assert found == {f"{TILES}: the last has the channels that are left", "bus tile path", f"{WORDS}: exported vector"}


def test_g3_no_last_tile() -> None:
    """Of 16 channels the tile may say that more follow; then none are left, and a tile of none says that it is the last.

    It takes no sums, so its products must be zero: nothing is gained. Without that tile there is no end.
    """
    forged = layer(1, 16, 2, w=[[(v + k) % 7 - 3 for k in range(8)] for v in range(4)] + [[0] * 8] * 2).forged()
    row = tile_row(forged, 0)
    w = VECTORS // 16
    forged.write(TILES, row, last=0, back=0, next_blocks_left=1, next_x=0, next_w=w + 4)
    assert forged.refusals() == {"bus tile path"}
    more = forged.copy_row(TILES, row)
    cells = {"last": 1, "tile": 1, "channels_left": 0, "w": w + 4, "result": 16, "channel": CHANNELS // 16 + 16, "two_channels": 0}
    cells |= {"width": 0, "back": 16, "next_blocks_left": 0, "next_x": 2, "next_w": w}
    forged.write(TILES, more, **cells)
    forged.write(CALL, forged.row(CALL, linear=1), tiles=2)
    for tap in (0, 1):
        copy = forged.copy_row(PRODUCTS, product_row(forged, tap))
        forged.write(PRODUCTS, copy, tile=1, two_channels=0, w=w + 4 + tap)
        for stem in "cd":
            put(forged, PRODUCTS, copy, stem, [0] * 8)
    assert forged.refusals() == set()


def test_g3_fewer_than_no_channels_left() -> None:
    """A first tile of 16 of 10 channels, and a last one of -6: every line of the tiles holds, and six results too many are made.

    What refuses it is that a path of results does not go backwards.
    """
    zeros, listed = [[0] * 8] * 4, [(0, QUARTER, QUARTER)] * 16
    w = [[k + v + 1 for k in range(8)] for v in range(2)] + [[k + 1, k + 2] + [0] * 6 for k in range(2)]
    forged = layer(1, 10, 2, listed=listed, w=[*w, *zeros]).forged()
    row, first_w = tile_row(forged, 0), VECTORS // 16
    forged.write(TILES, row, last=0, width=16, back=0, next_blocks_left=1, next_x=0, next_w=first_w + 4)
    more = forged.copy_row(TILES, row)
    cells = {"last": 1, "tile": 1, "channels_left": -6, "w": first_w + 4, "result": 16, "channel": CHANNELS // 16 + 16, "width": -6}
    cells |= {"two_channels": 0, "back": 10, "next_blocks_left": 0, "next_x": 2, "next_w": first_w}
    forged.write(TILES, more, **cells)
    forged.write(CALL, forged.row(CALL, linear=1), tiles=2)
    for tap in (0, 1):
        copy = forged.copy_row(PRODUCTS, product_row(forged, tap))
        forged.write(PRODUCTS, copy, tile=1, two_channels=0, w=first_w + 4 + tap)
        for stem in "cd":
            put(forged, PRODUCTS, copy, stem, [0] * 8)
    for place in range(10, 16):
        copy = forged.copy_row(RESULTS, results_row(forged, 9))
        flags = {f"{stem}{k}": int(k == value) for stem, value in (("high", place // 4), ("low", place % 4)) for k in range(4)}
        forged.write(RESULTS, copy, index=place, channel=CHANNELS // 16 + place, multiplicity=0, **flags)
        for k in range(8):
            lane(forged, copy, k, 0)
    assert forged.refusals() == {"bus out path"}


def test_g3_a_block_is_left_out(tiles: Forgery) -> None:
    """The second block of a tile is counted as done, and made by nobody."""
    for tile in (0, 1):
        tiles.write(TILES, tile_row(tiles, tile), two_blocks=0, second_width=0, next_two_blocks=0)
    tiles.write(TILES, tile_row(tiles, 1), skip=0)
    assert {f"{TILES}: blocks that are done", f"{TILES}: x of the next tile"} <= tiles.refusals()


def test_g3_a_result_left_out_or_twice(forged: Forgery) -> None:
    forged.copy_row(RESULTS, results_row(forged, 4))
    assert forged.refusals() == {"bus out path", "bus sums"}
    forged = layer().forged()
    forged.erase(RESULTS, results_row(forged, 4))
    assert forged.refusals() == {"bus out path", "bus sums", f"{WORDS}: exported vector"}


def test_g3_a_result_beyond_the_channels(forged: Forgery) -> None:
    """Channel 9 of 9: its sums are zero, and nobody asks for it."""
    row = forged.copy_row(RESULTS, results_row(forged, 8))
    forged.write(RESULTS, row, low0=0, low1=1, index=9, channel=CHANNELS // 16 + 9, multiplicity=0)
    for k in range(8):
        lane(forged, row, k, 0)
    assert forged.refusals() == {f"{RESULTS}: channel", "bus out path"}


def test_g3_halves_exchanged(forged: Forgery) -> None:
    """Results of the first block are those of the second, and the other way round."""
    rows = [[results_row(forged, 9 * half + channel) for channel in range(9)] for half in (0, 1)]
    sums = [[vector_of(forged, RESULTS, row, "sum") for row in own] for own in rows]
    for half, own in enumerate(rows):
        for channel, row in enumerate(own):
            forged.write(RESULTS, row, half=1 - half)
            for k, value in enumerate(sums[1 - half][channel]):
                lie(forged, 9 * half + channel, k, value)
    assert forged.refusals() == {"bus out path"}
