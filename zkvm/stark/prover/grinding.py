"""The prover's search for a proof of work: the smallest nonce that the transcript accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from zkvm.errors import ProvingError
from zkvm.stark.kernels.blake3 import grind
from zkvm.stark.kernels.parallel import TASK_WORDS, run_ranges

CHUNK_NONCES: Final = 1 << 16
"""Nonces that a thread tries before it looks whether another has found a smaller one."""
ROUND_CHUNKS: Final = 16
"""Chunks tried between two looks at ``cancelled``."""
MAX_BITS: Final = 48
"""No parameter set asks for nearly as much: more than this is a mistake, and would not end."""


def search_nonce(seed: bytes, bits: int, threads: int = 1, cancelled: Callable[[], bool] = lambda: False) -> int:
    """The smallest nonce with :func:`zkvm.stark.crypto.transcript.proof_of_work_holds`.

    Args:
        seed: 32 bytes, from ``Transcript.grinding_seed``.
        bits: 0..48.
        threads: at most this many; the result does not depend on it.
        cancelled: asked now and then whether to stop.

    Returns:
        The nonce.

    Raises:
        ProvingError: too many bits, or cancelled.
    """
    if not 0 <= bits <= MAX_BITS:
        raise ProvingError(f"{bits} bits of proof of work: at most {MAX_BITS}")
    if bits == 0:
        return 0
    words = np.frombuffer(seed, dtype="<u4").astype(np.uint32)
    nonces: list[int] = []
    start = 0

    def search_chunk(first: int, last: int) -> None:
        found = np.zeros(1, dtype=np.uint64)
        first_nonce = start + first * CHUNK_NONCES
        if nonces and min(nonces) < first_nonce:
            return
        if grind(words, np.uint64(bits), np.uint64(first_nonce), np.uint64((last - first) * CHUNK_NONCES), found):
            nonces.append(int(found[0]))

    while not nonces:
        if cancelled():
            raise ProvingError("the search for a proof of work was cancelled")
        run_ranges(search_chunk, ROUND_CHUNKS, TASK_WORDS, threads)
        start += ROUND_CHUNKS * CHUNK_NONCES
    return min(nonces)
