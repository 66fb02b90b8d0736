"""The real machine: runs on two private inputs publish the same, and show no common value."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from tests.proving import prove_execution
from zkvm.cli.main import app
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.protocol.params import Policy, parameters
from zkvm.stark.protocol.proof import Proof, TreeOpening
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.verifier.verify import verify_proof
from zkvm.verifier.receipt import Receipt

U64 = NDArray[np.uint64]
FAST = parameters("fast", 100)
SQUARE_ROOT: tuple[Item, ...] = (
    ("li", "a7", 63), ("li", "a0", 0), ("la", "a1", "data"), ("li", "a2", 4), ("ecall",), ("la", "s0", "data"), ("lw", "t0", "s0", 0),
    ("mul", "t0", "t0", "t0"), ("sw", "t0", "s0", 0), ("li", "a7", 64), ("li", "a0", 3), ("mv", "a1", "s0"), ("li", "a2", 4), ("ecall",),
    ("li", "a0", 0), *EXIT,
)  # fmt: skip
"""Reads a secret word and publishes its square: x and -x cannot be told apart."""
ROOTS = tuple((root % 2**32).to_bytes(4, "little") for root in (123456789, -123456789))


@cache
def proven(number: int, zk: bool) -> tuple[Statement, Proof]:
    execution = execute(assemble(list(SQUARE_ROOT), data=bytes(4)), ROOTS[number])
    return prove_execution(execution, FAST, randomness=Randomness(bytes([number + 1] * 32)) if zk else Randomness.zeros())


def arrays(proof: Proof) -> dict[str, U64]:
    """Everything that could depend on the input; without the preprocessed openings, which are public."""
    found = {"terminals": proof.terminals, "openings": secret_openings(proof), "final": proof.final}
    for field in fields(proof):
        opening = getattr(proof, field.name)
        if isinstance(opening, TreeOpening) and field.name != "preprocessed":
            assert opening.salts is not None
            found |= {f"{field.name} {level}": rows for level, rows in enumerate(opening.rows)} | {f"{field.name} salts": opening.salts}
    return found | {f"layer {number}": layer.leaves for number, layer in enumerate(proof.layers)}


def secret_openings(proof: Proof) -> U64:
    """Openings of all but the preprocessed columns."""
    widths = [code.widths[0] for code, log in zip(machine().codes, proof.log_heights, strict=True) if log]
    return proof.openings[sum(widths) :]


def columns_of(array: U64, name: str) -> tuple[int, ...]:
    """Sizes that do not depend on how many of the queries fall together."""
    return array.shape if name in ("terminals", "openings", "final") else array.shape[1:]


def test_two_inputs_publish_the_same() -> None:
    (first, one), (second, other) = proven(0, True), proven(1, True)
    assert first.fields == second.fields
    assert first.preprocessed_root == second.preprocessed_root
    assert (one.parameters, one.log_heights, one.zk) == (other.parameters, other.log_heights, other.zk)
    left, right = arrays(one), arrays(other)
    assert {name: columns_of(array, name) for name, array in left.items()} == {
        name: columns_of(array, name) for name, array in right.items()
    }
    for statement, proof in ((first, one), (first, other)):
        verify_proof(machine(), statement, proof, Policy())


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_that_is_shown_is_small_or_seen_twice(number: int) -> None:
    """Cells are words, bits and small numbers: a value of the trace that got into a proof would be below 2^32.

    Queries that fall on the same row of a short table show it once more; rows are counted once.
    """
    for name, array in arrays(proven(number, True)[1]).items():
        values = np.unique(array, axis=0).ravel()
        assert int(values.min()) > 1 << 32, name
        assert len(np.unique(values)) == len(values), name


def test_the_same_look_finds_what_is_not_hidden() -> None:
    """Without zero knowledge, zeros of blinding show, and the proof of the same input is the same."""
    proof = proven(0, False)[1]
    found = arrays(proof)
    assert not found["main salts"].any()
    again = prove_execution(execute(assemble(list(SQUARE_ROOT), data=bytes(4)), ROOTS[0]), FAST, randomness=Randomness.zeros())[1]
    assert all(np.array_equal(array, other) for array, other in zip(found.values(), arrays(again).values(), strict=True))


def test_padding_on_the_command_line(tmp_path: Path) -> None:
    target = tmp_path / "hello.receipt"
    guest = Path(__file__).resolve().parents[2] / "guest_programs" / "hello" / "hello.elf"
    result = CliRunner().invoke(app, ["run", str(guest), "--params", "fast", "--pad-to", "2^9", "--out", str(target), "--json"])
    assert result.exit_code == 0, result.output
    seal = Receipt.load(target).seal
    assert seal is not None
    present = {chip.name for chip, log in zip(machine().chips, seal.log_heights, strict=True) if log}
    assert {chip.name for chip in machine().chips if not len(chip.preprocessed) and chip.first is None and not chip.by_call} <= present
    for wrong in ("2^3", "1000", "many", "2^99"):
        assert CliRunner().invoke(app, ["run", str(guest), "--pad-to", wrong, "--out", str(target)]).exit_code != 0
