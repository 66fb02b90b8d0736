"""The protocol, verifier's side. The numbers are those of ``docs/protocol.md`` and of ``zkvm/stark/prover/prove.py``."""

from __future__ import annotations

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import hash_together
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.protocol.joint import PART_DOMAIN, Joined
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.security import proven_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.protocol.steps import DOMAIN, Steps
from zkvm.stark.verifier.constraints import check_buses, check_constraints, terminals_by_table
from zkvm.stark.verifier.fri import check_low_degree, check_trees, deep_values
from zkvm.stark.verifier.lockstep import Checks, in_lockstep
from zkvm.stark.verifier.shape import check_openings, check_shape


def check_security(shape: ProofShape, statement: Statement, policy: Policy) -> None:
    """The proof's shape has the bits that its parameter set claims, and those that the caller demands under the caller's regime.

    Raises:
        VerificationError: POLICY, it has fewer.
    """
    bits, claimed = proven_bits(shape, statement.closing_tuples), shape.parameters.security_bits
    if bits < claimed:
        raise VerificationError(RejectReason.POLICY, f"{bits:.1f} proven bits for this shape, but its parameters claim {claimed}")
    policy.check(proven_bits(shape, statement.closing_tuples, policy.regime))


def verify_proof(
    machine: Machine,
    statement: Statement,
    proof: Proof,
    policy: Policy,
    transcript: Transcript | None = None,
    joined: Joined | None = None,
) -> ProofShape:
    """Accept or refuse a proof of a statement.

    Args:
        machine: the machine.
        statement: what the proof should be about.
        proof: the proof.
        policy: what the caller demands.
        transcript: for tests that replay challenges; a fresh one by default.
        joined: of a proof that is joined with others (:mod:`zkvm.stark.verifier.joint`), what it has from them.

    Returns:
        The proof's shape.

    Raises:
        VerificationError: with the reason of the first check that fails.
    """
    return in_lockstep([checks(machine, statement, proof, policy, transcript, joined)])[0]


def checks(
    machine: Machine,
    statement: Statement,
    proof: Proof,
    policy: Policy,
    transcript: Transcript | None = None,
    joined: Joined | None = None,
) -> Checks[ProofShape]:
    """All checks of :func:`verify_proof`, in their order, for :func:`zkvm.stark.verifier.lockstep.in_lockstep`."""
    # 0 ----- shape and policy, before any arithmetic; then everything public enters the transcript
    shape = check_shape(machine, statement, proof)
    check_security(shape, statement, policy)
    steps = Steps(transcript or Transcript(DOMAIN if joined is None else PART_DOMAIN))
    if joined is not None:
        steps.joined(joined)
    steps.statement(machine, statement, shape, proof.zk)
    # 1 ----- main columns
    alpha, beta = steps.main(proof.main_root)
    # 2 ----- bus columns and terminals: the buses must close
    challenge = steps.bus(proof.bus_root, proof.terminals)
    terminals = terminals_by_table(shape, proof.terminals)
    check_buses(shape, terminals, statement.closings, alpha, beta)
    # 3 ----- quotient chunks and mask
    zeta = steps.quotient(proof.quotient_root)
    # 4 ----- openings: the constraints must hold at zeta
    batching = yield hash_together, steps.opening_steps(proof.openings)
    yield from check_constraints(shape, proof.openings, terminals, alpha, beta, challenge, zeta, joined)
    # 5 ----- FRI layers
    folding = [steps.layer(number, root) for number, root in enumerate(proof.fri_roots)]
    # 6 ----- final polynomial
    steps.final(proof.final)
    # 7 ----- proof of work, query positions
    positions = steps.queries(proof.nonce, shape.parameters.queries, shape.parameters.blowup * shape.tallest)
    # 8 ----- openings at the positions: shape, Merkle paths, DEEP quotient, folds
    check_openings(shape, proof, positions, joined)
    yield from check_trees(shape, proof, statement.preprocessed_root, positions, joined)
    values = yield from deep_values(shape, proof, positions, zeta, batching, joined)
    yield from check_low_degree(shape, proof, positions, values, folding)
    return shape
