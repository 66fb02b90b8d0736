"""Proves images and forged tables of the real machine in tests: no ELF, no receipt, optional changes on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from zkvm.riscv.header import ImageHeader, preprocessed_chips, run_statement
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.stark.air.table import Table
from zkvm.stark.protocol.params import BLOWUPS, Parameters, Policy, parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover import tapes
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.tables import build_tables
from zkvm.stark.verifier.verify import verify_proof

FAST = parameters("fast", 100)
GUESTS = Path(__file__).parents[1] / "guest_programs"


@cache
def guest_image(name: str) -> Image:
    """The image of a committed guest."""
    return load_image((GUESTS / name / f"{name}.elf").read_bytes())


def header_of(image: Image, preprocessed: Preprocessed, chosen: Parameters) -> ImageHeader:
    """A header that holds the root of one blowup only; enough for proofs under that blowup."""
    heights = tuple(preprocessed.columns[name].shape[1] if name in preprocessed.columns else 0 for name in preprocessed_chips())
    roots = tuple(preprocessed.root if blowup == chosen.blowup else bytes(32) for blowup in BLOWUPS)
    return ImageHeader(image.entry, image.initial_sp, image.gaps, heights, roots)


def prove_execution(
    execution: Execution,
    chosen: Parameters = FAST,
    *,
    forge: Callable[[Sequence[Table]], None] | None = None,
    journal: bytes | None = None,
    exit_code: int | None = None,
    randomness: Randomness | None = None,
) -> tuple[Statement, Proof]:
    """Prove a run; ``forge`` changes the filled tables first, ``journal`` and ``exit_code`` change the claim."""
    image = execution.image
    preprocessed = commit_preprocessed(machine(), preprocess(machine(), image), chosen.blowup)
    tables = build_tables(machine(), execution, image, chosen.exempt, preprocessed=preprocessed.columns, evaluate=tapes.evaluate_columns)
    if forge is not None:
        forge(tables)
    claimed_journal = execution.journal if journal is None else journal
    claimed_exit = execution.exit_code if exit_code is None else exit_code
    statement = run_statement(header_of(image, preprocessed, chosen), chosen, claimed_journal, claimed_exit)
    proof, _ = prove_tables(machine(), chosen, statement, tables, preprocessed, randomness=randomness, threads=2)
    return statement, proof


def prove_and_verify(image: Image, stdin: bytes = b"", chosen: Parameters = FAST) -> tuple[Execution, ProofShape]:
    """Run, prove, verify."""
    execution = execute(image, stdin)
    statement, proof = prove_execution(execution, chosen)
    return execution, verify_proof(machine(), statement, proof, Policy(chosen.security_bits))
