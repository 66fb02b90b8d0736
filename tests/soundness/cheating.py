"""A prover that cheats: the real one with its own checks switched off and hooks after its steps. For the attack tests.

The machine is the toy of :mod:`tests.toy` with two more lookups in `step`, so that it has every kind of bus column: two running
products, a helper and a running sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from inspect import signature
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.toy import MAX_ROWS, AuditChip, SquaresChip, StepChip, Walk, toy_statement, toy_walk
from zkvm.errors import VerificationError
from zkvm.stark.air.builder import Bus, BusBuilder
from zkvm.stark.air.columns import Row
from zkvm.stark.air.machine import ChipCode, Machine
from zkvm.stark.air.table import Closing, Table
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import Ext, ext_add, ext_sub, to_ext
from zkvm.stark.kernels.columns import accumulate
from zkvm.stark.protocol.params import Parameters, Policy, parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import QUOTIENT_COLUMNS, ProofShape
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover import deep, prove, quotient, tapes
from zkvm.stark.prover.deep import Opened
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.tables import build_tables
from zkvm.stark.verifier.constraints import closing_fingerprints, combined_constraints, quotient_value, split_openings
from zkvm.stark.verifier.lockstep import in_lockstep
from zkvm.stark.verifier.verify import verify_proof

SQUARES_BUS = SquaresChip().serves[0]
NOTE_BUS = next(pair.receive.bus for pair in AuditChip().air_buses.pairs if pair.receive)
BALANCED = parameters("balanced", 100)
STEPS = 1000
SEED = bytes(range(32))


class WideStepChip(StepChip):
    """A step with four lookups: one helper column besides the running sum."""

    name = "step"

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        super().interactions(buses, row)
        buses.lookup("square again", SQUARES_BUS, (row.x, row.square), row.real)
        buses.lookup("one", SQUARES_BUS, (row.real, row.real), row.real)


class OffsetSquaresChip(SquaresChip):
    """The lookup table without 0: (0, 0) is only its padding, which no one may be served."""

    name = "squares"

    def fill_preprocessed(self, image: object, trace: dict[str, NDArray[np.uint64]]) -> None:
        super().fill_preprocessed(image, trace)
        used = trace["used"] == 1
        trace["value"][used] += np.uint64(1)
        trace["value_square"][used] = trace["value"][used] ** 2

    def serve_row(self, image, bus, values):  # type: ignore[no-untyped-def]
        inside = (values[0] > 0) & (values[1] == values[0] ** 2)
        return [("multiplicity", np.where(inside, values[0].astype(np.int64) - 1, 0), inside)]


WIDE = Machine("wide toy", (WideStepChip(), AuditChip(), SquaresChip()), MAX_ROWS)


@cache
def committed(machine: Machine, blowup: int) -> Preprocessed:
    """Preprocessed tables of a toy machine."""
    return commit_preprocessed(machine, preprocess(machine, None), blowup)


def honest_walk(steps: int = STEPS) -> Walk:
    """Numbers from 1 on: they are in both lookup tables."""
    return Walk(np.maximum(toy_walk(steps).numbers, np.uint64(1)))


def honest_tables(machine: Machine = WIDE, chosen: Parameters = BALANCED, steps: int = STEPS) -> dict[str, Table]:
    """Filled tables by name."""
    tables = build_tables(machine, honest_walk(steps), None, chosen.exempt, evaluate=tapes.evaluate_columns)
    return {table.chip.name: table for table in tables}


def honest_statement(machine: Machine = WIDE, chosen: Parameters = BALANCED, steps: int = STEPS) -> Statement:
    """The true statement about :func:`honest_walk`."""
    return toy_statement(steps, int(honest_walk(steps).sums[-1]), committed(machine, chosen.blowup).root)


def prove_tables(
    tables: dict[str, Table],
    statement: Statement | None = None,
    machine: Machine = WIDE,
    chosen: Parameters = BALANCED,
    transcript: Transcript | None = None,
    preprocessed: Preprocessed | None = None,
) -> Proof:
    """Run the (possibly patched) prover, with fixed randomness."""
    statement = statement or honest_statement(machine, chosen)
    proof, _ = prove.prove_tables(
        machine,
        chosen,
        statement,
        list(tables.values()),
        preprocessed or committed(machine, chosen.blowup),
        randomness=Randomness(SEED),
        transcript=transcript,
    )
    return proof


def refusal(proof: Proof, statement: Statement | None = None, machine: Machine = WIDE, transcript: Transcript | None = None) -> str:
    """'REASON: detail' of the verifier's refusal; fails the test if the proof is accepted."""
    statement = honest_statement(machine) if statement is None else statement
    with pytest.raises(VerificationError) as caught:
        verify_proof(machine, statement, proof, Policy(), transcript)
    return str(caught.value)


def after(patch: pytest.MonkeyPatch, name: str, change: Callable[..., Any], module: Any = prove) -> None:
    """Replace a step of the prover by itself followed by ``change(result, ...)``, which names the step's arguments that it wants."""
    original = getattr(module, name)
    wanted = list(signature(change).parameters)[1:]

    def changed(*arguments: Any, **options: Any) -> Any:
        given = signature(original).bind(*arguments, **options).arguments
        return change(original(*arguments, **options), **{argument: given[argument] for argument in wanted})

    patch.setattr(module, name, changed)


def skip_own_checks(patch: pytest.MonkeyPatch) -> None:
    """The cheating prover does not mind that its quotient is no polynomial."""
    patch.setattr(quotient, "require_zero", lambda coefficients, message: None)


def sum_on_every_coset(patch: pytest.MonkeyPatch) -> None:
    """The cheating prover's batched codeword follows its columns where they are no polynomials; the real one extends the first coset."""

    def everywhere(matrices: list[Opened], weights: NDArray[np.uint64], blowup: int, tallest: int, threads: int) -> NDArray[np.uint64]:
        total = np.zeros((3, blowup * tallest), np.uint64)
        for own in matrices:
            lifted = np.tile(own.lde, tallest // own.height).reshape(len(own.lde), -1)
            accumulate([lifted], weights[own.position : own.position + len(own.lde)], total, threads)
        return total

    patch.setattr(deep, "lifted_sum", everywhere)


class Knowledge:
    """What the prover has seen: filled while it runs."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.alpha: Ext = (0, 0, 0)
        self.beta: Ext = (0, 0, 0)
        self.challenge: Ext = (0, 0, 0)
        self.terminals: dict[str, list[Ext]] = {}

        def look(result: Any, alpha: Ext, beta: Ext, challenge: Ext, terminals: Any) -> Any:
            self.alpha, self.beta, self.challenge, self.terminals = alpha, beta, challenge, terminals
            return result

        after(patch, "quotient_chunks", look)

    def defect(self, shape: Any, openings: NDArray[np.uint64], zeta: Ext) -> Ext:
        """By how much the opened quotient misses the constraints at the openings."""
        leaves, columns = split_openings(shape, openings)
        own = [self.terminals[table.code.chip.name] for table in shape.tables]
        combined = in_lockstep([combined_constraints(shape, leaves, own, self.alpha, self.beta, self.challenge, zeta)])[0]
        return ext_sub(combined, quotient_value(shape, columns, zeta))


def forge_openings(patch: pytest.MonkeyPatch) -> None:
    """The strongest lie about a false trace: shift one opened quotient value so that the constraints hold at zeta."""
    known = Knowledge(patch)

    def shift(values: NDArray[np.uint64], shape: ProofShape, zeta: Ext) -> NDArray[np.uint64]:
        position = first_chunk(shape)
        values[position] = ext_add(to_ext(values[position]), known.defect(shape, values, zeta))
        return values

    after(patch, "open_columns", shift)


def first_chunk(shape: ProofShape) -> int:
    """Position of the quotient's first column among the openings."""
    return shape.here_count - QUOTIENT_COLUMNS


def challenges_of(params: Sequence[int]) -> tuple[Ext, Ext]:
    """alpha and beta, of the constants that all chips share."""
    a, b, c, d, e, f = params[:6]
    return (a, b, c), (d, e, f)


def fingerprint(bus: Bus, values: tuple[int, ...], alpha: Ext, beta: Ext) -> Ext:
    """alpha - (id + beta x1 + ...)."""
    return to_ext(closing_fingerprints(Closing(bus, np.array([values], np.uint64), True), alpha, beta)[0])


def drop_constraints(machine: Machine, group: int) -> Machine:
    """The machine without the constraints of one group, for prover and verifier: what an attack on that group would need."""

    def weak(code: ChipCode) -> ChipCode:
        kept = [number for number, own in enumerate(code.groups) if own != group]
        outputs, groups = tuple(code.straight.outputs[number] for number in kept), tuple(code.groups[number] for number in kept)
        return replace(code, groups=groups, straight=replace(code.straight, outputs=outputs), first=None)

    codes = tuple(weak(code) for code in machine.codes)
    copy = Machine(f"weak {machine.name}", machine.chips, machine.max_rows)
    vars(copy)["_derived"] = dict(enumerate(codes))
    return copy
