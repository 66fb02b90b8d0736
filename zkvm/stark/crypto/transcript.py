"""The Fiat-Shamir transcript: every message of the prover is absorbed, every challenge is drawn from what was absorbed before.

The state is one BLAKE3 digest. With ``frame = state || len(label) || label || kind || len(data) || data`` (lengths as little-endian
64-bit words, kind one byte), an absorption sets ``state = BLAKE3(frame)``; a draw takes BLAKE3's extendable output of the frame, whose
first 32 bytes are the next state and whose remaining bytes are the challenge, so two draws never see the same bytes. The framing is
injective: no two sequences of calls hash the same bytes. Prover and verifier make the same calls in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import FormatError, RejectReason, VerificationError
from zkvm.stark.crypto.hashes import Steps, blake3, message_steps, run
from zkvm.stark.field.goldilocks import P, is_canonical

PROTOCOL_TAG: Final = b"zkvm/transcript/1"
STATE_BYTES: Final = 32
WORD_BYTES: Final = 8


class Kind(IntEnum):
    """What a step is; hashed, so that steps of different kinds never collide."""

    DOMAIN = 0
    BYTES = 1
    ELEMENTS = 2
    INTEGER = 3
    EXTENSION = 16
    INDICES = 17
    GRINDING_SEED = 18
    NONCE = 19


@dataclass(frozen=True)
class Step:
    """One entry of the log.

    Attributes:
        label: what was absorbed or drawn.
        kind: how.
        length: bytes absorbed, or challenge words drawn.
    """

    label: str
    kind: Kind
    length: int


def proof_of_work_holds(seed: bytes, nonce: int, bits: int) -> bool:
    """Whether the first 8 bytes of ``BLAKE3(seed || nonce)``, read as a little-endian integer, are below ``2^(64 - bits)``.

    Args:
        seed: 32 bytes.
        nonce: 64-bit integer, hashed as 8 little-endian bytes.
        bits: 0..64.

    Returns:
        Whether they are.
    """
    digest = blake3(seed + nonce.to_bytes(WORD_BYTES, "little"))
    return int.from_bytes(digest[:WORD_BYTES], "little") >> (64 - bits) == 0


class Transcript:
    """Fiat-Shamir over BLAKE3. Subclasses may override the draws (tests replay recorded challenges).

    Attributes:
        log: the steps so far, in order: the protocol's inventory.
    """

    def __init__(self, domain: str) -> None:
        """Start a transcript for one protocol and version, named by ``domain``."""
        self._state = blake3(PROTOCOL_TAG)
        self.log: list[Step] = []
        self._absorb("domain", Kind.DOMAIN, domain.encode())

    @property
    def state(self) -> bytes:
        """The current 32 bytes: equal on both sides as long as both saw the same steps."""
        return self._state

    # ----- absorb

    def absorb_bytes(self, label: str, data: bytes) -> None:
        """Absorb a byte string (with its length)."""
        self._absorb(label, Kind.BYTES, data)

    def absorb_elements(self, label: str, values: NDArray[np.uint64]) -> None:
        """Absorb field elements as little-endian words, in C order; the array's shape is not absorbed.

        Raises:
            FormatError: an element is not canonical (below p): two encodings of one element must not give two transcripts.
        """
        run(self.absorbing(label, values))

    def absorbing(self, label: str, values: NDArray[np.uint64]) -> Steps[None]:
        """:meth:`absorb_elements` as a hash in steps.

        Raises:
            FormatError: an element is not canonical.
        """
        array = np.ascontiguousarray(values, dtype=np.uint64)
        if not is_canonical(array):
            raise FormatError(f"transcript {label!r}: element is not canonical")
        data = array.astype("<u8", copy=False).tobytes()
        state = yield from message_steps(self._frame(label, Kind.ELEMENTS, data))
        self._step(state, label, Kind.ELEMENTS, len(data))

    def absorb_int(self, label: str, value: int) -> None:
        """Absorb an integer of 64 bits.

        Raises:
            FormatError: the value is not in [0, 2^64).
        """
        if not 0 <= value < 2**64:
            raise FormatError(f"transcript {label!r}: {value} is not a 64-bit integer")
        self._absorb(label, Kind.INTEGER, value.to_bytes(WORD_BYTES, "little"))

    # ----- draw

    def draw_extension(self, label: str) -> tuple[int, int, int]:
        """A uniform element of the cubic extension: three words of the output stream, words >= p skipped (no bias)."""
        frame = self._frame(label, Kind.EXTENSION, b"")
        wanted = 4
        while True:
            output = blake3(frame, length=STATE_BYTES + WORD_BYTES * wanted)
            words = [int(word) for word in np.frombuffer(output, dtype="<u8", offset=STATE_BYTES) if word < P]
            if len(words) >= 3:
                break
            wanted *= 2  # a word is skipped with probability 2^-32: a longer prefix of the same stream, so the result does not change
        self._step(output[:STATE_BYTES], label, Kind.EXTENSION, 3)
        return words[0], words[1], words[2]

    def draw_indices(self, label: str, count: int, bound: int) -> NDArray[np.int64]:
        """``count`` independent uniform integers below ``bound``, in draw order and possibly repeated: (count,) int64.

        Raises:
            ValueError: ``bound`` is not a power of two up to 2^62, or the count is negative.
        """
        if not 0 < bound <= 2**62 or bound & (bound - 1) or count < 0:
            raise ValueError(f"cannot draw {count} indices below {bound}")
        parameters = count.to_bytes(WORD_BYTES, "little") + bound.to_bytes(WORD_BYTES, "little")
        frame = self._frame(label, Kind.INDICES, parameters)
        output = blake3(frame, length=STATE_BYTES + WORD_BYTES * count)
        self._step(output[:STATE_BYTES], label, Kind.INDICES, count)
        words = np.frombuffer(output, dtype="<u8", offset=STATE_BYTES).astype(np.uint64)
        return (words & np.uint64(bound - 1)).astype(np.int64)

    # ----- grinding

    def grinding_seed(self, label: str) -> bytes:
        """The 32-byte seed of the proof of work at this point. Does not change the state: the prover may call it freely."""
        return blake3(self._frame(label, Kind.GRINDING_SEED, b""))

    def grind_check(self, label: str, nonce: int, bits: int) -> None:
        """Check a proof of work of ``bits`` bits (see :func:`proof_of_work_holds`), then absorb its nonce.

        Raises:
            VerificationError: GRINDING, the nonce is not a 64-bit integer or its hash is not small enough.
            ValueError: ``bits`` is not in 0..64.
        """
        if not 0 <= bits <= 64:
            raise ValueError(f"{bits} bits of work cannot be checked")
        if not 0 <= nonce < 2**64 or not proof_of_work_holds(self.grinding_seed(label), nonce, bits):
            raise VerificationError(RejectReason.GRINDING, f"{label}: nonce does not give {bits} bits of work")
        self._absorb(label, Kind.NONCE, nonce.to_bytes(WORD_BYTES, "little"))

    # ----- state

    def _frame(self, label: str, kind: Kind, data: bytes) -> bytes:
        name = label.encode()
        parts = [self._state, len(name).to_bytes(WORD_BYTES, "little"), name, bytes([kind]), len(data).to_bytes(WORD_BYTES, "little"), data]
        return b"".join(parts)

    def _absorb(self, label: str, kind: Kind, data: bytes) -> None:
        self._step(blake3(self._frame(label, kind, data)), label, kind, len(data))

    def _step(self, state: bytes, label: str, kind: Kind, length: int) -> None:
        self._state = state
        self.log.append(Step(label, kind, length))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(steps={len(self.log)}, state={self._state.hex()[:16]}...)"
