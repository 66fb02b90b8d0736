"""The attention of guest_programs: against numpy in floats, as calls and in C; its cases; what its profile shows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import zkvm
from tests.guest.compiled import compiled, needs_compiler
from tests.proving import GUESTS, prove_and_verify
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.session.profiling import tensor_cells

ELF = GUESTS / "attention" / "attention.elf"
TOKENS, DIMENSIONS, UNIT = 32, 16, 1 / 1024


def vectors_of(rows: NDArray[np.int64]) -> bytes:
    """A matrix (positions, channels) as vectors of 8 positions."""
    blocks = rows.reshape(len(rows) // 8, 8, -1).swapaxes(1, 2)
    return blocks.astype("<i2").tobytes()


def attention(seed: int, size: float = 1.0) -> tuple[bytes, NDArray[np.float64]]:
    """Input of the guest, and the last token's result in floats."""
    random = np.random.default_rng(seed)
    q, k, v = (np.round(random.normal(size=(TOKENS, DIMENSIONS)) * size / UNIT).clip(-32768, 32767).astype(np.int64) for _ in range(3))
    scores = (q * UNIT) @ (k * UNIT).T / np.sqrt(DIMENSIONS)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True)) * np.tril(np.ones((TOKENS, TOKENS)))
    result = powers / powers.sum(axis=1, keepdims=True) @ (v * UNIT)
    return vectors_of(q) + vectors_of(k) + vectors_of(v.T), result[-1]


@pytest.mark.parametrize("size", [0.01, 1.0, 3.0])
@pytest.mark.parametrize("tensors", [True, False])
def test_agrees_with_floats(size: float, tensors: bool) -> None:
    """Also where all tokens are alike, and where one outweighs the others."""
    stdin, expected = attention(1, size)
    run = execute(load_image(ELF.read_bytes(), tensors=tensors), stdin, trace=False)
    assert run.exit_code == 0, run.stderr
    found = np.frombuffer(run.journal, "<i4") * UNIT
    assert np.abs(found - expected).max() <= 0.005 * size + UNIT


def test_is_proven() -> None:
    stdin, _ = attention(2)
    execution, _ = prove_and_verify(load_image(ELF.read_bytes()), stdin)
    assert len(execution.tensor_calls) == 14


STAGES = {"masked_scores": 2, "exponentials_of": 3, "reciprocals": 3, "weighted_values": 2}
"""Tensor calls of each stage, in the order of the stages' runs; three imports come before them, and an export after them."""


def test_a_profile_shows_each_stage() -> None:
    """With all its tensor calls, the last one too, which it makes by a jump where it returns what the call makes."""
    stdin, _ = attention(2)
    profile = zkvm.profile(ELF, stdin)
    cells = tensor_cells(execute(load_image(ELF.read_bytes()), stdin))[3:-1]
    totals = {function.name: function for function in profile.functions}
    for stage, calls in STAGES.items():
        own, cells = sum(cells[:calls]), cells[calls:]
        made = [(path, spent) for path, _, spent in profile.paths if path[1:3] == ("main", stage)]
        assert sum(spent for path, spent in made if path[-1].startswith("zkvm_tensor_")) >= own, stage
        assert totals[stage].total_cells == sum(spent for _, spent in made)


def test_rows_of_tables_of_calls_are_the_same_for_all_inputs() -> None:
    """What the profile says of such tables: their rows follow from the calls, whatever the values."""
    found = [
        {chip.name: (chip.rows, chip.height) for chip in zkvm.profile(ELF, attention(seed, size)[0]).chips if chip.by_call}
        for seed, size in ((1, 1.0), (2, 0.01), (3, 3.0))
    ]
    assert found[0] == found[1] == found[2]
    assert {"tensor_call", "tensor_products", "tensor_combine", "tensor_words"} <= found[0].keys()


@needs_compiler
def test_the_lines_of_a_profile_show_each_call() -> None:
    """A call's cells count for the line of the guest that makes it, and not for the library's that holds the instruction."""
    stdin, _ = attention(2)
    source = ELF.with_name("main.cpp")
    profile = zkvm.profile(compiled(source.read_text(), name=source.name), stdin)
    costs = {entry.line: entry.cells for entry in profile.lines if entry.file == source.name}
    cells = tensor_cells(execute(load_image(ELF.read_bytes()), stdin))[3:-1]
    lines = source.read_text().splitlines()
    for stage, calls in STAGES.items():
        own, cells = sum(cells[:calls]), cells[calls:]
        first = next(number for number, text in enumerate(lines, 1) if f" {stage}(" in text)
        last = next(number for number, text in enumerate(lines[first:], first + 1) if text == "}")
        assert sum(cost for line, cost in costs.items() if first <= line <= last) >= own, stage
    assert sum(entry.cells for entry in profile.lines) == profile.charged_cells
