"""Every forgery of tensor calls, proven by a prover that skips its own checks, and refused by the verifier for the reason that follows."""

from __future__ import annotations

import pytest

from tests.soundness import test_tensor_calls, test_tensor_forgeries
from tests.soundness.proven import proven

pytestmark = pytest.mark.slow
names = ("forged", "tiles")
for module in (test_tensor_calls, test_tensor_forgeries):
    globals().update({name: value for name, value in vars(module).items() if name.startswith("test_") or name in names})

__all__ = ["proven"]
