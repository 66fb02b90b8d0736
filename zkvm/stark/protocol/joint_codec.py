"""The bytes of proofs that are joined: each proof as it is by itself, followed by what joins it. ``docs/receipts.md`` describes them."""

from __future__ import annotations

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
