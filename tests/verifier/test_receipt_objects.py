"""Whatever a receipt object holds beside its proofs, the verifier answers with a VerificationError, or accepts what says the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.receipts import echo_receipt
from tests.verifier.test_segmented_receipt import proven, seal_of
from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.protocol.joint import PartProof
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.proof import Proof
from zkvm.verifier.receipt import Receipt

Put = Callable[[Any], Receipt]
ODD: list[Any] = [
    None, "text", b"", bytes(32), bytearray(32), 1.5, float("nan"), (), (None,), ((1, 2),), ((1, 2, 3), (4,)), (1, 2, 3), [], [1, 2], {},
    object(), -1, 0, 1, 1 << 32, 1 << 80, True, np.uint64(3), np.array(None), np.zeros(0, np.uint64), np.zeros(3), slice(None), Ellipsis,
]  # fmt: skip


@cache
def receipts() -> dict[str, Receipt]:
    return {"one proof": echo_receipt(), "segments": proven().receipt}


def places(value: Any, put: Put, path: str = "receipt") -> Iterator[tuple[str, Any, Put]]:
    """Every field outside of proofs, and every item of a tuple."""
    yield path, value, put
    if isinstance(value, Proof | PartProof):
        return
    if is_dataclass(value):
        for field in fields(value):

            def put_field(new: Any, name: str = field.name) -> Receipt:
                return put(replace(value, **{name: new}))  # type: ignore[type-var]

            yield from places(getattr(value, field.name), put_field, f"{path}.{field.name}")
    elif isinstance(value, tuple):
        for number, item in enumerate(value):

            def put_item(new: Any, number: int = number) -> Receipt:
                return put((*value[:number], new, *value[number + 1 :]))

            yield from places(item, put_item, f"{path}[{number}]")


@pytest.mark.parametrize("kind", ["one proof", "segments"])
def test_any_field_of_another_kind(kind: str) -> None:
    honest = receipts()[kind]
    odd = [*ODD, honest, honest.claim, honest.header, honest.seal, honest.segmented]
    seen = 0
    for path, value, put in list(places(honest, lambda whole: whole))[1:]:
        for other in odd:
            seen += 1
            try:
                put(other).verify(honest.claim.image_id)
            except VerificationError:
                continue
            assert same(value, other), (path, value, other)
    assert seen > 30 * len(odd)


def same(value: Any, other: Any) -> bool:
    """Whether a verifier may take one for the other."""
    return other is value or (isinstance(other, type(value)) and bool(other == value))


def changed_proof(**changes: Any) -> Receipt:
    """The run in segments with something else in its proof of memory."""
    memory, *others = seal_of(proven().receipt).proofs
    other = replace(memory, proof=replace(memory.proof, **changes))
    return replace(proven().receipt, segmented=replace(seal_of(proven().receipt), proofs=(other, *others)))


def test_parameters_that_cannot_be_compared() -> None:
    """They are compared with those of the claim before the proofs are looked at."""
    odd: Any = (np.zeros(3), 4, 5)
    seal = echo_receipt().seal
    assert seal is not None
    for receipt in (replace(echo_receipt(), seal=replace(seal, parameters=odd)), changed_proof(parameters=odd)):
        with pytest.raises(VerificationError, match="^SHAPE: parameters, heights and nonce must be integers$"):
            receipt.verify(receipt.claim.image_id)


def test_gaps_that_are_no_pairs() -> None:
    """The image ID hashes the edges of all gaps one behind the other, and the number of gaps."""
    header = echo_receipt().header
    edges = [edge for gap in header.gaps for edge in gap]
    assert len(header.gaps) > 1
    odd: Any = (tuple(edges), *[()] * (len(header.gaps) - 1))
    regrouped = replace(echo_receipt(), header=replace(header, gaps=odd))
    assert regrouped.header.image_id() == echo_receipt().claim.image_id
    with pytest.raises(VerificationError, match="gaps pairs") as caught:
        regrouped.verify(echo_receipt().claim.image_id)
    assert caught.value.reason is RejectReason.CLAIM


@pytest.mark.parametrize("most", [float("nan"), 1, 1.5, -1])
def test_a_bound_on_segments_is_kept(most: Any) -> None:
    """Also one that is no number."""
    with pytest.raises(VerificationError, match="^POLICY: 2 segments; at most"):
        proven().receipt.verify(proven().image_id, policy=Policy(max_segments=most))


@pytest.mark.parametrize("kind", ["one proof", "segments"])
@pytest.mark.parametrize("wrap", [lambda data: data, memoryview], ids=["bytearray", "memoryview"])
def test_bytes_that_can_be_changed_are_copied(kind: str, wrap: Callable[[bytearray], Any]) -> None:
    """A claim that was verified stays what it was, whatever its reader's buffer becomes."""
    honest = receipts()[kind]
    data = bytearray(honest.to_bytes())
    receipt = Receipt.from_bytes(wrap(data))
    claim = receipt.verify(honest.claim.image_id)
    data[:] = bytes(len(data))
    assert (receipt.claim, claim, receipt.header, receipt.journal) == (honest.claim, honest.claim, honest.header, honest.journal)
    assert all(type(own) is bytes for own in (claim.image_id, claim.journal_digest, receipt.journal, *receipt.header.roots))
