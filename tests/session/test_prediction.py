"""Predictions grow with what they depend on, and memory is near what proofs took (times are not tested: no test asserts any)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import zkvm
from tests.receipts import ECHO, GUESTS, TEXT
from zkvm.riscv.machine import machine
from zkvm.session import prediction
from zkvm.stark.protocol.params import parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.memory import predicted_bytes

ROOT = Path(__file__).resolve().parents[2]


def shape(log: int, name: str = "fast") -> ProofShape:
    return ProofShape(machine(), parameters(name), (log,) * len(machine().chips))


def test_seconds_and_memory_grow_with_heights_blowup_and_fall_with_threads() -> None:
    small, tall, wide = (prediction.predict(shape(*arguments), 2) for arguments in ((15,), (18,), (15, "compact")))
    assert small.seconds < tall.seconds
    assert small.seconds < wide.seconds
    assert small.memory_bytes < tall.memory_bytes
    assert small.memory_bytes < wide.memory_bytes
    assert prediction.predict(shape(18), 4).seconds < tall.seconds
    assert (tall.params, tall.security, tall.threads) == ("fast", 128, 2)
    with pytest.raises(zkvm.UsageError):
        prediction.predict(shape(15), 0)


@pytest.mark.parametrize("name", ["fast", "balanced", "compact"])
@pytest.mark.parametrize("log", [15, 18, 20])
def test_a_limit_on_memory_refuses_by_more_than_what_is_expected(log: int, name: str) -> None:
    assert prediction.memory_bytes(shape(log, name)) < predicted_bytes(shape(log, name))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a process's peak memory from")
@pytest.mark.parametrize(
    ("elf", "stdin", "params"), [(ECHO, TEXT, "fast"), (GUESTS / "mixed" / "mixed.elf", (400).to_bytes(4, "little"), "balanced")]
)
def test_memory_is_within_a_quarter_of_the_peak(elf: Path, stdin: bytes, params: str) -> None:
    """A process that proves once and does nothing else. A process that has just compiled kernels has a higher peak, so it runs twice.

    The peak is VmHWM: ru_maxrss of a child starts at what its parent had when it forked.
    """
    code = f"import zkvm; zkvm.prove({str(elf)!r}, {stdin!r}, params={params!r}, threads=2, verify=False)\n"
    code += "print(next(int(line.split()[1]) * 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    peaks = [int(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout) for _ in range(2)]
    expected = zkvm.profile(elf, stdin, params=params).prediction
    assert expected is not None
    assert 0.75 < expected.memory_bytes / min(peaks) < 1.25
