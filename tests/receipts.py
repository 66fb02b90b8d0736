"""Honest proofs and receipts that tests read and change; made once per process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.toy import TOY, toy_statement, toy_walk
from zkvm import api
from zkvm.stark.protocol.params import parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover.preprocessed import commit_preprocessed
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.tables import build_tables
from zkvm.verifier.receipt import Receipt

GUESTS = Path(__file__).resolve().parent.parent / "guest_programs"
ECHO = GUESTS / "echo" / "echo.elf"
HELLO = GUESTS / "hello" / "hello.elf"
TEXT = b"seven words that the guest repeats"


@cache
def toy_proof(zk: bool = True, name: str = "balanced") -> tuple[Statement, Proof]:
    """A proof of the toy machine with the parameters called ``name``."""
    chosen, walk = parameters(name, 100), toy_walk(700)
    committed = commit_preprocessed(TOY, preprocess(TOY, None), chosen.blowup)
    statement = toy_statement(700, int(walk.sums[-1]), committed.root)
    randomness = Randomness() if zk else Randomness.zeros()
    proof, _ = prove_tables(TOY, chosen, statement, build_tables(TOY, walk, None, chosen.exempt), committed, randomness=randomness)
    return statement, proof


@cache
def echo_receipt() -> Receipt:
    """A receipt of the echo guest."""
    return api.prove(ECHO, TEXT, params="fast", security=100).receipt


@cache
def dev_receipt() -> Receipt:
    """An unproven receipt of the same run."""
    return api.prove(ECHO, TEXT, params="fast", security=100, dev=True).receipt
