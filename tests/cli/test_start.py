"""What a command process spares itself at its start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from zkvm.cli.start import load_kernels

ROOT = Path(__file__).resolve().parent.parent.parent


def test_kernels_are_loaded_without_numba_and_left_to_no_collection() -> None:
    load_kernels()  # compiled, if they have to be
    code = """
import gc, sys
from zkvm.cli.start import PROVER, load_kernels
load_kernels(PROVER)
assert gc.isenabled() and gc.get_freeze_count()
assert "zkvm.stark.prover.prove" in sys.modules and not {"numba", "scipy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=600)


def test_loading_again_changes_nothing() -> None:
    load_kernels()
    load_kernels()
