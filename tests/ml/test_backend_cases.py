"""The onnx package's own backend cases: none fails, and at least as many pass as did. `-s` shows the counts."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

LEAST_PASSED = {"node": 880, "simple": 7, "pytorch-converted": 60, "pytorch-operator": 33}
MOST_INEXACT = 20


@pytest.mark.parametrize("kind", LEAST_PASSED)
def test_backend_cases(kind: str) -> None:
    path = Path(__file__).resolve().parents[2] / "bench" / "ml" / "backend_cases.py"
    spec = importlib.util.spec_from_file_location("bench_ml_backend_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    outcomes = [module.run_case(case, False) for case in module.cases(kind)]
    counts = Counter(outcome.result for outcome in outcomes)
    print(f"{kind}: {len(outcomes)} cases, {dict(counts)}")
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []
    assert counts["passed"] >= LEAST_PASSED[kind]
    assert counts["inexact"] <= MOST_INEXACT
