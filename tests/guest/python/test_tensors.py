"""Tensors of guests in Python: bounds of what can be proven, the end of the input, proofs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tests.guest.python.sources import built
from tools.emulator import emulate
from zkvm import guest
from zkvm.errors import GuestTrap, UsageError
from zkvm.guest import tensors
from zkvm.guest.python.build import load

TEXT = """
import numpy as np
from zkvm import guest
from zkvm.guest import tensors

HIDDEN = tensors.Linear(np.arange(-20, 20).reshape(5, 8), 1 / 16, np.arange(5) * 9, low=0)
SCORES = tensors.Linear(np.arange(15).reshape(3, 5) - 7, 1 / 8)


def main() -> None:
    scores = SCORES(HIDDEN(tensors.read(8))).numbers()
    guest.commit(scores)
    guest.commit(np.argmax(scores))
"""
X = np.array([3, -1, 100, 7, 0, -32768, 32767, 5], np.int16)


def journal(x: Any) -> bytes:
    """The two layers in plain integers."""
    hidden = np.arange(-20, 20).reshape(5, 8) @ x.astype(np.int64) + np.arange(5) * 9
    hidden = np.clip((hidden + 8) >> 4, 0, 32767)
    scores = (np.arange(15).reshape(3, 5) - 7) @ hidden
    scores = np.clip((scores + 4) >> 3, -32768, 32767).astype(np.int32)
    return bytes(scores.tobytes() + np.argmax(scores).tobytes())


@needs_compiler
def test_two_layers_are_proven(tmp_path: Path) -> None:
    elf, stdin = built(TEXT), tensors.encode(X)
    info = zkvm.prove(elf, stdin, params="fast")
    info.receipt.verify(zkvm.compute_image_id(elf))
    assert info.receipt.journal == journal(X)
    (tmp_path / "guest.elf").write_bytes(elf)
    assert emulate(tmp_path / "guest.elf", stdin).journal == journal(X)  # which knows no tensor calls: the library computes


def test_the_same_under_cpython(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(TEXT)
    run = guest.run(load(tmp_path / "main.py").main, tensors.encode(X))
    assert (run.journal, run.error) == (journal(X), "")


@needs_compiler
def test_the_end_of_the_input() -> None:
    with pytest.raises(GuestTrap) as caught:
        zkvm.execute(built(TEXT), tensors.encode(X)[:-1])
    assert caught.value.kind == "tensor_call"
    assert "the private input ended" in str(caught.value)
    assert ("main.py", 11) in {(frame.file, frame.line) for frame in caught.value.frames}


def test_what_hosts_write() -> None:
    assert tensors.encode(np.array([1, -2])) == np.array([[1] + [0] * 7, [-2] + [0] * 7], "<i2").tobytes()
    assert len(tensors.encode(np.zeros((3, 9), np.uint8))) == 3 * 2 * 16
    for wrong in (np.array([40000]), np.array([0.5]), np.zeros((2, 2, 2), np.int8), np.zeros(0, np.int8)):
        with pytest.raises(UsageError):
            tensors.encode(wrong)


WEIGHTS = np.ones((2, 4), np.int8)
REFUSED: dict[str, Callable[[], object]] = {
    "a matrix of integers": lambda: tensors.Linear(WEIGHTS * 0.5, 1 / 8),
    "at most 1 / 4": lambda: tensors.Linear(WEIGHTS, 1 / 3),
    "below 1 / 2": lambda: tensors.Product(1 / 2),
    "a bias is an integer": lambda: tensors.Linear(WEIGHTS, 1 / 4, 0.5),
    "a bias is below": lambda: tensors.Linear(WEIGHTS, 1 / 4, 2**48),
    "low and high": lambda: tensors.Linear(WEIGHTS, 1 / 4, low=1, high=0),
    "factors are": lambda: tensors.Sum(1 / 4, first=1 << 15),
    "places are": lambda: tensors.Gather([-2]),
    "no shape": lambda: tensors.Gather(np.zeros((2, 2, 2), np.int64)),
    "a maximum of no channels": lambda: tensors.Maximum(0),
    "65536 values": lambda: tensors.Function(np.arange(10)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_proven_is_refused_where_it_is_made(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


def test_operands_under_cpython() -> None:
    x = tensors.load(np.zeros(4, np.int8), 4)
    with pytest.raises(TypeError, match="takes 2 tensors"):
        tensors.Sum(1 / 4)(x)
    with pytest.raises(TypeError, match=r"np\.int16"):
        tensors.load(np.zeros(4), 4)
    with pytest.raises(ValueError, match="do not fit together"):
        tensors.load(np.zeros(4, np.int8), 5)
    with pytest.raises(ValueError, match="4 channels are wanted"):
        tensors.Linear(WEIGHTS, 1 / 4)(tensors.load(np.zeros(3, np.int8), 3))
