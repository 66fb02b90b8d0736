"""Guest SDK: C header, start-up code, linker script and the compiler driver; and what guests in Python call.

The module itself is the decorator ``@zkvm.guest``, which is :func:`program`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

from zkvm.guest.python import tensors
from zkvm.guest.python.function import GuestFunction, program
from zkvm.guest.python.hashes import blake3, poseidon2_compress, poseidon2_hash
from zkvm.guest.python.io import Run, commit, cycles, log, panic, read, read_available, run

__all__ = [
    "GuestFunction",
    "Run",
    "blake3",
    "commit",
    "cycles",
    "log",
    "panic",
    "poseidon2_compress",
    "poseidon2_hash",
    "program",
    "read",
    "read_available",
    "run",
    "tensors",
]


class _Guest(ModuleType):
    def __call__(self, function: Callable[[], int | None]) -> GuestFunction:
        return program(function)


sys.modules[__name__].__class__ = _Guest
