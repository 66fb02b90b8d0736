"""What a command process spares itself at its start."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from pathlib import Path

import pytest

from zkvm.cli.start import load_kernels
from zkvm.stark.kernels import library

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


@pytest.mark.parametrize(("terminal", "there", "said"), [(True, False, True), (True, True, False), (False, False, False)])
def test_the_first_start_says_that_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: bool, there: bool, said: bool
) -> None:
    load_kernels()
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    file = tmp_path / "kernels"
    if there:
        file.write_bytes(b"")
    monkeypatch.setattr(library, "library_path", lambda: file)
    load_kernels()  # loaded already: nothing is compiled
    assert ("compiling the kernels" in stream.getvalue()) is said


def test_loading_again_changes_nothing() -> None:
    load_kernels()
    modules, kernels = set(sys.modules), library.load()
    load_kernels()
    assert set(sys.modules) == modules
    assert library.load() is kernels
    assert gc.isenabled()
