"""Every forgery, proven by a prover that skips its own checks, and refused by the verifier for the reason that follows."""

from __future__ import annotations

import pytest

from tests.soundness import test_forgeries, test_memory_map
from tests.soundness.proven import proven

pytestmark = pytest.mark.slow
for module in (test_forgeries, test_memory_map):
    globals().update({name: value for name, value in vars(module).items() if name.startswith("test_") or name == "forged"})

__all__ = ["proven"]
