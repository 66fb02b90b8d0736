"""Tapes that are kept: the same as those that are lowered, refused if damaged, and never those of another chip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.stark.prover.test_prove_toy import prove_toy
from tests.toy import MAX_ROWS, TOY, AuditChip, SquaresChip, StepChip
from zkvm.riscv.machine import machine
from zkvm.stark.air.chip import second_instance
from zkvm.stark.air.machine import Machine, chip_code
from zkvm.stark.air.tape import Tape
from zkvm.stark.protocol.params import parameters
from zkvm.stark.prover import tape_file
from zkvm.stark.prover.tape_file import KINDS, pack, recall_tapes, unpack


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache directory."""
    monkeypatch.setattr(tape_file, "cache_directory", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def files(cache: Path) -> list[Path]:
    return sorted((cache / "tapes").iterdir())


def tapes_of(described: Machine) -> list[Tape]:
    return [getattr(code, kind) for code in described.codes for kind in KINDS]


def same(left: list[Tape], right: list[Tape]) -> bool:
    def parts(tape: Tape) -> tuple[object, ...]:
        return tape.code.tolist(), tape.code.dtype, tape.registers, tape.uniform.tolist(), tape.outputs

    return [parts(tape) for tape in left] == [parts(tape) for tape in right]


def test_every_tape_of_the_machine_survives() -> None:
    tapes = tapes_of(machine())
    found = unpack(pack(tapes))
    assert found is not None
    assert same(found, tapes)
    assert all(np.array_equal(own.pool(range(1000)), other.pool(range(1000))) for own, other in zip(found, tapes, strict=True))


def test_the_first_process_writes_and_the_next_reads(cache: Path) -> None:
    split = Machine("toy split", (StepChip(), AuditChip(), SquaresChip(), second_instance(StepChip)), MAX_ROWS)
    first, later = replace(split), replace(split)
    assert recall_tapes(first.codes) == 3
    assert len(files(cache)) == 3
    assert recall_tapes(later.codes) == 0
    assert all(kind in vars(code) for code in later.codes if code.first is None for kind in KINDS)
    assert same(tapes_of(later), tapes_of(first))
    assert later.codes[3].constraint_tape is later.codes[0].constraint_tape


def test_chips_have_files_of_their_own(cache: Path) -> None:
    """What is not asked for is not lowered; what another machine lowered from the same constraints and constants is taken."""
    assert recall_tapes([replace(TOY).code(2)]) == 1
    assert len(files(cache)) == 1
    assert recall_tapes(replace(TOY, name="another toy").codes) == 2
    assert len(files(cache)) == 3
    assert recall_tapes([chip_code(StepChip(), TOY.powers + 1)]) == 1, "its runtime constants stand elsewhere"


@pytest.mark.parametrize("place", [0, 31, 32, 40, 200, -1])
def test_a_damaged_file_is_written_again(cache: Path, place: int) -> None:
    recall_tapes([replace(TOY).code(0)])
    (path,) = files(cache)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[place] ^= 1
    for content in (bytes(damaged), whole[:place], b""):
        path.write_bytes(content)
        assert unpack(content) is None
        assert recall_tapes([replace(TOY).code(0)]) == 1
        assert path.read_bytes() == whole


def test_a_directory_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(tape_file, "cache_directory", lambda: tmp_path / "file" / "cache")
    own = replace(TOY)
    assert recall_tapes(own.codes) == 3
    assert same(tapes_of(own), tapes_of(TOY))


def test_a_proof_is_the_same_by_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same randomness, whoever made the tapes."""
    chosen = parameters("fast", 100)
    lowered = prove_toy(chosen, seed=bytes(32))[1]
    recall_tapes(replace(TOY).codes)
    kept = replace(TOY)
    assert recall_tapes(kept.codes) == 0
    monkeypatch.setattr("tests.stark.prover.test_prove_toy.TOY", kept)
    found = prove_toy(chosen, seed=bytes(32))[1]
    assert (found.main_root, found.bus_root, found.quotient_root) == (lowered.main_root, lowered.bus_root, lowered.quotient_root)
    assert np.array_equal(found.openings, lowered.openings)
    assert found.nonce == lowered.nonce
