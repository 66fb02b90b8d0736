"""Loads the scripts in ``bench/ml``, which are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def bench_script(name: str) -> ModuleType:
    """The module of ``bench/ml/NAME.py``."""
    path = Path(__file__).resolve().parents[2] / "bench" / "ml" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_ml_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
