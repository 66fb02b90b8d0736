"""What a command process spares itself at its start, and leaves as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zkvm.cli.start import absent, load_kernels

ROOT = Path(__file__).resolve().parent.parent.parent


def test_an_absent_package_is_back_afterwards() -> None:
    name = "colorsys"
    sys.modules.pop(name, None)
    with absent(name), pytest.raises(ModuleNotFoundError):
        __import__(name)
    loaded = __import__(name)
    with absent(name):
        assert __import__(name) is loaded
    assert sys.modules[name] is loaded


def test_an_absent_package_is_back_after_an_error() -> None:
    sys.modules.pop("colorsys", None)
    with pytest.raises(KeyError), absent("colorsys"):
        raise KeyError
    __import__("colorsys")


def test_kernels_work_without_scipy_which_can_be_imported_later() -> None:
    code = """
import sys
from importlib.util import find_spec
from zkvm.cli.start import load_kernels
import gc
load_kernels()
assert gc.isenabled() and gc.get_freeze_count()
assert "scipy" not in sys.modules
import numpy as np
from zkvm.kernels.source.goldilocks import mul
assert mul(np.uint64(2**63), np.uint64(2)) == 2**32 - 1
if find_spec("scipy"):
    import scipy.linalg
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=600)


def test_loading_again_changes_nothing() -> None:
    load_kernels()
    load_kernels()
