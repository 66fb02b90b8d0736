"""The header that identifies an image, and what a proof of a run of that image states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from zkvm.errors import RejectReason, VerificationError
from zkvm.riscv.chips.buses import JOURNAL, SEGMENT_STATE, STATE, ZERO_LIST
from zkvm.riscv.isa.opcodes import FIRST_TIME, LAST_PC, LAST_TIME
from zkvm.riscv.machine import machine
from zkvm.stark.air.table import Closing, closing
from zkvm.stark.crypto.hashes import DIGEST_BYTES, blake3
from zkvm.stark.protocol.params import BLOWUPS, MAX_HEIGHT, MIN_HEIGHT, Parameters
from zkvm.stark.protocol.statement import Statement

MAX_GAPS = 64
"""Most zero-initialised ranges of an image: bss, heap, stack and what alignment leaves between segments."""
MAX_GAP_WORD = 1 << 30
IMAGE_DOMAIN = b"zkvm/image/1"


@cache
def preprocessed_chips() -> tuple[str, ...]:
    """Names of the chips with preprocessed columns, in machine order: the order of an image header's heights."""
    return tuple(chip.name for chip in machine().chips if len(chip.preprocessed))


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a verifier knows of an image; hashes to the image ID.

    Attributes:
        entry: pc of the first instruction.
        initial_sp: initial x2 (also in the committed RAM image).
        gaps: [start, end) ranges of zero-initialised words, in words (byte address / 4).
        heights: of the preprocessed tables, in the order of :func:`preprocessed_chips`, 0 for an absent one.
        roots: of the preprocessed columns, 32 bytes for each of :data:`zkvm.stark.protocol.params.BLOWUPS`.
    """

    entry: int
    initial_sp: int
    gaps: tuple[tuple[int, int], ...]
    heights: tuple[int, ...]
    roots: tuple[bytes, ...]

    def check(self) -> None:
        """Refuse a header that no image can have.

        Raises:
            VerificationError: CLAIM.
        """
        self._check_types()
        edges = [word for gap in self.gaps for word in gap]
        if len(self.gaps) > MAX_GAPS or edges != sorted(set(edges)) or (edges and not (edges[0] >= 1 and edges[-1] <= MAX_GAP_WORD)):
            raise VerificationError(RejectReason.CLAIM, "the image's gaps are not sorted, disjoint ranges of words below 2^30")
        if not 0 <= self.entry < 1 << 32 or not 0 <= self.initial_sp < 1 << 32:
            raise VerificationError(RejectReason.CLAIM, "entry or stack pointer is not a 32-bit address")
        if len(self.heights) != len(preprocessed_chips()) or len(self.roots) != len(BLOWUPS):
            raise VerificationError(RejectReason.CLAIM, "wrong number of preprocessed heights or roots")
        if any(height and (height & (height - 1) or not MIN_HEIGHT <= height <= MAX_HEIGHT) for height in self.heights):
            raise VerificationError(RejectReason.CLAIM, "a preprocessed height is not an admissible power of two")
        if any(len(root) != DIGEST_BYTES for root in self.roots):
            raise VerificationError(RejectReason.CLAIM, "a preprocessed root is not 32 bytes")

    def _check_types(self) -> None:
        """A header need not come from bytes. Nothing marks where a gap ends when it is hashed: each must be a pair."""
        lists = (self.gaps, self.heights, self.roots)
        if not all(isinstance(own, tuple) for own in lists) or not all(isinstance(gap, tuple) and len(gap) == 2 for gap in self.gaps):
            raise VerificationError(RejectReason.CLAIM, "gaps, heights and roots must be tuples, gaps pairs")
        numbers = (self.entry, self.initial_sp, *self.heights, *(edge for gap in self.gaps for edge in gap))
        if not all(type(number) is int for number in numbers) or not all(isinstance(root, bytes) for root in self.roots):
            raise VerificationError(RejectReason.CLAIM, "addresses, heights and edges must be integers, roots bytes")

    def to_bytes(self) -> bytes:
        """Injective encoding: 8-byte words, each list after its length."""
        words = [
            self.entry,
            self.initial_sp,
            len(self.gaps),
            *(edge for gap in self.gaps for edge in gap),
            len(self.heights),
            *self.heights,
        ]
        return b"".join(word.to_bytes(8, "little") for word in words) + b"".join(self.roots)

    def image_id(self) -> bytes:
        """32 bytes: BLAKE3 of domain, machine digest and this header."""
        return blake3(IMAGE_DOMAIN + machine().digest + self.to_bytes())


def closings(header: ImageHeader, journal: bytes, exit_code: int) -> tuple[Closing, ...]:
    """The verifier's own tuples: the first state and the last, which says the exit code, the ends of the gaps' lists, the journal."""
    return (
        closing(STATE, (header.entry, FIRST_TIME), sent=True),
        closing(STATE, (LAST_PC + exit_code, LAST_TIME), sent=False),
        *memory_closings(header),
        journal_closing(journal),
    )


def memory_closings(header: ImageHeader) -> tuple[Closing, ...]:
    """The ends of the gaps' lists: the verifier's tuples in the proof of a segmented run's memory."""
    return (
        closing(ZERO_LIST, *((start - 1, 0) for start, _ in header.gaps), sent=True),
        closing(ZERO_LIST, *((end, 1) for _, end in header.gaps), sent=False),
    )


def journal_closing(part: bytes, first: int = 0) -> Closing:
    """The bytes of the journal from an index on: of a segment, the verifier's only tuples that are not joint."""
    indices = np.uint64(first) + np.arange(len(part), dtype=np.uint64)
    return Closing(JOURNAL, np.stack([indices, np.frombuffer(part, np.uint8).astype(np.uint64)], axis=1), sent=True)


def joint_closings(header: ImageHeader, segments: int, exit_code: int) -> tuple[Closing, ...]:
    """The verifier's tuples on the joint buses of a run in so many segments: the first state and the last, which says the exit code."""
    return (
        closing(SEGMENT_STATE, (0, header.entry, FIRST_TIME), sent=True),
        closing(SEGMENT_STATE, (segments, LAST_PC + exit_code, LAST_TIME), sent=False),
    )


def run_statement(header: ImageHeader, parameters: Parameters, journal: bytes, exit_code: int) -> Statement:
    """What a proof of a run states: this image, run from its entry, exits once with this code and this journal.

    Raises:
        VerificationError: CLAIM, for an impossible header or exit code.
    """
    header.check()
    if not 0 <= exit_code < 1 << 32:
        raise VerificationError(RejectReason.CLAIM, f"exit code {exit_code} is not a 32-bit word")
    heights = dict(zip(preprocessed_chips(), header.heights, strict=True))
    fields = (
        ("image header", header.to_bytes()),
        ("journal", journal),
        ("exit code", exit_code.to_bytes(8, "little")),
    )
    return Statement(
        fields=fields,
        preprocessed_heights=tuple(heights.get(chip.name, 0) for chip in machine().chips),
        preprocessed_root=header.roots[BLOWUPS.index(parameters.blowup)],
        closings=closings(header, journal, exit_code),
    )
