"""Every forged gather, maximum and function, proven by a prover that skips its own checks, and refused by the verifier."""

from __future__ import annotations

import pytest

from tests.soundness import test_moving_forgeries
from tests.soundness.proven import proven

pytestmark = pytest.mark.slow
globals().update({name: value for name, value in vars(test_moving_forgeries).items() if name.startswith("test_") or name == "forged"})

__all__ = ["proven"]
