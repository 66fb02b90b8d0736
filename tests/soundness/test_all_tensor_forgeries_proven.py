"""Every forgery of tensor calls, proven by a prover that skips its own checks, and refused by the verifier for the reason that follows."""

from __future__ import annotations

import pytest

from tests.soundness import test_tensor_calls, test_tensor_edges, test_tensor_forgeries, test_tensor_runs
from tests.soundness.proven import proven

pytestmark = pytest.mark.slow
names = ("forged", "tiles")
for module in (test_tensor_calls, test_tensor_forgeries, test_tensor_runs):
    globals().update({name: value for name, value in vars(module).items() if name.startswith("test_") or name in names})
test_g5_one_beside_the_bounds = test_tensor_edges.test_g5_one_beside_the_bounds

__all__ = ["proven"]
