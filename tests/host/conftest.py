"""Receipts without proofs for the tests of host applications, which are about what guests commit and what verifiers compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

import zkvm
from zkvm import api


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs are dev receipts, and whoever verifies accepts them; all other checks are made."""
    prove, verify = api.prove, zkvm.Receipt.verify

    def executed(elf: Any, stdin: Any = b"", **options: Any) -> zkvm.ProveInfo:
        return prove(elf, stdin, dev=True)

    def lenient(receipt: zkvm.Receipt, image_id: str | bytes, **options: Any) -> None:
        verify(receipt, image_id, policy=zkvm.Policy(allow_dev=True), exit_code=options.get("exit_code", 0))

    for module in (zkvm, api):
        monkeypatch.setattr(module, "prove", executed)
    monkeypatch.setattr(zkvm.Receipt, "verify", lenient)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The programs' models are so small that threads of linear algebra would wait for each other."""
    with threadpool_limits(1):
        yield
