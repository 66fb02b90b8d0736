"""Attacks of class G18: one row that is a tap of four tiles. What refuses each, and that it is four rows of single tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.forge import Forgery
from tests.proving import FAST, prove_execution
from tests.second_parts import Refused
from tests.second_verifier import Closing, Statement, verify_seal
from tests.soundness.cheating import skip_own_checks
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import (
    LAYER,
    follow_products,
    layer,
    padding_row,
    product_row,
    put,
    sums_of,
    vector_of,
)
from tools.make_vectors import chips
from zkvm.errors import VerificationError
from zkvm.riscv.chips.tensor.wide import WideProductsChip
from zkvm.riscv.machine import machine
from zkvm.stark.air.builder import Argument
from zkvm.stark.air.table import Table
from zkvm.stark.protocol.codec import encode_proof
from zkvm.stark.protocol.params import Policy
from zkvm.stark.verifier.verify import verify_proof

PRODUCTS, WIDE = "tensor_products", "tensor_wide_products"
BLOCKS, CHANNELS, TAPS = 5, 40, 2
"""Four whole tiles, and beside and below them one that has a half of each kind."""


@pytest.fixture
def forged() -> Forgery:
    return wide()


def wide() -> Forgery:
    return replace(layer(BLOCKS, CHANNELS, TAPS), wide=True).forged()


def tap_row(forged: Forgery, tap: int) -> int:
    """The row of a tap."""
    rows = [row for row in range(forged.tables[WIDE].used) if forged.cell(WIDE, row, "real")]
    return sorted(rows, key=lambda row: forged.cell(WIDE, row, "x"))[tap]


def test_honest(forged: Forgery) -> None:
    """The sums are those of rows of single tiles, four times as many."""
    alone = layer(BLOCKS, CHANNELS, TAPS).forged()
    assert WIDE not in alone.tables
    assert alone.tables[PRODUCTS].used - forged.tables[PRODUCTS].used == 4 * forged.tables[WIDE].used == 4 * TAPS
    assert sums_of(alone) == sums_of(forged)
    for own in (alone, forged):
        assert own.refusals() == set()
        assert own.refusals(recount=False) == set()


@pytest.mark.parametrize("result", [0, 1])
def test_a_proof_before_two_verifiers(result: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and the one that was written from the pages accept the honest table, and refuse it with one product changed."""
    skip_own_checks(monkeypatch)
    honest = replace(layer(BLOCKS, CHANNELS, TAPS), wide=True)

    def change(tables: Sequence[Table]) -> None:
        table = next(table for table in tables if table.chip.name == WIDE)
        table.main[table.chip.main.index("a0"), 0] += np.uint64(result)

    statement, proof = prove_execution(honest.executed(), FAST, forge=change)
    accepted = [True, True]
    try:
        verify_proof(machine(), statement, proof, Policy(FAST.security_bits))
    except VerificationError:
        accepted[0] = False
    logs = {
        chip.name: height.bit_length() - 1 for chip, height in zip(machine().chips, statement.preprocessed_heights, strict=True) if height
    }
    own = [
        Closing(entry.bus.id, [tuple(row) for row in entry.values.tolist()], entry.sent, entry.bus.argument is Argument.LOGUP)
        for entry in statement.closings
    ]
    fixed = {chip.name: logs.get(chip.name, 0) for chip in machine().chips if len(chip.preprocessed)}
    try:
        verify_seal(
            encode_proof(proof),
            machine().description,
            chips(machine()),
            Statement(dict(statement.fields), fixed, statement.preprocessed_root, own),
        )
    except Refused:
        accepted[1] = False
    assert accepted == [not result, not result]


def test_a_tap_may_be_here_or_there(forged: Forgery) -> None:
    """How a prover spreads taps is of no account: one of two taps as four rows of single tiles."""
    row = tap_row(forged, 1)
    own = {
        name: forged.cell(WIDE, row, name)
        for name in ("tensor", "tile", "across", "x_tensor", "x", "x_stride", "w_tensor", "w", "w_stride")
    }
    vectors = {stem: vector_of(forged, WIDE, row, stem) for stem in "abcdefgh"}
    forged.erase(WIDE, row)
    for down in range(2):
        for right in range(2):
            free = padding_row(forged, PRODUCTS)
            cells = {name: own[name] for name in ("tensor", "x_tensor", "x_stride", "w_tensor", "w_stride")}
            cells |= {"x": own["x"] + 2 * down * own["x_stride"], "w": own["w"] + 2 * right * own["w_stride"]}
            cells |= {"tile": own["tile"] + down * own["across"] + right, "real": 1, "two_blocks": 1, "two_channels": 1}
            forged.write(PRODUCTS, free, **cells)
            for stem, taken in zip("abcd", ("abcd"[2 * down], "abcd"[2 * down + 1], "efgh"[2 * right], "efgh"[2 * right + 1]), strict=True):
                put(forged, PRODUCTS, free, stem, vectors[taken])
    assert forged.refusals() == set()


# --- a row ---------------------------------------------------------------------------------------------------------------------------


def test_g18_a_tap_left_out(forged: Forgery) -> None:
    forged.erase(WIDE, tap_row(forged, 1))
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


def test_g18_a_tap_twice(forged: Forgery) -> None:
    row, free = tap_row(forged, 0), padding_row(forged, WIDE)
    forged.write(WIDE, free, **{name: forged.cell(WIDE, row, name) for name in WideProductsChip.columns})
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


def test_g18_a_tap_here_and_there(forged: Forgery) -> None:
    """A tile has its tap once more in a row of its own."""
    row, free = tap_row(forged, 0), padding_row(forged, PRODUCTS)
    names = ("tensor", "tile", "x_tensor", "x", "x_stride", "w_tensor", "w", "w_stride")
    forged.write(PRODUCTS, free, real=1, two_blocks=1, two_channels=1, **{name: forged.cell(WIDE, row, name) for name in names})
    for stem, taken in zip("abcd", "abef", strict=True):
        put(forged, PRODUCTS, free, stem, vector_of(forged, WIDE, row, taken))
    assert follow_products(forged)
    assert forged.refusals() == {"bus tap path"}


@pytest.mark.parametrize(("name", "step"), [("tile", 1), ("tile", -1), ("across", 1), ("across", -1), ("across", -2)])
def test_g18_other_tiles(forged: Forgery, name: str, step: int) -> None:
    """Products count for tiles that are not theirs."""
    for tap in range(TAPS):
        row = tap_row(forged, tap)
        forged.write(WIDE, row, **{name: forged.cell(WIDE, row, name) + step})
    assert follow_products(forged)
    assert {"bus tap path"} <= forged.refusals() <= {"bus tap path", "bus sums"}


@pytest.mark.parametrize("name", ["x", "w", "x_stride", "w_stride", "x_tensor", "w_tensor"])
def test_g18_other_operands(forged: Forgery, name: str) -> None:
    """The path says which vectors a tap reads."""
    row = tap_row(forged, 0)
    forged.write(WIDE, row, **{name: forged.cell(WIDE, row, name) + 1})
    refusals = forged.refusals()
    assert "bus tap path" in refusals
    assert any(f"{WIDE}: vector" in line for line in refusals)


def test_g18_key_of_another_call(forged: Forgery) -> None:
    forged.write(WIDE, tap_row(forged, 0), tensor=LAYER - 1)
    assert forged.refusals() == {"bus tap path", "bus sums"}


def test_g18_a_tile_without_its_half(forged: Forgery) -> None:
    """The last tile has one block and 8 channels: a row of four takes it for a whole one, and vectors of others for what it lacks."""
    row = product_row(forged, 0, tile=8)
    assert not forged.cell(PRODUCTS, row, "two_blocks") | forged.cell(PRODUCTS, row, "two_channels")
    taken = tap_row(forged, 0)
    own = {name: forged.cell(PRODUCTS, row, name) for name in ("tensor", "x_tensor", "x", "x_stride", "w_tensor", "w", "w_stride")}
    forged.write(WIDE, taken, **own, tile=8)
    assert "bus tap path" in forged.refusals()


# --- lines that alone refuse ---------------------------------------------------------------------------------------------------------


def g18_another_vector(stem: str) -> Attack:
    """An element of an operand is another one, and the results are those of it."""

    def make() -> Forged:
        forged = wide()
        row = tap_row(forged, 0)
        first, *others = vector_of(forged, WIDE, row, stem)
        put(forged, WIDE, row, stem, [first + 3, *others])
        assert follow_products(forged)
        return forged, f"{WIDE}: vector {stem}"

    make.__name__ = f"g18_another_vector_{stem}"
    return make


def g18_padding_that_contributes(stem: str, lane: int) -> Attack:
    """A row that is no tap adds to the sums of a tile: nobody looks at what it multiplies."""

    def make() -> Forged:
        forged = wide()
        row = padding_row(forged, WIDE)
        forged.write(WIDE, row, tensor=LAYER, across=3, a0=5, c1=7, **{f"{stem}{lane}": 9})
        assert follow_products(forged)
        return forged, f"{WIDE}: {stem}{lane} is 0 on padding"

    make.__name__ = f"g18_padding_that_contributes_{stem}{lane}"
    return make


PROVEN: tuple[Attack, ...] = (g18_another_vector("d"), g18_padding_that_contributes("h", 7))
FORGERIES: tuple[Attack, ...] = (
    *PROVEN,
    *map(g18_another_vector, "abcefgh"),
    *(g18_padding_that_contributes(stem, lane) for stem in "efgh" for lane in (0, 6)),
)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)
