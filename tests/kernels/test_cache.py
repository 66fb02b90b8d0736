"""The compiled kernels are kept between processes, under a directory named by their sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import numpy as np
from zkvm.kernels import library
from zkvm.kernels.columns import dot
assert (dot(np.ones((2, 64), dtype=np.uint64), np.ones((3, 64), dtype=np.uint64)) == 64).all()
print(library.library_path(), "numba" in sys.modules)
"""


def run(environment: dict[str, str], program: str = PROGRAM) -> list[str]:
    """What the program prints in a process with these variables."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    variables = {**inherited, "PYTHONPATH": path, **environment}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
