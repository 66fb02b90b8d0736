"""Completeness at the edges of what the parameters allow: the shortest tables, the most exempt rows, many heights at once."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.soundness.cheating import SQUARES_BUS, WideStepChip, honest_walk
from tests.toy import MAX_ROWS, AuditChip, SquaresChip, Walk, toy_statement
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol.params import PARAMETERS, Parameters, Policy, parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover import tapes
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.tables import build_tables
from zkvm.stark.verifier.verify import verify_proof


class TallAuditChip(AuditChip):
    """An audit with thousands of padding rows."""

    name = "audit"

    def rows(self, execution: Walk) -> int:
        return 3000


class FlagChip(Chip):
    """Asks for (1, 1) in every row: one lookup, taller than all other tables."""

    name = "flag"
    columns = Columns(real=bit("row is used"), unused=cell("anything"))

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("real is boolean", row.real)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        buses.lookup("one", SQUARES_BUS, (row.real, row.real), row.real)

    def rows(self, execution: Walk) -> int:
        return 40000

    def fill(self, execution: Walk, trace: Trace) -> None:
        trace["real"][:40000] = 1
        trace["unused"][:40000] = np.arange(40000, dtype=np.uint64)


FLAT = Machine("two heights", (WideStepChip(), AuditChip(), SquaresChip()), MAX_ROWS)
MANY = Machine("four heights", (FlagChip(), WideStepChip(), TallAuditChip(), SquaresChip()), MAX_ROWS)


@cache
def committed(machine: Machine, blowup: int) -> Preprocessed:
    return commit_preprocessed(machine, preprocess(machine, None), blowup)


def prove_and_verify(machine: Machine, chosen: Parameters, steps: int, randomness: Randomness | None = None) -> ProofShape:
    walk: Any = honest_walk(steps)
    tables = build_tables(machine, walk, None, chosen.exempt, evaluate=tapes.evaluate_columns)
    preprocessed = committed(machine, chosen.blowup)
    template = toy_statement(steps, int(walk.sums[-1]), preprocessed.root)
    heights = tuple(1 << 15 if chip.name == "squares" else 0 for chip in machine.chips)
    statement = type(template)(template.fields, heights, template.preprocessed_root, template.closings)
    proof, _ = prove_tables(machine, chosen, statement, tables, preprocessed, randomness=randomness)
    return verify_proof(machine, statement, proof, Policy(chosen.security_bits))


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
def test_shortest_tables(chosen: Parameters) -> None:
    """n = 512 next to N = 2^15; with 468 exempt rows the lifted quotient comes within 3 % of what three chunks hold."""
    assert prove_and_verify(FLAT, chosen, 40).heights == (512, 1 << 15)


def test_a_full_table_of_the_shortest_height() -> None:
    chosen = parameters("fast", 128)
    assert chosen.exempt == 468
    assert prove_and_verify(FLAT, chosen, 512 - 468).heights == (512, 1 << 15)
    assert prove_and_verify(FLAT, chosen, 512 - 468 + 1).heights == (1024, 1 << 15)


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
def test_several_heights(chosen: Parameters) -> None:
    """The preprocessed tree is shorter than the others, and the order of the tables is not that of the machine."""
    shape = prove_and_verify(MANY, chosen, 40)
    assert shape.heights == (512, 4096, 1 << 15, 1 << 16)
    assert [table.code.chip.name for table in shape.tables] == ["step", "audit", "squares", "flag"]
    assert shape.final_length == 16


def test_several_heights_without_zero_knowledge() -> None:
    assert prove_and_verify(MANY, parameters("fast", 128), 40, Randomness.zeros()).tallest == 1 << 16
