"""Every forgery of BLAKE3 calls, proven by a prover that skips its own checks, and refused by the verifier for the reason that follows."""

from __future__ import annotations

import pytest

from tests.soundness import test_blake3_wires
from tests.soundness.proven import proven

pytestmark = pytest.mark.slow
globals().update({name: value for name, value in vars(test_blake3_wires).items() if name.startswith("test_")})

__all__ = ["proven"]
