"""Attacks on sums, on the tiles of :mod:`tests.tiles`: each is refused by the checker, and by the verifier if a prover goes on.

Whatever is not a sum agrees with the lie: results are claimed as they stand in the rows. So it is the sum that refuses, and where it is a
constraint instead, the machine without it accepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.soundness.cheating import after, challenges_of, fingerprint, forge_openings, skip_own_checks
from tests.soundness.replay import Draws, Frozen, Recorder
from tests.tiles import (
    CHANNEL_STEP,
    ECHOES,
    I64,
    LANES,
    MAX_ROWS,
    SUMS,
    TILES,
    EchoChip,
    MacChip,
    OutChip,
    committed,
    lanes,
    product,
    tile_statement,
    tile_tables,
)
from zkvm.errors import VerificationError
from zkvm.stark.air.builder import AirBuilder, Argument, Bus
from zkvm.stark.air.check import check_tables
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.columns import Row
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import Ext, ext_add, ext_inv, ext_mul, ext_pow, ext_scale, from_ext, to_ext
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import Policy, parameters
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.prover import prove
from zkvm.stark.verifier.verify import verify_proof

BALANCED = parameters("balanced", 100)
NO_SUM = "BUS: the lookup sums do not cancel"
OOD = "OOD: the constraints do not equal the quotient"
FINAL = "FRI: the final polynomial"
lies = pytest.mark.parametrize("reason", [OOD, FINAL], ids=["plain", "adaptive"])
Tables = dict[str, Table]


@pytest.fixture(autouse=True)
def cheat(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A prover without checks of its own."""
    skip_own_checks(monkeypatch)
    return monkeypatch


def with_chip(chip: Chip) -> Machine:
    """The machine with another chip of the same name."""
    return Machine("weak tiles", tuple(chip if own.name == chip.name else own for own in TILES.chips), MAX_ROWS)


def complaints(tables: Tables, result: I64) -> set[str]:
    """What the checker says is wrong: 'where: label'."""
    failures = check_tables(list(tables.values()), tile_statement(BALANCED, result).closings)
    return {f"{failure.where}: {failure.label}" for failure in failures}


def proven(tables: Tables, result: I64, machine: Machine = TILES, transcript: Transcript | None = None) -> Proof:
    """What the cheating prover makes of the tables, with zero knowledge."""
    statement = tile_statement(BALANCED, result)
    filled = [replace(table, main=table.main.copy()) for table in tables.values()]
    return prove.prove_tables(machine, BALANCED, statement, filled, committed(BALANCED.blowup), transcript=transcript)[0]


def verdict(proof: Proof, result: I64, machine: Machine = TILES, transcript: Transcript | None = None) -> str:
    """'REASON: detail' of the verifier's refusal, or nothing."""
    try:
        verify_proof(machine, tile_statement(BALANCED, result), proof, Policy(), transcript)
    except VerificationError as error:
        return str(error)
    return ""


def refused(tables: Tables, result: I64, complaint: str, reason: str) -> None:
    """The checker has this one complaint, and the verifier refuses for this reason."""
    assert complaints(tables, result) == {complaint}
    assert verdict(proven(tables, result), result).startswith(reason)


def accepted(tables: Tables, result: I64, machine: Machine) -> None:
    """Everything agrees, for this machine."""
    own = {name: replace(table, chip=machine.chips[machine.chip_number(name)]) for name, table in tables.items()}
    assert complaints(own, result) == set()
    assert verdict(proven(own, result, machine), result, machine) == ""


UNEQUAL = f"bus {SUMS.name}: does not add up to zero"


def with_results(result: I64) -> Tables:
    """Honest tables, but for the results, which are these."""
    tables = tile_tables(BALANCED)
    out = tables["out"]
    values = np.array([row[3:] for row in result_rows(result)], np.uint64)
    for lane, name in enumerate(lanes("y")):
        out.main[out.chip.main.index(name), : len(values)] = values[:, lane]
    return tables


def result_rows(result: I64) -> list[list[int]]:
    rows: list[list[int]] = tile_statement(BALANCED, result).closings[-1].values.tolist()
    return rows


def cells(table: Table, row: int, **values: int) -> None:
    """Write cells of a row, mod p."""
    for name, value in values.items():
        table.main[table.chip.main.index(name), row] = value % P


def test_the_honest_product_is_accepted() -> None:
    accepted(tile_tables(BALANCED), product(), TILES)


# --- results --------------------------------------------------------------------------------------------------------------------------


def one_more(result: I64) -> None:
    result[0, 0] += 1


def two_rows(result: I64) -> None:
    result[0, 1] += 1
    result[0, 2] -= 1


def two_lanes(result: I64) -> None:
    result[2, 0] += 1
    result[1, 0] -= 1


def halves(result: I64) -> None:
    result[:LANES], result[LANES : 2 * LANES] = result[LANES : 2 * LANES].copy(), result[:LANES].copy()


def tiles(result: I64) -> None:
    result[:8, :4], result[8:, 4:] = result[8:, 4:].copy(), result[:8, :4].copy()


def channels(result: I64) -> None:
    result[:, [0, 2]] = result[:, [2, 0]]


def positions(result: I64) -> None:
    result[[4, 7]] = result[[7, 4]]


def scaled(result: I64) -> None:
    result *= 2


LIES = {
    "wrong output": one_more, "+1 and -1 in two rows of a tile": two_rows, "+1 and -1 in a row": two_lanes, "key of the other half": halves,
    "key of another tile": tiles, "powers of another channel": channels, "swapped lanes": positions, "twice everything": scaled,
}  # fmt: skip


@pytest.mark.parametrize("name", list(LIES))
def test_a_false_result_in_consistent_rows(name: str) -> None:
    result = product()
    LIES[name](result)
    refused(with_results(result), result, UNEQUAL, NO_SUM)


def test_the_checker_names_key_power_and_sources() -> None:
    """The lowest power that differs, with the rows that have a part in it."""
    result = product()
    result[6, 2] += 1  # lane 2 of half 1 of tile 0, channel 2
    result[7, 3] += 1
    failures = check_tables(list(with_results(result).values()), tile_statement(BALANCED, result).closings)
    power = 2 + 2 * CHANNEL_STEP
    assert [str(failure) for failure in failures] == [
        f"bus tile sums: does not add up to zero: [0, 1]: beta^{power} has surplus -1; "
        "from mac: products of half 1 row 0 (+4); out: results row 6"
    ]


def test_the_checker_is_exact_mod_p() -> None:
    """A surplus of p is none, and one of p - 1 is minus one."""
    result = product()
    tables = tile_tables(BALANCED)
    for value, expected in ((P, []), (P - 1, ["surplus 1;"])):
        changed = with_results(result)
        cells(changed["out"], 0, y0=int(tables["out"].main[tables["out"].chip.main.index("y0"), 0]) + value)
        failures = [failure for failure in check_tables(list(changed.values()), ()) if failure.where == "bus tile sums"]
        assert len(failures) == len(expected)
        assert all(text in str(failure) for text, failure in zip(expected, failures, strict=True))


# --- operands -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["tile", "half"])
def test_a_contribution_under_another_key(key: str) -> None:
    """A row of results goes to another key, and its twin there comes back: paths and results are closed, powers alike."""
    tables = tile_tables(BALANCED)
    out, other = tables["out"].main, {"tile": 16, "half": 4}[key]  # rows of channel 1
    values = [tables["out"].chip.main.index(name) for name in lanes("y")]
    out[np.ix_(values, [1, 1 + other])] = out[np.ix_(values, [1 + other, 1])]
    result = product()
    rows, columns = ((slice(0, 4), slice(8, 12)), (1, 1)) if key == "tile" else ((slice(0, 4), slice(4, 8)), (1, 1))
    swapped = result[rows[0], columns[0]].copy()
    result[rows[0], columns[0]], result[rows[1], columns[1]] = result[rows[1], columns[1]], swapped
    refused(tables, result, UNEQUAL, NO_SUM)


class FreeOutChip(OutChip):
    """Without the claim that the flags are the channel."""

    name = "out"

    def constraints(self, air: AirBuilder, row: Row) -> None:
        super().constraints(air, row)
        air.constraints = [own for own in air.constraints if own.label != "the flags are the channel"]


@lies
def test_a_coefficient_with_another_power(cheat: pytest.MonkeyPatch, reason: str) -> None:
    """Two rows exchange results and flags but not channels: the sum agrees with the lie, the flags' constraint does not."""
    result = product()
    channels(result)
    tables = with_results(result)
    out = tables["out"]
    for tile_half in range(0, out.used, 4):
        if tile_half // 8 % 2 == 0:  # tiles whose channels are 0 to 3
            cells(out, tile_half, high0=0, high1=1)
            cells(out, tile_half + 2, high0=1, high1=0)
    accepted(tables, result, with_chip(FreeOutChip()))
    if reason == FINAL:
        forge_openings(cheat)
    refused(tables, result, "out: the flags are the channel", reason)


# --- rows that may not speak -----------------------------------------------------------------------------------------------------------


class FreeMacChip(MacChip):
    """Without the claims that mute its padding."""

    name = "mac"

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("real is boolean", row.real)


@lies
def test_a_contribution_from_a_padding_row(cheat: pytest.MonkeyPatch, reason: str) -> None:
    """It makes up for what a result has too much; nothing but the constraints that mute it objects."""
    result = product()
    one_more(result)
    tables = with_results(result)
    cells(tables["mac"], tables["mac"].active - 1, tile=0, a0=1, c0=1)
    accepted(tables, result, with_chip(FreeMacChip()))
    if reason == FINAL:
        forge_openings(cheat)
    refused(tables, result, "mac: a padding row multiplies by nothing: c0", reason)


@pytest.mark.parametrize("reason", [NO_SUM, OOD, FINAL])
def test_a_contribution_from_an_exempt_row(cheat: pytest.MonkeyPatch, reason: str) -> None:
    """The row is filled after all others; the sum ends before it, or runs on over it against its constraint."""
    result = product()
    one_more(result)
    tables = with_results(result)

    def place(result: None, tables: list[Table]) -> None:
        mac = next(table for table in tables if table.chip.name == "mac")
        mac.main[:, mac.active] = 0
        cells(mac, mac.active, a0=1, c0=1)

    def run_on(result: Any, table: Table, params: Sequence[int]) -> Any:
        bus, terminals = result
        if table.chip.name == "mac":
            terminals[-1] = ext_add(terminals[-1], ext_inv(key_print((0, 0), *challenges_of(params))))
            bus[-3:, table.active] = from_ext(terminals[-1])
        return bus, terminals

    after(cheat, "randomize_tables", place)
    if reason != NO_SUM:
        after(cheat, "bus_columns", run_on)
    if reason == FINAL:
        forge_openings(cheat)
    refused(tables, result, UNEQUAL, reason)


# --- buses -----------------------------------------------------------------------------------------------------------------------------


def key_print(key: tuple[int, ...], alpha: Ext, beta: Ext, bus: Bus = SUMS) -> Ext:
    """The fingerprint of a key."""
    return fingerprint(replace(bus, argument=Argument.LOGUP, power=0), key, alpha, beta)


class OneBusEchoChip(EchoChip):
    """Echoes on the bus of the tiles."""

    name = "echo"
    bus = SUMS


def test_a_contribution_under_another_buss_id() -> None:
    """An echo takes away one more than was called, under the key where a result lacks one: only the ids of the buses tell them apart."""
    result = product()
    result[0, 0] -= 1
    tables = with_results(result)
    echo = tables["echo"]
    cells(echo, 0, r0=int(echo.main[echo.chip.main.index("s0"), 0]) + 1)
    accepted(tables, result, with_chip(OneBusEchoChip()))
    assert complaints(tables, result) == {UNEQUAL, f"bus {ECHOES.name}: does not add up to zero"}
    assert verdict(proven(tables, result), result).startswith(NO_SUM)


def test_a_lookup_does_not_make_up_for_a_sum() -> None:
    """A served result has the same values as a key could have; another id is another pole."""
    result = product()
    tables = tile_tables(BALANCED)
    cells(tables["vectors"], 3, multiplicity=int(tables["vectors"].main[0, 3]) + 1)
    assert complaints(tables, result) == {"bus vector: does not balance"}
    assert verdict(proven(tables, result), result).startswith(NO_SUM)


# --- challenges -------------------------------------------------------------------------------------------------------------------------


@cache
def recorded() -> Draws:
    """The challenges of an honest proof."""
    transcript = Recorder()
    verify_proof(TILES, tile_statement(BALANCED), proven(tile_tables(BALANCED), product()), Policy(), transcript)
    return transcript.draws


def frozen_or_not(result: I64, labels: set[str]) -> None:
    """What is claimed is accepted with frozen challenges of these labels, and refused with real ones."""
    tables, frozen = with_results(result), [Frozen(recorded(), labels) for _ in range(2)]
    assert complaints(tables, result) == {UNEQUAL}
    assert verdict(proven(tables, result, transcript=frozen[0]), result, transcript=frozen[1]) == ""
    assert verdict(proven(tables, result), result).startswith(NO_SUM)


def test_a_wrong_sum_with_frozen_challenges(cheat: pytest.MonkeyPatch) -> None:
    """Who knows alpha and beta before the main commitment chooses start values that close the buses for another product."""
    result = product()
    result[2, 1] += 5
    alpha, beta = recorded()["alpha"], recorded()["beta"]
    missing = ext_mul(ext_scale(ext_pow(beta, 2 + CHANNEL_STEP), 5), ext_inv(key_print((0, 0), alpha, beta)))

    def choose(result: None, tables: list[Table]) -> None:
        out = next(table for table in tables if table.chip.name == "out").main
        first = 3 * (len(TILES.codes[TILES.chip_number("out")].plan.running) - 1)
        out[first : first + 3, -1] = from_ext(ext_add(to_ext(out[first : first + 3, -1]), missing))

    after(cheat, "randomize_tables", choose)
    frozen_or_not(result, {"alpha", "beta"})


def test_errors_that_cancel_at_a_known_beta() -> None:
    """Who knows beta alone adds its minimal polynomial over F to the lanes of a row: powers are told apart by beta alone."""
    a, b, c = (ext_pow(recorded()["beta"], P**k) for k in range(3))
    pairs = ext_add(ext_mul(a, b), ext_add(ext_mul(a, c), ext_mul(b, c)))
    errors = [-ext_mul(a, ext_mul(b, c))[0], pairs[0], -ext_add(a, ext_add(b, c))[0], 1]
    result = product().astype(object)
    result[:LANES, 0] += np.array(errors, object)
    frozen_or_not(result, {"beta"})
