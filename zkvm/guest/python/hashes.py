"""Hashes for guests in Python, as CPython computes them; in the machine they are system calls with tables of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from zkvm import poseidon2
from zkvm.errors import UsageError
from zkvm.stark.crypto import hashes

DIGEST_BYTES = 32


def blake3(data: Any) -> Any:
    """The BLAKE3 hash of an array's bytes: 32 bytes in an array of ``np.uint8``."""
    return np.frombuffer(hashes.blake3(np.asarray(data).tobytes()), np.uint8).copy()


def poseidon2_hash(data: Any) -> Any:
    """The Poseidon2 hash of an array's bytes, in domain 0: 32 bytes in an array of ``np.uint8``. Cheaper to prove than BLAKE3."""
    return np.frombuffer(poseidon2.poseidon2_hash(np.asarray(data).tobytes()), np.uint8).copy()


def poseidon2_compress(left: Any, right: Any) -> Any:
    """The digest of two Poseidon2 digests, for trees; what is no digest is refused with :class:`ValueError`."""
    try:
        digest = poseidon2.poseidon2_compress(_digest(left), _digest(right))
    except UsageError:
        raise ValueError("no digest") from None
    return np.frombuffer(digest, np.uint8).copy()


def _digest(value: Any) -> bytes:
    data = np.asarray(value)
    if data.dtype != np.uint8:
        raise ValueError("no digest")
    return data.tobytes()
