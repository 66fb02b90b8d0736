"""The proof system end to end on a toy machine: completeness under every parameter set, and refusals by reason."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.toy import MAX_ROWS, TOY, AuditChip, SquaresChip, StepChip, toy_statement, toy_walk
from zkvm.errors import ProvingError, RejectReason, VerificationError
from zkvm.stark.air.check import check_tables
from zkvm.stark.air.chip import second_instance
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import MAIN, column, straighten
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol.params import PARAMETERS, Parameters, Policy, parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover import tapes
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.tables import build_tables, split_heights
from zkvm.stark.verifier.verify import verify_proof

STEPS = 1000


@cache
def committed(blowup: int) -> Preprocessed:
    """Preprocessed tables of the toy."""
    return commit_preprocessed(TOY, preprocess(TOY, None), blowup)


def prove_toy(chosen: Parameters, steps: int = STEPS, zk: bool = True, seed: bytes | None = None) -> tuple[Statement, Proof]:
    """Prove an honest walk."""
    walk = toy_walk(steps)
    tables = build_tables(TOY, walk, None, chosen.exempt, evaluate=tapes.evaluate_columns)
    statement = toy_statement(steps, int(walk.sums[-1]), committed(chosen.blowup).root)
    randomness = Randomness(seed) if zk else Randomness.zeros()
    proof, _ = prove_tables(TOY, chosen, statement, tables, committed(chosen.blowup), randomness=randomness, threads=2)
    return statement, proof


@cache
def balanced() -> tuple[Statement, Proof]:
    """One proof that the refusal tests change."""
    return prove_toy(parameters("balanced", 100))


def refuse(statement: Statement, proof: Proof) -> RejectReason:
    """The reason why this proof is refused."""
    with pytest.raises(VerificationError) as caught:
        verify_proof(TOY, statement, proof, Policy())
    return caught.value.reason


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
def test_every_parameter_set_proves(chosen: Parameters) -> None:
    statement, proof = prove_toy(chosen)
    shape = verify_proof(TOY, statement, proof, Policy(chosen.security_bits))
    assert shape.tallest == 1 << 15
    assert proof.zk


@pytest.mark.parametrize("steps", [1, 40, 700, 3000])
def test_every_height_proves(steps: int) -> None:
    statement, proof = prove_toy(parameters("fast", 100), steps)
    assert verify_proof(TOY, statement, proof, Policy()).tables[0].height == max(512, 1 << (steps + 336 - 1).bit_length())


def test_without_zero_knowledge_the_layout_is_the_same() -> None:
    statement, proof = prove_toy(parameters("balanced", 100), zk=False)
    shape = verify_proof(TOY, statement, proof, Policy())
    assert not proof.zk
    assert proof.openings.shape == balanced()[1].openings.shape == (shape.opening_count, 3)


def test_a_seed_makes_the_proof_reproducible() -> None:
    first, second = (prove_toy(parameters("fast", 100), seed=bytes(range(32)))[1] for _ in range(2))
    assert first.quotient_root == second.quotient_root
    assert np.array_equal(first.openings, second.openings)
    assert first.main_root != prove_toy(parameters("fast", 100))[1].main_root


def test_a_second_instance_takes_the_rows_that_would_double_the_first() -> None:
    machine = Machine("toy split", (StepChip(), AuditChip(), SquaresChip(), second_instance(StepChip)), MAX_ROWS)
    assert machine.codes[0].straight == machine.codes[3].straight
    chosen, walk = parameters("fast", 100), toy_walk(5000)
    preprocessed = commit_preprocessed(machine, preprocess(machine, None), chosen.blowup)
    tables = build_tables(machine, walk, None, chosen.exempt, evaluate=tapes.evaluate_columns)
    heights = {table.chip.name: (table.height, table.used) for table in tables}
    assert heights["step"] == (4096, 4096 - 336)
    assert heights["step_2"] == (2048, 5000 - (4096 - 336))
    honest = toy_statement(5000, int(walk.sums[-1]), preprocessed.root)
    statement = replace(honest, preprocessed_heights=(*honest.preprocessed_heights, 0))
    assert check_tables(tables, statement.closings) == []
    proof, _ = prove_tables(machine, chosen, statement, tables, preprocessed, threads=2)
    assert verify_proof(machine, statement, proof, Policy()).tallest == 1 << 15


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
def test_a_full_table_is_counted_to_its_last_row(chosen: Parameters) -> None:
    """The number of active rows need not be a multiple of the kernel's vectors."""
    walk = toy_walk((1 << 11) - chosen.exempt)
    fast, plain = (build_tables(TOY, walk, None, chosen.exempt, evaluate=one) for one in (tapes.evaluate_columns, evaluate_columns))
    assert fast[0].used == fast[0].active
    for one, other in zip(fast, plain, strict=True):
        assert np.array_equal(one.main, other.main)
    assert fast[2].main[0].sum() == len(walk.numbers)


def test_a_tape_refuses_part_of_a_vector() -> None:
    code = straighten([column(MAIN, 0)])
    with pytest.raises(ProvingError, match="whole vectors"):
        tapes.evaluate_columns(code, np.zeros((1, 10), np.uint64), np.zeros((0, 10), np.uint64))


@pytest.mark.parametrize(
    ("used", "expected"), [(1, (512, 0)), (3000, (4096, 0)), (5000, (4096, 2048)), (6000, (8192, 0)), (138681, (1 << 17, 1 << 14))]
)
def test_split_heights(used: int, expected: tuple[int, int]) -> None:
    assert split_heights(used, 336) == expected


def test_other_statement() -> None:
    statement, proof = balanced()
    walk = toy_walk(STEPS)
    other = toy_statement(STEPS, int(walk.sums[-1]) + 1, statement.preprocessed_root)
    assert refuse(other, proof) is RejectReason.BUS


def test_other_preprocessed_root() -> None:
    statement, proof = balanced()
    assert refuse(replace(statement, preprocessed_root=bytes(32)), proof) is RejectReason.BUS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parameters": (2, 164, 336)}, RejectReason.BUS),
        ({"parameters": (4, 1, 174)}, RejectReason.POLICY),
        ({"zk": False}, RejectReason.BUS),
        ({"log_heights": (11, 0, 15)}, RejectReason.SHAPE),
        ({"log_heights": (11, 11, 16)}, RejectReason.SHAPE),
        ({"log_heights": (11, 11, 0)}, RejectReason.SHAPE),
        ({"log_heights": (11, 11)}, RejectReason.SHAPE),
        ({"log_heights": (11, 8, 15)}, RejectReason.SHAPE),
        ({"main_root": bytes(32)}, RejectReason.BUS),
        ({"bus_root": bytes(32)}, RejectReason.OOD),
        ({"quotient_root": bytes(32)}, RejectReason.OOD),
        ({"nonce": 1}, RejectReason.GRINDING),
    ],
)
def test_changed_header(change: dict[str, object], reason: RejectReason) -> None:
    statement, proof = balanced()
    assert refuse(statement, replace(proof, **change)) is reason  # type: ignore[arg-type]


def test_broken_constraint_is_noticed_by_the_prover() -> None:
    chosen = parameters("fast", 100)
    walk = toy_walk(STEPS)
    tables = build_tables(TOY, walk, None, chosen.exempt)
    tables[0].main[1, 7] += np.uint64(1)
    tables[0].main[0, 9] = np.uint64(2)
    statement = toy_statement(STEPS, int(walk.sums[-1]), committed(2).root)
    with pytest.raises(ProvingError, match="a constraint fails"):
        prove_tables(TOY, chosen, statement, tables, committed(2))


def test_unbalanced_bus_is_refused() -> None:
    chosen = parameters("fast", 100)
    walk = toy_walk(STEPS)
    tables = build_tables(TOY, walk, None, chosen.exempt)
    tables[1].main[2, 7] += np.uint64(1)  # the audit notes another square
    statement = toy_statement(STEPS, int(walk.sums[-1]), committed(2).root)
    proof, _ = prove_tables(TOY, chosen, statement, tables, committed(2))
    assert refuse(statement, proof) is RejectReason.BUS
