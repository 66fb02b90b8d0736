"""The attention of guest_programs: against numpy in floats, as calls and in C; its cases; what its profile shows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import zkvm
from tests.proving import GUESTS, prove_and_verify
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

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


def test_a_profile_shows_each_stage() -> None:
    stdin, _ = attention(2)
    profile = zkvm.profile(ELF, stdin)
    names = " ".join(function.name for function in profile.functions)
    assert all(stage in names for stage in ("masked_scores", "exponentials_of", "reciprocals", "weighted_values"))
