"""The search for a proof of work finds what the transcript accepts."""

from __future__ import annotations

import pytest

from zkvm.errors import ProvingError
from zkvm.stark.crypto.transcript import Transcript, proof_of_work_holds
from zkvm.stark.prover import grinding
from zkvm.stark.prover.grinding import search_nonce


def test_found_nonce_is_the_smallest_and_is_accepted() -> None:
    transcript = Transcript("test/1")
    seed = transcript.grinding_seed("queries")
    nonce = search_nonce(seed, 9)
    assert all(not proof_of_work_holds(seed, smaller, 9) for smaller in range(nonce))
    transcript.grind_check("queries", nonce, 9)


def test_threads_do_not_change_the_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grinding, "CHUNK_NONCES", 64)
    seed = bytes(range(32))
    assert search_nonce(seed, 11, threads=3) == search_nonce(seed, 11)


def test_no_work_needs_no_search() -> None:
    assert search_nonce(bytes(32), 0) == 0


def test_cancelled_or_absurd_searches_end() -> None:
    with pytest.raises(ProvingError, match="cancelled"):
        search_nonce(bytes(32), 48, cancelled=lambda: True)
    with pytest.raises(ProvingError, match="at most"):
        search_nonce(bytes(32), 49)
