"""Receipts: what a verifier gets, and how it decides. Needs numpy only.

A receipt holds a claim (which program, exit code, digest of the journal, parameters), the image's header, the journal and the seal,
which is the proof. A *dev receipt* has no seal: it says what an unproven run did, and nobody accepts it unless the caller asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from zkvm.errors import FormatError, RejectReason, UsageError, VerificationError
from zkvm.files import FileBytes, read_kinds, write_atomically
from zkvm.riscv.header import ImageHeader, preprocessed_chips, run_statement
from zkvm.riscv.machine import machine
from zkvm.stark.crypto.hashes import DIGEST_BYTES, blake3
from zkvm.stark.protocol.codec import Data, Reader, decode_proof, encode_proof
from zkvm.stark.protocol.params import BEST, BLOWUPS, REGIMES, Parameters, Policy, parameters_from_numbers
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.security import proven_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.verifier.shape import check_kinds, check_types
from zkvm.stark.verifier.verify import verify_proof
from zkvm.verifier import table
from zkvm.verifier.encoding import encode_header, little, read_header, read_parameters
from zkvm.verifier.segments import SegmentedSeal, verifier_threads

MAGIC, SEGMENTS_MAGIC = b"ZKVMRCPT", b"ZKVMSEGS"
"""First bytes of a receipt: of a run that is one proof, and of a run in segments."""
FORMAT_VERSION = 1
FLAG_DEV = 1
"""The receipt has no seal; every other bit is refused."""
MAX_JOURNAL_BYTES = 1 << 20
"""Bound on the public output: a verifier sends each byte of it on a bus, so that its work grows with them. Larger outputs write a
hash of themselves."""
MAX_RECEIPT_BYTES = 1 << 24
"""More than any receipt has: every table at its largest height, every query opening leaves of its own, the longest journal, and what
stands before it come to less than 5 MB. A test adds it up for every parameter set."""
MAX_SEGMENTED_BYTES = 1 << 31
"""The same for a run in segments, whose receipt has some MB for each: more than a thousand of them."""
PARAMETER_NAMES = ("blowup", "queries", "exempt_rows")

DEFAULT_POLICY = Policy()


def journal_digest(journal: bytes) -> bytes:
    """32 bytes: BLAKE3 of the journal."""
    return blake3(journal)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a receipt states, and what verification returns.

    Attributes:
        image_id: 32 bytes, the program.
        exit_code: 32-bit word.
        journal_digest: 32 bytes, BLAKE3 of the journal.
        parameters: (blowup, queries, exempt rows) of the proof.
    """

    image_id: bytes
    exit_code: int
    journal_digest: bytes
    parameters: tuple[int, int, int]


@dataclass(frozen=True, slots=True, repr=False)
class Receipt:
    """A run's public result with its proof.

    Attributes:
        claim: the statement.
        header: what the image ID hashes.
        journal: the guest's public output.
        seal: the proof; None in a dev receipt, and of a run in segments.
        segmented: the proofs of a run in segments; else None.
    """

    claim: Claim
    header: ImageHeader
    journal: bytes
    seal: Proof | None
    segmented: SegmentedSeal | None = None

    @property
    def segments(self) -> int:
        """How many segments the run was proven in; 0: it is one proof, or none."""
        return 0 if self.segmented is None else len(self.segmented.lengths)

    @property
    def dev(self) -> bool:
        """Whether nothing is proven."""
        return self.seal is None and self.segmented is None

    @property
    def zk(self) -> bool:
        """The prover's statement that the proof hides its witness."""
        proven = self.seal or self.segmented
        return proven is not None and proven.zk

    @property
    def parameters(self) -> Parameters:
        """The parameter set of the claim.

        Raises:
            VerificationError: POLICY, there is no such set.
        """
        return parameters_from_numbers(self.claim.parameters)

    def verify(self, image_id: str | bytes, *, policy: Policy = DEFAULT_POLICY, exit_code: int = 0, threads: int | None = None) -> Claim:
        """Accept the receipt as the proof of a run of this program, or refuse it.

        Args:
            image_id: of the program that the caller trusts, 64 hexadecimal digits or 32 bytes; never taken from the receipt.
            policy: what else the caller demands.
            exit_code: the one that the caller accepts.
            threads: that verify a run in segments, each several proofs at one time; None: one.

        Returns:
            The claim, now proven (of a dev receipt: only if ``policy.allow_dev``, and unproven).

        Raises:
            VerificationError: with the reason of the first check that fails.
            UsageError: ``image_id`` is not an image ID, or less than one thread.
        """
        workers = verifier_threads(threads)
        expected = parse_image_id(image_id)
        self._check_types()
        self.header.check()
        if self.header.image_id() != expected:
            raise VerificationError(RejectReason.IMAGE_ID, f"the receipt is for image {self.header.image_id().hex()}, not {expected.hex()}")
        if self.claim.image_id != expected:
            raise VerificationError(RejectReason.CLAIM, "the claim's image ID is not that of the receipt's image")
        if self.claim.journal_digest != journal_digest(self.journal):
            raise VerificationError(RejectReason.CLAIM, "the claim's digest is not that of the journal")
        if self.claim.exit_code != exit_code:
            raise VerificationError(RejectReason.POLICY, f"the guest exited with {self.claim.exit_code}, not {exit_code}")
        chosen = self.parameters
        if self.dev:
            if not policy.allow_dev:
                raise VerificationError(RejectReason.POLICY, "a dev receipt: nothing is proven")
            return self.claim
        if self.segmented is not None:
            if self.seal is not None:
                raise VerificationError(RejectReason.SHAPE, "one proof, and proofs of segments beside it")
            self.segmented.check_counts()
        proven = self.seal or self.segmented
        if proven is None or proven.parameters != self.claim.parameters:
            raise VerificationError(RejectReason.CLAIM, "the claim's parameters are not those of the proof")
        if self.segmented is not None:
            self.segmented.verify(self.header, chosen, self.journal, self.claim.exit_code, policy, workers)
        if self.seal is not None:
            verify_proof(machine(), run_statement(self.header, chosen, self.journal, self.claim.exit_code), self.seal, policy)
        return self.claim

    def _check_types(self) -> None:
        """A receipt object need not come from bytes: SHAPE."""
        check_kinds((claim := self.claim, Claim), (self.header, ImageHeader), (self.journal, bytes), (self.seal, Proof | None))
        check_kinds((claim.image_id, bytes), (claim.exit_code, int), (claim.journal_digest, bytes), (claim.parameters, tuple))
        check_kinds((self.segmented, SegmentedSeal | None), *((number, int) for number in claim.parameters))
        if self.seal is not None:
            check_types(self.seal)

    def security_bits(self, regime: str = BEST) -> int:
        """Whole bits that the seal's shape and statement are proven to give, those that :meth:`verify` compares; 0 for a dev receipt.

        Meaningful for a receipt that was accepted.

        Args:
            regime: which theorems count, as in :class:`zkvm.stark.protocol.params.Policy`.
        """
        chosen = self.parameters
        if self.segmented is not None:
            return int(self.segmented.security_bits(self.header, chosen, self.journal, self.claim.exit_code, regime))
        if self.seal is None:
            return 0
        statement = run_statement(self.header, chosen, self.journal, self.claim.exit_code)
        return int(proven_bits(ProofShape(machine(), chosen, self.seal.log_heights), statement.closing_tuples, regime))

    def to_bytes(self) -> bytes:
        """The binary form, described in ``docs/receipts.md``.

        Raises:
            UsageError: some value has no place in the format (no honest receipt has such a value).
        """
        if len(self.journal) > MAX_JOURNAL_BYTES:
            raise UsageError(f"a journal of {len(self.journal)} bytes; a receipt holds at most {MAX_JOURNAL_BYTES}")
        try:
            parts = [
                SEGMENTS_MAGIC if self.segments else MAGIC,
                little(2, FORMAT_VERSION, FLAG_DEV if self.dev else 0),
                machine().digest,
                encode_header(self.header),
                self.claim.image_id,
                little(4, self.claim.exit_code),
                self.claim.journal_digest,
                little(2, *self.claim.parameters),
                little(4, len(self.journal)),
                self.journal,
            ]
        except OverflowError as error:
            raise UsageError(f"a number of the receipt does not fit its field: {error}") from error
        parts += [] if self.segmented is None else [self.segmented.to_bytes()]
        return b"".join([*parts, b"" if self.seal is None else encode_proof(self.seal)])

    @classmethod
    def from_bytes(cls, data: Data) -> Receipt:
        """The receipt that these bytes encode: strict, every length checked before anything is allocated. Decoding proves nothing.

        Of a run in segments the bytes are kept, and each proof is decoded again when it is needed.

        Raises:
            FormatError: the bytes encode no receipt of this version.
            UsageError: they are no bytes.
        """
        reader, magic = Reader(data), data[: len(MAGIC)]
        if not isinstance(magic, bytes | bytearray | memoryview):
            raise UsageError(f"a receipt is bytes, not of type {type(data).__name__}: Receipt.load reads one from a path")
        segmented = magic == SEGMENTS_MAGIC
        reader.constant(SEGMENTS_MAGIC if segmented else MAGIC, "magic bytes of a receipt")
        reader.constant(little(2, FORMAT_VERSION), "format version")
        flags = reader.integer(2, "flags", 0, 0 if segmented else FLAG_DEV)
        reader.constant(machine().digest, "digest of the machine (the receipt was made by another version)")
        header = read_header(reader)
        claim = Claim(
            image_id=reader.take(DIGEST_BYTES, "image ID"),
            exit_code=reader.integer(4, "exit code"),
            journal_digest=reader.take(DIGEST_BYTES, "journal digest"),
            parameters=read_parameters(reader),
        )
        journal = reader.take(reader.integer(4, "journal length", 0, MAX_JOURNAL_BYTES), "journal")
        if segmented:
            return cls(claim, header, journal, None, SegmentedSeal.read(reader, len(journal)))
        if flags & FLAG_DEV:
            reader.end()
            return cls(claim, header, journal, None)
        return cls(claim, header, journal, decode_proof(machine(), reader.take(reader.left, "seal")))

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the receipt, whole or not at all; returns its length in bytes.

        Raises:
            OSError: it cannot be written.
            UsageError: as in :meth:`to_bytes`.
        """
        data = self.to_bytes()
        write_atomically(path, data)
        return len(data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Receipt:
        """Read a receipt from a file.

        Raises:
            OSError: it cannot be read.
            FormatError: it is no receipt.
        """
        return cls.from_bytes(read_receipt(path))

    def to_json(self) -> dict[str, Any]:
        """A readable view of everything but the seal's numbers: what JSON can hold. It is for reading; only the bytes verify."""
        view: dict[str, Any] = {
            "image_id": self.claim.image_id.hex(),
            "exit_code": self.claim.exit_code,
            "journal": self.journal.hex(),
            "journal_digest": self.claim.journal_digest.hex(),
            "parameters": dict(zip(PARAMETER_NAMES, self.claim.parameters, strict=True)),
            "dev": self.dev,
            "zk": self.zk,
            "receipt_bytes": len(self.to_bytes()),
            "machine_digest": machine().digest.hex(),
            "image": {
                "entry": self.header.entry,
                "initial_sp": self.header.initial_sp,
                "gaps": [list(gap) for gap in self.header.gaps],
                "heights": dict(zip(preprocessed_chips(), self.header.heights, strict=True)),
                "roots": {str(blowup): root.hex() for blowup, root in zip(BLOWUPS, self.header.roots, strict=True)},
            },
        }
        if self.segmented is not None:
            view["seal"] = self.segmented.to_json()
        elif self.seal is not None:
            logs = zip(machine().chips, self.seal.log_heights, strict=True)
            view["seal"] = {
                "bytes": len(encode_proof(self.seal)),
                "heights": {chip.name: 1 << log for chip, log in logs if log},
                "openings": len(self.seal.openings),
                "fri_layers": len(self.seal.layers),
                "opened_positions": len(self.seal.main.rows[0]),
            }
        return view

    def __repr__(self) -> str:
        proven = "dev: nothing is proven" if self.dev else f"{self.segments} segments" if self.segments else "one proof"
        return f"<Receipt: {table.claim(self.claim.image_id, self.claim.exit_code, self.journal)}, {proven}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return table.html(self.to_json())


def read_receipt(path: str | os.PathLike[str] | int) -> bytes:
    """The bytes of a receipt's file, pipe, device or open descriptor; of one that is too long for a receipt no more than that is read.

    Raises:
        OSError: it cannot be read.
        FormatError: it is too long.
    """
    data = read_kinds(path, {SEGMENTS_MAGIC: MAX_SEGMENTED_BYTES, b"": MAX_RECEIPT_BYTES})
    if data is None:
        raise FormatError(f"more than {MAX_RECEIPT_BYTES} bytes: no receipt is that long, but those of runs in segments")
    return data


@contextmanager
def open_receipt(path: str | os.PathLike[str] | int) -> Iterator[Data]:
    """The bytes of a receipt, as :func:`read_receipt` gives them; those of a run in segments stay in their file, and are read when they are
    asked for.

    Raises:
        OSError: it cannot be read.
        FormatError: it is too long.
    """
    with nullcontext() if isinstance(path, int) else open(path, "rb") as file:
        if file is None or not FileBytes.possible(file) or file.read(len(SEGMENTS_MAGIC)) != SEGMENTS_MAGIC:
            yield read_receipt(path)
            return
        data = FileBytes(file)
        if len(data) > MAX_SEGMENTED_BYTES:
            raise FormatError(f"more than {MAX_SEGMENTED_BYTES} bytes: no receipt is that long")
        yield data


def verdict(
    data: Data, *image_ids: str | bytes, policy: Policy = DEFAULT_POLICY, exit_code: int = 0, threads: int | None = None
) -> dict[str, Any]:
    """Decode and verify a receipt's bytes: the answer as what JSON can hold, whether accepted or not.

    Args:
        data: the receipt's bytes, or those of :func:`open_receipt`.
        *image_ids: of the program that the caller trusts, 64 hexadecimal digits or 32 bytes, at least one; if they differ, nothing is
            accepted.
        policy: what else the caller demands.
        exit_code: the one that the caller accepts.
        threads: see :meth:`Receipt.verify`.

    Returns:
        ``accepted``; with it ``image_id``, ``exit_code``, ``journal`` (hex), ``parameters``, ``security_bits`` (proven, of this
        proof's shape, under the policy's regime; 0 for a dev receipt), ``regime`` (the policy's), ``bits_by_regime`` (under each),
        ``zk``, ``dev``; without it ``reason`` (of :class:`RejectReason`) and ``detail``.

    Raises:
        UsageError: an image ID is none, or there is none, or less than one thread.
        OSError: the bytes are in a file that cannot be read any more.
    """
    if not image_ids:
        raise UsageError("a receipt is verified for a program: its image ID is needed")
    expected, *others = [parse_image_id(image_id) for image_id in image_ids]
    try:
        for other in others:
            if other != expected:
                raise VerificationError(RejectReason.IMAGE_ID, f"one program is expected, not two: {expected.hex()} and {other.hex()}")
        receipt = Receipt.from_bytes(data)
        claim = receipt.verify(expected, policy=policy, exit_code=exit_code, threads=threads)
    except VerificationError as error:
        return {"accepted": False, "reason": error.reason.value, "detail": error.detail}
    bits = {regime: receipt.security_bits(regime) for regime in REGIMES}
    return {
        "accepted": True,
        "image_id": claim.image_id.hex(),
        "exit_code": claim.exit_code,
        "journal": receipt.journal.hex(),
        "parameters": dict(zip(PARAMETER_NAMES, claim.parameters, strict=True)),
        "security_bits": bits[policy.regime],
        "regime": policy.regime,
        "bits_by_regime": bits,
        "zk": receipt.zk,
        "dev": receipt.dev,
    }


def parse_image_id(image_id: str | bytes) -> bytes:
    """An image ID as 32 bytes, from those or from 64 hexadecimal digits, with or without ``0x`` before them.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(image_id, str):
        digits = image_id.removeprefix("0x")
        try:
            image_id = bytes.fromhex(digits) if len(digits) == 2 * DIGEST_BYTES else b""
        except ValueError:
            image_id = b""
    if not isinstance(image_id, bytes | bytearray | memoryview) or len(image_id) != DIGEST_BYTES:
        raise UsageError(f"an image ID is {2 * DIGEST_BYTES} hexadecimal digits ({DIGEST_BYTES} bytes)")
    return bytes(image_id)
