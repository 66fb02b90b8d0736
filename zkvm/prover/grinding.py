"""The prover's search for a proof of work: the smallest nonce that the transcript accepts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np

from zkvm.errors import ProvingError
from zkvm.kernels.blake3 import grind

CHUNK_NONCES: Final = 1 << 18
"""Nonces tried between two looks at ``cancelled``: about 2 ms."""
MAX_BITS: Final = 48
"""More work than this (a month on one core) is a mistake."""


def search_nonce(seed: bytes, bits: int, threads: int = 1, cancelled: Callable[[], bool] = lambda: False) -> int:
    """The smallest nonce with :func:`zkvm.crypto.transcript.proof_of_work_holds`; the result does not depend on ``threads``.

    Args:
        seed: 32 bytes, from ``Transcript.grinding_seed``. bits: 0..48. cancelled: asked now and then whether to stop.

    Raises:
        ProvingError: too many bits, or cancelled.
    """
    if not 0 <= bits <= MAX_BITS:
        raise ProvingError(f"{bits} bits of proof of work: at most {MAX_BITS}")
    if bits == 0:
        return 0
    words = np.frombuffer(seed, dtype="<u4").astype(np.uint32)

    def search_chunk(start: int) -> int | None:
        found = np.zeros(1, dtype=np.uint64)
        hit = grind(words, np.uint64(bits), np.uint64(start), np.uint64(CHUNK_NONCES), found)
        return int(found[0]) if hit else None

    start = 0
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        while not cancelled():
            round_starts = range(start, start + max(threads, 1) * CHUNK_NONCES, CHUNK_NONCES)
            chunks: list[Future[int | None]] = [pool.submit(search_chunk, chunk_start) for chunk_start in round_starts]
            nonces = [nonce for chunk in chunks if (nonce := chunk.result()) is not None]
            if nonces:
                return nonces[0]
            start = round_starts[-1] + CHUNK_NONCES
    raise ProvingError("the search for a proof of work was cancelled")
