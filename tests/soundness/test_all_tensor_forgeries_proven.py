"""Every forgery of tensor calls, proven by a prover that skips its own checks, and refused by the verifier for the reason that follows."""

from __future__ import annotations

import pytest

from tests.soundness import test_tensor_forgeries
from tests.soundness.proven import proven

pytestmark = pytest.mark.slow
names = ("forged", "tiles")
globals().update({name: value for name, value in vars(test_tensor_forgeries).items() if name.startswith("test_") or name in names})

__all__ = ["proven"]
