"""Every documented construct of guests in Python: what the guest commits is what CPython commits."""

from __future__ import annotations

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tests.guest.python.dispatch import cases_of, elf_of, module_of, stdin_of
from zkvm import guest

FILES = ("numbers_cases", "language_cases", "array_cases", "tensor_cases")
CASES = [(file, case) for file in FILES for case in cases_of(file)]


def inputs() -> list[bytes]:
    """Random bytes, small numbers, and the extremes of 32 bits."""
    rng = np.random.default_rng(1)
    extremes = np.array([0, -1, 2**31 - 1, -(2**31), 1, 5, -5, 127, 255, 256, -128, 65535], np.int32)
    return [
        rng.integers(0, 256, 4096, dtype=np.uint8).tobytes(),
        rng.integers(-1000, 1000, 1024, dtype=np.int32).tobytes(),
        rng.choice(extremes, 1024).astype(np.int32).tobytes(),
        rng.integers(-3, 4, 1024, dtype=np.int32).tobytes(),
    ]


@needs_compiler
@pytest.mark.parametrize(("file", "case"), CASES)
def test_a_guest_commits_what_cpython_commits(file: str, case: str) -> None:
    elf, function = elf_of(file), getattr(module_of(file), case)
    passed = 0
    for data in inputs():
        expected = guest.run(function, data)
        session = zkvm.execute(elf, stdin_of(file, case, data))
        said = session.stderr.decode()
        assert session.journal == expected.journal, (expected, said)
        assert session.exit_code == expected.exit_code, (expected, said)
        if expected.exit_code:
            assert expected.error.partition(":")[0] in said
        assert session.stdout.decode() == expected.stdout
        passed += expected.exit_code == 0
    assert passed, "every input ends in an error"
