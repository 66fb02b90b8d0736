"""The compiled kernels are kept between processes, under a directory named by their sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import numba, numpy as np
from zkvm.kernels.source import dots, goldilocks
matrix = np.ones((2, 64), dtype=np.uint64)
out = np.empty((2, 3), dtype=np.uint64)
dots.dot_columns(matrix, np.ones((3, 64), dtype=np.uint64), out, 0, 2)
assert (out == 64).all()
assert goldilocks.mul(2**64 - 2**32, 2**64 - 2**32) == 1
print(numba.config.CACHE_DIR, len(recorder.buffer))
"""


def run(environment: dict[str, str]) -> tuple[Path, int]:
    root = Path(__file__).parents[2]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    variables = {**inherited, "PYTHONPATH": path, **environment}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    directory, events = done.stdout.split()
    return Path(directory), int(events)


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_a_second_process_compiles_nothing(variable: str, tmp_path: Path) -> None:
    directory, first = run({variable: str(tmp_path)})
    assert first > 0
    assert directory.parent == (tmp_path if variable == "NUMBA_CACHE_DIR" else tmp_path / "zkvm")
    assert any(directory.rglob("*.nbi"))
    assert run({variable: str(tmp_path)}) == (directory, 0)
