"""The onnx package's own backend cases: none fails, and at least as many pass as did. `-s` shows the counts."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.ml.scripts import bench_script

LEAST_PASSED = {"node": 880, "simple": 7, "pytorch-converted": 60, "pytorch-operator": 33}
MOST_INEXACT = 20


@pytest.mark.parametrize("kind", LEAST_PASSED)
def test_backend_cases(kind: str) -> None:
    module = bench_script("backend_cases")
    outcomes = [module.run_case(case, False) for case in module.cases(kind)]
    counts = Counter(outcome.result for outcome in outcomes)
    print(f"{kind}: {len(outcomes)} cases, {dict(counts)}")
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []
    assert counts["passed"] >= LEAST_PASSED[kind]
    assert counts["inexact"] <= MOST_INEXACT
