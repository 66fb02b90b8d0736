"""The onnx package's own backend cases: none fails, none is wrong, and at least as many pass as did. `-s` shows the counts.

Of the cases of nodes every sixth; the slow test runs all.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from tests.ml.scripts import bench_script

STEP = 6
LEAST_PASSED = {"node": 1460, "simple": 14, "pytorch-converted": 82, "pytorch-operator": 35}


def compared(kind: str, step: int) -> Counter[str]:
    """The results of the cases of a kind, of which none may be wrong."""
    module = bench_script("backend_cases")
    outcomes = [module.run_case(case) for case in islice(module.cases(kind), 0, None, step)]
    counts = Counter(outcome.result for outcome in outcomes)
    print(f"{kind}: {len(outcomes)} cases, {dict(counts)}")
    assert [outcome for outcome in outcomes if outcome.result in ("failed", "wrong", "caught") or outcome.wrong] == []
    return counts


@pytest.mark.parametrize("kind", LEAST_PASSED)
def test_backend_cases(kind: str) -> None:
    step = STEP if kind == "node" else 1
    assert compared(kind, step)["passed"] >= 0.9 * LEAST_PASSED[kind] / step


@pytest.mark.slow
def test_all_cases_of_nodes() -> None:
    assert compared("node", 1)["passed"] >= LEAST_PASSED["node"]
