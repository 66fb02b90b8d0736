"""Fiat-Shamir: what is absorbed, that every later challenge depends on it, and what a prover could forge if one did not.

A *frozen* challenge stays the same whatever was sent. Each forgery below is accepted with frozen challenges, so it is a consistent
lie about everything else, and refused with real ones, so that it is the absorption alone that stops it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.soundness.cheating import (
    BALANCED,
    WIDE,
    Knowledge,
    after,
    fingerprint,
    first_chunk,
    honest_statement,
    honest_tables,
    prove_tables,
    refusal,
    skip_own_checks,
)
from tests.soundness.replay import Draws, Frozen, Recorder, every_challenge
from tests.toy import LAST, MAX_ROWS, STATE, toy_statement
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.field import goldilocks
from zkvm.stark.field.extension import Ext, ext_add, ext_inv, ext_mul, ext_pow, ext_sub, from_ext, to_ext
from zkvm.stark.field.goldilocks import P, add, coset_shift
from zkvm.stark.protocol.params import PROTOCOL_VERSION, Parameters, Policy, parameters
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import ProofShape, tree_positions
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover import deep, prove
from zkvm.stark.prover.commit import MerkleTree
from zkvm.stark.verifier.fri import points_at
from zkvm.stark.verifier.verify import verify_proof

INVENTORY = Path(__file__).parent / "transcript_inventory.txt"
ONE = np.uint64(1)


@cache
def honest_proof() -> Proof:
    return prove_tables(honest_tables())


@cache
def recorded(chosen: Parameters = BALANCED) -> tuple[Proof, Draws]:
    """An honest proof and its challenges."""
    proof = prove_tables(honest_tables(chosen=chosen), chosen=chosen)
    transcript = Recorder()
    verify_proof(WIDE, honest_statement(chosen=chosen), proof, Policy(), transcript)
    return proof, transcript.draws


def accepted_frozen(proof: Proof, draws: Draws, statement: Statement | None = None, labels: set[str] | None = None) -> ProofShape:
    """Verify with frozen challenges."""
    return verify_proof(WIDE, statement or honest_statement(), proof, Policy(), Frozen(draws, labels))


# --- inventory -----------------------------------------------------------------------------------------------------------------------


def test_inventory() -> None:
    """Both sides take exactly the steps of the committed list: label, kind, and bytes absorbed or words drawn."""
    prover, verifier = Recorder(), Recorder()
    proof = prove_tables(honest_tables(), transcript=prover)
    verify_proof(WIDE, honest_statement(), proof, Policy(), verifier)
    lines = [f"{step.label} | {step.kind.name} | {step.length}" for step in verifier.log]
    assert [f"{step.label} | {step.kind.name} | {step.length}" for step in prover.log] == lines
    assert prover.state == verifier.state
    assert lines == INVENTORY.read_text().splitlines(), "the transcript changed: is everything still absorbed before it is used?"


# --- every field moves every later challenge -----------------------------------------------------------------------------------------


def bump(array: NDArray[np.uint64], row: int) -> NDArray[np.uint64]:
    result = array.copy()
    result[row, 1] = add(result[row, 1], ONE)
    return result


def other_root(root: bytes) -> bytes:
    return bytes([root[0] ^ 1]) + root[1:]


def proof_changes() -> list[tuple[str, str, dict[str, Any]]]:
    """(field, first challenge that must move, changed fields)."""
    proof = honest_proof()
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("zk", "alpha", {"zk": not proof.zk}),
        ("main_root", "alpha", {"main_root": other_root(proof.main_root)}),
        ("bus_root", "constraint challenge", {"bus_root": other_root(proof.bus_root)}),
        ("quotient_root", "zeta", {"quotient_root": other_root(proof.quotient_root)}),
        ("nonce", "query positions", {"nonce": proof.nonce + 1}),
    ]
    for chip, log in enumerate(proof.log_heights):
        logs = (*proof.log_heights[:chip], log - 1, *proof.log_heights[chip + 1 :])
        cases.append(("log_heights", "alpha", {"log_heights": logs}))
    for row in range(len(proof.terminals)):
        cases.append(("terminals", "constraint challenge", {"terminals": bump(proof.terminals, row)}))
    for row in (0, 1, len(proof.openings) // 2, len(proof.openings) - 1):
        cases.append(("openings", "batching challenge", {"openings": bump(proof.openings, row)}))
    for number, root in enumerate(proof.fri_roots):
        roots = (*proof.fri_roots[:number], other_root(root), *proof.fri_roots[number + 1 :])
        cases.append(("fri_roots", f"folding challenge {number}", {"fri_roots": roots}))
    for row in (0, len(proof.final) - 1):
        cases.append(("final", "query positions", {"final": bump(proof.final, row)}))
    return cases


def assert_moved(old: Draws, new: Draws, first: str) -> None:
    """Challenges before ``first`` are the same, and all from it on are others."""
    labels = list(old)
    assert labels == list(new)
    for position, label in enumerate(labels):
        same = np.array_equal(np.asarray(old[label]), np.asarray(new[label]))
        assert same == (position < labels.index(first)), label


def challenges(proof: Proof, statement: Statement | None = None, machine: Machine = WIDE, chosen: Parameters = BALANCED) -> Draws:
    return every_challenge(machine, chosen, statement or honest_statement(), proof)


def test_every_field_of_a_proof_moves_every_later_challenge() -> None:
    before = challenges(honest_proof())
    cases = proof_changes()
    for _, first, change in cases:
        assert_moved(before, challenges(replace(honest_proof(), **change)), first)
    opened_after_the_last_challenge = {"preprocessed", "main", "bus", "quotient", "layers"}
    covered = {name for name, _, _ in cases} | opened_after_the_last_challenge | {"parameters"}  # numbers: next test
    assert covered == {field.name for field in fields(Proof)}


def statement_changes() -> dict[str, Callable[[Statement], Statement]]:
    return {
        "first field": lambda own: replace(own, fields=(("count", bytes(8)), *own.fields[1:])),
        "second field": lambda own: replace(own, fields=(own.fields[0], ("total", bytes(8)))),
        "label of a field": lambda own: replace(own, fields=(("other", own.fields[0][1]), *own.fields[1:])),
        "length of a field": lambda own: replace(own, fields=((own.fields[0][0], own.fields[0][1] + b"\0"), *own.fields[1:])),
        "another field": lambda own: replace(own, fields=(*own.fields, ("more", b""))),
        "preprocessed root": lambda own: replace(own, preprocessed_root=other_root(own.preprocessed_root)),
    }


@pytest.mark.parametrize("name", list(statement_changes()))
def test_every_field_of_a_statement_moves_every_challenge(name: str) -> None:
    changed = statement_changes()[name](honest_statement())
    assert_moved(challenges(honest_proof()), challenges(honest_proof(), changed), "alpha")


@pytest.mark.parametrize("number", ["blowup", "queries", "exempt"])
def test_every_parameter_moves_every_challenge(number: str) -> None:
    chosen = replace(BALANCED, **{number: getattr(BALANCED, number) * 2})
    before, after_change = challenges(honest_proof()), challenges(honest_proof(), chosen=chosen)
    positions = before.pop("query positions"), after_change.pop("query positions")
    assert not np.array_equal(*positions)
    assert_moved(before, after_change, "alpha")


def test_version_and_machine_move_every_challenge(monkeypatch: pytest.MonkeyPatch) -> None:
    before = challenges(honest_proof())
    assert_moved(before, challenges(honest_proof(), machine=Machine("renamed", WIDE.chips, MAX_ROWS)), "alpha")
    assert_moved(before, challenges(honest_proof(), machine=replace(WIDE, written=bytes(32))), "alpha")
    monkeypatch.setattr("zkvm.stark.protocol.steps.PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
    assert_moved(before, challenges(honest_proof()), "alpha")


# --- forgeries with frozen challenges ------------------------------------------------------------------------------------------------


def test_a_frozen_honest_proof_is_accepted() -> None:
    proof, draws = recorded()
    accepted_frozen(proof, draws)


def test_false_statement_with_frozen_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knows alpha and beta before the main commitment chooses start values that close the buses for another total."""
    _, draws = recorded()
    labels = {"alpha", "beta"}
    total = int.from_bytes(honest_statement().fields[1][1], "little")
    count = int.from_bytes(honest_statement().fields[0][1], "little")
    false = toy_statement(count, total + 1, honest_statement().preprocessed_root)

    def print_of(bus: Any, *values: int) -> Ext:
        return fingerprint(bus, values, draws["alpha"], draws["beta"])

    def choose(result: None, tables: list[Table]) -> None:
        cells = next(table for table in tables if table.chip.name == "step").main
        ratio = ext_mul(print_of(STATE, count, total + 1), ext_inv(print_of(STATE, count, total)))
        cells[0:3, -1] = from_ext(ext_mul(to_ext(cells[0:3, -1]), ratio))
        gap = ext_sub(ext_inv(print_of(LAST, total + 1)), ext_inv(print_of(LAST, total)))
        cells[6:9, -1] = from_ext(ext_add(to_ext(cells[6:9, -1]), gap))

    after(monkeypatch, "randomize_tables", choose)
    accepted_frozen(prove_tables(honest_tables(), false, transcript=Frozen(draws, labels)), draws, false, labels)
    assert refusal(prove_tables(honest_tables(), false), false).startswith("BUS: the grand product does not close")


def shift_terminals(result: Any, table: Table) -> Any:
    """The sums of two tables move by +d and -d: the buses still close."""
    amount = {"step": (5, 6, 7), "squares": (P - 5, P - 6, P - 7)}.get(table.chip.name, (0, 0, 0))
    bus, terminals = result
    terminals[-1] = ext_add(terminals[-1], amount)
    return bus, terminals


def break_a_row(result: None, tables: list[Table]) -> None:
    next(table for table in tables if table.chip.name == "squares").main[2, 7] = 1


@pytest.mark.parametrize(("step", "lie"), [("bus_columns", shift_terminals), ("randomize_tables", break_a_row)])
def test_false_trace_with_a_frozen_out_of_domain_point(monkeypatch: pytest.MonkeyPatch, step: str, lie: Callable[..., Any]) -> None:
    """Who knows zeta before the quotient commits to any polynomial with the right value there."""
    _, draws = recorded()
    labels = {"zeta"}
    skip_own_checks(monkeypatch)
    after(monkeypatch, step, lie)
    known = Knowledge(monkeypatch)
    defects: list[Ext] = []

    def measure(values: Any, shape: ProofShape, zeta: Ext) -> Any:
        defects.append(known.defect(shape, values, zeta))
        return values

    with pytest.MonkeyPatch.context() as trial:
        after(trial, "open_columns", measure)
        assert refusal(prove_tables(honest_tables(), transcript=Frozen(draws, labels)), transcript=Frozen(draws, labels)).startswith("OOD")

    def correct(chunks: NDArray[np.uint64]) -> NDArray[np.uint64]:
        chunks[:3, 0] = add(chunks[:3, 0], from_ext(defects[0]))
        return chunks

    after(monkeypatch, "quotient_chunks", correct)
    accepted_frozen(prove_tables(honest_tables(), transcript=Frozen(draws, labels)), draws, labels=labels)
    assert refusal(prove_tables(honest_tables())).startswith("OOD: the constraints do not equal the quotient")


def test_false_openings_with_a_frozen_batch() -> None:
    """Three chunks' values move so that neither the quotient's value nor the batch with the known gamma changes."""
    proof, draws = recorded()
    shape = accepted_frozen(proof, draws)
    zeta, gamma = draws["zeta"], draws["batching challenge"]
    first = first_chunk(shape)
    at_zeta = [ext_pow(zeta, chunk * shape.chunk_length) for chunk in range(3)]
    in_batch = [ext_pow(gamma, first + 3 * chunk + 1) for chunk in range(3)]
    openings = proof.openings.copy()
    for chunk in range(3):  # the cross product is orthogonal to both
        a, b = (chunk + 1) % 3, (chunk + 2) % 3
        delta = ext_sub(ext_mul(at_zeta[a], in_batch[b]), ext_mul(at_zeta[b], in_batch[a]))
        openings[first + 3 * chunk] = ext_add(to_ext(openings[first + 3 * chunk]), delta)
    forged = replace(proof, openings=openings)
    accepted_frozen(forged, draws)
    assert refusal(forged).startswith("GRINDING")


def test_false_final_polynomial_with_frozen_positions() -> None:
    """56 positions do not fix 64 coefficients: a polynomial that vanishes at all of them can be added."""
    chosen = parameters("compact", 100)
    proof, draws = recorded(chosen)
    shape = ProofShape(WIDE, chosen, proof.log_heights)
    positions = np.unique(tree_positions(draws["query positions"], shape.tallest, shape.final_length))
    shift = pow(coset_shift(shape.tallest), shape.tallest // shape.final_length, P)
    vanishing = np.array([1], np.uint64)
    for x in points_at(shape.final_length, chosen.blowup, shift, positions):
        lower = goldilocks.mul(np.append(vanishing, np.uint64(0)), goldilocks.neg(x))
        vanishing = add(np.append(np.uint64(0), vanishing), lower)
    assert len(vanishing) <= shape.final_length
    final = proof.final.copy()
    final[: len(vanishing), 0] = add(final[: len(vanishing), 0], vanishing)
    forged = replace(proof, final=final)
    statement = honest_statement(chosen=chosen)
    accepted_frozen(forged, draws, statement, {"query positions"})
    assert refusal(forged, statement).startswith("GRINDING")


class ElsewhereTree:
    """Commits trees that differ from the honest ones in one leaf that no query opens: the ``target``-th tree only."""

    def __init__(self, target: int, positions: NDArray[np.int64]) -> None:
        self.target = target
        self.positions = positions
        self.calls = 0

    def _unopened(self, height: int) -> tuple[int, int]:
        opened = set(tree_positions(self.positions, 1 << 15, height).tolist())
        free = next(index for index in range(BALANCED.blowup * height) if index not in opened)
        return divmod(free, height)

    def commit(self, levels: Any, salt: Any, threads: int) -> MerkleTree:
        tall = [levels[-1]] if isinstance(levels[-1], np.ndarray) else list(levels[-1])
        if self.calls == self.target:
            tall[0] = tall[0].copy()
            tall[0][(0, *self._unopened(tall[0].shape[2]))] ^= ONE
        self.calls += 1
        return MerkleTree.commit([*levels[:-1], tall], salt, threads)

    def commit_fri(self, values: NDArray[np.uint64], threads: int) -> MerkleTree:
        values = values.copy()
        if self.calls == self.target:
            values[(0, *self._unopened(values.shape[2] // 8))] ^= ONE
        self.calls += 1
        return MerkleTree.commit_fri(values, threads)


@pytest.mark.parametrize(
    ("module", "target", "name", "reason"),
    [
        (prove, 0, "main_root", "BUS"),
        (prove, 1, "bus_root", "OOD"),
        (prove, 2, "quotient_root", "OOD"),
        (deep, 0, "fri_roots", "GRINDING"),
        (deep, 1, "fri_roots", "GRINDING"),
        (deep, 2, "fri_roots", "GRINDING"),
    ],
)
def test_other_root_with_frozen_challenges(monkeypatch: pytest.MonkeyPatch, module: Any, target: int, name: str, reason: str) -> None:
    """A commitment to something else, wrong only where the known positions do not look."""
    honest, draws = recorded()
    tree = ElsewhereTree(target, draws["query positions"])
    monkeypatch.setattr(module, "MerkleTree", tree)
    forged = prove_tables(honest_tables(), transcript=Frozen(draws))
    assert tree.calls == 3
    assert getattr(forged, name) != getattr(honest, name)
    assert forged.main.rows[0].tolist() == honest.main.rows[0].tolist()
    accepted_frozen(forged, draws)
    assert refusal(replace(forged, nonce=honest.nonce)).startswith(reason)


@pytest.mark.parametrize(("change", "reason"), [({"nonce": 1}, "GRINDING"), ({"zk": False}, "BUS")])
def test_other_header_with_frozen_challenges(change: dict[str, Any], reason: str) -> None:
    proof, draws = recorded()
    forged = replace(proof, **change)
    accepted_frozen(forged, draws)
    assert refusal(forged).startswith(reason)


def test_other_statement_field_with_frozen_challenges() -> None:
    """A field that no closing depends on is bound by the transcript alone."""
    proof, draws = recorded()
    other = replace(honest_statement(), fields=(*honest_statement().fields, ("note", b"another claim")))
    accepted_frozen(proof, draws, other)
    assert refusal(proof, other).startswith("BUS")


class Misled(Recorder):
    """Absorbs something else in one place: a protocol that forgets what stands there."""

    def __init__(self, forgotten: str) -> None:
        super().__init__()
        self.forgotten = forgotten

    def absorb_bytes(self, label: str, data: bytes) -> None:
        super().absorb_bytes(label, b"anything" if label == self.forgotten else data)

    def absorb_int(self, label: str, value: int) -> None:
        super().absorb_int(label, value + 1000 if label == self.forgotten else value)


BEFORE_THE_TRACE = [line.partition(" | ")[0] for line in INVENTORY.read_text().splitlines()[1:]]
BEFORE_THE_TRACE = BEFORE_THE_TRACE[: BEFORE_THE_TRACE.index("main root")]


@pytest.mark.parametrize("label", BEFORE_THE_TRACE)
def test_what_is_public_with_frozen_challenges(label: str) -> None:
    """A proof whose challenges were drawn for other heights, another machine, root or parameter: everything but the absorption holds.

    Heights, too, must be fixed before alpha and beta: who may choose them later has a start cell in another row for each choice, and some
    tables times some heights to choose from until the false buses close.
    """
    transcript = Misled(label)
    proof = prove_tables(honest_tables(), transcript=transcript)
    accepted_frozen(proof, transcript.draws)
    assert refusal(proof).startswith("BUS")
