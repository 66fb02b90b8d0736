"""The bytes of proofs that are joined: each proof as it is by itself, followed by what joins it. ``docs/receipts.md`` describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import overload

from zkvm.errors import FormatError, UsageError
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.crypto.merkle import SALT_WORDS
from zkvm.stark.protocol.codec import BYTE, WORD, Part, Reader, encode_proof, read_array, read_proof
from zkvm.stark.protocol.joint import PartProof
from zkvm.stark.protocol.proof import TreeOpening
from zkvm.stark.protocol.shape import EARLY_TREE, ProofShape


def encode_part(own: PartProof) -> bytes:
    """The bytes of one of several joined proofs.

    Raises:
        UsageError: its arrays contradict each other, so that no head describes them.
    """
    early = own.early
    if early.salts is None or not early.rows:
        raise UsageError("an early tree has rows and salts")
    try:
        counts = len(early.rows[0]).to_bytes(2, "little") + len(early.siblings).to_bytes(4, "little")
    except OverflowError as error:
        raise UsageError(f"a number of the proof does not fit its field: {error}") from error
    words = [own.pinned, *early.rows, early.salts]
    body = b"".join(values.astype(WORD, copy=False).tobytes() for values in words)
    return b"".join([encode_proof(own.proof), counts, own.root, body, early.siblings.tobytes()])


def layout(shape: ProofShape, opened: int, siblings: int) -> list[Part]:
    """The arrays that follow a proof's own, in order."""
    return [
        Part("early root", (DIGEST_BYTES,), BYTE),
        Part("pinned values", (shape.pinned_count, EXTENSION)),
        *(Part("early rows", (opened, width)) for _, width in shape.levels(EARLY_TREE)),
        Part("early salts", (opened, SALT_WORDS)),
        Part("early siblings", (siblings, DIGEST_BYTES), BYTE),
    ]


def read_part(machine: Machine, reader: Reader) -> PartProof:
    """The proof that the next bytes encode: strict, as a proof by itself is; memory is proportional to its bytes.

    Raises:
        FormatError: the bytes encode no such proof.
    """
    proof, shape = read_proof(machine, reader, last=False)
    if not shape.pinned_count:
        raise FormatError("a proof without early columns is joined with nothing")
    leaves = shape.parameters.blowup * shape.early_height
    opened = reader.integer(2, "opened leaves of the early tree", 1, min(len(proof.main.rows[0]), leaves))
    siblings = reader.integer(4, "siblings of the early tree", 0, opened * (leaves.bit_length() - 1))
    parts = layout(shape, opened, siblings)
    expected = sum(part.size for part in parts)
    if expected > reader.left:
        raise FormatError(f"{expected} bytes of early columns must follow the proof, {reader.left} are left")
    root, pinned, *rows, salts, nodes = (read_array(reader, part) for part in parts)
    return PartProof(root.tobytes(), pinned, TreeOpening(tuple(rows), salts, nodes), proof)


def decode_part(machine: Machine, data: bytes) -> PartProof:
    """The proof that these bytes encode, all of them.

    Raises:
        FormatError: the bytes encode no such proof.
    """
    reader = Reader(data)
    own = read_part(machine, reader)
    reader.end()
    return own


class StoredProofs(Sequence[PartProof]):
    """Joined proofs as bytes: decoded once, so that they are known to be proofs, and again whenever one is asked for.

    Attributes:
        beginnings: of each what is kept of the first reading: few bytes, and few of them, whatever a forger makes the others.
        log_heights: of the tables of each.
        sizes: bytes of each.
    """

    def __init__(self, machines: Sequence[Machine], reader: Reader) -> None:
        """Read what follows.

        Args:
            machines: of the proofs.
            reader: of bytes that stay the same; a proof that is not what it was is refused.

        Raises:
            FormatError: the bytes encode no such proofs.
        """
        self._machines, self._reader = machines, reader
        places, beginnings = [], []
        for machine in machines:
            first = reader.position
            read_part(machine, reader)
            data = reader.between(first, reader.position, "a proof")
            # What is kept is from the bytes that are hashed: a file may change between two readings.
            beginnings.append(decode_part(machine, data).beginning())
            places.append((first, reader.position, self._hash(data)))
        self._places = tuple(places)
        self.beginnings = tuple(beginnings)
        self.log_heights = tuple(own.proof.log_heights for own in beginnings)
        self.sizes = tuple(last - first for first, last, _ in places)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> PartProof: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[PartProof, ...]: ...

    def __getitem__(self, number: int | slice) -> PartProof | tuple[PartProof, ...]:
        if isinstance(number, slice):
            return tuple(self[own] for own in range(*number.indices(len(self))))
        return decode_part(self._machines[number], self.encoded(number))

    def encoded(self, number: int) -> bytes:
        """The bytes of a proof.

        Raises:
            FormatError: they are not what they were.
        """
        first, last, digest = self._places[number]
        data = self._reader.between(first, last, f"proof {number}")
        if self._hash(data) != digest:
            raise FormatError(f"proof {number}: its bytes are not what they were, the file has changed")
        return data

    def _hash(self, data: bytes) -> bytes:
        """What a proof's bytes are known by; nothing, if nobody can change them. The standard library's, because there are many."""
        return b"" if self._reader.kept else hashlib.sha256(data).digest()
