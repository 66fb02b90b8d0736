"""The kernels with vectors of the width that this machine does not choose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zkvm.stark.kernels import width

FOLDER = Path(__file__).parent
NAMES = ["vectors", "tiles", "limbs", "butterflies", "ntt", "columns", "tape_runner"]
LOCKSTEP = [f"test_{name}.py" for name in NAMES]
PROGRAM = """
import sys
import pytest
from zkvm.stark.kernels import width
width.WORD_LANES = 12 - width.WORD_LANES
from zkvm.stark.kernels.source import vectors
assert vectors.LANES == width.WORD_LANES
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", *sys.argv[1:]]))
"""


def test_lockstep_in_the_other_width() -> None:
    """LLVM splits vectors that are wider than the machine's, and narrow ones run on any machine."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    path = os.pathsep.join([str(FOLDER.parents[2]), os.environ.get("PYTHONPATH", "")])
    variables = {**inherited, "PYTHONPATH": path}
    command = [sys.executable, "-c", PROGRAM, *(str(FOLDER / name) for name in LOCKSTEP)]
    done = subprocess.run(command, env=variables, cwd=FOLDER.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "features", "wide"),
    [("skylake-avx512", "+avx2,+avx512f", True), ("haswell", "+avx2", False), ("znver9", "", False), ("another", None, False)],
)
def test_the_width_follows_the_settings_of_numba(name: str, features: str | None, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", name)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    if features is not None:
        monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    assert width.has_wide_vectors() is wide


def test_no_wide_vectors_where_numba_is_told_to_avoid_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "skylake-avx512")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx2,+avx512f")
    monkeypatch.setenv("NUMBA_ENABLE_AVX", "0")
    assert not width.has_wide_vectors()
