"""The proof's encoding: one for each proof, and everything else is refused within bounded memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.receipts import toy_proof
from tests.toy import TOY
from zkvm.errors import FormatError, UsageError
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.codec import FLAG_ZK, MAGIC, WORD, Part, decode_proof, encode_proof, expected_bytes, layout
from zkvm.stark.protocol.params import Policy, parameters
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.verifier.verify import verify_proof

FLAGS_AT, PARAMETERS_AT, HEIGHTS_AT = 10, 12, 18
COUNTS_AT = HEIGHTS_AT + len(TOY.chips)


@cache
def data() -> bytes:
    return encode_proof(toy_proof()[1])


@cache
def parts() -> list[tuple[int, Part]]:
    """Offset of every array in the bytes."""
    proof = toy_proof()[1]
    shape = ProofShape(TOY, parameters("balanced", 100), proof.log_heights)
    counts = [(len(tree.rows[0]), len(tree.siblings)) for tree in (proof.main, proof.preprocessed)]
    counts += [(len(layer.leaves), len(layer.siblings)) for layer in proof.layers]
    result, offset = [], COUNTS_AT + 6 * len(counts)
    for part in layout(shape, tuple(counts)):
        result.append((offset, part))
        offset += part.size
    assert offset == len(data())
    return result


def changed(offset: int, content: bytes) -> bytes:
    return data()[:offset] + content + data()[offset + len(content) :]


def test_round_trip() -> None:
    statement, proof = toy_proof()
    decoded = decode_proof(TOY, data())
    assert encode_proof(decoded) == data()
    assert (decoded.parameters, decoded.zk, decoded.log_heights, decoded.nonce) == (proof.parameters, True, proof.log_heights, proof.nonce)
    assert np.array_equal(decoded.openings, proof.openings)
    assert decoded.preprocessed.salts is None
    verify_proof(TOY, statement, decoded, Policy())


def test_zero_knowledge_flag() -> None:
    statement, proof = toy_proof(zk=False)
    encoded = encode_proof(proof)
    assert encoded[FLAGS_AT] == 0
    assert data()[FLAGS_AT] == FLAG_ZK
    verify_proof(TOY, statement, decode_proof(TOY, encoded), Policy())


def test_nothing_but_the_arrays() -> None:
    """The only overhead is the head: 18 bytes, one per chip, six per tree."""
    assert len(data()) == COUNTS_AT + 6 * (2 + len(toy_proof()[1].layers)) + sum(part.size for _, part in parts())


def test_every_truncation_is_refused() -> None:
    body = parts()[0][0]
    ends = [*range(body + 64), *(offset for offset, _ in parts()), *range(body, len(data()), 4999), len(data()) - 1]
    for end in ends:
        with pytest.raises(FormatError):
            decode_proof(TOY, data()[:end])


@pytest.mark.parametrize("extra", [b"\0", bytes(8), bytes(1000)])
def test_trailing_bytes_are_refused(extra: bytes) -> None:
    with pytest.raises(FormatError, match="the body must have"):
        decode_proof(TOY, data() + extra)


@pytest.mark.parametrize(
    ("offset", "content", "message"),
    [
        (0, b"ZKVMSEAX", "magic"),
        (8, b"\2\0", "version"),
        (FLAGS_AT, b"\2\0", "flags"),
        (FLAGS_AT, b"\1\x80", "flags"),
        (PARAMETERS_AT, b"\4\0\1\0\xae\0", "unknown parameters"),
        (PARAMETERS_AT, bytes(6), "unknown parameters"),
        (HEIGHTS_AT, b"\x08", "out of range"),
        (HEIGHTS_AT, b"\x19", "out of range"),
        (HEIGHTS_AT, b"\xff", "out of range"),
        (HEIGHTS_AT + 2, b"\x0e", "no table has"),
        (HEIGHTS_AT, b"\x10\0\0", "mandatory tables are absent"),
        (HEIGHTS_AT, b"\x18", "siblings|opened leaves|the body must have"),
        (COUNTS_AT, b"\0\0", "opened leaves"),
        (COUNTS_AT, b"\x54\0", "opened leaves"),
        (COUNTS_AT + 2, b"\xff\xff\xff\xff", "siblings"),
        (COUNTS_AT + 6, b"\x54\0", "opened leaves"),
        (COUNTS_AT + 14, b"\xff\xff\xff\xff", "siblings"),
    ],
)
def test_bad_head(offset: int, content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        decode_proof(TOY, changed(offset, content))


def test_every_field_element_must_be_canonical() -> None:
    elements = [(offset, part) for offset, part in parts() if part.dtype == WORD and part.canonical and part.size]
    assert len(elements) > 12
    for offset, part in elements:
        for place in (offset, offset + part.size - 8):
            for value in (P, 2**64 - 1):
                with pytest.raises(FormatError, match=f"{part.name}: an element is not canonical"):
                    decode_proof(TOY, changed(place, value.to_bytes(8, "little")))
            decode_proof(TOY, changed(place, (P - 1).to_bytes(8, "little")))


def test_a_nonce_may_be_any_word() -> None:
    assert parts()[0][1].name == "nonce"
    assert decode_proof(TOY, changed(parts()[0][0], bytes([255] * 8))).nonce == 2**64 - 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutation_is_refused_or_encodes_to_itself(draw: st.DataObject) -> None:
    """No two byte strings decode to one proof."""
    place = draw.draw(st.one_of(st.integers(0, parts()[0][0] + 200), st.integers(0, len(data()) - 1)))
    mutated = changed(place, bytes([draw.draw(st.integers(0, 255))]))
    try:
        decoded = decode_proof(TOY, mutated)
    except FormatError:
        return
    assert encode_proof(decoded) == mutated


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(noise: bytes) -> None:
    heads = (b"", MAGIC, data()[:FLAGS_AT], data()[:HEIGHTS_AT], data()[:COUNTS_AT], data()[: COUNTS_AT + 12])
    for head in heads:
        with pytest.raises(FormatError):
            decode_proof(TOY, head + noise)


def test_memory_is_bounded_by_the_input() -> None:
    """The largest heights and counts that a head can claim allocate nothing."""
    ProofShape(TOY, parameters("fast", 128), (24, 24, 24)).opening_count  # noqa: B018  derived code is made once per machine
    numbers = b"".join(number.to_bytes(2, "little") for number in parameters("fast", 128).numbers)
    counts = (228).to_bytes(2, "little") + (228 * 17).to_bytes(4, "little")
    greedy = data()[:PARAMETERS_AT] + numbers + b"\x18\x18\x18" + counts * 9
    tracemalloc.start()
    with pytest.raises(FormatError):
        decode_proof(TOY, greedy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_contradicting_arrays_have_no_encoding() -> None:
    proof = toy_proof()[1]
    bus = replace(proof.bus, siblings=proof.bus.siblings[:-1])
    with pytest.raises(UsageError, match="different positions"):
        encode_proof(replace(proof, bus=bus))


@pytest.mark.parametrize("change", [{"nonce": -1}, {"nonce": 1 << 64}, {"log_heights": (300, 11, 15)}, {"parameters": (1 << 16, 83, 174)}])
def test_numbers_that_do_not_fit_have_no_encoding(change: dict[str, object]) -> None:
    proof: Proof = replace(toy_proof()[1], **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="does not fit"):
        encode_proof(proof)


def test_expected_size() -> None:
    shape = ProofShape(TOY, parameters("balanced", 100), toy_proof()[1].log_heights)
    assert abs(expected_bytes(shape) - len(data())) < len(data()) // 25
